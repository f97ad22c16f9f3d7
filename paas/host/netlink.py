"""The door to the kernel's network configuration: links, addresses, routes.

A `Netlink` talks to the network namespace its socket was opened in, wherever the process
goes afterwards; `inside` opens one elsewhere and always comes back. Sources: rtnetlink(7),
veth(4) and network_namespaces(7).
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from pathlib import Path
from types import TracebackType
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from paas.host import syscalls

OWN_NAMESPACE = Path("/proc/thread-self/ns/net")

RTN_UNICAST, RTN_UNREACHABLE = 1, 7
RT_TABLE_MAIN = 254
RT_SCOPE_UNIVERSE, RT_SCOPE_LINK = 0, 253
RTNH_F_ONLINK = 4
IFF_UP = 1


@dataclass(frozen=True)
class Link:
    """A network interface. `peer` is the index of a veth's other end, in its namespace."""

    index: int
    name: str
    up: bool
    mtu: int
    kind: str = ""
    peer: int = 0


@dataclass(frozen=True)
class Route:
    """A route of the main table. Without a link it is an `unreachable` one."""

    target: IPv4Network
    link: int | None = None
    gateway: IPv4Address | None = None
    source: IPv4Address | None = None
    metric: int = 0
    onlink: bool = False

    @property
    def is_default(self) -> bool:
        return self.target.prefixlen == 0

    @property
    def is_connected(self) -> bool:
        """The kernel finds the hosts of `target` on the link itself."""
        return self.link is not None and self.gateway is None and not self.is_default


@contextmanager
def inside(namespace: Path | int) -> Iterator[None]:
    """Be in another network namespace; leave it however the block ends.

    `namespace` is a file of nsfs or a descriptor of one. Only the calling thread moves.
    Raises `OSError` when it cannot be entered.
    """
    home = os.open(OWN_NAMESPACE, os.O_RDONLY | os.O_CLOEXEC)
    try:
        target = namespace if isinstance(namespace, int) else _open(namespace)
        try:
            syscalls.setns(target, syscalls.CLONE_NEWNET)
        finally:
            if target is not namespace:
                os.close(target)
        try:
            yield
        finally:
            syscalls.setns(home, syscalls.CLONE_NEWNET)
    finally:
        os.close(home)


