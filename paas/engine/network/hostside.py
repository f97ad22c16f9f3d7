"""The host's side of the network: the link, routes, per-interface sysctls, one nft table.

Everything here can be taken away by other software at any time (`nft flush ruleset`, a
restarted network manager), and is put back by the next `ensure`.
"""

from __future__ import annotations

import errno
from ipaddress import IPv4Network, IPv6Interface
from pathlib import Path

from paas.engine.network.addresses import Plan
from paas.engine.network.findings import Finding
from paas.engine.network.ipv6 import GATEWAY6, LINK_PREFIX, Plan6
from paas.engine.network.policy import Surroundings, host_table, host_table_name
from paas.engine.network.policy6 import host_table6
from paas.engine.network.router import UNREACHABLE_METRIC, uplink_of, write_sysctls
from paas.errors import PaasError
from paas.host import rtnetlink
from paas.host.firewall import Firewall
from paas.host.netlink import Netlink, Route

_NO_ROUTE = (errno.ESRCH, errno.EOPNOTSUPP, errno.EAFNOSUPPORT)
"""There was none, or the kernel knows no IPv6."""


class PrefixTaken(PaasError):
    """Something else on this host routes the network that the instances live in."""

    def __init__(self, prefix: IPv4Network, other: IPv4Network) -> None:
        super().__init__(
            f"The network {prefix} of the instances is now also routed as {other} by this host",
            resolution=f"Remove the other route; `ip route show to match {prefix[1]}` shows it.",
        )


