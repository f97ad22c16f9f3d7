"""The way of instances to the internet through the host's own firewall, looked after.

What is inserted there beside Docker or into plain nftables is the kernel's alone: it is gone
with the next start of the machine, or when somebody loads the rules anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from paas.engine.network.findings import Finding
from paas.engine.network.hostfirewall import HostFirewall
from paas.errors import PaasError
from paas.model.report import Report
from paas.model.settings import ALLOW_FIREWALL
from paas.store.store import Store

BLOCKED, OPEN, OPENED = "egress blocked", "egress open again", "firewall opened"
ACTOR = "supervisor"


@dataclass(frozen=True)
class EgressCare:
    """Opens the firewall where that is allowed, and says where it is not."""

    store: Store
    firewall: HostFirewall

    def allow(self, report: Report) -> None:
        """Open it in every way there is. Raises `ProcessFailed`, `ProgramMissing`."""
        for finding in self.firewall.findings():
            report.step(finding.problem)
        done = self.firewall.open(lasting=True)
        for finding in done.opened:
            for argv in finding.opening.commands if finding.opening else ():
                report.detail(" ".join(argv))
        for finding in done.left:
            report.warn(f"{finding.problem}, still")

    def forbid(self, report: Report) -> None:
        """Take back what was inserted, and say what is not ours to take."""
        self.firewall.withdraw()
        for command in self.firewall.kept():
            report.detail(f"Kept by your firewall; to remove it: {command}")

    def look(self) -> None:
        """Open again what has shut since, where that is allowed; tell of a change, once."""
        if not self._allowed():
            self._tell(self.firewall.findings())
            return
        try:
            done = self.firewall.open(lasting=False)
        except PaasError:
            self._tell(self.firewall.findings())
            raise
        if not self._allowed():
            # Switched off meanwhile: by a command that has found nothing to take back yet.
            self.firewall.withdraw()
            return
        if done.opened:
            problems = "; ".join(each.problem for each in done.opened)
            self.store.events.add(ACTOR, "", OPENED, problems)
        self._tell(done.left)

    def _allowed(self) -> bool:
        return self.store.settings.value(ALLOW_FIREWALL)

    def _tell(self, findings: Sequence[Finding]) -> None:
        detail = "; ".join(f"{each.problem}: {each.remedy}" for each in findings)
        told, since = (self.store.events.last("", what) for what in (BLOCKED, OPEN))
        known = told.detail if told and (since is None or since.id < told.id) else ""
        if detail == known:
            return
        self.store.events.add(ACTOR, "", BLOCKED if detail else OPEN, detail)
