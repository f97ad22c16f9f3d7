"""A program of the administrator's that changes the DNS, for providers without RFC 2136.

It is called as `HOOK present NAME VALUE` and `HOOK cleanup NAME VALUE`, as lego's `exec`
provider does, so programs written for that one work; NAME ends with a dot.
"""

from __future__ import annotations

from dataclasses import dataclass

from paas.host.processes import ProcessFailed, ProcessTimedOut, ProgramMissing, run
from paas.plugin.acme.dns01 import DnsFailed
from paas.plugin.acme.propagation import Propagation

HOOK_S = 180.0


@dataclass(frozen=True)
class DnsHook:
    """Records by a program, which runs as root: root alone can name it."""

    program: str
    propagation: Propagation

    def present(self, name: str, value: str) -> None:
        """Add a TXT record. Raises `DnsFailed` with what the program wrote."""
        self._call("present", name, value)

    def cleanup(self, name: str, value: str) -> None:
        """Remove it. Raises `DnsFailed`."""
        self._call("cleanup", name, value)

    def wait(self, name: str, value: str) -> None:
        """Until all servers of the zone answer with it."""
        self.propagation.wait(name, value)

    def _call(self, what: str, name: str, value: str) -> None:
        try:
            run([self.program, what, f"{name}.", value], timeout=HOOK_S)
        except (ProcessFailed, ProcessTimedOut, ProgramMissing) as error:
            raise DnsFailed(
                f"The DNS hook failed to {what} {name}: {error.brief}", error.details
            ) from error
