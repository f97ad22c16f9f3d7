"""A directory of a tree as the tree: where an app lies in a repository of several."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Protocol

from paas.deploy.tree import PushRefused
from paas.engine.build.context import Context, ContextEntry


class SourceTree(Context, Protocol):
    """A build context that knows the commit it is of."""

    @property
    def commit(self) -> str:
        """The commit's id."""


class Subtree:
    """What is below `directory` (no slash at either end), as if it were all."""

    def __init__(self, tree: SourceTree, directory: str) -> None:
        """Raises `PushRefused` when there is nothing below it."""
        self._tree = tree
        self._prefix = f"{directory}/"
        if not self._entries:
            raise PushRefused(
                f"There is no directory {directory} in the commit",
                resolution="It is the build directory: see builder:report and builder:set.",
            )

    @property
    def commit(self) -> str:
        """The commit's id."""
        return self._tree.commit

    @property
    def mtime(self) -> int:
        """Seconds since the epoch."""
        return self._tree.mtime

    def entries(self) -> Mapping[str, ContextEntry]:
        """The paths below the directory, relative to it."""
        return self._entries

    @cached_property
    def _entries(self) -> dict[str, ContextEntry]:
        length = len(self._prefix)
        return {
            path[length:]: replace(entry, path=path[length:])
            for path, entry in self._tree.entries().items()
            if path.startswith(self._prefix)
        }

    def read(self, path: str) -> bytes:
        """The contents of a file, the target of a symbolic link. Raises KeyError."""
        return self._tree.read(self._prefix + path)

    def copy_to(self, path: str, descriptor: int) -> None:
        """Write the contents of a file to an open one."""
        self._tree.copy_to(self._prefix + path, descriptor)
