"""While a new version is on trial, what would change something waits for the verdict.

Otherwise the way back would lose what somebody was told had been done.
"""

from __future__ import annotations

from paas.cli.access import Access
from paas.cli.command import Command
from paas.errors import PaasError
from paas.host.files import FileLock
from paas.host.waiting import wait_until
from paas.model.layout import Layout

SECONDS = 120.0
STEP_S = 0.05

LOOKS = frozenset({"doctor"})
"""What is for admins and changes nothing: the verdict itself is made of it."""

CHANGES = frozenset({Access.DEPLOY, Access.OWN, Access.ADMIN})
"""What commands need that change something. Root's own are what an upgrade consists of."""

TRY_AGAIN = 75
"""Exit code EX_TEMPFAIL (sysexits.h)."""


class BeingUpgraded(PaasError):
    """The trial takes longer than a command can wait."""

    code = TRY_AGAIN


class CutShort(PaasError):
    """Nobody is left to speak the verdict: what starts next goes back."""

    code = TRY_AGAIN


def await_verdict(layout: Layout, command: Command) -> None:
    """Return when nothing is on trial, at once for what only looks.

    Raises `BeingUpgraded` and `CutShort`.
    """
    record = layout.upgrade_record
    changes = command.access in CHANGES and command.name not in LOOKS
    if not changes or not record.exists():
        return
    lock = FileLock(layout.upgrade_lock, shared=True)

    def spoken() -> bool:
        if not record.exists():
            return True
        if not lock.try_acquire():
            return False
        try:
            # Looked at again: who upgraded may have spoken it just now, and left.
            if record.exists():
                raise CutShort(
                    "An upgrade of the server was cut short",
                    ["The version before comes back, and would not know of this change."],
                    "Have it back first: sudo paas up",
                )
        finally:
            lock.release()
        return True

    if not wait_until(spoken, SECONDS, STEP_S):
        raise BeingUpgraded("The server is being upgraded", resolution="Try again in a minute.")
