"""What a container changed in its root: its upper directory, against the layers below.

Everything in both is somebody else's: no symlink is followed and no mount entered.
Source: Documentation/filesystems/overlayfs.rst, whiteouts and opaque directories.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from paas.host import syscalls

OPAQUE = "trusted.overlay.opaque"
_HERE = (
    syscalls.RESOLVE_BENEATH
    | syscalls.RESOLVE_NO_SYMLINKS
    | syscalls.RESOLVE_NO_MAGICLINKS
    | syscalls.RESOLVE_NO_XDEV
)


class Kind(Enum):
    """Docker's letters."""

    ADDED = "A"
    CHANGED = "C"
    DELETED = "D"


@dataclass(frozen=True, order=True)
class Change:
    """One path that differs; absolute, as the container sees it."""

    path: str
    kind: Kind


def changes(upper: Path, lowers: Sequence[Path], hidden: Collection[str] = ()) -> list[Change]:
    """Every change, sorted by path. `lowers` are the layers, the highest first.

    `hidden` are paths that the runtime made as places to mount on: they are left out where
    no layer has them, and so is a directory in which nothing else was touched.
    """
    below = Below(lowers)
    found: dict[str, tuple[Kind, os.stat_result]] = {}
    for path, status in walk(upper):
        if is_hidden(path, hidden) and below.status(path) is None:
            continue
        kind = _change(status, below.status(path))
        if kind is not None:
            found[path] = kind, status
    idle = [path for path in found if _is_idle(path, found, below)]
    return sorted(
        (Change(path, kind) for path, (kind, _) in found.items() if path not in idle),
        key=lambda change: change.path,
    )


def is_hidden(path: str, hidden: Collection[str]) -> bool:
    """Whether `path` is one of `hidden`, or below one."""
    return any(path == one or path.startswith(f"{one}/") for one in hidden)


def walk(upper: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Every entry below `upper`, a directory before what is in it.

    What the container removes or moves away meanwhile is left out.
    """
    top, pending = os.open(upper, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC), [""]
    try:
        while pending:
            folder = pending.pop()
            directory = _open(top, f".{folder}", os.O_RDONLY | os.O_DIRECTORY)
            if directory is None:
                continue
            for name, status in _entries(directory):
                if stat.S_ISDIR(status.st_mode):
                    pending.append(f"{folder}/{name}")
                yield f"{folder}/{name}", status
    finally:
        os.close(top)


def _entries(directory: int) -> list[tuple[str, os.stat_result]]:
    """What is in an open directory, which is closed; sorted by name."""
    found = []
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    found.append((entry.name, entry.stat(follow_symlinks=False)))
    finally:
        os.close(directory)
    return sorted(found, key=lambda each: each[0])


class Below:
    """What the layers show together, asked path by path."""

    def __init__(self, lowers: Sequence[Path]) -> None:
        self._lowers = lowers

    def status(self, path: str) -> os.stat_result | None:
        """Of the entry at `path` as it is without the upper directory; None for none."""
        parts = path.strip("/").split("/")
        for lower in self._lowers:
            found, goes_on = _look(lower, parts)
            if found is not None or not goes_on:
                return found
        return None


def _look(lower: Path, parts: Sequence[str]) -> tuple[os.stat_result | None, bool]:
    """The entry in one layer, and whether those below it still show through."""
    root = os.open(lower, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    goes_on = True
    try:
        for count in range(1, len(parts) + 1):
            entry = _open(root, "/".join(parts[:count]))
            if entry is None:
                return None, goes_on
            try:
                status = os.fstat(entry)
                if is_whiteout(status):
                    return None, False
                if count == len(parts):
                    return status, False
                if not stat.S_ISDIR(status.st_mode):
                    return None, False
                goes_on = goes_on and not is_opaque(entry)
            finally:
                os.close(entry)
        return None, goes_on
    finally:
        os.close(root)


def _open(root: int, path: str, flags: int = os.O_PATH) -> int | None:
    try:
        return syscalls.openat2(root, path, flags | os.O_NOFOLLOW, resolve=_HERE)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return None
        raise


def is_whiteout(status: os.stat_result) -> bool:
    """A character device 0:0: what is below is deleted."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def is_opaque(directory: int) -> bool:
    """Whether nothing below shows through an open directory of an upper one."""
    try:
        return os.getxattr(f"/proc/self/fd/{directory}", OPAQUE) == b"y"
    except OSError:
        # ENODATA: it has no such mark.
        return False


def _change(status: os.stat_result, below: os.stat_result | None) -> Kind | None:
    if is_whiteout(status):
        return Kind.DELETED if below is not None else None
    return Kind.ADDED if below is None else Kind.CHANGED


def _is_idle(path: str, found: Mapping[str, tuple[Kind, os.stat_result]], below: Below) -> bool:
    """A directory that is above only because of what the runtime put into it."""
    status, before = found[path][1], below.status(path)
    if before is None or not (stat.S_ISDIR(status.st_mode) and stat.S_ISDIR(before.st_mode)):
        return False
    same = (status.st_mode, status.st_uid, status.st_gid) == (
        before.st_mode, before.st_uid, before.st_gid,
    )  # fmt: skip
    return same and not any(other.startswith(f"{path}/") for other in found)
