"""SIGKILL at a step: work is done in a child that ends where it first begins a function."""

from __future__ import annotations

import os
import re
import signal
import sys
import traceback
from collections.abc import Callable
from types import FrameType
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