class HostSide:
    """Joins the router to the host. To be used in the host's namespace."""

    def __init__(self, instance: str, plan: Plan, interface: str) -> None:
        self._instance = instance
        self._plan = plan
        self.interface = interface
        self._firewall = Firewall()

    def ensure(self, net: Netlink, around: Surroundings) -> None:
        """Address, routes, forwarding and the table. Raises `PrefixTaken`."""
        link = net.link(self.interface)
        if link is None:
            raise OSError(f"{self.interface} was deleted while it was set up")
        self._check_prefix(net, link.index)
        net.add_address(link.index, self._plan.host_interface)
        net.set_link(link.index)
        # Covers the prefix while the link is down or gone: an address that is not there
        # errors at once, and never leaves by the default route.
        net.set_route(Route(self._plan.prefix, metric=UNREACHABLE_METRIC))
        net.set_route(
            Route(
                self._plan.prefix,
                link=link.index,
                gateway=self._plan.router,
                source=self._plan.host,
            )
        )
        self._forward(net)
        self._reach_loopback(around)
        self._firewall.apply(host_table(self._instance, self.interface, self._plan, around))

    def ensure6(self, net: Netlink, plan6: Plan6 | None, uplink: str) -> None:
        """The same of IPv6, or without a plan that there is none of it."""
        self._firewall.apply(host_table6(self._instance, self.interface, plan6))
        own = f"ipv6/conf/{self.interface}"
        if plan6 is None:
            write_sysctls({f"{own}/disable_ipv6": "1"})
            return
        link = net.link(self.interface)
        if link is None:
            raise OSError(f"{self.interface} was deleted while it was set up")
        # Where the host forwards already, by the one switch for all, there are none of these.
        keep_router_advertisements(uplink)
        write_sysctls(
            {
                f"{own}/disable_ipv6": "0",
                f"{own}/accept_ra": "0",
                f"{own}/force_forwarding": "1",
                f"ipv6/conf/{uplink}/force_forwarding": "1",
            }
        )
        messages = [
            rtnetlink.address(link.index, IPv6Interface(f"{GATEWAY6}/{LINK_PREFIX}")),
            rtnetlink.address(link.index, plan6.host),
            rtnetlink.unreachable(plan6.prefix, UNREACHABLE_METRIC),
            rtnetlink.route_by(plan6.prefix, plan6.router.ip, link.index),
        ]
        rtnetlink.apply(messages, "set up IPv6 of the host")

    def remove(self, net: Netlink, plan6: Plan6) -> None:
        """Take away what `ensure` made. The uplink goes on forwarding: others may rely on it."""
        link = net.link(self.interface)
        if link is not None:
            net.delete_link(link.index)
        net.delete_route(Route(self._plan.prefix, metric=UNREACHABLE_METRIC))
        gone = rtnetlink.without(rtnetlink.unreachable(plan6.prefix, UNREACHABLE_METRIC))
        try:
            rtnetlink.apply([gone], "remove the route of IPv6")
        except OSError as error:
            if error.errno not in _NO_ROUTE:
                raise
        name = host_table_name(self._instance)
        self._firewall.apply(f"add table ip {name}\ndelete table ip {name}\n")
        self._firewall.apply(host_table6(self._instance, self.interface, None))

    def findings(self, uplink: str) -> list[Finding]:
        """What of ours is not as `ensure` makes it."""
        if not uplink:
            return [Finding("The host has no default route", "Connect it to the internet.")]
        found = [
            Finding(f"The interface {name} does not forward", "paas up")
            for name in (self.interface, uplink)
            if read_sysctl(f"ipv4/conf/{name}/forwarding") != "1"
        ]
        own = host_table_name(self._instance)
        tables = self._firewall.read("list tables")
        if not any(item.get("table", {}).get("name") == own for item in tables):
            found.append(Finding(f"The firewall table ip {own} is gone from the host", "paas up"))
        return found

    def _check_prefix(self, net: Netlink, own: int) -> None:
        for route in net.routes():
            mine = route.link == own or (route.link is None and route.target == self._plan.prefix)
            if not route.is_default and not mine and route.target.overlaps(self._plan.prefix):
                raise PrefixTaken(self._plan.prefix, route.target)

    def _reach_loopback(self, around: Surroundings) -> None:
        """Let 127.0.0.1 lead to published ports: over our link, whose only neighbour is the
        router, which sends nothing there (CVE-2020-8558 was about others).
        """
        name = f"ipv4/conf/{self.interface}/route_localnet"
        write_sysctls({name: "1" if around.published else "0"})

    def _forward(self, net: Netlink) -> None:
        """Forward between our link and the uplink: never by the global switch.

        Writing net.ipv4.ip_forward would change every interface, and with it what the
        host accepts from routers on all of them.
        """
        write_sysctls(
            {
                f"ipv4/conf/{self.interface}/forwarding": "1",
            }
        )
        uplink = uplink_of(net)
        if uplink is None:
            return
        keep_router_advertisements(uplink.name)
        write_sysctls({f"ipv4/conf/{uplink.name}/forwarding": "1"})


def host_networks() -> list[IPv4Network]:
    """What the host is in or has a route to, but for the default one."""
    with Netlink() as net:
        routed = [route.target for route in net.routes() if not route.is_default]
        return [*routed, *(address.network for address in net.addresses())]


def networks_beside(prefix: IPv4Network) -> list[IPv4Network]:
    """What the host has a route to, but for the default one and ours, which leads nowhere."""
    with Netlink() as net:
        routes = [route for route in net.routes() if not route.is_default]
    return [one.target for one in routes if one.link is not None or one.target != prefix]


def keep_router_advertisements(interface: str) -> None:
    """Go on accepting IPv6 routers on an interface that is about to forward.

    With accept_ra=1 an interface that forwards IPv6 would drop its default route
    (Documentation/networking/ip-sysctl.rst), and the server would be lost over IPv6.
    """
    accept = read_sysctl(f"ipv6/conf/{interface}/accept_ra")
    if accept == "1":
        write_sysctls({f"ipv6/conf/{interface}/accept_ra": "2"})


def read_sysctl(name: str) -> str:
    """A sysctl of the network; empty when the kernel does not have it."""
    try:
        return (Path("/proc/sys/net") / name).read_text().strip()
    except FileNotFoundError:
        return ""
