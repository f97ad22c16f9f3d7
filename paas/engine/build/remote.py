"""ADD of URLs and of git repositories: what they name, and fetching it.

Everything is fetched as a container would (`paas.engine.outside`). A file of a URL is kept
beside the cache with its ETag: a server that says it is unchanged is not asked for it again
(RFC 9110, 13.1.2).
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from paas.engine.build.errors import BuildError
from paas.engine.outside import Outside
from paas.host import files
from paas.host.files import FileLock
from paas.host.processes import Completed
from paas.model.layout import Layout

FETCH_SECONDS = 1800.0
MAX_BYTES = 8 << 30
CHUNK = 1 << 20

REMOTE = re.compile(r"(https?|git|ssh)://|git@")
_GIT = re.compile(r"git://|git@|ssh://|https?://[^#?]+\.git(?:[#?]|$)")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_CHECKSUM = re.compile(r"sha256:[0-9a-f]{64}")

# Nothing but these ways, no questions, no programs that a repository or a user names.
_GIT_OPTIONS = (
    *("-c", "protocol.allow=never", "-c", "protocol.http.allow=always"),
    *("-c", "protocol.https.allow=always", "-c", "protocol.git.allow=always"),
    *("-c", "core.hooksPath=/dev/null", "-c", "advice.detachedHead=false"),
    *("-c", "init.defaultBranch=main"),
)
_GIT_ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_TERMINAL_PROMPT": "0",
    "HOME": "/nonexistent",
}


class CannotFetch(BuildError):
    """Something remote is not to be had, or not what was promised."""


@dataclass(frozen=True)
class GitAddress:
    """`URL#ref:directory`, or with `?ref=…&subdir=…` (Dockerfile reference, ADD)."""

    url: str
    ref: str
    directory: str
    checksum: str
    keep_git: bool


def is_remote(source: str) -> bool:
    """Whether a source of ADD is fetched."""
    return REMOTE.match(source) is not None


def is_git(source: str) -> bool:
    """Whether it is a repository."""
    return _GIT.match(source) is not None


def file_name(url: str) -> str:
    """What the file of a URL is called in a directory. Raises `CannotFetch`."""
    name = unquote(posixpath.basename(urlsplit(url).path))
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise CannotFetch(
            f"cannot determine filename from url: {url}",
            resolution="Name the file in the destination, without a slash at its end.",
        )
    return name


def git_address(source: str, checksum: str, *, keep_git: bool) -> GitAddress:
    """Take an address apart. Raises `CannotFetch` for one over ssh."""
    if source.startswith(("ssh://", "git@")):
        raise CannotFetch(
            f"{source}: ADD has no key to open it with",
            resolution="Use the https address, a private repository's with a token in it; or clone"
            " it in a RUN --mount=type=ssh.",
        )
    rest, _, fragment = source.partition("#")
    url, _, query = rest.partition("?")
    asked = {name: values[-1] for name, values in parse_qs(query).items()}
    ref, _, directory = fragment.partition(":")
    ref = asked.get("ref") or asked.get("tag") or asked.get("branch") or ref
    if ref.startswith("-"):
        raise CannotFetch(f"{ref} is no name of a branch, a tag or a commit")
    return GitAddress(
        url,
        ref or "HEAD",
        asked.get("subdir", directory),
        checksum or asked.get("checksum", ""),
        keep_git or asked.get("keep-git-dir") in ("1", "true"),
    )


class Remotes:
    """Fetches for all builds of one engine."""

    def __init__(self, layout: Layout, outside: Outside) -> None:
        self._directory = layout.engine / "downloads"
        self._locks = layout.engine / "build-locks"
        self._outside = outside

    def identify_url(self, url: str, checksum: str) -> str:
        """A name of the contents of a URL, `sha256:…`: they are fetched to know it, unless a
        checksum says it. Raises `CannotFetch`.
        """
        if checksum:
            if not _CHECKSUM.fullmatch(checksum):
                raise CannotFetch(f"invalid checksum {checksum}: it is sha256: and 64 hex digits")
            return checksum
        return self._digest(self._downloaded(url))

    def fetch_url(self, url: str, digest: str, scratch: Path) -> Path:
        """The file of a URL, a copy in `scratch`. Raises `CannotFetch` when it is another."""
        body = self._body(url)
        if not body.is_file() or self._digest(body) != digest:
            body = self._downloaded(url)
        found = self._digest(body)
        if found != digest:
            raise CannotFetch(f"digest mismatch {found}: {digest}")
        target = scratch / "file"
        with body.open("rb") as source, target.open("xb") as copy:
            while chunk := source.read(CHUNK):
                copy.write(chunk)
        target.chmod(0o600)
        modified = body.stat().st_mtime
        os.utime(target, (modified, modified))
        return target

    def identify_git(self, address: GitAddress) -> str:
        """The commit that is meant. Raises `CannotFetch`."""
        commit = address.ref if _COMMIT.fullmatch(address.ref) else self._remote_commit(address)
        if address.checksum and not commit.startswith(address.checksum):
            raise CannotFetch(f"expected checksum to match {address.checksum}, got {commit}")
        return commit

    def fetch_git(self, address: GitAddress, commit: str, scratch: Path) -> Path:
        """The working tree of a commit, below `scratch`. Raises `CannotFetch`."""
        tree = scratch / "tree"
        tree.mkdir(mode=0o755)
        self._git(["init", "--quiet"], address, tree)
        self._git(["fetch", "--quiet", "--depth=1", address.url, commit], address, tree)
        self._git(["checkout", "--quiet", "--detach", commit], address, tree)
        submodules = ["submodule", "--quiet", "update", "--init", "--recursive", "--depth=1"]
        if (tree / ".gitmodules").is_file():
            self._git(submodules, address, tree)
        if not address.keep_git:
            for path in tree.rglob(".git"):
                files.remove_tree(path)
        return tree

    def prune(self, unused_s: float, now: float) -> None:
        """Remove downloads that were not used within `unused_s` seconds."""
        for folder in list(self._directory.iterdir()) if self._directory.is_dir() else ():
            lock = FileLock(self._locks / f"download-{folder.name[:3]}")
            if folder.stat().st_mtime < now - unused_s and lock.try_acquire():
                try:
                    files.remove_tree(folder)
                finally:
                    lock.release()

    def _remote_commit(self, address: GitAddress) -> str:
        listed = self._git(["ls-remote", address.url, address.ref, f"{address.ref}^{{}}"], address)
        rows = [line.split("\t") for line in listed.text.splitlines() if "\t" in line]
        found = {name: commit for commit, name in rows}
        ref = address.ref
        for name in (f"refs/tags/{ref}^{{}}", f"refs/tags/{ref}", f"refs/heads/{ref}", ref):
            if name in found and _COMMIT.fullmatch(found[name]):
                return found[name]
        raise CannotFetch(f"{address.url}: there is no branch or tag {address.ref}")

    def _git(
        self, words: Sequence[str], address: GitAddress, tree: Path | None = None
    ) -> Completed:
        place = ["-C", str(tree)] if tree is not None else []
        done = self._outside.run(
            ["git", *_GIT_OPTIONS, *place, *words],
            timeout_s=FETCH_SECONDS,
            env=_GIT_ENVIRONMENT,
            check=False,
        )
        if done.code != 0:
            last = done.stderr.decode("utf-8", "replace").splitlines()[-3:]
            raise CannotFetch(f"cannot fetch {_without_login(address.url)}", last)
        return done

    def _body(self, url: str) -> Path:
        return self._directory / hashlib.sha256(url.encode()).hexdigest() / "body"

    def _downloaded(self, url: str) -> Path:
        """The file as the server has it now."""
        body = self._body(url)
        with FileLock(self._locks / f"download-{body.parent.name[:3]}"):
            body.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            new, etag = body.with_name("new"), body.with_name("etag")
            new.unlink(missing_ok=True)
            if not body.is_file():
                etag.unlink(missing_ok=True)
            self._curl(url, new, etag)
            # Without an answer's body the one that is here is still it.
            if new.is_file():
                new.replace(body)
            elif not body.is_file():
                body.touch(mode=0o600)
        return body

    def _curl(self, url: str, target: Path, etag: Path) -> None:
        ways = "=http,https"
        words = [
            *("curl", "--silent", "--show-error", "--fail", "--location", "--max-redirs", "10"),
            *("--proto", ways, "--proto-redir", ways, "--globoff", "--remote-time"),
            *("--max-filesize", str(MAX_BYTES), "--connect-timeout", "30"),
            *("--etag-save", str(etag), "--output", str(target), "--url", url),
        ]
        if etag.is_file():
            words += ["--etag-compare", str(etag)]
        done = self._outside.run(words, timeout_s=FETCH_SECONDS, check=False)
        if done.code != 0:
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
            raise CannotFetch(
                f"cannot fetch {_without_login(url)}",
                said,
                "A build reaches what is on the internet, and the mirrors this server is set to.",
            )

    @staticmethod
    def _digest(path: Path) -> str:
        with path.open("rb") as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def _without_login(url: str) -> str:
    """A URL for people: a token in it is nobody's to read."""
    return re.sub(r"//[^/@]*@", "//", url)
