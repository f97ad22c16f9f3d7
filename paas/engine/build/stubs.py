"""What the runtime leaves in a layer to mount things on, taken out again.

A mount point that the image lacks is made by the runtime in the container's root: an
empty file or directory that no instruction asked for.
"""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path

OPAQUE = "trusted.overlay.opaque"


def remove_stubs(upper: Path, below: Sequence[Path], targets: Iterable[str]) -> None:
    """Remove from `upper` the mount points (absolute paths) that the layers `below` lack.

    Nothing can have been written at them, as something was mounted there; a directory on
    the way goes too when it was only made, or copied up, for them.
    """
    for target in sorted(targets, key=len, reverse=True):
        path = posixpath.normpath(target).strip("/")
        while path:
            if not _remove(upper, below, path):
                break
            path = posixpath.dirname(path)


def is_empty(upper: Path, below: Sequence[Path]) -> bool:
    """Whether a layer says nothing: no file, and the root as it was."""
    with os.scandir(upper) as entries:
        if any(entries):
            return False
    return not below or _same_attributes(upper, below[-1])


def _remove(upper: Path, below: Sequence[Path], path: str) -> bool:
    """Remove `path` from `upper` if it says nothing; whether it did."""
    found = upper / path
    if not is_beneath(upper, path):
        return False
    try:
        status = found.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    lower = _topmost(below, path)
    if stat.S_ISREG(status.st_mode) and status.st_size == 0 and lower is None:
        found.unlink()
        return True
    if not stat.S_ISDIR(status.st_mode) or any(found.iterdir()) or OPAQUE in os.listxattr(found):
        return False
    if lower is not None and not _same_attributes(found, lower):
        return False
    found.rmdir()
    return True


def is_beneath(upper: Path, path: str) -> bool:
    """Whether no parent of `path` in a layer is a symbolic link."""
    parent = posixpath.dirname(path)
    while parent:
        if (upper / parent).is_symlink():
            return False
        parent = posixpath.dirname(parent)
    return True


def _topmost(below: Sequence[Path], path: str) -> Path | None:
    """Where the highest layer that knows `path` has it; None if that one hides it."""
    for layer in reversed(below):
        if not is_beneath(layer, path):
            continue
        try:
            status = (layer / path).lstat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        whiteout = stat.S_ISCHR(status.st_mode) and status.st_rdev == 0
        return None if whiteout else layer / path
    return None


def _same_attributes(one: Path, other: Path) -> bool:
    left, right = one.lstat(), other.lstat()
    return (left.st_mode, left.st_uid, left.st_gid) == (right.st_mode, right.st_uid, right.st_gid)
