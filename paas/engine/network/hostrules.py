"""The rules that other software made on this host, read in all ways there are.

Those of iptables are in two places: most are nftables' (iptables-nft), which then says of them
less than iptables does, and some still in a part of the kernel of their own (iptables-legacy).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paas.engine.network import iptables
from paas.engine.network.ruleset import FAMILIES, Chain, Packet, Rules, Ruleset, index, outcomes
from paas.host.firewall import Firewall
from paas.host.processes import ProgramMissing, run

NFT, IPTABLES, IPTABLES_LEGACY = "nft", "iptables-nft", "iptables-legacy"
LEGACY_TABLES = Path("/proc/net/ip_tables_names")


@dataclass(frozen=True)
class Dropping:
    """A chain that drops a packet: what changes it, and what all is in its table."""

    chain: Chain
    program: str
    names: frozenset[str]
    """The chains of the table."""
    ruleset: Ruleset

    @property
    def by_ufw(self) -> bool:
        """Whether the table is ufw's."""
        return any(name.startswith("ufw-") for name in self.names)

    @property
    def where(self) -> str:
        """The chain in words."""
        family, table, name = self.chain
        if self.program == IPTABLES_LEGACY:
            return f"The chain {name} of {IPTABLES_LEGACY}"
        return f"The chain {name} of the firewall table {family} {table}"


class HostRules:
    """The tables that have chains of `hook`, all but `own`, at one moment."""

    def __init__(self, firewall: Firewall, hook: str, own: str) -> None:
        self._hook = hook
        self._all: list[tuple[str, Ruleset]] = []
        others: set[tuple[str, str]] = set()
        for (family, table), names in _hooking(firewall, hook).items():
            if family == "ip" and table in iptables.TABLES and names == {hook.upper()}:
                said = iptables.ruleset(saved(IPTABLES, table))
                if said:
                    self._all.append((IPTABLES, said))
                    continue
            if table != own:
                others.add((family, table))
        # On most machines there is nothing more to read.
        if others:
            self._all.append((NFT, _of(firewall.read(terse=True), others)))
        if "filter" in legacy_tables():
            self._all.append((IPTABLES_LEGACY, iptables.ruleset(saved(IPTABLES_LEGACY))))

    @property
    def is_empty(self) -> bool:
        """Whether nothing is there that could drop a packet."""
        return not self._all

    def dropping(self, packet: Packet) -> Iterator[Dropping]:
        """The chains that drop a packet for certain."""
        for program, ruleset in self._all:
            chains, rules = index(ruleset)
            for place, chain in chains.items():
                family, table, _ = place
                if chain.get("hook") == self._hook and drops(place, chain, rules, packet):
                    names = frozenset(name for *there, name in chains if there == [family, table])
                    yield Dropping(place, program, names, ruleset)


def _hooking(firewall: Firewall, hook: str) -> dict[tuple[str, str], set[str]]:
    """Each table with chains of a hook, and their names."""
    found: dict[tuple[str, str], set[str]] = {}
    for item in firewall.read("list chains"):
        chain = item.get("chain", {})
        if chain.get("hook") == hook and chain["family"] in FAMILIES:
            found.setdefault((chain["family"], chain["table"]), set()).add(chain["name"])
    return found


def _of(ruleset: Ruleset, tables: Collection[tuple[str, str]]) -> Ruleset:
    places = [(item.get("chain") or item.get("rule") or {}, item) for item in ruleset]
    return [item for place, item in places if (place.get("family"), place.get("table")) in tables]


def drops(place: Chain, chain: Mapping[str, Any], rules: Rules, packet: Packet) -> bool:
    """Whether nothing else than its end may become of a packet in a chain with a hook."""
    found = outcomes(rules, place, packet)
    return {chain.get("policy", "accept") if each == "continue" else each for each in found} == {
        "drop"
    }


def saved(program: str, table: str = "") -> str:
    """The rules that an iptables has, of one table or of all; none where it is not installed.

    It leaves out tables that it does not understand, since `nft` has changed them.
    """
    one = ["-t", table] if table else []
    try:
        return run([f"{program}-save", *one], check=False).text
    except ProgramMissing:
        return ""


def legacy_tables() -> list[str]:
    """The tables of iptables-legacy. Asking it would make them."""
    try:
        return LEGACY_TABLES.read_text().split()
    except FileNotFoundError:
        return []
