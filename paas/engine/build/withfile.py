"""A context with one file more than it has: a Dockerfile that somebody wrote for it."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from functools import cached_property

from paas.engine.build.context import Context, ContextEntry, blob_id


class WithFile:
    """`context`, and at `path` (at the top of it) a file of `data`."""

    def __init__(self, context: Context, path: str, data: bytes) -> None:
        self._context = context
        self._path = path
        self._data = data

    @property
    def mtime(self) -> int:
        """Seconds since the epoch."""
        return self._context.mtime

    def entries(self) -> Mapping[str, ContextEntry]:
        """The paths of the context and the file's."""
        return self._entries

    @cached_property
    def _entries(self) -> dict[str, ContextEntry]:
        mode, digest = stat.S_IFREG | 0o644, blob_id(self._data)
        added = ContextEntry(self._path, mode, digest, len(self._data))
        return {**self._others(), self._path: added}

    def _others(self) -> Mapping[str, ContextEntry]:
        return self._context.entries()

    def read(self, path: str) -> bytes:
        """The contents of a file, the target of a link. Raises KeyError."""
        return self._data if path == self._path else self._context.read(path)

    def copy_to(self, path: str, descriptor: int) -> None:
        """Write the contents of a file to an open one."""
        if path != self._path:
            self._context.copy_to(path, descriptor)
            return
        view = memoryview(self._data)
        while view:
            view = view[os.write(descriptor, view) :]
