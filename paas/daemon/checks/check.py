"""The outcome of one of the doctor's checks, and what makes it one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from paas.errors import PaasError


@dataclass(frozen=True)
class Check:
    """The outcome of one check; `remedy` is what to do when it is not `ok`.

    One that is, with a remedy, is a warning: it may be meant so.
    """

    name: str
    ok: bool
    text: str
    remedy: str = ""


class Unwell(Exception):
    """Raised inside a check: what is wrong, and the remedy."""

    def __init__(self, text: str, remedy: str) -> None:
        super().__init__(text)
        self.text = text
        self.remedy = remedy


class Doubt(Unwell):
    """Raised inside a check whose server works, but perhaps not as it was meant to."""


def outcome(name: str, check: Callable[[], str]) -> Check:
    """Run one check; whatever of the expected it raises is its failure."""
    try:
        return Check(name, ok=True, text=check())
    except Unwell as problem:
        doubted = isinstance(problem, Doubt)
        return Check(name, ok=doubted, text=problem.text, remedy=problem.remedy)
    except PaasError as error:
        text = "; ".join((error.brief, *error.details[:1]))
        return Check(name, ok=False, text=text, remedy=error.resolution)
    except OSError as error:
        return Check(name, ok=False, text=str(error), remedy="Run it as root on the server.")
