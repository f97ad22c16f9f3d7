"""The door to system calls that Python has no function for.

One function is one system call. Each raises `OSError` with the errno, the call's name
and the path it was about, so that a failed mount says which.
"""

from __future__ import annotations

import ctypes
import errno
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
PathLike = str | os.PathLike[str]

# Flags of mount and umount2.
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE, MS_SLAVE = 0x20, 0x1000, 0x4000, 1 << 18, 1 << 19
MS_SHARED = 1 << 20
MNT_DETACH, UMOUNT_NOFOLLOW = 2, 8

# Of open_tree, move_mount and mount_setattr.
OPEN_TREE_CLONE, OPEN_TREE_CLOEXEC = 1, os.O_CLOEXEC
MOVE_MOUNT_F_EMPTY_PATH = 4
MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV = 1, 2, 4
MOUNT_ATTR_IDMAP = 0x00100000
AT_FDCWD, AT_EMPTY_PATH, AT_RECURSIVE = -100, 0x1000, 0x8000

# Of unshare and setns.
CLONE_FS = 0x200
CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS = 0x20000, 0x2000000, 0x4000000
CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x8000000, 1 << 28, 1 << 29, 1 << 30

# Of openat2.
RESOLVE_NO_XDEV, RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS = 1, 2, 4
RESOLVE_BENEATH, RESOLVE_IN_ROOT = 8, 16

_TRIES = 1000
"""How often openat2 is called for a path that the kernel was not certain of, because somebody
renamed or mounted something, anywhere, while it was at a ".." of it (openat2(2), EAGAIN). Bounded,
since of a lease (fcntl(2)) it says the same.
"""

# Of renameat2.
RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2

# Of capset: <linux/capability.h>.
CAP_SYS_RESOURCE = 24
_LINUX_CAPABILITY_VERSION_3 = 0x20080522

# Of prctl.
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 36, 38

# Numbers are the same on every architecture for calls newer than Linux 5.0, which
# share one table (Documentation/process/adding-syscalls.rst).
_NR_OPEN_TREE, _NR_MOVE_MOUNT, _NR_OPENAT2, _NR_MOUNT_SETATTR = 428, 429, 437, 442
_NR_QUOTACTL_FD = 443
_NR_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}

_libc = ctypes.CDLL(None, use_errno=True)


class _MountAttr(ctypes.Structure):
    """`struct mount_attr` of mount_setattr(2)."""

    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


class _OpenHow(ctypes.Structure):
    """`struct open_how` of openat2(2)."""

    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


def mount(
    source: PathLike, target: PathLike, fstype: str = "", flags: int = 0, data: str = ""
) -> None:
    """mount(2). `data` is at most one page; relative names in it follow the cwd."""
    _check(
        _libc.mount(
            os.fsencode(source),
            os.fsencode(target),
            fstype.encode() or None,
            ctypes.c_ulong(flags),
            os.fsencode(data) or None,
        ),
        "mount",
        target,
    )


def umount(target: PathLike, flags: int = 0) -> None:
    """umount2(2)."""
    _check(_libc.umount2(os.fsencode(target), flags), "umount2", target)


def open_tree(path: PathLike, *, clone: bool = True, recursive: bool = False) -> int:
    """open_tree(2): a descriptor of a (detached copy of a) mount."""
    flags = OPEN_TREE_CLOEXEC
    flags |= OPEN_TREE_CLONE if clone else 0
    flags |= AT_RECURSIVE if recursive else 0
    return _syscall("open_tree", path, _NR_OPEN_TREE, AT_FDCWD, os.fsencode(path), flags)


def move_mount(tree: int, target: PathLike) -> None:
    """move_mount(2): attach what `open_tree` detached at `target`."""
    where = os.fsencode(target)
    flags = MOVE_MOUNT_F_EMPTY_PATH
    _syscall("move_mount", target, _NR_MOVE_MOUNT, tree, b"", AT_FDCWD, where, flags)


def mount_setattr(
    tree: int, *, set_: int = 0, clear: int = 0, userns: int = 0, recursive: bool = False
) -> None:
    """mount_setattr(2) on a detached mount; `userns` is used with MOUNT_ATTR_IDMAP.

    Raises EINVAL when the file system cannot be idmapped.
    """
    attributes = _MountAttr(set_, clear, 0, userns)
    flags = AT_EMPTY_PATH | (AT_RECURSIVE if recursive else 0)
    size = ctypes.sizeof(attributes)
    pointer = ctypes.byref(attributes)
    _syscall("mount_setattr", f"fd {tree}", _NR_MOUNT_SETATTR, tree, b"", flags, pointer, size)


def unshare(flags: int) -> None:
    """unshare(2). CLONE_NEWUSER needs a process with one thread."""
    _check(_libc.unshare(flags), "unshare", hex(flags))


def setns(fd: int, kind: int = 0) -> None:
    """setns(2): join the namespace of `fd`; `kind` is a CLONE_NEW flag, or 0 for any."""
    _check(_libc.setns(fd, kind), "setns", f"fd {fd}")


