"""SIGKILL at a step: work is done in a child that ends where it first begins a function."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from functools import cache
from itertools import takewhile
from pathlib import Path
from types import CodeType, FrameType
from typing import NoReturn

from paas.errors import PaasError
from tests.turns import numbers_in_turn, turn

EFFECTS_TURNS = 3
"""How many commits have all effects of what is killed before one after another."""

Step = tuple[str, str]
"""File and name of a function."""

IsEffect = Callable[[FrameType, str, object], bool]
"""Whether what a profile function (sys.setprofile) is told of may be seen by others."""


def forked(work: Callable[[], object]) -> int:
    """Run `work` in a child; its pid. The child ends with 0, or 1 for an error."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work()
        code = 0
    except PaasError as error:
        sys.stderr.write(f"{error}\n")
    except BaseException:  # noqa: BLE001  a child never returns into pytest
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


@cache
def step_of(code: CodeType, modules: re.Pattern[str]) -> Step | None:
    """The step that a call begins. Asked for every call there is, so each function once."""
    file, name = code.co_filename, code.co_qualname
    if not modules.search(file) or "<" in name or name.endswith("__init__"):
        return None
    return file, name


def steps_of(work: Callable[[], object], modules: re.Pattern[str]) -> list[Step]:
    """Every distinct step of `work`, in the order in which each is first begun."""
    found: dict[Step, None] = {}

    def note(frame: FrameType, event: str, _: object) -> None:
        step = step_of(frame.f_code, modules) if event == "call" else None
        if step is not None:
            found[step] = None

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return list(found)


