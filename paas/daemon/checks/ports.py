"""The ports that browsers come to, and whether this machine's own firewall lets them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from ipaddress import ip_address

from paas.daemon.checks.check import Doubt
from paas.engine.network.findings import Finding
from paas.host import sockdiag


def served(address: str, ports: Collection[int]) -> list[int]:
    """Those of the proxy's ports that others are to come to: all but on a loopback address.

    Without a certificate, it does not listen for HTTPS.
    """
    if address and ip_address(address).is_loopback:
        return []
    known = set(ports)
    with suppress(OSError):  # The kernel does not tell: another check says so.
        known &= {one.port for one in sockdiag.listening()}
    return sorted(known)


def judge(ports: Sequence[int], shut: Sequence[Finding]) -> str:
    """Say what is shut: no failure, for it may be meant so where a tunnel leads to the proxy."""
    if shut:
        raise Doubt(
            "; ".join(one.problem for one in shut), "; then: ".join(one.remedy for one in shut)
        )
    if not ports:
        return "none that others are to come to"
    return f"no firewall of this machine shuts {' or '.join(map(str, ports))}"
