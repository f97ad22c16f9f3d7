"""The one family of expected errors.

A `PaasError` is something the user or the operator can act on: it says briefly what
happened, gives details, and ends with what to do next. Anything else that is raised is
a bug in this program and is reported as one (see `paas.cli.dispatch`).
"""

from __future__ import annotations

from collections.abc import Iterable


class PaasError(Exception):
    """An expected failure, worded for the person who has to mend it.

    `brief` is one sentence without a full stop, `details` are further lines (a log
    tail, the offending text), `resolution` says what to type or change next, and
    `code` is the exit status of a command that ends with this error.
    """

    code: int = 1

    def __init__(
        self,
        brief: str,
        details: Iterable[str] = (),
        resolution: str = "",
        *,
        code: int | None = None,
    ) -> None:
        super().__init__(brief)
        self.brief = brief
        self.details = tuple(details)
        self.resolution = resolution
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        return "\n".join(part for part in (self.brief, *self.details, self.resolution) if part)


class NotFound(PaasError):
    """Something named by the user does not exist (exit code 20, as in Dokku)."""

    code = 20