def make_namespace(path: Path) -> None:
    """Make a network namespace that lives as long as the mount at `path`, an existing file."""
    home = os.open(OWN_NAMESPACE, os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.unshare(syscalls.CLONE_NEWNET)
        try:
            syscalls.mount(OWN_NAMESPACE, path, flags=syscalls.MS_BIND)
        finally:
            syscalls.setns(home, syscalls.CLONE_NEWNET)
    finally:
        os.close(home)


def is_namespace(path: Path) -> bool:
    """Whether a namespace is mounted at `path` (nsfs is one file system for all of them)."""
    try:
        return path.stat().st_dev == OWN_NAMESPACE.stat().st_dev
    except FileNotFoundError:
        return False


class Netlink:
    """A route netlink socket. Every failure is an `OSError` that says what was attempted."""

    def __init__(self) -> None:
        self._route = IPRoute()

    def __enter__(self) -> Netlink:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._route.close()

    # -- links ----------------------------------------------------------------------------

    def link(self, name: str) -> Link | None:
        """The interface called `name`, if there is one."""
        try:
            # Asked for by name alone: a dump of all of them grows with the instances.
            found = self._route.link("get", ifname=name)
        except NetlinkError as error:
            if error.code == errno.ENODEV:
                return None
            raise _failure(error, f"look up the interface {name}") from error
        return _link(found[0])

    def links(self) -> list[Link]:
        return [_link(message) for message in self._route.get_links()]

    def add_veth(
        self, name: str, peer: str, *, namespace: int | None = None, mtu: int | None = None
    ) -> None:
        """Make a veth pair, the peer in the namespace that the descriptor names.

        Both ends get `mtu` bytes. Raises `FileExistsError` when a name is taken.
        """
        other: dict[str, Any] = {"ifname": peer}
        options: dict[str, Any] = {}
        if namespace is not None:
            other["net_ns_fd"] = namespace
        if mtu is not None:
            other["mtu"] = options["mtu"] = mtu
        self._do(
            f"make the interface {name}",
            "link",
            "add",
            kind="veth",
            ifname=name,
            peer=other,
            **options,
        )

    def add_dummy(self, name: str) -> None:
        self._do(f"make the interface {name}", "link", "add", kind="dummy", ifname=name)

    def delete_link(self, index: int) -> None:
        """Delete an interface, and with it a veth's other end. One that is gone is fine."""
        try:
            self._do(f"delete the interface {index}", "link", "del", index=index)
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise

    def set_link(
        self, index: int, *, up: bool = True, name: str | None = None, mtu: int | None = None
    ) -> None:
        options: dict[str, Any] = {"state": "up" if up else "down"}
        if name is not None:
            options["ifname"] = name
        if mtu is not None:
            options["mtu"] = mtu
        self._do(f"set up the interface {name or index}", "link", "set", index=index, **options)

    # -- addresses ------------------------------------------------------------------------

    def addresses(self, index: int | None = None) -> list[IPv4Interface]:
        """The IPv4 addresses of one interface, or of all."""
        options = {} if index is None else {"index": index}
        return [
            IPv4Interface(f"{message.get_attr('IFA_LOCAL')}/{message['prefixlen']}")
            for message in self._route.get_addr(family=socket.AF_INET, **options)
        ]

    def add_address(self, index: int, address: IPv4Interface) -> None:
        """Give an interface an address; one that it has already is fine."""
        self._do(
            f"add the address {address}",
            "addr",
            "replace",
            index=index,
            address=str(address.ip),
            prefixlen=address.network.prefixlen,
        )

    # -- routes ---------------------------------------------------------------------------

    def routes(self) -> list[Route]:
        """The IPv4 routes of the main table."""
        dump = self._route.get_routes(family=socket.AF_INET, table=RT_TABLE_MAIN)
        return [_route(message) for message in dump]

    def set_route(self, route: Route) -> None:
        """Add a route, replacing one with the same target and metric."""
        options: dict[str, Any] = {"dst": str(route.target), "table": RT_TABLE_MAIN}
        if route.link is None:
            options["type"] = "unreachable"
        else:
            options["oif"] = route.link
            options["scope"] = RT_SCOPE_UNIVERSE if route.gateway else RT_SCOPE_LINK
        if route.gateway is not None:
            options["gateway"] = str(route.gateway)
        if route.source is not None:
            options["prefsrc"] = str(route.source)
        if route.metric:
            options["priority"] = route.metric
        if route.onlink:
            options["flags"] = RTNH_F_ONLINK
        self._do(f"route {route.target}", "route", "replace", **options)

    def delete_route(self, route: Route) -> None:
        """Delete a route; one that is gone is fine."""
        options: dict[str, Any] = {"dst": str(route.target), "table": RT_TABLE_MAIN}
        if route.link is None:
            options["type"] = "unreachable"
        else:
            options["oif"] = route.link
        if route.metric:
            options["priority"] = route.metric
        try:
            self._do(f"delete the route {route.target}", "route", "del", **options)
        except OSError as error:
            if error.errno not in {errno.ESRCH, errno.ENOENT}:
                raise

    def _do(self, what: str, command: str, *arguments: object, **options: object) -> None:
        try:
            getattr(self._route, command)(*arguments, **options)
        except NetlinkError as error:
            raise _failure(error, what) from error


def _open(namespace: Path) -> int:
    return os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)


def _failure(error: NetlinkError, what: str) -> OSError:
    return OSError(error.code, f"cannot {what}: {os.strerror(error.code)}")


def _link(message: Any) -> Link:  # noqa: ANN401 (pyroute2 has no types)
    info = message.get_attr("IFLA_LINKINFO")
    return Link(
        index=message["index"],
        name=message.get_attr("IFLA_IFNAME"),
        up=bool(message["flags"] & IFF_UP),
        mtu=message.get_attr("IFLA_MTU"),
        kind=(info.get_attr("IFLA_INFO_KIND") or "") if info else "",
        peer=message.get_attr("IFLA_LINK") or 0,
    )


def _route(message: Any) -> Route:  # noqa: ANN401
    target = message.get_attr("RTA_DST") or "0.0.0.0"  # noqa: S104 (the default route)
    gateway, source = message.get_attr("RTA_GATEWAY"), message.get_attr("RTA_PREFSRC")
    return Route(
        target=IPv4Network(f"{target}/{message['dst_len']}"),
        link=message.get_attr("RTA_OIF") if message["type"] == RTN_UNICAST else None,
        gateway=IPv4Address(gateway) if gateway else None,
        source=IPv4Address(source) if source else None,
        metric=message.get_attr("RTA_PRIORITY") or 0,
    )
