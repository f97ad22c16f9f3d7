"""The files of URLs, as they were last fetched.

Each is kept with its ETag: a server that says it is unchanged is not asked for it again
(RFC 9110, 13.1.2).
"""

from __future__ import annotations

import hashlib
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from paas.engine.build.errors import CannotFetch
from paas.engine.layers import Layers
from paas.engine.outside import Outside
from paas.host import files
from paas.host.disk import DiskFull
from paas.host.files import FileLock
from paas.host.processes import Completed
from paas.host.sizes import tree_size
from paas.model.hiding import url_shown
from paas.model.layout import Layout

FETCH_SECONDS = 1800.0
MAX_BYTES = 8 << 30
TOO_LARGE = (63, -signal.SIGXFSZ)
"""How curl ends when a file is larger than it may be: as the server says, or as it comes."""


class Downloads:
    """What was fetched for all builds of one engine, whose `layers` say what room there is."""

    def __init__(self, layout: Layout, outside: Outside, layers: Layers) -> None:
        self.directory = downloads_directory(layout)
        self._locks = layout.engine / "build-locks"
        self._outside = outside
        self._layers = layers

    @contextmanager
    def file(self, url: str, digest: str = "") -> Iterator[Path]:
        """The file of a URL as the server has it now; or one of that digest (`sha256:…`), if
        it is here. Nobody changes or removes it meanwhile.

        Raises `CannotFetch`, `DiskFull`.
        """
        body = self.directory / hashlib.sha256(url.encode()).hexdigest() / "body"
        with self.lock(body.parent):
            if not (digest and body.is_file() and digest_of(body) == digest):
                self._download(url, body)
            yield body

    def prune(self, unused_s: float, now: float) -> int:
        """Remove those that were not used within `unused_s` seconds, and what whoever was killed
        left; how many bytes that were. What is being fetched or read stays.
        """
        freed = 0
        for folder in list(self.directory.iterdir()) if self.directory.is_dir() else ():
            lock = self.lock(folder)
            if not lock.try_acquire():
                continue
            try:
                # Looked at again: another may have removed it until the lock was had.
                if not folder.is_dir():
                    continue
                before = tree_size(folder)
                old = folder.stat().st_mtime <= now - unused_s
                for path in (folder,) if old else _unfinished(folder):
                    files.remove_tree(path)
                freed += before - tree_size(folder)
            finally:
                lock.release()
        return freed

    def lock(self, folder: Path) -> FileLock:
        """Held by who fetches or reads what is in a folder."""
        return FileLock(self._locks / f"download-{folder.name[:3]}")

    def _download(self, url: str, body: Path) -> None:
        """Have `body` be the file as the server has it now."""
        body.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        etag = body.with_name("etag")
        new, new_etag = unfinished = _unfinished(body.parent)
        for path in (*unfinished, *(() if body.is_file() else (etag,))):
            path.unlink(missing_ok=True)
        try:
            self._curl(url, new, etag, new_etag)
            # Without an answer's body the one that is here is still it, and so is its ETag: that
            # of an answer that did not come to its end would have the old one be the new.
            if new.is_file():
                etag.unlink(missing_ok=True)
                new.replace(body)
                if new_etag.is_file() and new_etag.stat().st_size:
                    new_etag.replace(etag)
            elif not body.is_file():
                body.touch(mode=0o600)
        finally:
            for path in unfinished if body.is_file() else (body.parent,):
                files.remove_tree(path)

    def _curl(self, url: str, target: Path, etag: Path, new_etag: Path) -> None:
        ways, shown = "=http,https", url_shown(url)
        disk = self._layers.disk
        disk.admit(shown)
        most = min(MAX_BYTES, disk.room())
        words = [
            # curl's own bound is for what a server announces (curl(1), before 8.4).
            *("prlimit", f"--fsize={most}", "--"),
            *("curl", "--silent", "--show-error", "--fail", "--location", "--max-redirs", "10"),
            *("--proto", ways, "--proto-redir", ways, "--globoff", "--remote-time"),
            *("--max-filesize", str(most), "--connect-timeout", "30"),
            *("--etag-save", str(new_etag), "--output", str(target), "--url", url),
        ]
        if etag.is_file():
            words += ["--etag-compare", str(etag)]
        done = self._outside.run(
            words, timeout_s=FETCH_SECONDS, check=False, progress=lambda: disk.admit(shown)
        )
        if done.code in TOO_LARGE:
            raise self._too_large(shown, most)
        if done.code != 0:
            raise self._refused(shown, done)

    def _too_large(self, shown: str, most: int) -> CannotFetch | DiskFull:
        if most < MAX_BYTES:
            return DiskFull(shown, f"no more than {most / 1e6:.0f} MB is", self._layers.disk.path)
        return CannotFetch(
            f"cannot fetch {shown}",
            [f"it is larger than {MAX_BYTES >> 30} GiB"],
            "Fetch it in a RUN, in parts, or make it smaller.",
        )

    @staticmethod
    def _refused(shown: str, done: Completed) -> CannotFetch:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        return CannotFetch(
            f"cannot fetch {shown}",
            said,
            "A build reaches what is on the internet, and the mirrors this server is set to.",
        )


def downloads_directory(layout: Layout) -> Path:
    """Where they are kept, each in a directory of its own."""
    return layout.engine / "downloads"


def digest_of(path: Path) -> str:
    """`sha256:…` of a file."""
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _unfinished(folder: Path) -> tuple[Path, Path]:
    """Where a file and its ETag are while they come."""
    return folder / "new", folder / "new-etag"
