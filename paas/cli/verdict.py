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


def await_verdict(layout: Layout, command: Command) -> None:
    """Return when nothing is on trial, at once for what only looks. Raises `BeingUpgraded`."""
    record = layout.upgrade_record
    changes = command.access in CHANGES and command.name not in LOOKS
    if not changes or not record.exists():
        return
    lock = FileLock(layout.upgrade_lock, shared=True)

    def spoken() -> bool:
        if not record.exists():
            return True
        # Nobody is at it: it was cut short, and what starts next goes back.
        if lock.try_acquire():
            lock.release()
            return True
        return False

    if not wait_until(spoken, SECONDS, STEP_S):
        raise BeingUpgraded("The server is being upgraded", resolution="Try again in a minute.")
