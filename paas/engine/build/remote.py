"""ADD of URLs and of git repositories: what they name, and fetching it.

Everything is fetched as a container would (`paas.engine.outside`), while the disk has room
for it.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from paas.engine.build.downloads import FETCH_SECONDS, Downloads, digest_of
from paas.engine.build.errors import CannotFetch
from paas.engine.layers import Layers
from paas.engine.outside import Outside
from paas.host import files
from paas.host.processes import Completed
from paas.model.hiding import url_shown
from paas.model.layout import Layout

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
            f"cannot determine filename from url: {url_shown(url)}",
            resolution="Name the file in the destination, without a slash at its end.",
        )
    return name


def git_address(source: str, checksum: str, *, keep_git: bool) -> GitAddress:
    """Take an address apart. Raises `CannotFetch` for one over ssh."""
    if source.startswith(("ssh://", "git@")):
        raise CannotFetch(
            f"{url_shown(source)}: ADD has no key to open it with",
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

    def __init__(self, layout: Layout, outside: Outside, layers: Layers) -> None:
        self.downloads = Downloads(layout, outside, layers)
        self._outside = outside
        self._layers = layers

    def identify_url(self, url: str, checksum: str) -> str:
        """A name of the contents of a URL, `sha256:…`: they are fetched to know it, unless a
        checksum says it. Raises `CannotFetch`, `DiskFull`.
        """
        if checksum:
            if not _CHECKSUM.fullmatch(checksum):
                raise CannotFetch(f"invalid checksum {checksum}: it is sha256: and 64 hex digits")
            return checksum
        with self.downloads.file(url) as body:
            return digest_of(body)

    def fetch_url(self, url: str, digest: str, scratch: Path) -> Path:
        """The file of a URL, a copy in `scratch`.

        Raises `CannotFetch` when it is another, and `DiskFull`.
        """
        target = scratch / "file"
        with self.downloads.file(url, digest) as body:
            found = digest_of(body)
            if found != digest:
                raise CannotFetch(f"digest mismatch {found}: {digest}")
            self._layers.disk.admit(url_shown(url), body.stat().st_size)
            with body.open("rb") as source, target.open("xb") as copy:
                while chunk := source.read(CHUNK):
                    copy.write(chunk)
            modified = body.stat().st_mtime
        target.chmod(0o600)
        os.utime(target, (modified, modified))
        return target

    def identify_git(self, address: GitAddress) -> str:
        """The commit that is meant. Raises `CannotFetch`."""
        commit = address.ref if _COMMIT.fullmatch(address.ref) else self._remote_commit(address)
        if address.checksum and not commit.startswith(address.checksum):
            raise CannotFetch(f"expected checksum to match {address.checksum}, got {commit}")
        return commit

    def fetch_git(self, address: GitAddress, commit: str, scratch: Path) -> Path:
        """The working tree of a commit, below `scratch`. Raises `CannotFetch`, `DiskFull`."""
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

    def _remote_commit(self, address: GitAddress) -> str:
        listed = self._git(["ls-remote", address.url, address.ref, f"{address.ref}^{{}}"], address)
        rows = [line.split("\t") for line in listed.text.splitlines() if "\t" in line]
        found = {name: commit for commit, name in rows}
        ref = address.ref
        for name in (f"refs/tags/{ref}^{{}}", f"refs/tags/{ref}", f"refs/heads/{ref}", ref):
            if name in found and _COMMIT.fullmatch(found[name]):
                return found[name]
        raise CannotFetch(f"{url_shown(address.url)}: there is no branch or tag {address.ref}")

    def _git(
        self, words: Sequence[str], address: GitAddress, tree: Path | None = None
    ) -> Completed:
        place = ["-C", str(tree)] if tree is not None else []
        shown = url_shown(address.url)
        done = self._outside.run(
            ["git", *_GIT_OPTIONS, *place, *words],
            timeout_s=FETCH_SECONDS,
            env=_GIT_ENVIRONMENT,
            check=False,
            progress=lambda: self._layers.disk.admit(shown),
        )
        if done.code != 0:
            last = done.stderr.decode("utf-8", "replace").splitlines()[-3:]
            raise CannotFetch(f"cannot fetch {shown}", [url_shown(line) for line in last])
        return done
