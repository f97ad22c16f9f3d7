"""The door to dulwich: a pushed commit, read straight out of git's object files.

Nothing of the tree is written anywhere on the way: a build takes file contents from
the objects, with git's own blob ids as their digests.
"""

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from dulwich.errors import ApplyDeltaError, ChecksumMismatch, FileFormatException
from dulwich.object_store import DiskObjectStore
from dulwich.objects import Blob, Commit, ObjectID, ShaFile, Tag, Tree

from paas.engine.build.context import Context, ContextEntry
from paas.errors import PaasError

SUBMODULE = 0o160000
"""The mode of a gitlink in a tree (gitformat-index, `gitlink`)."""

FSCK = "Check the repository that was pushed: git fsck --full"
DAMAGES = (
    OSError, ValueError, AssertionError, zlib.error,
    FileFormatException, ChecksumMismatch, ApplyDeltaError,
)  # fmt: skip
"""What dulwich raises for objects that are none."""

MAX_TAGS = 16
"""Annotated tags of annotated tags."""

MAX_ENTRIES = 250_000
"""Files and directories of a tree, three times those of Linux. Ten trees that name one tree
ten times each are a few kilobytes to push and ten billion files to deploy."""

MAX_FILE_BYTES = 256 << 20
"""Of one file, which is in memory twice while it is read; git stores larger ones badly."""

MAX_DEPTH = 200
MAX_PATH, MAX_NAME, MAX_LINK = 2048, 255, 4095
"""Bytes, as Linux has them (path_resolution(7)), with room for where a COPY puts a path."""


class PushRefused(PaasError):
    """What was pushed cannot be deployed as it is."""


@dataclass(frozen=True)
class Objects:
    """Where the objects of a push are: its own, and those the repository had before.

    `reading` is what files are opened in. Both places are the git user's to change: a link,
    an `info/alternates` or a directory swapped meanwhile leads where he may read himself.
    """

    own: Path
    repository: Path
    reading: Callable[[], AbstractContextManager[None]] = nullcontext

    @cached_property
    def _store(self) -> DiskObjectStore:
        return DiskObjectStore(
            self.own, alternates=[self.repository], loose_object_size_limit=MAX_FILE_BYTES
        )

    def get(self, name: bytes) -> ShaFile:
        """An object by its id. Raises `PushRefused` when it is missing or damaged."""
        try:
            with self.reading():
                return self._store[ObjectID(name)]
        except KeyError:
            brief = f"The object {os.fsdecode(name)[:64]} is missing from the push"
            raise PushRefused(brief, resolution=FSCK) from None
        except DAMAGES as error:
            brief = f"The object {os.fsdecode(name)[:64]!r} cannot be read: {error}"
            raise PushRefused(brief, resolution=FSCK) from error


class GitContext:
    """The tree of one commit as a build context.

    Modes are git's (a file is 0644 or 0755) and the modification time of every file is
    that of the commit, so that equal commits make equal images.
    """

    def __init__(self, objects: Objects, commit: str) -> None:
        """Raises `PushRefused` when `commit` names no commit."""
        self._objects = objects
        self.commit, self._commit = peel(objects, commit)

    @property
    def mtime(self) -> int:
        """Seconds since the epoch."""
        return int(self._commit.commit_time)

    def entries(self) -> Mapping[str, ContextEntry]:
        """Every path of the tree, directories too, in git's order.

        Raises `PushRefused` for a submodule, whose objects are not part of the push, and
        for a tree that no file system could hold.
        """
        return self._entries

    @cached_property
    def _entries(self) -> dict[str, ContextEntry]:
        found: dict[str, ContextEntry] = {}
        for entry in self._walk(self._commit.tree, "", 0):
            if len(found) == MAX_ENTRIES:
                raise PushRefused(f"The commit has more than {MAX_ENTRIES} files")
            found[entry.path] = entry
        return found

    def _walk(self, tree_id: bytes, prefix: str, depth: int) -> Iterator[ContextEntry]:
        if depth > MAX_DEPTH:
            raise PushRefused(f"The tree is more than {MAX_DEPTH} directories deep")
        tree = self._objects.get(tree_id)
        if not isinstance(tree, Tree):
            raise PushRefused(f"{tree_id.decode()} is not a tree")
        for raw_name, mode, object_id in names_of(tree):
            path = prefix + checked(raw_name, prefix)
            if mode == SUBMODULE:
                raise PushRefused(
                    f"{path} is a submodule, whose files are not part of a push",
                    resolution=f"Vendor it: git rm --cached {path} && rm -rf {path}/.git"
                    f" && git add {path} && git commit",
                )
            if stat.S_ISDIR(mode):
                yield ContextEntry(path, stat.S_IFDIR | 0o755, object_id.decode(), 0, None)
                yield from self._walk(object_id, path + "/", depth + 1)
            else:
                yield self._leaf(path, mode, object_id)

    def _leaf(self, path: str, mode: int, object_id: bytes) -> ContextEntry:
        digest = object_id.decode()
        if stat.S_ISLNK(mode):
            target = self._blob(object_id)
            if not 0 < len(target) <= MAX_LINK or b"\0" in target:
                raise PushRefused(f"{path} is a symbolic link that leads nowhere a link can")
            return ContextEntry(
                path, stat.S_IFLNK | 0o777, digest, len(target), os.fsdecode(target)
            )
        permissions = 0o755 if mode & 0o100 else 0o644
        return ContextEntry(path, stat.S_IFREG | permissions, digest, 0, None)

    def _blob(self, object_id: bytes) -> bytes:
        blob = self._objects.get(object_id)
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


def names_of(tree: Tree) -> list[tuple[bytes, int, bytes]]:
    """Name, mode and id of each entry; dulwich parses when asked. Raises `PushRefused`."""
    try:
        return [(name, mode, object_id) for name, mode, object_id in tree.iteritems()]
    except DAMAGES as error:
        raise PushRefused(f"The tree {tree.id.decode()} is damaged", resolution=FSCK) from error


def checked(name: bytes, prefix: str) -> str:
    """A name of a tree, decoded. Raises `PushRefused` for one that is a way to elsewhere.

    git itself takes such trees unless it is told to check all objects; whatever handles
    the paths behind this may trust that each part of them is one name.
    """
    text = os.fsdecode(name)
    if name in (b"", b".", b"..") or b"/" in name or len(name) > MAX_NAME:
        raise PushRefused(f"The tree has a file that is named {text[:MAX_NAME]!r}")
    if len(name) + len(os.fsencode(prefix)) > MAX_PATH:
        raise PushRefused(f"A path below {prefix[:40]!r} is longer than {MAX_PATH} bytes")
    return text


def peel(objects: Objects, name: str) -> tuple[str, Commit]:
    """The commit that an object id means, through annotated tags.

    Raises `PushRefused` when it means a tree or a file, or is not there.
    """
    object_id = os.fsencode(name)
    for _ in range(MAX_TAGS):
        found = objects.get(object_id)
        if isinstance(found, Commit):
            return object_id.decode(), found
        if not isinstance(found, Tag):
            break
        object_id = found.object[1]
    raise PushRefused(f"{name} is not a commit")


def read_text(context: Context, path: str) -> str | None:
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
