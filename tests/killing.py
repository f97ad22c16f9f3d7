"""SIGKILL at a step: work is done in a child that ends where it first begins a function."""

from __future__ import annotations

import os
import re
import signal
import sys
import traceback
from collections.abc import Callable
from functools import cache
from types import CodeType, FrameType
from typing import NoReturn

from paas.errors import PaasError

Step = tuple[str, str]
"""File and name of a function."""


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


def step_of(frame: FrameType, modules: re.Pattern[str]) -> Step | None:
    """The step that is begun with a call."""
    file = frame.f_code.co_filename
    name = frame.f_code.co_qualname
    if not modules.search(file) or "<" in name or name.endswith("__init__"):
        return None
    return file, name


def steps_of(work: Callable[[], object], modules: re.Pattern[str]) -> list[Step]:
    """Every distinct step of `work`, in the order in which each is first begun."""
    found: dict[Step, None] = {}

    def note(frame: FrameType, event: str, _: object) -> None:
        step = step_of(frame, modules) if event == "call" else None
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

    def act() -> None:
        sys.setprofile(lambda frame, event, _: die() if is_begun(frame, event) else None)
        work()

    def is_begun(frame: FrameType, event: str) -> bool:
        return event == "call" and step_of(frame, modules) == step

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
    r"/paas/host/(firewall\.py Firewall\.apply|netlink\.py Netlink\._do|syscalls\.py \w+"
    r"|processes\.py (run|spawn)|database\.py Database\.(execute|insert|transaction))$"
)
"""Where our own effects go through, those of ctypes and of SQLite among them."""

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

    def act() -> None:
        left = effect

        def count(frame: FrameType, event: str, function: object) -> None:
            nonlocal left
            if is_effect(frame, event, function):
                left -= 1
                if left < 0:
                    die()

        sys.setprofile(count)
        work()

    _, status = os.waitpid(forked(act), 0)
    assert os.WIFSIGNALED(status), f"it ended with {status} before effect {effect}"
