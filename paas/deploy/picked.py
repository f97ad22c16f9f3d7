"""Build contexts that nobody committed: chosen files with a Dockerfile, folders side by side."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property

from paas.engine.build.context import Context, ContextEntry
from paas.engine.build.withfile import WithFile


class Picked(WithFile):
    """`paths` of another context (files, with the directories above them) and one text more."""

    def __init__(self, context: Context, paths: Iterable[str], name: str, text: str) -> None:
        """`name` is the path of the text, which hides a file of that name."""
        super().__init__(context, name, text.encode())
        self._paths = list(paths)

    def _others(self) -> Mapping[str, ContextEntry]:
        """The chosen ones, a directory before what is in it."""
        wanted = {prefix for path in self._paths for prefix in _prefixes(path)}
        return {path: entry for path, entry in self._context.entries().items() if path in wanted}


class Gathered:
    """Several contexts, each in a folder of its own."""

    def __init__(self, folders: Mapping[str, Context]) -> None:
        """By the name of the folder, which is one part of a path."""
        self._folders = folders

    @property
    def mtime(self) -> int:
        """Seconds since the epoch."""
        return max((context.mtime for context in self._folders.values()), default=0)

    def entries(self) -> Mapping[str, ContextEntry]:
        """The folders with all that is in them."""
        return self._entries

    @cached_property
    def _entries(self) -> dict[str, ContextEntry]:
        found: dict[str, ContextEntry] = {}
        for name, context in self._folders.items():
            found[name] = ContextEntry(name, stat.S_IFDIR | 0o755, "", 0)
            for path, entry in context.entries().items():
                inner = f"{name}/{path}"
                found[inner] = replace(entry, path=inner)
        return found

    def read(self, path: str) -> bytes:
        """Contents of a file, target of a link."""
        name, _, inner = path.partition("/")
        return self._folders[name].read(inner)

    def copy_to(self, path: str, descriptor: int) -> None:
        """Write a file's contents to an open one."""
        name, _, inner = path.partition("/")
        self._folders[name].copy_to(inner, descriptor)


def _prefixes(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[: n + 1]) for n in range(len(parts))]
