"""Ranges of host user ids: whose root is nobody on the host.

Every owner (an app, a service, the builds) has 65536 ids of its own, out of blocks that
are registered in /etc/subuid and /etc/subgid (subuid(5)), so that no other tool hands
them out.
"""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from paas.errors import PaasError
from paas.host import files, syscalls
from paas.host.database import Database
from paas.model.layout import Layout

BUILD_OWNER = "build"
"""Whose ids the steps of every build have."""

RANGE_SIZE = 65536
BLOCK_SIZE = 256 * RANGE_SIZE

# Above what systemd-nspawn takes its ranges from and below its "foreign" range first,
# then, should that be full, nspawn's own (https://systemd.io/UIDS-GIDS).
_WINDOWS = ((0x7000_0000, 0x7FFE_0000), (0x0100_0000, 0x7000_0000))


class NoUserIds(PaasError):
    """No block of user ids is free on this machine."""


@dataclass(frozen=True)
class UserRange:
    """Container ids 0 to `size` - 1 are the host's `base` and up, for users and groups."""

    base: int
    size: int = RANGE_SIZE


@dataclass(frozen=True)
class _Block:
    user: str
    start: int
    count: int

    def overlaps(self, start: int, count: int) -> bool:
        return start < self.start + self.count and self.start < start + count

    def holds(self, user_range: UserRange) -> bool:
        end = user_range.base + user_range.size
        return self.start <= user_range.base and end <= self.start + self.count


class UserRanges:
    """Hands out the ranges of one engine."""

    def __init__(self, layout: Layout, db: Database, *, etc: Path = Path("/etc")) -> None:
        """`etc` holds `subuid` and `subgid`."""
        self._user = layout.user
        self._db = db
        self._tables = (etc / "subuid", etc / "subgid")
        self._lock = etc / ".pwd.lock"

    def range_for(self, owner: str) -> UserRange:
        """The range of an owner such as `app:7`; the same one until it is released.

        Raises `NoUserIds`.
        """
        known = self.find(owner)
        if known is not None:
            return known
        with self._db.transaction():
            known = self.find(owner)
            if known is None:
                known = self._first_free()
                self._db.execute("INSERT INTO user_ranges VALUES (?, ?)", (known.base, owner))
            return known

    def settle(self, in_use: Callable[[UserRange], bool]) -> list[UserRange]:
        """Have every range that has an owner registered here; those that were given up.

        Subuid and subgid of a machine that the data were moved to say nothing of them. A block
        that nobody else has there is registered again. Owners of another get new ranges, unless
        theirs is `in_use`: nothing on disk has their ids. Raises `NoUserIds`.
        """
        with self._db.transaction():
            given_up = [one for one in self._unregistered() if not in_use(one)]
            for one in given_up:
                values = (self._first_free().base, one.base)
                self._db.execute("UPDATE user_ranges SET base = ? WHERE base = ?", values)
            return given_up

    def release(self, owner: str) -> None:
        """Let the ids be used again: nothing on disk may still carry them."""
        self._db.execute("DELETE FROM user_ranges WHERE owner = ?", (owner,))

    def unregister(self) -> None:
        """Take this engine's blocks out of subuid and subgid: it is being purged."""
        with _password_lock(self._lock):
            for table in self._tables:
                kept = [line for line in _lines(table) if not line.startswith(f"{self._user}:")]
                _write(table, kept)

    def find(self, owner: str) -> UserRange | None:
        """The range that an owner has by now."""
        rows = self._db.execute("SELECT base FROM user_ranges WHERE owner = ?", (owner,))
        return UserRange(rows[0]["base"]) if rows else None

    def _first_free(self) -> UserRange:
        used = {one.base for one in self._used()}
        for block in self._blocks():
            for base in range(block.start, block.start + block.count, RANGE_SIZE):
                if base not in used:
                    return UserRange(base)
        return UserRange(self._register_block())

    def _used(self) -> list[UserRange]:
        rows = self._db.execute("SELECT base FROM user_ranges ORDER BY base")
        return [UserRange(row["base"]) for row in rows]

    def _unregistered(self) -> list[UserRange]:
        """Those in blocks that somebody else has here; blocks that nobody has become ours."""
        found, ours = [], self._blocks()
        for one in self._used():
            if any(block.holds(one) for block in ours):
                continue
            # As it was handed out.
            start = one.base - one.base % BLOCK_SIZE
            if self._register_again(start):
                ours.append(_Block(self._user, start, BLOCK_SIZE))
            else:
                found.append(one)
        return found

    def _blocks(self) -> list[_Block]:
        """Ours, if both tables have it: a line in one alone gives groups or users away."""
        uids, gids = (
            [block for block in _parse(_lines(table)) if block.user == self._user]
            for table in self._tables
        )
        return [block for block in uids if block in gids and block.start % RANGE_SIZE == 0]

    def _register_block(self) -> int:
        with _password_lock(self._lock):
            # What our owners have is not free, though a machine they came to does not know it.
            owned = [_Block(self._user, one.base, one.size) for one in self._used()]
            start = _free_start([*self._registered(), *owned])
            self._append(start)
            return start

    def _register_again(self, start: int) -> bool:
        """Register a block unless somebody has any of it; says whether it is ours now."""
        with _password_lock(self._lock):
            if any(block.overlaps(start, BLOCK_SIZE) for block in self._registered()):
                return False
            self._append(start)
            return True

    def _registered(self) -> list[_Block]:
        return [block for table in self._tables for block in _parse(_lines(table))]

    def _append(self, start: int) -> None:
        for table in self._tables:
            _write(table, [*_lines(table), f"{self._user}:{start}:{BLOCK_SIZE}"])