def pivot_root(new_root: PathLike, put_old: PathLike) -> None:
    """pivot_root(2)."""
    number = _NR_PIVOT_ROOT[os.uname().machine]
    _syscall("pivot_root", new_root, number, os.fsencode(new_root), os.fsencode(put_old))


def prctl(option: int, value: int = 0) -> None:
    """prctl(2) with one argument."""
    zero = ctypes.c_ulong(0)
    _check(_libc.prctl(option, ctypes.c_ulong(value), zero, zero, zero), "prctl", str(option))


def die_with_parent(signal: int) -> None:
    """Have the kernel send `signal` to this process when its parent *thread* ends.

    The caller compares getppid() afterwards: a parent that was already gone sends none.
    """
    prctl(PR_SET_PDEATHSIG, signal)


def become_subreaper() -> None:
    """Orphaned descendants become children of this process (PR_SET_CHILD_SUBREAPER)."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)


@contextmanager
def opening_as(uid: int, gid: int) -> Iterator[None]:
    """Open files as another user: what he may not reach, this thread may not either.

    setfsuid(2) and setfsgid(2); the first also takes the capabilities away that pass by
    file modes, and gives them back. Descriptors that are open stay what they are, and other
    threads who they were. Raises `PermissionError` when this thread may not become him.
    """
    group = _libc.setfsgid(gid)
    user = _libc.setfsuid(uid)
    try:
        # They report no error: asking for an id that is none says who one is.
        if (_libc.setfsuid(-1), _libc.setfsgid(-1)) != (uid, gid):
            raise PermissionError(errno.EPERM, "setfsuid: not permitted", str(uid))
        yield
    finally:
        _libc.setfsuid(user)
        _libc.setfsgid(group)


def syncfs(fd: int) -> None:
    """syncfs(2): everything written to the file system of `fd` is on disk."""
    _check(_libc.syncfs(fd), "syncfs", f"fd {fd}")


def quotactl_fd(fd: int, command: int, identity: int, data: bytearray) -> None:
    """quotactl(2) about the file system of `fd`; `data` is what it reads, or writes to.

    Raises ENOSYS, EINVAL or ESRCH where that file system has no such quotas.
    """
    buffer = (ctypes.c_char * len(data)).from_buffer(data)
    pointer = ctypes.byref(buffer)
    _syscall("quotactl_fd", f"fd {fd}", _NR_QUOTACTL_FD, fd, command, identity, pointer)


def give_up(capability: int) -> None:
    """capset(2): this thread never has a capability again, of those by number up to 31."""
    header = (ctypes.c_uint32 * 2)(_LINUX_CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)()
    _check(_libc.capget(header, sets), "capget", str(capability))
    for number in range(3):
        # Effective, permitted, inheritable; then the same of the next 32.
        sets[number] &= ~(1 << capability)
    _check(_libc.capset(header, sets), "capset", str(capability))


def renameat2(source: PathLike, target: PathLike, flags: int) -> None:
    """renameat2(2): RENAME_NOREPLACE, or swap two names with RENAME_EXCHANGE."""
    _check(
        _libc.renameat2(
            AT_FDCWD, os.fsencode(source), AT_FDCWD, os.fsencode(target), ctypes.c_uint(flags)
        ),
        "renameat2",
        target,
    )


def openat2(dir_fd: int, path: PathLike, flags: int, mode: int = 0, resolve: int = 0) -> int:
    """openat2(2), close-on-exec.

    Raises EXDEV for what leaves the tree (RESOLVE_BENEATH) or the mount
    (RESOLVE_NO_XDEV), ELOOP for a symlink under RESOLVE_NO_SYMLINKS, EAGAIN for a ".." that
    stays uncertain however often it is tried.
    """
    how = _OpenHow(flags | os.O_CLOEXEC, mode, resolve)
    where, size = os.fsencode(path), ctypes.sizeof(how)
    left = _TRIES
    while True:
        try:
            return _syscall("openat2", path, _NR_OPENAT2, dir_fd, where, ctypes.byref(how), size)
        except BlockingIOError:
            left -= 1
            if not left:
                raise


def in_directory(directory: PathLike, action: Callable[[], T]) -> T:
    """Run `action` with `directory` as its working directory, and only it.

    A thread of its own that no longer shares its cwd (CLONE_FS) does it: neither the
    rest of the process nor another thread in here sees a change. It costs a tenth of a
    fork. Raises whatever `action` raises.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def enter_and_act() -> None:
        try:
            unshare(CLONE_FS)
            os.chdir(directory)
            results.append(action())
        except BaseException as error:  # noqa: BLE001  re-raised by the caller's thread
            errors.append(error)

    thread = threading.Thread(target=enter_and_act)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _check(result: int, name: str, path: PathLike) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}", str(Path(path)))
    return result


def _syscall(name: str, path: PathLike, number: int, *arguments: object) -> int:
    # syscall(2) is variadic: an int would be passed as 32 bits without the wrapping.
    wide = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return _check(_libc.syscall(ctypes.c_long(number), *wide), name, path)