def killed_at(step: Step, work: Callable[[], object], modules: re.Pattern[str]) -> bool:
    """Run `work` in a child that SIGKILLs itself where it first begins `step`."""

    def look(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and step_of(frame.f_code, modules) == step:
            die()

    def act() -> None:
        # What is known from the first time on may become so in a thread of its own.
        threading.setprofile(look)
        sys.setprofile(look)
        work()

    _, status = os.waitpid(forked(act), 0)
    return os.WIFSIGNALED(status)


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("alive")


# -- by effects: whatever can be seen from outside of a process ---------------------------------

CHANGING = frozenset(
    {
        "chmod", "chown", "fork_exec", "ftruncate", "link", "mkdir", "rename",
        "replace", "rmdir", "setxattr", "symlink", "truncate", "unlink", "utime",
    }
)  # fmt: skip
"""Functions of C that change something outside of their process."""

DOORS = re.compile(
    r"/paas/host/(firewall\.py Firewall\.apply|netlink\.py Netlink\._do|rtnetlink\.py apply"
    r"|syscalls\.py (mount|umount|move_mount|mount_setattr|pivot_root|renameat2)"
    r"|projects\.py (assign|limit)"
    r"|processes\.py (run|spawn)|database\.py Database\.(execute|insert|transaction)"
    r"|migrations\.py record|files\.py (write_atomic|FileLock\.acquire))$"
    r"|/pathlib\.py Path\.(write_text|write_bytes|touch)$"
)
"""Where effects go through that are no function of C: those of ctypes, netlink and SQLite among
them, and files that are opened to be written. What a call changes of its own process alone
(setns, prctl) nobody else can see."""

READS = re.compile(r"\s*(SELECT|PRAGMA|WITH)\b", re.IGNORECASE)


def is_effect(frame: FrameType, event: str, function: object) -> bool:
    """Whether what is about to be called may be seen from outside of this process."""
    if event == "c_call":
        name, module = getattr(function, "__name__", ""), getattr(function, "__module__", "")
        return name in CHANGING and module in {"posix", "_posixsubprocess", None}
    if event != "call" or not is_door(frame.f_code):
        return False
    return not READS.match(str(frame.f_locals.get("sql", "")))


@cache
def is_door(code: CodeType) -> bool:
    """Asked for every call there is, so each function is looked at once."""
    return DOORS.search(f"{code.co_filename} {code.co_qualname}") is not None


def counted_effects(work: Callable[[], object]) -> int:
    """Do `work` in a child to its end; how many effects it had."""
    reader, writer = os.pipe()

    def act() -> None:
        seen = 0

        def note(frame: FrameType, event: str, function: object) -> None:
            nonlocal seen
            seen += is_effect(frame, event, function)

        sys.setprofile(note)
        work()
        sys.setprofile(None)
        os.write(writer, f"{seen}".encode())

    status = os.waitpid(forked(act), 0)[1]
    os.close(writer)
    with os.fdopen(reader) as told:
        assert status == 0, f"the work ended with {status}"
        return int(told.read())


def killed_before(effect: int, work: Callable[[], object]) -> None:
    """Do `work` in a child that SIGKILLs itself instead of its effect of that number."""
    assert dies_before(effect, work), f"it ended before effect {effect}"


def deaths(
    work: Callable[[], object], first: int = 0, is_effect: IsEffect = is_effect
) -> Iterator[int]:
    """Have `work` die before one effect after another, until it comes to its end; whoever asks
    looks after what that left, each time. A whole run has a third of them (tests/turns.py)."""
    return takewhile(
        lambda effect: dies_before(effect, work, is_effect), numbers_in_turn(first, EFFECTS_TURNS)
    )


def moments(effects: int, most: int) -> list[int]:
    """About `most` of so many effects, evenly spread, and the first; in a whole run half as many,
    which are others with every commit."""
    now = turn()
    if now is None:
        return list(range(0, effects, max(1, effects // most)))
    apart = max(1, effects * 2 // most)
    # By pairs of commits: a test that itself has every second turn would see half of them.
    return sorted({0, *range(now // 2 % apart, effects, apart)})


def dies_before(effect: int, work: Callable[[], object], is_effect: IsEffect = is_effect) -> bool:
    """Do `work` in a child that SIGKILLs itself instead of its effect of that number; False
    when it has fewer and came to its end. What threads that it starts do counts too."""

    def act() -> None:
        left = effect

        def look(frame: FrameType, event: str, function: object) -> None:
            nonlocal left
            if is_effect(frame, event, function):
                left -= 1
                if left < 0:
                    die()

        threading.setprofile(look)
        sys.setprofile(look)
        work()

    _, status = os.waitpid(forked(act), 0)
    assert os.WIFSIGNALED(status) or status == 0, f"it ended with {status} before effect {effect}"
    return os.WIFSIGNALED(status)


# -- that none is missing ---------------------------------------------------------------------

CHANGES = frozenset(
    {
        "os.chmod", "os.chown", "os.link", "os.mkdir", "os.posix_spawn", "os.remove", "os.rename",
        "os.rmdir", "os.setxattr", "os.symlink", "os.truncate", "os.utime", "subprocess.Popen",
    }
)  # fmt: skip
"""Audit events of what changes something (PEP 578, "Audit events table")."""

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

ENDS = frozenset({"return", "c_return", "c_exception"})


def unseen(work: Callable[[], object], is_effect: IsEffect = is_effect) -> set[str]:
    """What `work` changes outside of every effect, as the interpreter itself tells: moments
    that nobody was killed at. An effect that is added to the program without a door is here.
    """
    reader, writer = os.pipe()

    def act() -> None:
        own = threading.local()
        found: set[str] = set()

        def under_way() -> list[object]:
            """The effects that this thread is in."""
            stack: list[object] = own.__dict__.setdefault("stack", [])
            return stack

        def look(frame: FrameType, event: str, function: object) -> None:
            mark = frame if event in {"call", "return"} else function
            if event in {"call", "c_call"} and is_effect(frame, event, function):
                under_way().append(mark)
            elif event in ENDS and under_way() and under_way()[-1] is mark:
                under_way().pop()

        def hear(event: str, arguments: tuple[object, ...]) -> None:
            if not under_way() and is_change(event, arguments):
                found.add(f"{event} {arguments[0]!s} by {caller()}")

        sys.addaudithook(hear)
        threading.setprofile(look)
        sys.setprofile(look)
        work()
        sys.setprofile(None)
        os.write(writer, "\n".join(found).encode())

    status = os.waitpid(forked(act), 0)[1]
    os.close(writer)
    with os.fdopen(reader) as told:
        assert status == 0, f"the work ended with {status}"
        return set(told.read().splitlines())


def is_change(event: str, arguments: tuple[object, ...]) -> bool:
    """Whether an audit event tells of something that others can see."""
    if event != "open":
        # To make what is there (mkdir with exist_ok) changes nothing.
        there = event == "os.mkdir" and Path(str(arguments[0])).is_dir()
        return event in CHANGES and not there
    path, _, flags = arguments
    is_file = isinstance(path, (str, bytes)) and not os.fsdecode(path).startswith("/dev/")
    return is_file and isinstance(flags, int) and bool(flags & WRITING)


def caller() -> str:
    """The innermost function of ours that is under way."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and "/paas/" not in frame.f_code.co_filename:
        frame = frame.f_back
    return frame.f_code.co_qualname if frame is not None else "nobody of ours"