def open_user_namespace(user_range: UserRange) -> int:
    """A descriptor of a user namespace with the map of an idmapped mount.

    Its second extent lets the mounter (the host's root) through as id 65536: without it,
    overlayfs cannot make its work directory and silently mounts read-only.
    """
    ready_read, ready_write = os.pipe2(os.O_CLOEXEC)
    done_read, done_write = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        _stay_in_user_namespace(ready_write, done_read, (ready_read, done_write))
    try:
        os.close(ready_write)
        if os.read(ready_read, 1) != b"+":
            raise PaasError(
                "The kernel refuses to make a user namespace",
                resolution="Set the sysctl user.max_user_namespaces to at least 1000.",
            )
        process = Path("/proc") / str(child)
        id_map = f"0 {user_range.base} {user_range.size}\n{user_range.size} 0 1\n"
        (process / "uid_map").write_text(id_map)
        (process / "gid_map").write_text(id_map)
        return os.open(process / "ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        for fd in (ready_read, done_read, done_write):
            os.close(fd)
        # A child that another thread forks in between has the other end of `done` as well.
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _stay_in_user_namespace(ready: int, done: int, others: tuple[int, ...]) -> None:
    """In the child of a fork: unshare, say so, and live until the parent has looked, or is gone."""
    try:
        for fd in others:
            os.close(fd)
        syscalls.unshare(syscalls.CLONE_NEWUSER)
        os.write(ready, b"+")
        os.read(done, 1)
    finally:
        os._exit(0)


def _free_start(taken: Iterable[_Block]) -> int:
    blocks = list(taken)
    for low, high in _WINDOWS:
        for start in range(low, high - BLOCK_SIZE + 1, BLOCK_SIZE):
            if not any(block.overlaps(start, BLOCK_SIZE) for block in blocks):
                return start
    raise NoUserIds(
        "No block of 16777216 user ids is free in /etc/subuid and /etc/subgid",
        resolution="Remove lines of users that are gone from both files.",
    )


def _lines(table: Path) -> list[str]:
    try:
        return table.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return []


def _parse(lines: Iterable[str]) -> Iterator[_Block]:
    for line in lines:
        user, _, numbers = line.strip().partition(":")
        start, _, count = numbers.partition(":")
        if start.isdigit() and count.isdigit():
            yield _Block(user, int(start), int(count))


def _write(table: Path, lines: Iterable[str]) -> None:
    files.write_atomic(table, "".join(f"{line}\n" for line in lines), mode=0o644)


@contextmanager
def _password_lock(path: Path) -> Iterator[None]:
    """What lckpwdf(3) locks; shadow's tools hold it while they write subuid and subgid."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
