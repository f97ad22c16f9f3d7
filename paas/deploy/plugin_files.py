"""Where the files of a plugin come from, and how they get to where they stay.

They come from a git repository, at one commit, or from a folder of the server, and are
written anew: regular files, root's, with git's two modes. What else a tree can hold, links,
submodules, devices, files without end, is refused before anything of it is kept.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from paas.buildpack.source import GitSource
from paas.deploy.fetching import Fetcher
from paas.deploy.tree import read_text
from paas.engine.build.context import Context, ContextEntry, DirectoryContext
from paas.errors import PaasError
from paas.host.content import content
from paas.host.files import remove_tree, sync_filesystem
from paas.model.layout import Layout
from paas.model.plugin import BUNDLED
from paas.model.report import Report, Silent
from paas.plugin.catalog import FILE
from paas.plugin.declaration import Declaration, parse_declaration
from paas.plugin.installed import folder_of
from paas.plugin.manifest import InvalidManifest

MAX_FILES = 2000
MAX_FILE, MAX_ALL = 16 << 20, 64 << 20
"""Bytes: of one file, and of all of a plugin."""


class BadPlugin(PaasError):
    """What was named cannot be a plugin; the brief says why."""


@dataclass(frozen=True)
class Source:
    """A plugin to be taken: from `git`, else from a `folder`, which may be `bundled`."""

    git: GitSource | None = None
    folder: Path | None = None
    bundled: str = ""

    def __str__(self) -> str:
        if self.git is not None:
            return str(GitSource(self.git.url))
        return f"{BUNDLED}:{self.bundled}" if self.bundled else str(self.folder)


@dataclass(frozen=True)
class Taken:
    """A plugin's files, looked at but not kept yet."""

    context: Context
    version: str
    declaration: Declaration


def bundled_names() -> list[str]:
    """The plugins that come with the program and are enabled when somebody wants them."""
    found = []
    for path in sorted(content("plugins").glob(f"*/{FILE}")):
        declaration = parse_declaration(path.read_text("utf-8"), path.parent.name, bundled=True)
        if declaration.service is None:
            found.append(declaration.name)
    return found


class PluginFiles:
    """Takes the files of plugins and keeps them below the root."""

    def __init__(self, layout: Layout, hosts: tuple[str, ...]) -> None:
        """`hosts` may be fetched from although their addresses are not public."""
        self._layout = layout
        self._hosts = hosts

    @contextmanager
    def taken(self, source: Source, report: Report) -> Iterator[Taken]:
        """The files at `source`, while the block lasts.

        Raises `FetchFailed`, `PushRefused`, `BadPlugin` and `InvalidManifest`.
        """
        self._layout.plugins.mkdir(mode=0o711, exist_ok=True)
        if source.git is not None:
            report.step(f"Fetching {source.git}")
            fetcher = Fetcher(self._layout, self._hosts)
            with fetcher.tree(source.git, self._layout.plugins, report) as tree:
                yield _taken(tree, tree.commit, bundled=False)
            return
        folder = content("plugins") / source.bundled if source.bundled else source.folder
        if folder is None or not folder.is_dir():
            raise BadPlugin(f"{folder} is not a directory")
        files = WithoutGit(DirectoryContext(folder, Silent()))
        yield _taken(files, _digest(files), bundled=bool(source.bundled))

    def keep(self, taken: Taken) -> None:
        """Write the files of a version to where they stay; those that are there stay."""
        final = folder_of(self._layout, taken.declaration.name, taken.version)
        if final.exists():
            return
        beside = self._layout.plugins / f".new-{os.urandom(6).hex()}"
        try:
            _write(taken.context, beside)
            sync_filesystem(beside)
            final.parent.mkdir(mode=0o700, exist_ok=True)
            beside.rename(final)
            sync_filesystem(final)
        finally:
            remove_tree(beside)

    def forget_others(self, kept: set[Path]) -> None:
        """Remove versions that nobody needs, and what killed commands left."""
        for path in self._layout.plugins.glob("*"):
            versions = () if path.name.startswith(".") else list(path.iterdir())
            for version in versions:
                if version not in kept:
                    # At once, so that what is killed leaves no half of one in its place.
                    gone = self._layout.plugins / f".gone-{os.urandom(6).hex()}"
                    version.rename(gone)
                    remove_tree(gone)
            if not versions or not any(version in kept for version in versions):
                remove_tree(path)


class WithoutGit:
    """A folder without what git keeps in it."""

    def __init__(self, context: Context) -> None:
        self._context = context

    @property
    def mtime(self) -> int:
        """Seconds since the epoch."""
        return self._context.mtime

    def entries(self) -> Mapping[str, ContextEntry]:
        """All paths but those of `.git`."""
        found = self._context.entries()
        return {path: each for path, each in found.items() if path.partition("/")[0] != ".git"}

    def read(self, path: str) -> bytes:
        """The contents of a file. Raises KeyError."""
        return self._context.read(path)

    def copy_to(self, path: str, descriptor: int) -> None:
        """Write the contents of a file to an open one."""
        self._context.copy_to(path, descriptor)


def _taken(context: Context, version: str, *, bundled: bool) -> Taken:
    _check(context)
    text = read_text(context, FILE)
    if text is None:
        raise InvalidManifest(
            f"There is no {FILE} at the top of it",
            resolution="Every plugin has one: paas plugin:new NAME makes a skeleton.",
        )
    return Taken(context, version, parse_declaration(text, FILE, bundled=bundled))


def _check(context: Context) -> None:
    entries = context.entries()
    if len(entries) > MAX_FILES:
        raise BadPlugin(f"It has {len(entries)} files and directories, {MAX_FILES} at most are")
    for path, entry in entries.items():
        if not stat.S_ISDIR(entry.mode) and not stat.S_ISREG(entry.mode):
            raise BadPlugin(
                f"{path!r} is a symbolic link",
                resolution="A plugin has only files and directories: commit the file itself.",
            )


def _write(context: Context, root: Path) -> None:
    """Into a directory of our own, which nobody else reaches and which has no links."""
    root.mkdir(mode=0o700)
    size = 0
    for path, entry in context.entries().items():
        target = root / path
        if stat.S_ISDIR(entry.mode):
            target.mkdir(mode=0o755)
            continue
        data = context.read(path)
        size += len(data)
        if len(data) > MAX_FILE or size > MAX_ALL:
            raise BadPlugin(f"It is larger than {MAX_ALL >> 20} MiB, or {path!r} too large")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(target, flags, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            os.fchmod(fd, 0o755 if entry.mode & 0o100 else 0o644)


def _digest(context: Context) -> str:
    """A version for what has no commit: equal for equal files."""
    found = hashlib.sha1(usedforsecurity=False)
    for path, entry in sorted(context.entries().items()):
        executable = "x" if entry.mode & 0o100 and stat.S_ISREG(entry.mode) else ""
        found.update(f"{path}\0{executable}\0{entry.digest}\n".encode("utf-8", "surrogateescape"))
    return found.hexdigest()
