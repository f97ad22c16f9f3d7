"""Mounts of directories with shifted ids, and their end.

Sources: mount_setattr(2), MOUNT_ATTR_IDMAP; Documentation/filesystems/idmappings.rst.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from paas.engine.userns import UserRange, open_user_namespace
from paas.errors import PaasError
from paas.host import syscalls


class CannotMount(PaasError):
    """A root filesystem cannot be mounted on this host."""


def clone(source: Path, target: Path, user_range: UserRange | None) -> None:
    """A second mount of what is at `source`, its ids shifted to those of a range.

    Raises `CannotMount` on a file system that has no idmapped mounts.
    """
    userns = open_user_namespace(user_range) if user_range else -1
    try:
        copy = syscalls.open_tree(source)
        try:
            if user_range is not None:
                syscalls.mount_setattr(copy, set_=syscalls.MOUNT_ATTR_IDMAP, userns=userns)
            syscalls.move_mount(copy, target)
        finally:
            os.close(copy)
    except OSError as error:
        raise CannotMount(
            f"{source.resolve()} is on a file system without idmapped mounts",
            [f"{error.filename}: {error.strerror}"],
            "Put it on ext4, xfs or btrfs, under Linux 5.19 or newer.",
        ) from error
    finally:
        if userns >= 0:
            os.close(userns)


def detach(target: Path) -> None:
    """Unmount everything at `target`, also what is busy; nothing there is no error."""
    while True:
        try:
            syscalls.umount(target, syscalls.UMOUNT_NOFOLLOW)
        except OSError as error:
            if error.errno == errno.EBUSY:
                syscalls.umount(target, syscalls.MNT_DETACH | syscalls.UMOUNT_NOFOLLOW)
            elif error.errno in (errno.EINVAL, errno.ENOENT):
                return
            else:
                raise
