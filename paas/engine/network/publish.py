"""Ports of the host that lead to containers without a proxy between, as `docker run -p`.

The kernel translates them, so the container sees who asks. Nothing listens on the host:
a port that a program has is refused here, since translation would take it away silently.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address
from typing import Literal

from paas.engine.network.addresses import Plan
from paas.engine.network.policy import Lead
from paas.errors import PaasError
from paas.host.database import Database
from paas.host.ports import bind_error

ANY = IPv4Address("0.0.0.0")  # noqa: S104  what it is called, in docker and here
RANDOM = range(61000, 65536)
"""Above what Linux gives to outgoing connections (net.ipv4.ip_local_port_range)."""

_FORM = re.compile(
    r"(?:(?P<address>(?:[0-9]{1,3}\.){3}[0-9]{1,3}):)?(?:(?P<port>[0-9]{1,5}(?:-[0-9]{1,5})?)?:)?"
    r"(?P<target>[0-9]{1,5}(?:-[0-9]{1,5})?)(?:/(?P<protocol>tcp|udp))?"
)
Protocol = Literal["tcp", "udp"]


class InvalidPublish(PaasError):
    """What is to be published cannot be."""

    def __init__(self, text: str) -> None:
        super().__init__(
            f"{text[:80]!a} does not say which port to publish",
            resolution="Write it like 8080:80, 127.0.0.1:8080:80, 5353:53/udp, 8000-8009:8000-8009"
            " or 80 (a random port).",
        )


class NoNetworkToPublish(PaasError):
    """Only the ports of a container with a network of its own can be published."""

    def __init__(self, network: str) -> None:
        super().__init__(
            f"A container with the network `{network}` has no ports to publish",
            resolution="With `host` it has the server's ports by itself; with `none` it has none.",
        )


class PortInUse(PaasError):
    """A container or a program of the host has the port."""

    def __init__(self, publish: Publish, owner: str) -> None:
        super().__init__(
            f"Port {publish.port}/{publish.protocol} of {publish.address} is in use by {owner}",
            resolution="Choose another port of the host, or end what has this one.",
        )


class AddressAbsent(PaasError):
    """The host has no such address."""

    def __init__(self, publish: Publish, error: OSError) -> None:
        super().__init__(
            f"No port of {publish.address} can be published: {error.strerror}",
            resolution="Name an address of this server, or none for all of them.",
        )


class NoPortLeft(PaasError):
    """No random port is free."""


@dataclass(frozen=True)
class Publish:
    """One port; `port` 0 is a random one. `address` is the host's, ANY for all of them."""

    target: int
    port: int = 0
    address: IPv4Address = ANY
    protocol: Protocol = "tcp"


def parse_publish(text: str) -> tuple[Publish, ...]:
    """`[ADDRESS:][PORT:]TARGET[/udp]`, both ports or neither as ranges. Raises `InvalidPublish`."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise InvalidPublish(text)
    targets = _range(text, match["target"])
    ports = _range(text, match["port"]) if match["port"] else [0] * len(targets)
    if len(ports) != len(targets):
        raise InvalidPublish(text)
    try:
        address = IPv4Address(match["address"] or ANY)
    except AddressValueError:
        raise InvalidPublish(text) from None
    protocol: Protocol = "udp" if match["protocol"] == "udp" else "tcp"
    return tuple(
        Publish(target, port, address, protocol)
        for target, port in zip(targets, ports, strict=True)
    )


def parse_all(texts: Iterable[str]) -> tuple[Publish, ...]:
    """All of them. Raises `InvalidPublish`."""
    return tuple(publish for text in texts for publish in parse_publish(text))


def check_publish(texts: Sequence[str], network: str) -> None:
    """Raise `InvalidPublish`, or `NoNetworkToPublish` for a container without one of its own."""
    if parse_all(texts) and network != "private":
        raise NoNetworkToPublish(network)


def _range(text: str, words: str) -> Sequence[int]:
    first, _, last = words.partition("-")
    found = range(int(first), int(last or first) + 1)
    if not found or found[0] < 1 or found[-1] > 65535:
        raise InvalidPublish(text)
    return found


class PublishedPorts:
    """The published ports of one engine, in the database below /run."""

    def __init__(self, observed: Database, plan: Plan) -> None:
        self._db = observed
        self._plan = plan

    def claim(self, container: str, wanted: Iterable[Publish]) -> bool:
        """Publish ports of a container, all or none; whether that changed anything.

        One that has some keeps them: it runs again. Raises `PortInUse`, `NoPortLeft`,
        `AddressAbsent`.
        """
        with self._db.transaction():
            if self.of(container):
                return False
            for each in wanted:
                chosen = each.port or self._random(each)
                self._check(Publish(each.target, chosen, each.address, each.protocol))
                self._db.execute(
                    "INSERT INTO published VALUES (?, ?, ?, ?, ?)",
                    (each.protocol, str(each.address), chosen, container, each.target),
                )
            return bool(self.of(container))

    def release(self, container: str) -> bool:
        """Take them back; whether there were any."""
        gone = self._db.execute(
            "DELETE FROM published WHERE container = ? RETURNING port", (container,)
        )
        return bool(gone)

    def of(self, container: str) -> Sequence[Publish]:
        """What is published of a container, with the ports that were chosen."""
        rows = self._db.execute(
            "SELECT * FROM published WHERE container = ? ORDER BY target, protocol, port",
            (container,),
        )
        return [
            Publish(row["target"], row["port"], IPv4Address(row["address"]), row["protocol"])
            for row in rows
        ]

    def leads(self) -> tuple[Lead, ...]:
        """All of them, for the policy; none of a container without an address."""
        rows = self._db.execute(
            "SELECT protocol, address, port, target, number FROM published"
            " JOIN leases USING (container) ORDER BY protocol, port, address"
        )
        return tuple(
            Lead(
                row["protocol"],
                IPv4Address(row["address"]),
                row["port"],
                self._plan.prefix[row["number"]],
                row["target"],
            )
            for row in rows
        )

    def _check(self, publish: Publish) -> None:
        rows = self._db.execute(
            "SELECT container FROM published WHERE protocol = ? AND port = ?"
            " AND (address = ? OR address = ? OR ? = ?)",
            (
                publish.protocol, publish.port, str(publish.address), str(ANY),
                str(publish.address), str(ANY),
            ),
        )  # fmt: skip
        if rows:
            raise PortInUse(publish, f"container {rows[0]['container']}")
        if not _is_free(publish):
            raise PortInUse(publish, "a program of this server")

    def _random(self, publish: Publish) -> int:
        taken = {row["port"] for row in self._db.execute("SELECT port FROM published")}
        for port in RANDOM:
            free = Publish(publish.target, port, publish.address, publish.protocol)
            if port not in taken and _is_free(free):
                return port
        raise NoPortLeft("No port of this server is left to publish")


def _is_free(publish: Publish) -> bool:
    """Whether no socket of the host has the port. Raises `AddressAbsent`."""
    error = bind_error(str(publish.address), publish.port, datagrams=publish.protocol == "udp")
    if error is not None and error.errno != errno.EADDRINUSE:
        raise AddressAbsent(publish, error) from error
    return error is None
