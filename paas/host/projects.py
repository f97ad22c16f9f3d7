"""Project quotas: what all files of one project may take of a file system.

A directory is given a project, a number, which whatever is made in it inherits. The kernel
counts for each, and refuses what is more than its limit: EDQUOT on ext4, ENOSPC on XFS.

By system calls, not by setquota(8) and chattr(1) of ext4, or xfs_quota(8): those are in two
packages that a server may not have, find the file system in tables of mounts, and one would
read their tables again for the count.

Sources: quotactl(2) with <linux/quota.h> and <linux/dqblk_xfs.h>; ioctl_fsxattr of <linux/fs.h>,
as in Documentation/filesystems/ext4/quotas, and xfsctl(3).
"""

from __future__ import annotations

import errno
import fcntl
import struct
from dataclasses import dataclass
from enum import Enum

from paas.host import syscalls

_GET, _SET = 0x801C581F, 0x401C5820
"""FS_IOC_FSGETXATTR and FS_IOC_FSSETXATTR."""

_ATTRIBUTES = struct.Struct("=5I8x")
"""`struct fsxattr`: flags, two of extents, the project, one of extents."""

_INHERIT = 0x200
"""FS_XFLAG_PROJINHERIT, of directories alone."""

_PROJECT = 2
"""PRJQUOTA, the kind of quota in the last byte of each command."""

_GET_QUOTA, _SET_QUOTA, _GET_NEXT_QUOTA = (0x800007 << 8), (0x800008 << 8), (0x800009 << 8)
_GET_STATE = 0x5808 << 8
"""Q_XGETQSTATV, which other file systems than XFS answer too."""

_QUOTA = struct.Struct("=8QII")
"""`struct if_dqblk`, and of Q_GETNEXTQUOTA the id: hard and soft limit of blocks, bytes, hard and
soft limit of inodes, inodes, two times, what is valid."""

_BLOCK = 1024
"""Bytes of a unit of its limits (QIF_DQBLKSIZE)."""

_LIMITS = 5
"""QIF_LIMITS: those of blocks and inodes are to be set."""

_STATE_BYTES, _STATE_VERSION = 160, 1
_COUNTED, _ENFORCED = 1 << 4, 1 << 5
"""FS_QUOTA_PDQ_ACCT, FS_QUOTA_PDQ_ENFD."""

_NONE = frozenset({errno.ENOSYS, errno.EINVAL, errno.ESRCH, errno.EOPNOTSUPP, errno.ENOTTY})


class Support(Enum):
    """What a file system makes of project quotas."""

    NONE = "none"
    COUNTED = "counted"
    ENFORCED = "enforced"


@dataclass(frozen=True)
class Usage:
    """What a project has of its file system, in bytes and inodes; no `limit` is 0."""

    project: int
    bytes: int
    inodes: int
    limit: int


def support(fd: int) -> Support:
    """Whether the file system of `fd` has them."""
    state = bytearray(_STATE_BYTES)
    state[0] = _STATE_VERSION
    try:
        syscalls.quotactl_fd(fd, _GET_STATE | _PROJECT, 0, state)
    except OSError as error:
        if error.errno in _NONE:
            return Support.NONE
        raise
    (flags,) = struct.unpack_from("=H", state, 2)
    if not flags & _COUNTED:
        return Support.NONE
    return Support.ENFORCED if flags & _ENFORCED else Support.COUNTED


def of(fd: int) -> int:
    """The project of an open file or directory; 0 for none."""
    return _attributes(fd)[3]


def inherited(fd: int) -> int:
    """The project that what is made in a directory gets; 0 for none."""
    flags, _, _, project, _ = _attributes(fd)
    return project if flags & _INHERIT else 0


def assign(fd: int, project: int, *, directory: bool) -> None:
    """Have an open file count for a project; a directory gives it to what is made in it.

    Only root outside of any user namespace may: a container cannot leave its project.
    """
    flags, size, extents, _, copy = _attributes(fd)
    flags |= _INHERIT if directory else 0
    fcntl.ioctl(fd, _SET, _ATTRIBUTES.pack(flags, size, extents, project, copy))


def usage(fd: int, project: int) -> Usage:
    """What a project takes of the file system of `fd`; nothing when it has no file."""
    return _ask(fd, _GET_QUOTA, project) or Usage(project, 0, 0, 0)


def next_known(fd: int, project: int) -> Usage | None:
    """The first project from that number on that has files or a limit."""
    return _ask(fd, _GET_NEXT_QUOTA, project)


def limit(fd: int, project: int, size: int, inodes: int) -> None:
    """Bound a project to bytes, rounded up to the KiB, and inodes; 0 is no bound."""
    blocks = -(-size // _BLOCK)
    quota = bytearray(_QUOTA.pack(blocks, 0, 0, inodes, 0, 0, 0, 0, _LIMITS, 0))
    syscalls.quotactl_fd(fd, _SET_QUOTA | _PROJECT, project, quota)


def _ask(fd: int, command: int, project: int) -> Usage | None:
    quota = bytearray(_QUOTA.size)
    try:
        syscalls.quotactl_fd(fd, command | _PROJECT, project, quota)
    except OSError as error:
        # None that far; or they are not counted here.
        if error.errno == errno.ENOENT or error.errno in _NONE:
            return None
        raise
    blocks, _, taken, _, _, inodes, _, _, _, found = _QUOTA.unpack(quota)
    known = found if command == _GET_NEXT_QUOTA else project
    return Usage(known, taken, inodes, blocks * _BLOCK)


def _attributes(fd: int) -> tuple[int, int, int, int, int]:
    """All zero on a file system that has none (tmpfs before Linux 6.6)."""
    try:
        found = fcntl.ioctl(fd, _GET, bytes(_ATTRIBUTES.size))
    except OSError as error:
        if error.errno in _NONE:
            return 0, 0, 0, 0, 0
        raise
    flags, size, extents, project, copy = _ATTRIBUTES.unpack(found)
    return flags, size, extents, project, copy
