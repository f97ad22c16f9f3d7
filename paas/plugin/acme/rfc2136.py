"""TXT records by dynamic update of the primary server, signed with a TSIG key.

Sources: RFC 2136; RFC 8945 (TSIG). BIND, Knot, PowerDNS and many providers take these.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from pathlib import Path

import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.tsig
import dns.tsigkeyring
import dns.update

from paas.host.waiting import wait_until
from paas.plugin.acme.dns01 import DnsFailed
from paas.plugin.acme.propagation import Propagation, has

UPDATE_S = 10.0
TTL = 60

KEY = re.compile(
    r'key\s+"?(?P<name>[^\s"{]+)"?\s*\{\s*algorithm\s+"?(?P<algorithm>[\w.-]+)"?\s*;'
    r'\s*secret\s+"?(?P<secret>[A-Za-z0-9+/=]+)"?\s*;\s*\}\s*;?'
)
"""As tsig-keygen(8) prints it and named.conf includes it."""


@dataclass(frozen=True)
class Tsig:
    """A key that a server knows us by."""

    name: str
    algorithm: str
    secret: str

    @classmethod
    def read(cls, path: Path) -> Tsig:
        """Raises `DnsFailed` when the file has no key."""
        try:
            found = KEY.search(path.read_text("utf-8", "replace"))
        except OSError as error:
            raise DnsFailed(f"{path} cannot be read: {error.strerror}") from error
        if found is None:
            raise DnsFailed(
                f"{path} has no TSIG key", resolution="Make one: tsig-keygen paas > FILE"
            )
        return cls(found["name"], found["algorithm"], found["secret"])

    def __repr__(self) -> str:
        return f"Tsig({self.name!r}, {self.algorithm!r}, secret=[REDACTED])"


@dataclass(frozen=True)
class DynamicZone:
    """The zones of one primary server, at `HOST` or `HOST:PORT`."""

    server: str
    key: Tsig | None
    propagation: Propagation

    def present(self, name: str, value: str) -> None:
        """Add a TXT record. Raises `DnsFailed`."""
        update, relative = self._update(name)
        update.add(relative, TTL, "TXT", f'"{value}"')
        self._send(update)

    def cleanup(self, name: str, value: str) -> None:
        """Remove it. Raises `DnsFailed`."""
        update, relative = self._update(name)
        update.delete(relative, "TXT", f'"{value}"')
        self._send(update)

    def wait(self, name: str, value: str) -> None:
        """Until the primary server answers with it, and then all others."""
        address, port = self._address()
        wait_until(lambda: has(address, port, name, value), UPDATE_S, 0.05)
        self.propagation.wait(name, value)

    def _update(self, name: str) -> tuple[dns.update.UpdateMessage, dns.name.Name]:
        target = dns.name.from_text(name)
        zone = self._zone(target)
        try:
            if self.key is None:
                return dns.update.UpdateMessage(zone), target.relativize(zone)
            ring = dns.tsigkeyring.from_text({self.key.name: (self.key.algorithm, self.key.secret)})
            return dns.update.UpdateMessage(zone, keyring=ring), target.relativize(zone)
        except (dns.exception.DNSException, ValueError) as error:
            raise DnsFailed(f"The TSIG key {self.key and self.key.name} is not usable") from error

    def _zone(self, target: dns.name.Name) -> dns.name.Name:
        """The zone of the server that a name is in: whose SOA it answers with (RFC 2136, 6.1)."""
        candidate = target
        while len(candidate.labels) > 1:
            candidate = candidate.parent()
            answer = self._ask(dns.message.make_query(candidate, dns.rdatatype.SOA))
            if any(
                records.rdtype == dns.rdatatype.SOA and records.name == candidate
                for records in answer.answer
            ):
                return candidate
        raise DnsFailed(
            f"{self.server} has no zone that {target.to_text(omit_final_dot=True)} is in",
            resolution="letsencrypt:set takes another server: dns-server HOST",
        )

    def _send(self, update: dns.update.UpdateMessage) -> None:
        code = self._ask(update).rcode()
        if code is not dns.rcode.NOERROR:
            raise DnsFailed(
                f"{self.server} refused the update: {dns.rcode.to_text(code)}",
                resolution="Its zone has to allow updates with the key: letsencrypt:set dns-key",
            )

    def _ask(self, message: dns.message.Message) -> dns.message.Message:
        address, port = self._address()
        try:
            return dns.query.tcp(message, address, UPDATE_S, port)
        except (dns.exception.DNSException, OSError) as error:
            raise DnsFailed(f"{self.server} does not answer: {error}") from error

    def _address(self) -> tuple[str, int]:
        host, _, port = (
            self.server.rpartition(":") if _has_port(self.server) else (self.server, "", "53")
        )
        try:
            found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
        except OSError as error:
            raise DnsFailed(f"The DNS server {host} is not known: {error.strerror}") from error
        return str(found[0][4][0]), int(port)


def _has_port(server: str) -> bool:
    return server.count(":") == 1 or "]:" in server
