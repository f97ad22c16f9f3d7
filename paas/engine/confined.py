"""Work on files by a process whose root is one directory: both ends of a copy.

What it finds there may have been laid out to lead it astray; a symlink of it, absolute or
not, leads nowhere else. For a container's files it also is in its user namespace.
"""

from __future__ import annotations

import errno
import json
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass

from paas.engine import archive
from paas.engine.container import ContainerNotFound
from paas.errors import PaasError
from paas.host import syscalls


class CopyFailed(PaasError):
    """Files could not be copied."""


class ReaderGone(CopyFailed):
    """The other end of a copy has ended, and says why."""


@dataclass(frozen=True)
class Ground:
    """The directory a child gets as its root, and the user namespace it joins, if any."""

    root: int
    user_namespace: int | None = None

    def close(self) -> None:
        os.close(self.root)
        if self.user_namespace is not None:
            os.close(self.user_namespace)


class Pipe:
    """A pipe whose ends are closed once."""

    def __init__(self) -> None:
        self.read, self.write = os.pipe2(os.O_CLOEXEC)

    def __enter__(self) -> Pipe:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close_write(self) -> None:
        """The reader gets to the end when the other writers have let go too."""
        if self.write >= 0:
            os.close(self.write)
            self.write = -1

    def close(self) -> None:
        self.close_write()
        if self.read >= 0:
            os.close(self.read)
            self.read = -1


def together(
    write: Callable[[], None], pipe: Pipe, read: Callable[[], None], *, reads_first: bool = False
) -> None:
    """Both ends to their ends, and the error of the one that failed of itself.

    `write` is whatever ends when the writing end has: with `reads_first` it is only to be
    asked, and reading is done here.
    """
    errors: list[CopyFailed | ContainerNotFound] = []
    for end in (read, write) if reads_first else (write, read):
        try:
            end()
        except (CopyFailed, ContainerNotFound) as error:
            errors.append(error)
        finally:
            pipe.close()
    if errors:
        # A writer whose reader went tells nothing new; else it is the reader that starved.
        causes = [error for error in errors if not isinstance(error, ReaderGone)] or errors
        raise causes[-1] if reads_first else causes[0]


class Child:
    """One end of a copy, in a process of its own."""

    def __init__(self, ground: Ground, work: Callable[[], None], *others: int) -> None:
        """`others` are descriptors that it must not keep open: a pipe's far end."""
        self._said, theirs = os.pipe2(os.O_CLOEXEC)
        self._pid = os.fork()
        if self._pid == 0:
            _work(ground, work, theirs, (self._said, *others))
        os.close(theirs)
        ground.close()

    def wait(self) -> None:
        """Raises `CopyFailed` with what it said."""
        with os.fdopen(self._said, "rb") as said:
            words = said.read().decode("utf-8", "replace")
        _, status = os.waitpid(self._pid, 0)
        if words or status:
            number, reason = json.loads(words) if words else (0, "the copying process was killed")
            kind = ReaderGone if number == errno.EPIPE else CopyFailed
            raise kind(f"The files could not be copied: {reason}")


def _work(ground: Ground, work: Callable[[], None], said: int, others: tuple[int, ...]) -> None:
    """In the child: nothing of it reaches the parent but words and an exit code."""
    code = 1
    try:
        for descriptor in others:
            os.close(descriptor)
        _settle(ground)
        work()
        code = 0
    except (archive.Refused, OSError, archive.TAR_ERROR) as error:
        number, reason = 0, str(error)
        if isinstance(error, OSError):
            name = f"{error.filename}: " if error.filename else ""
            number, reason = error.errno or 0, f"{name}{error.strerror}"
        os.write(said, json.dumps([number, reason]).encode())
    finally:
        os._exit(code)


def _settle(ground: Ground) -> None:
    """Become the root of the container, without a way out of its files."""
    if ground.user_namespace is not None:
        syscalls.setns(ground.user_namespace, syscalls.CLONE_NEWUSER)
        os.setgroups([])
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
    # Ended with its caller, whom the kernel forgets at a change of user: told now.
    syscalls.die_with_parent(signal.SIGKILL)
    os.fchdir(ground.root)
    os.chroot(".")
    os.close(ground.root)
    os.umask(0)
    # With it, ext4 would let a quota be passed (dquot.c, ignore_hardlimit).
    syscalls.give_up(syscalls.CAP_SYS_RESOURCE)


def pack(path: str, target: int) -> None:
    """For the child: write `path` as a tar stream to a descriptor."""
    with os.fdopen(os.dup(target), "wb") as stream:
        archive.pack(path, stream)


def unpack(source: int, path: str, *, keep_owner: bool) -> None:
    """For the child: make the files of a tar stream at `path`."""
    with os.fdopen(os.dup(source), "rb") as stream:
        archive.unpack(stream, path, keep_owner=keep_owner)
