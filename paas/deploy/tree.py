"""The door to dulwich: a pushed commit, read straight out of git's object files.

Nothing of the tree is written anywhere on the way: a build takes file contents from
the objects, with git's own blob ids as their digests.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from dulwich.object_store import DiskObjectStore
from dulwich.objects import Blob, Commit, ObjectID, Tag, Tree

from paas.engine.build.context import ContextEntry
from paas.errors import PaasError

SUBMODULE = 0o160000
"""The mode of a gitlink in a tree (gitformat-index, `gitlink`)."""


class PushRefused(PaasError):
    """What was pushed cannot be deployed as it is."""


@dataclass(frozen=True)
class Objects:
    """Where the objects of a push are: its own, and those the repository had before."""

    own: Path
    repository: Path

    @cached_property
    def store(self) -> DiskObjectStore:
        return DiskObjectStore(self.own, alternates=[self.repository])


class GitContext:
    """The tree of one commit as a build context.

    Modes are git's (a file is 0644 or 0755) and the modification time of every file is
    that of the commit, so that equal commits make equal images.
    """

    def __init__(self, objects: Objects, commit: str) -> None:
        """Raises `PushRefused` when `commit` names no commit."""
        self._store = objects.store
        self.commit, self._commit = peel(objects, commit)

    @property
    def mtime(self) -> int:
        """Seconds since the epoch."""
        return int(self._commit.commit_time)

    def entries(self) -> Mapping[str, ContextEntry]:
        """Every path of the tree, directories too, in git's order.

        Raises `PushRefused` for a submodule: its objects are not part of the push.
        """
        return self._entries

    @cached_property
    def _entries(self) -> dict[str, ContextEntry]:
        return {entry.path: entry for entry in self._walk(self._commit.tree, "")}

    def _walk(self, tree_id: bytes, prefix: str) -> Iterator[ContextEntry]:
        tree = self._store[ObjectID(tree_id)]
        if not isinstance(tree, Tree):
            raise PushRefused(f"{tree_id.decode()} is not a tree")
        for raw_name, mode, object_id in tree.iteritems():
            path = prefix + os.fsdecode(raw_name)
            if mode == SUBMODULE:
                raise PushRefused(
                    f"{path} is a submodule, whose files are not part of a push",
                    resolution=f"Vendor it: git rm --cached {path} && rm -rf {path}/.git"
                    f" && git add {path} && git commit",
                )
            if stat.S_ISDIR(mode):
                yield ContextEntry(path, stat.S_IFDIR | 0o755, object_id.decode(), 0, None)
                yield from self._walk(object_id, path + "/")
            else:
                yield self._leaf(path, mode, object_id)

    def _leaf(self, path: str, mode: int, object_id: bytes) -> ContextEntry:
        digest = object_id.decode()
        if stat.S_ISLNK(mode):
            target = os.fsdecode(self._blob(object_id))
            return ContextEntry(path, stat.S_IFLNK | 0o777, digest, len(target), target)
        permissions = 0o755 if mode & 0o100 else 0o644
        return ContextEntry(path, stat.S_IFREG | permissions, digest, 0, None)

    def _blob(self, object_id: bytes) -> bytes:
        blob = self._store[ObjectID(object_id)]
        if not isinstance(blob, Blob):
            raise PushRefused(f"{object_id.decode()} is not a file")
        return blob.as_raw_string()

    def read(self, path: str) -> bytes:
        """The contents of a file, the target of a symbolic link. Raises KeyError."""
        return self._blob(self._entries[path].digest.encode())

    def copy_to(self, path: str, descriptor: int) -> None:
        """Write the contents of `path` to an open file."""
        view = memoryview(self.read(path))
        while view:
            view = view[os.write(descriptor, view) :]


def peel(objects: Objects, name: str) -> tuple[str, Commit]:
    """The commit that an object id means, through annotated tags.

    Raises `PushRefused` when it means a tree or a file, or is not there.
    """
    object_id = name.encode()
    while True:
        try:
            found = objects.store[ObjectID(object_id)]
        except KeyError:
            raise PushRefused(f"The object {name} is missing from the push") from None
        if isinstance(found, Commit):
            return object_id.decode(), found
        if not isinstance(found, Tag):
            raise PushRefused(f"{name} is not a commit")
        object_id = found.object[1]


def read_text(context: GitContext, path: str) -> str | None:
    """A text file of the tree, or None when there is none.

    Raises `PushRefused` when it is not a regular UTF-8 file: a link could only lead
    somewhere that is not part of the push.
    """
    entry = context.entries().get(path)
    if entry is None:
        return None
    if not stat.S_ISREG(entry.mode):
        raise PushRefused(f"{path} is not a regular file", resolution="Commit it as one.")
    try:
        return context.read(path).decode()
    except UnicodeDecodeError as error:
        raise PushRefused(f"{path} is not UTF-8 text: {error.reason}") from error
