"""Whether the world sees a TXT record yet: every authoritative server of its zone is asked.

An authority asks any of them, and one that still says no is a failed order. The door to
`dnspython`, with `paas.plugin.acme.rfc2136`.
"""

from __future__ import annotations

from dataclasses import dataclass

import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rdatatype
import dns.resolver

from paas.host.waiting import wait_until

ASK_S = 3.0
WAIT_S = 120.0
POLL_S = 1.0

DELEGATED_LABELS = 2
"""Zones with fewer are the root and the top: nobody's of ours, and not to be asked."""


@dataclass(frozen=True)
class Propagation:
    """Looks until all servers agree, or `seconds` have passed: the authority decides then."""

    seconds: float = WAIT_S

    def wait(self, name: str, value: str) -> None:
        """Return when every server that is known for the name answers with `value`."""
        servers = authoritative(name)
        wait_until(
            lambda: all(has(each, 53, name, value) for each in servers), self.seconds, POLL_S
        )


def authoritative(name: str) -> list[str]:
    """Addresses of the servers of the zone that `name` is in; none when it cannot be found."""
    try:
        zone = dns.resolver.zone_for_name(name)
        if len(zone.labels) - 1 < DELEGATED_LABELS:
            return []
        hosts = [each.target for each in dns.resolver.resolve(zone, dns.rdatatype.NS)]
    except (dns.exception.DNSException, OSError):
        return []
    return [address for host in hosts for address in _addresses(host)]


def _addresses(host: dns.name.Name) -> list[str]:
    try:
        return [each.address for each in dns.resolver.resolve(host, dns.rdatatype.A)]
    except (dns.exception.DNSException, OSError):
        return []


def has(server: str, port: int, name: str, value: str) -> bool:
    """Whether a server answers a question for `name` with a TXT record of this value."""
    question = dns.message.make_query(name, dns.rdatatype.TXT)
    try:
        answer = dns.query.tcp(question, server, ASK_S, port)
    except (dns.exception.DNSException, OSError):
        return False
    wanted = value.encode()
    return any(
        wanted == b"".join(record.strings)
        for records in answer.answer
        if records.rdtype == dns.rdatatype.TXT
        for record in records
    )
