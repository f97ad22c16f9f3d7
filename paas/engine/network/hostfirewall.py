"""The host's own firewall: what of it is in the way, and the rules of ours in it.

Ours have a comment that says whose they are, so that another PaaS leaves them alone and
nothing has to be remembered to take them back.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address

from paas.engine.network import iptables
from paas.engine.network.findings import Finding, blocking_chains, egress
from paas.engine.network.hostrules import (
    IPTABLES,
    IPTABLES_LEGACY,
    HostRules,
    legacy_tables,
    saved,
)
from paas.engine.network.inbound import shut_ports
from paas.engine.network.policy import host_table_name
from paas.engine.network.router import uplink_of
from paas.host.firewall import Firewall
from paas.host.netlink import Netlink
from paas.host.processes import run


@dataclass(frozen=True)
class Opened:
    """What was in the way and is not any more, and what is still."""

    opened: tuple[Finding, ...]
    left: tuple[Finding, ...]


class HostFirewall:
    """To be used in the host's namespace. `instance` is the id of the PaaS."""

    def __init__(self, instance: str, interface: str, address: IPv4Address) -> None:
        """`interface` leads to instances, one of which could have `address`."""
        self.tag = host_table_name(instance)
        """The comment of our rules."""
        self._interface = interface
        self._address = address
        self._firewall = Firewall()

    def findings(self) -> list[Finding]:
        """What keeps instances from the internet."""
        rules = HostRules(self._firewall, "forward", self.tag)
        uplink = "" if rules.is_empty else uplink_name()
        if not uplink:
            return []
        packets = egress(self._interface, uplink, self._address)
        return blocking_chains(rules, packets, self.tag)

    def shut(self, ports: list[int]) -> list[Finding]:
        """What keeps everybody outside from some of the TCP `ports`, as far as can be told."""
        rules = HostRules(self._firewall, "input", self.tag)
        uplink = "" if rules.is_empty else uplink_name()
        return shut_ports(rules, uplink, ports) if uplink else []

    def open(self, *, lasting: bool) -> Opened:
        """Have what instances send pass. With `lasting` also where the firewall keeps such a
        rule itself, by the commands of it that load all of its rules anew.

        Raises `ProcessFailed` and `ProgramMissing`.
        """
        before = self.findings()
        if not any(_is_ours(each, lasting=lasting) for each in before):
            return Opened((), tuple(before))
        # One of ours may be there, behind what others have put before it since.
        self.withdraw()
        for finding in self.findings():
            if finding.opening and _is_ours(finding, lasting=lasting):
                for argv in finding.opening.commands:
                    run(argv)
        left = self.findings()
        still = {each.problem for each in left}
        return Opened(tuple(each for each in before if each.problem not in still), tuple(left))

    def withdraw(self) -> None:
        """Take back what `open` inserted, but for what a firewall keeps itself."""
        for item in self._firewall.read(terse=True):
            rule = item.get("rule", {})
            if rule.get("comment") == self.tag:
                place = f"{rule['family']} {rule['table']} {rule['chain']}"
                self._firewall.apply(f"delete rule {place} handle {rule['handle']}\n")
        programs = [IPTABLES] if self._has_iptables() else []
        programs += [IPTABLES_LEGACY] if "filter" in legacy_tables() else []
        for program in programs:
            for words in iptables.tagged(saved(program), self.tag):
                run([program, *words])

    def kept(self) -> list[str]:
        """What to type so that a firewall does not keep a rule for instances any more."""
        found = set()
        for item in self._firewall.read(terse=True):
            rule = item.get("rule", {"expr": ()})
            if self._interface not in [one.get("match", {}).get("right") for one in rule["expr"]]:
                continue
            if rule["table"] == "firewalld":
                found.add(
                    f"firewall-cmd --permanent --zone=trusted --remove-interface={self._interface}"
                    " && firewall-cmd --reload"
                )
            elif rule["chain"].startswith("ufw-"):
                found.add(f"ufw route delete allow in on {self._interface}")
        return sorted(found)

    def _has_iptables(self) -> bool:
        tables = (item.get("table", {}) for item in self._firewall.read("list tables"))
        return any(table.get("family") == "ip" for table in tables)


def uplink_name() -> str:
    """The interface of the default route; empty without one."""
    with Netlink() as net:
        uplink = uplink_of(net)
    return uplink.name if uplink else ""


def _is_ours(finding: Finding, *, lasting: bool) -> bool:
    return finding.opening is not None and (lasting or not finding.opening.lasts)
