"""What on this host keeps browsers from the proxy: for `paas doctor`, with the remedy.

One packet from anybody outside is followed through every input chain. Whom a firewall lets
in is its owner's decision: it is told here, and changed by nobody else.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from paas.engine.network.findings import Finding
from paas.engine.network.hostrules import IPTABLES, IPTABLES_LEGACY, Dropping, HostRules
from paas.engine.network.ruleset import Packet

SERVICES = {80: "--add-service=http", 443: "--add-service=https"}


def shut_ports(rules: HostRules, uplink: str, ports: Iterable[int]) -> list[Finding]:
    """The input chains that let nobody come to some of `ports`."""
    found: dict[str, tuple[Dropping, list[int]]] = {}
    for port in sorted(set(ports)):
        packet = Packet(uplink, "", None, None, "new", {"dport": port})
        for dropping in rules.dropping(packet):
            found.setdefault(dropping.where, (dropping, []))[1].append(port)
    return [_finding(dropping, uplink, ports) for dropping, ports in found.values()]


def _finding(dropping: Dropping, uplink: str, ports: Sequence[int]) -> Finding:
    shown = " and ".join(map(str, ports))
    problem = f"{dropping.where} keeps everybody outside from port {shown}"
    return Finding(problem, _remedy(dropping, uplink, ports))


def _remedy(dropping: Dropping, uplink: str, ports: Sequence[int]) -> str:
    family, table, name = dropping.chain
    listed = ",".join(map(str, ports))
    if table == "firewalld":
        added = " ".join(SERVICES.get(port, f"--add-port={port}/tcp") for port in ports)
        zone = _zone(dropping, uplink)
        return f"firewall-cmd --permanent {zone}{added} && firewall-cmd --reload"
    if dropping.by_ufw:
        return f"ufw allow {listed}/tcp"
    if dropping.program in {IPTABLES, IPTABLES_LEGACY}:
        rule = f"-p tcp -m multiport --dports {listed} -j ACCEPT"
        return (
            f"{dropping.program} -I {name} {rule}; to keep it: "
            "apt-get install iptables-persistent && netfilter-persistent save"
        )
    rule = f"tcp dport '{{ {listed} }}' accept"
    return (
        f"nft insert rule {family} {table} {name} {rule}; "
        "to keep it, write the same into /etc/nftables.conf"
    )


def _zone(dropping: Dropping, uplink: str) -> str:
    """The zone of the interface, where firewalld was told one: otherwise it is the default."""
    prefix = "filter_IN_"
    for item in dropping.ruleset:
        rule = item.get("rule", {})
        if rule.get("table") != "firewalld" or not rule["chain"].startswith("filter_INPUT"):
            continue
        told = [one.get("match", {}).get("right") for one in rule["expr"]]
        [target] = [one["goto"]["target"] for one in rule["expr"] if "goto" in one] or [""]
        if uplink in told and target.startswith(prefix):
            return f"--zone={target.removeprefix(prefix)} "
    return ""
