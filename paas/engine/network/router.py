"""The router: a network namespace of its own, a veth to the host, one to each instance."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Interface, IPv6Network
from pathlib import Path

from paas.engine.network.addresses import GATEWAY, Plan
from paas.engine.network.ipv6 import GATEWAY6, LINK_PREFIX, ROUTER6, Plan6
from paas.engine.network.policy import HOST_LINK
from paas.host import netlink, rtnetlink, syscalls
from paas.host.files import write_atomic
from paas.host.netlink import Link, Netlink, Route

ANYWHERE = IPv4Network("0.0.0.0/0")
CONTAINER_INTERFACE = "eth0"
FIRST_INDEX = 0x10000
"""Interfaces of instances have numbers of their own choice, from here on: what is done with
one needs no answer first. In the instance it is the first number."""

GONE = (errno.ENODEV, errno.ESRCH)
"""There is no such link, or no such route."""

LOOPBACK = 1
"""The index of `lo`, in every network namespace (LOOPBACK_IFINDEX in the kernel)."""

MOST_MTU = 1500
"""Bytes. What leaves by a jumbo uplink goes on to an internet that has none."""

UNREACHABLE_METRIC = 4096
"""Behind every other route of the prefix."""

SYSCTLS = {
    "ipv4/ip_forward": "1",  # of this namespace alone
    "ipv6/conf/all/disable_ipv6": "1",
    "ipv6/conf/default/disable_ipv6": "1",
    "ipv4/conf/all/rp_filter": "0",  # the chain `genuine` is stricter
    "ipv4/conf/default/rp_filter": "0",
    "ipv4/conf/all/send_redirects": "0",
    "ipv4/conf/default/send_redirects": "0",
    "ipv4/conf/all/accept_redirects": "0",
    "ipv4/conf/default/accept_redirects": "0",
    # A refusal is what lets nginx try the next slot at once: none may be held back.
    "ipv4/icmp_ratelimit": "0",
    # A connection that the router did not see begin gets no translation: refuse it.
    "netfilter/nf_conntrack_tcp_loose": "0",
}


SYSCTLS6 = {
    "ipv6/conf/all/disable_ipv6": "0",
    "ipv6/conf/default/disable_ipv6": "0",
    "ipv6/conf/default/accept_ra": "0",
    "ipv6/conf/default/accept_redirects": "0",
    # No address of a link's own: the one that instances know is given to it.
    "ipv6/conf/default/addr_gen_mode": "1",
    "ipv6/conf/all/forwarding": "1",  # of this namespace alone
}
"""Instead of the same ones above, where instances have IPv6."""


class Router:
    """Makes and repairs the namespace at `path` and what is in it, but for the tables."""

    def __init__(self, path: Path, plan: Plan, host_link: str) -> None:
        self.path = path
        self._plan = plan
        self._host_link = host_link

    def ensure(self, plan6: Plan6 | None = None) -> None:
        """Make what is missing: the namespace, the link to the host, routes, the resolver's
        address. With `plan6` there is IPv6 too, for instances that are wired from now on.
        To be called in the host's namespace."""
        self._ensure_namespace()
        self._ensure_link()
        with netlink.inside(self.path), Netlink() as net:
            write_sysctls(SYSCTLS | (SYSCTLS6 if plan6 else {}))
            self._configure(net)
            if plan6:
                self._configure6(net, plan6)
        if plan6:
            write_atomic(self._prefix6_file, f"{plan6.prefix}\n")
        else:
            self._prefix6_file.unlink(missing_ok=True)

    def destroy(self) -> None:
        """Let the namespace go, and with it every interface in it."""
        while netlink.is_namespace(self.path):
            syscalls.umount(self.path, syscalls.MNT_DETACH)
        self.path.unlink(missing_ok=True)
        self._mtu_file.unlink(missing_ok=True)
        self._prefix6_file.unlink(missing_ok=True)

    def exists(self) -> bool:
        return netlink.is_namespace(self.path)

    @property
    def mtu(self) -> int:
        """Bytes of the largest packet that leaves the host in one piece, as of `ensure`."""
        try:
            return int(self._mtu_file.read_text())
        except FileNotFoundError:
            return MOST_MTU

    @property
    def _mtu_file(self) -> Path:
        return self.path.with_name("mtu")

    @property
    def plan6(self) -> Plan6 | None:
        """The addresses of IPv6, as of `ensure`; None where there is none."""
        try:
            return Plan6(IPv6Network(self._prefix6_file.read_text().strip()))
        except FileNotFoundError:
            return None

    @property
    def _prefix6_file(self) -> Path:
        return self.path.with_name("prefix6")

    def wire(self, address: IPv4Address, namespace: int, mtu: int | None) -> None:
        """Join an instance: a veth into the namespace of a descriptor, and the route to it.

        The veth is made with its far end there: moving one costs 20 ms. What an instance
        before it left under the same name is deleted.
        """
        name, index = self._plan.interface_of(address), FIRST_INDEX + self._plan.number(address)
        size = mtu or self.mtu
        there = [
            rtnetlink.veth(name, index, CONTAINER_INTERFACE, FIRST_INDEX, namespace, size),
            rtnetlink.address(index, IPv4Interface(f"{GATEWAY}/32")),
            rtnetlink.route_to(address, index),
        ]
        plan6, own6 = self.plan6, []
        if plan6 is not None:
            address6 = plan6.address(self._plan.number(address))
            there += [
                rtnetlink.address(index, IPv6Interface(f"{GATEWAY6}/{LINK_PREFIX}")),
                rtnetlink.route_to(address6, index),
            ]
            own6 = [
                rtnetlink.address(FIRST_INDEX, IPv6Interface(f"{address6}/128")),
                rtnetlink.default_route(GATEWAY6, FIRST_INDEX),
            ]
        with netlink.inside(self.path):
            try:
                rtnetlink.apply(there, f"wire {address}")
            except FileExistsError:
                self._remove(name)
                rtnetlink.apply(there, f"wire {address}")
        here = [
            rtnetlink.up(LOOPBACK),
            rtnetlink.address(FIRST_INDEX, IPv4Interface(f"{address}/32")),
            rtnetlink.up(FIRST_INDEX),
            rtnetlink.default_route(GATEWAY, FIRST_INDEX),
            *own6,
        ]
        conf6 = f"ipv6/conf/{CONTAINER_INTERFACE}"
        with netlink.inside(namespace):
            # Routers are told to it, never believed.
            values = {"accept_ra": "0", "disable_ipv6": "0" if own6 else "1"}
            write_sysctls({f"{conf6}/{name}": value for name, value in values.items()})
            rtnetlink.apply(here, f"wire {address} inside")

    def unwire(self, address: IPv4Address) -> None:
        """No packet goes to or comes from an instance any more; one that is gone is fine.

        Its veth goes with its namespace, which ends with its last process. To delete it here
        takes 30 ms: the kernel holds the caller up until every processor has let go of it
        (rcu_barrier). What lives longer, `sweep` finds.
        """
        number = self._plan.number(address)
        index = FIRST_INDEX + number
        there = [rtnetlink.without(rtnetlink.route_to(address, index)), rtnetlink.down(index)]
        if self.plan6 is not None:
            there.append(rtnetlink.without(rtnetlink.route_to(self.plan6.address(number), index)))
        with netlink.inside(self.path):
            rtnetlink.apply(there, f"unwire {address}", fine=GONE)

    def sweep(self, held: Iterable[IPv4Address]) -> None:
        """Delete the veths of instances that are not at one of the addresses `held`."""
        kept = {self._plan.interface_of(address) for address in held}
        with netlink.inside(self.path):
            # By the C library: the same dump takes pyroute2 0.5 ms for each instance.
            found = {name for index, name in socket.if_nameindex() if index >= FIRST_INDEX}
            for name in found - kept:
                self._remove(name)

    @staticmethod
    def _remove(name: str) -> None:
        rtnetlink.apply(
            [rtnetlink.delete(name)], f"delete the interface {name}", fine=[errno.ENODEV]
        )

    def _ensure_namespace(self) -> None:
        if self.exists():
            return
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path.touch(mode=0o600)
        netlink.make_namespace(self.path)

    def _ensure_link(self) -> None:
        """Make the veth between host and router, if it is not there or leads elsewhere.

        Its MTU is the uplink's, also of one that was there: a VPN comes and goes.
        """
        with netlink.inside(self.path), Netlink() as net:
            inner = net.link(HOST_LINK)
        namespace = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with Netlink() as net:
                outer, mtu = net.link(self._host_link), mtu_of(net)
                if mtu != self.mtu:
                    write_atomic(self._mtu_file, f"{mtu}\n")
                if outer and inner and outer.peer == inner.index and inner.peer == outer.index:
                    self._set_mtu(net, outer, inner, mtu)
                    return
                # One of a router that is gone (its namespace was unmounted by hand).
                if outer:
                    net.delete_link(outer.index)
                net.add_veth(self._host_link, HOST_LINK, namespace=namespace, mtu=mtu)
        finally:
            os.close(namespace)

    def _set_mtu(self, net: Netlink, outer: Link, inner: Link, mtu: int) -> None:
        if outer.mtu != mtu:
            net.set_link(outer.index, mtu=mtu)
        if inner.mtu != mtu:
            with netlink.inside(self.path), Netlink() as there:
                there.set_link(inner.index, mtu=mtu)

    def _configure(self, net: Netlink) -> None:
        link = _must(net.link(HOST_LINK))
        net.add_address(LOOPBACK, IPv4Interface(f"{self._plan.resolver}/32"))
        net.set_link(LOOPBACK)
        net.add_address(link.index, self._plan.router_interface)
        net.set_link(link.index)
        net.set_route(Route(ANYWHERE, link=link.index, gateway=self._plan.host))
        # What leads nowhere else is refused on its way there, by the chain `forward`.
        net.set_route(Route(self._plan.prefix, link=LOOPBACK, metric=UNREACHABLE_METRIC))

    def _configure6(self, net: Netlink, plan6: Plan6) -> None:
        link = _must(net.link(HOST_LINK))
        messages = [
            # Neighbours are asked from an address of the link, which must not wait for itself.
            rtnetlink.address(link.index, IPv6Interface(f"{ROUTER6}/{LINK_PREFIX}")),
            rtnetlink.address(link.index, plan6.router),
            rtnetlink.default_route(plan6.host.ip, link.index),
            rtnetlink.unreachable(plan6.prefix, UNREACHABLE_METRIC),
        ]
        rtnetlink.apply(messages, "set up IPv6 of the router")


def uplink_of(net: Netlink) -> Link | None:
    """The interface of the host's default route, of the one with the lowest metric."""
    defaults = sorted(
        (route.metric, route.link)
        for route in net.routes()
        if route.is_default and route.link is not None
    )
    if not defaults:
        return None
    return next((link for link in net.links() if link.index == defaults[0][1]), None)


def mtu_of(net: Netlink) -> int:
    """Bytes that a packet of an instance may have to leave by the uplink in one piece."""
    uplink = uplink_of(net)
    return min(uplink.mtu, MOST_MTU) if uplink else MOST_MTU


def write_sysctls(values: dict[str, str]) -> None:
    """Set sysctls of the network namespace this thread is in, where they differ.

    Those of a protocol the kernel does not have (IPv6 off) are left out.
    """
    for name, value in values.items():
        path = Path("/proc/sys/net") / name
        with suppress(FileNotFoundError):
            if path.read_text().strip() != value:
                path.write_text(value)


def _must(link: Link | None) -> Link:
    if link is None:
        raise OSError(errno.ENODEV, "An interface that was just made is gone")
    return link
