"""Rules of iptables, read from what iptables-save writes."""

from __future__ import annotations

import pytest

from paas.engine.network import iptables
from paas.engine.network.hostrules import drops
from paas.engine.network.ruleset import Packet, index

BROWSER = Packet("eth0", "", None, None, "new", {"dport": 80})
HEAD = "*filter\n:INPUT DROP [0:0]\n:OTHER - [0:0]\n"


def blocked(*rules: str) -> bool:
    chains, known = index(iptables.ruleset(HEAD + "\n".join(rules) + "\nCOMMIT\n"))
    place = ("ip", "filter", "INPUT")
    return drops(place, chains[place], known, BROWSER)


@pytest.mark.parametrize(
    "rules",
    [
        [],
        ["-A INPUT -i lo -j ACCEPT"],
        ["-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"],
        ["-A INPUT -p tcp -m state --state NEW -m tcp --dport 22 -j ACCEPT"],
        ["-A INPUT -p tcp -m multiport --dports 22,8000:8100 -j ACCEPT"],
        ["-A INPUT -p udp -m udp --dport 80 -j ACCEPT"],
        ["-A INPUT -s 203.0.113.7/32 -j ACCEPT"],
        ["-A INPUT -j REJECT --reject-with icmp-host-prohibited", "-A INPUT -j ACCEPT"],
        ["-A INPUT -g OTHER", "-A INPUT -j ACCEPT"],
        ["-A INPUT ! -i lo -p tcp -j DROP", "-A INPUT -j ACCEPT"],
        ['-A INPUT -m comment --comment "-j ACCEPT" -j LOG --log-prefix "[BLOCK] "'],
    ],
)
def test_nobody_outside_gets_in(rules: list[str]) -> None:
    assert blocked(*rules)


@pytest.mark.parametrize(
    "rules",
    [
        ["-A INPUT -p tcp -m tcp --dport 80 -j ACCEPT"],
        ["-A INPUT -p tcp -m multiport --dports 80,443 -m comment --comment 'web it is' -j ACCEPT"],
        ["-A INPUT -p tcp -m state --state NEW -m tcp --dport 80 -j ACCEPT", "-A INPUT -j REJECT"],
        ["-A INPUT -i eth+ -m conntrack --ctstate NEW,ESTABLISHED -j ACCEPT"],
        ["-A INPUT -s 203.0.113.0/24 -p tcp -m tcp --dport 1:1024 -j ACCEPT"],
        ["-A INPUT -p tcp -m set --match-set web dst,dst -j ACCEPT"],
        ["-A INPUT -m mark ! --mark 0x1 -j ACCEPT"],
        ["-A INPUT -j NFQUEUE --queue-num 0"],
        ["-A INPUT -j OTHER", "-A OTHER -m addrtype --dst-type LOCAL -j RETURN", "-A OTHER -j DROP",
         "-A INPUT -j ACCEPT"],
        ["-A INPUT -s 10.0.0.0/255.0.255.0 -j DROP", "-A INPUT -j ACCEPT"],
    ],
)  # fmt: skip
def test_somebody_outside_may_get_in(rules: list[str]) -> None:
    assert not blocked(*rules)


def test_our_rules_are_told_by_the_whole_of_their_comment() -> None:
    saved = """*filter
:FORWARD DROP [0:0]
-A FORWARD -i paas0 -m comment --comment paas_paas -j ACCEPT
-A FORWARD -i paas1 -m comment --comment paas_paas2 -j ACCEPT
-A FORWARD -i eth0 -m comment --comment "not paas_paas" -j ACCEPT
COMMIT
"""
    [words] = iptables.tagged(saved, "paas_paas")
    assert words[:6] == ["-t", "filter", "-D", "FORWARD", "-i", "paas0"]
