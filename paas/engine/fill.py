"""What a new volume begins with: as in Docker, the image's files at the place of its mount.

Once only. A mark that no container can set or remove (an attribute of root's, xattr(7))
says that it was done, so that a volume which was emptied on purpose stays empty.
"""

from __future__ import annotations

import fcntl
import os
from functools import partial
from pathlib import Path

from paas.engine.confined import Child, Ground, Pipe, pack, together, unpack
from paas.engine.inside import open_directory
from paas.engine.quotas import inherit
from paas.host import files
from paas.host.files import FileLock

MARK = "trusted.paas.filled"
DEFAULT_MODE = 0o755


def mark(volume: Path) -> None:
    """Have nothing copied into this volume: it is as it should be."""
    os.setxattr(volume, MARK, b"1")


def making(locks: Path) -> FileLock:
    """Held by who makes something beside volumes, until it is seen to be somebody's: whoever
    takes away what killed ones left holds the same lock alone.
    """
    return FileLock(locks / "volumes", "making a volume", shared=True)


def fill(root: Path, target: str, volume: Path, owner: tuple[int, int], locks: Path) -> None:
    """Copy what `root` has at `target` into a volume that was never used.

    Where the image has no such directory the volume is the `owner`'s, who then can write
    to it. Both sides are seen with the same shift of ids. Raises `CopyFailed`.
    """
    volume_fd = os.open(volume, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        # Two first instances come at once: the second one finds it done.
        fcntl.flock(volume_fd, fcntl.LOCK_EX)
        if _is_filled(volume):
            return
        empty = not any(volume.iterdir())
        source = open_directory(root, target) if empty else None
        if source is not None:
            _copy(source, volume, locks)
            return
        if empty:
            os.fchown(volume_fd, *owner)
        mark(volume)
    finally:
        os.close(volume_fd)


def _is_filled(volume: Path) -> bool:
    try:
        return bool(os.getxattr(volume, MARK))
    except OSError:
        return False


def _copy(source: int, volume: Path, locks: Path) -> None:
    """Beside it, then in its place: killed half-way, it is empty and done again."""
    beside, held = _beside(volume, locks)
    try:
        inherit(volume, beside)
        target = os.open(beside, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        with Pipe() as pipe:
            # Each child closes its ground.
            reader = Child(Ground(source), partial(pack, "/", pipe.write), pipe.read)
            pipe.close_write()
            writer = Child(Ground(target), partial(unpack, pipe.read, "/", keep_owner=True))
            together(reader.wait, pipe, writer.wait, reads_first=True)
        mark(beside)
        beside.rename(volume)
    except BaseException:
        files.remove_tree(beside)
        raise
    finally:
        os.close(held)


def _beside(volume: Path, locks: Path) -> tuple[Path, int]:
    """An empty directory for the copy, and the descriptor that says that somebody works on it."""
    beside = volume.with_name(f".{volume.name}.fill")
    files.remove_tree(beside)
    with making(locks):
        beside.mkdir(mode=0o700)
        held = os.open(beside, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(held, fcntl.LOCK_EX)
    return beside, held
