"""Copying files into and out of containers, volumes and tmpfs of theirs included.

Each end is a child process that has no other root than the directory it works in, and,
for a container, its user namespace: a symlink of the container's leads nowhere else.
"""

from __future__ import annotations

import errno
import json
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from paas.engine import archive
from paas.engine.bundler import Bundler
from paas.engine.container import ContainerNotFound
from paas.engine.containers import Containers
from paas.engine.rootfs import Rootfs
from paas.engine.userns import UserRange, open_user_namespace
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


class Transfer:
    """Copies between containers, the host and tar streams."""

    def __init__(self, bundler: Bundler, containers: Containers, rootfs: Rootfs) -> None:
        self._bundler = bundler
        self._containers = containers
        self._rootfs = rootfs

    def out(self, container_id: str, path: str, target: int) -> None:
        """Write a path of the container as a tar stream to the descriptor `target`.

        Raises `ContainerNotFound`, `CopyFailed`.
        """
        self._in_container(container_id, lambda: _pack(_absolute(path), target))

    def into(self, container_id: str, path: str, source: int, *, keep_owner: bool = True) -> None:
        """Make the files of a tar stream at a path of the container. Raises as `out`."""
        place = _absolute(path)
        self._in_container(container_id, lambda: _unpack(source, place, keep_owner=keep_owner))
        self._bundler.events.add("copy", container_id)

    def to_host(self, container_id: str, path: str, target: Path) -> None:
        """Copy out to a path of this machine; what arrives is root's. Raises as `out`."""
        folder, name = (target, "/") if target.is_dir() else (target.parent, f"/{target.name}")
        try:
            ground = Ground(os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        except OSError as error:
            raise CopyFailed(f"{folder}: {error.strerror}") from error
        with _Pipe() as pipe:
            child = _Child(ground, lambda: _unpack(pipe.read, name, keep_owner=False), pipe.write)
            _together(lambda: self.out(container_id, path, pipe.write), pipe, child.wait)

    def from_host(
        self, source: str | Path, container_id: str, path: str, *, keep_owner: bool = False
    ) -> None:
        """Copy a path of this machine into the container. Raises as `out`."""
        ground = Ground(os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))
        with _Pipe() as pipe:
            child = _Child(ground, lambda: _pack(str(source), pipe.write), pipe.read)
            pipe.close_write()
            into = partial(self.into, container_id, path, pipe.read, keep_owner=keep_owner)
            _together(child.wait, pipe, into, reads_first=True)

    def _in_container(self, container_id: str, work: Callable[[], None]) -> None:
        _Child(self._ground(container_id), work).wait()

    def _ground(self, container_id: str) -> Ground:
        """The root as its processes see it; of one that has none, what is mounted for it."""
        status = self._containers.status(container_id)
        record = self._bundler.bundles.of(container_id).known_record()
        user_range = UserRange(record.base)
        root = Path(f"/proc/{status.pid}/root")
        if not status.pid:
            root = self._rootfs.mounted(container_id, user_range)
        try:
            descriptor = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise ContainerNotFound(container_id) from None
        return Ground(descriptor, open_user_namespace(user_range))


class _Pipe:
    """A pipe whose ends are closed once."""

    def __init__(self) -> None:
        self.read, self.write = os.pipe2(os.O_CLOEXEC)

    def __enter__(self) -> _Pipe:
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


def _together(
    write: Callable[[], None], pipe: _Pipe, read: Callable[[], None], *, reads_first: bool = False
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


class _Child:
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


def _pack(path: str, target: int) -> None:
    with os.fdopen(os.dup(target), "wb") as stream:
        archive.pack(path, stream)


def _unpack(source: int, path: str, *, keep_owner: bool) -> None:
    with os.fdopen(os.dup(source), "rb") as stream:
        archive.unpack(stream, path, keep_owner=keep_owner)


def _absolute(path: str) -> str:
    """As Docker: a path of a container begins at its root."""
    return f"/{path.lstrip('/')}"
