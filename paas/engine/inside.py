"""Looking into a root filesystem from the host without being led out of it.

Everything in there, symlinks above all, is the image's. Paths are resolved by the kernel
with the root filesystem as their root: openat2(2), RESOLVE_IN_ROOT.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from paas.errors import PaasError
from paas.host import syscalls

MAX_READ = 1 << 20
"""Bytes. /etc/passwd of an image is small, or it is not for reading."""

_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EXDEV)


class CommandNotFound(PaasError):
    """The command of a container is not in its image (exit code 127, as in a shell)."""

    code = 127


class CommandNotExecutable(PaasError):
    """The command of a container is a file that cannot be executed (exit code 126)."""

    code = 126


def read(root: Path, path: str) -> str:
    """The text of a small file below `root`; empty when it is absent or no regular file."""
    descriptor = _open(root, path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    if descriptor is None:
        return ""
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return ""
    with os.fdopen(descriptor, "rb") as file:
        return file.read(MAX_READ).decode("utf-8", "replace")


def is_file(root: Path, path: str) -> bool:
    """Whether a regular file is there, below `root`."""
    mode = _mode(root, path)
    return mode is not None and stat.S_ISREG(mode)


def open_directory(root: Path, path: str) -> int | None:
    """A descriptor (O_PATH) of a directory below `root`; None when there is none."""
    return _open(root, path, os.O_PATH | os.O_DIRECTORY)


def check_command(
    root: Path, command: str, *, variables: Mapping[str, str], cwd: str, mounts: Iterable[str]
) -> None:
    """See to it that `command` can be started in the container whose root is at `root`.

    The init would only say so in the log, after the fact. Below one of `mounts` anything
    may be. Raises `CommandNotFound`, `CommandNotExecutable`.
    """
    hidden = [mount.rstrip("/") + "/" for mount in mounts]
    refused = ""
    for path in _candidates(command, variables.get("PATH", ""), cwd):
        if any(path.startswith(mount) for mount in hidden):
            return
        mode = _mode(root, path)
        if mode is None:
            continue
        if stat.S_ISREG(mode) and mode & 0o111:
            return
        refused = refused or path
    if refused:
        raise CommandNotExecutable(
            f"The command {refused} of the image is not an executable file",
            resolution=f"Set its mode in the Dockerfile: RUN chmod +x {refused}",
        )
    raise CommandNotFound(
        f"The image has no command {command}",
        [] if "/" in command else [f"It was looked for in PATH={variables.get('PATH', '')}"],
        "Install it in the image, or correct the command (Procfile, CMD, ENTRYPOINT).",
    )


def _candidates(command: str, search_path: str, cwd: str) -> list[str]:
    """Absolute paths, in the order of execvp(3)."""
    places = [""] if "/" in command else search_path.split(":")
    return [
        os.path.normpath(os.path.join("/", cwd, place, command))  # noqa: PTH118  a path of theirs
        for place in places
    ]


def _mode(root: Path, path: str) -> int | None:
    descriptor = _open(root, path, os.O_PATH)
    if descriptor is None:
        return None
    try:
        return os.fstat(descriptor).st_mode
    finally:
        os.close(descriptor)


def _open(root: Path, path: str, flags: int) -> int | None:
    directory = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        resolve = syscalls.RESOLVE_IN_ROOT | syscalls.RESOLVE_NO_MAGICLINKS
        return syscalls.openat2(directory, path, flags, resolve=resolve)
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise
    finally:
        os.close(directory)
