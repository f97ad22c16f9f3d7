"""What the router's connection tracking has to forget."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from ipaddress import IPv4Address
from pathlib import Path

from paas.host import conntrack, netlink


def forget_datagrams(
    router: Path, services: Collection[IPv4Address], addresses: Iterable[IPv4Address]
) -> None:
    """Drop the UDP flows through `services` that still lead to `addresses`.

    A TCP connection ends by itself; a UDP flow is renewed by each packet and would go to
    the old backend for ever.
    """
    with netlink.inside(router):
        for address in addresses:
            flows = conntrack.datagrams_answered_by(address)
            conntrack.forget(flow for flow in flows if flow.target in services)
