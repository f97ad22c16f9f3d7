"""The repositories of others' buildpacks, each as far as builds have fetched it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from paas.buildpack.source import GitSource
from paas.host.files import FileLock, remove_tree
from paas.host.sizes import tree_size
from paas.model.layout import Layout

SUFFIX = ".git"


class BuildpackClones:
    """One repository per source, whichever apps are built by it."""

    def __init__(self, layout: Layout) -> None:
        self.directory = layout.root / "buildpacks"
        self._locks = layout.locks

    @contextmanager
    def used(self, source: GitSource) -> Iterator[Path]:
        """Where a source is fetched to, which nobody removes meanwhile.

        It counts as used from the block's end on: what is read of it behind the block has
        all the time that an unused one is kept.
        """
        path = self.directory / f"{source.slug}{SUFFIX}"
        with self._lock(path, shared=True):
            try:
                yield path
            finally:
                if path.is_dir():
                    os.utime(path)

    def unused(self, seconds: float, now: float) -> list[Path]:
        """Those that nobody used within so many seconds, and what who was killed left of some."""
        found = [*self.directory.iterdir()] if self.directory.is_dir() else []
        return [path for path in found if _is_unused(path, now - seconds)]

    def prune(self, unused_s: float, now: float) -> int:
        """Remove those that were not used within `unused_s` seconds; how many bytes that were.

        One that is being fetched stays.
        """
        freed = 0
        for path in self.unused(unused_s, now):
            lock = self._lock(path)
            if not lock.try_acquire():
                continue
            try:
                # Looked at again: it may have been used, or removed, until the lock was had.
                if _is_unused(path, now - unused_s):
                    freed += tree_size(path)
                    _remove(path)
            finally:
                lock.release()
        return freed

    def _lock(self, path: Path, *, shared: bool = False) -> FileLock:
        """Shared by who fetches; few files, as one is never removed."""
        digits = path.name.removesuffix(SUFFIX)[-2:]
        return FileLock(self._locks / f"buildpack-{digits}", shared=shared)


def _is_unused(path: Path, since: float) -> bool:
    try:
        return path.name.startswith(".") or path.stat().st_mtime <= since
    except FileNotFoundError:
        return False


def _remove(path: Path) -> None:
    """At once, under its name: with half of its objects it would be fetched into for ever."""
    aside = path.with_name(f".{path.name.removeprefix('.')}")
    if path != aside:
        remove_tree(aside)
        path.rename(aside)
    remove_tree(aside)
