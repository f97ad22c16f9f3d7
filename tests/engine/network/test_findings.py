"""Rules of other software: what they cannot break, and what doctor says about the rest."""

from __future__ import annotations

import pytest

from tests.engine.network.world import (
    DROPPED_SECONDS,
    INTERNET,
    World,
    ask,
    connect,
    nft,
)

DOCKER = """
table ip filter {
  chain INPUT { type filter hook input priority filter; policy drop;
    ct state established,related accept
  }
  chain FORWARD { type filter hook forward priority filter; policy drop;
    jump DOCKER-USER
    oifname "docker0" ct state related,established accept
    iifname "docker0" accept
  }
  chain DOCKER-USER { return; }
}
"""
UFW = """
table ip filter {
  chain FORWARD { type filter hook forward priority filter; policy drop; jump ufw-before-forward; }
  chain ufw-before-forward { ct state established,related accept; }
}
"""
FIREWALLD = """
table inet firewalld {
  chain filter_FORWARD { type filter hook forward priority filter + 10; policy accept;
    ct state { established, related } accept
    iifname "lo" accept
    reject with icmpx type admin-prohibited
  }
}
"""


def problems(world: World) -> list[str]:
    """Without the resolver, which does not run here."""
    return [f.problem for f in world.network.findings() if "resolver" not in f.problem]


@pytest.mark.parametrize("rules", [DOCKER, UFW, FIREWALLD], ids=["docker", "ufw", "firewalld"])
def test_foreign_drops_do_not_keep_the_proxy_from_instances(world: World, rules: str) -> None:
    world.instance("web")
    nft(world.host, rules)
    assert ask(world.host, world.address("web"), 5000).startswith("web")


@pytest.mark.parametrize(
    ("rules", "chain", "remedy"),
    [
        (DOCKER, "FORWARD", "paas up --allow-firewall"),
        (UFW, "FORWARD", "ufw route allow in on {link}"),
        (
            FIREWALLD,
            "filter_FORWARD",
            "firewall-cmd --permanent --zone=trusted --add-interface={link}",
        ),
    ],
    ids=["docker", "ufw", "firewalld"],
)
def test_doctor_names_what_blocks_egress(world: World, rules: str, chain: str, remedy: str) -> None:
    world.serve(world.outside, "internet", 80)
    instance = world.instance("web")
    assert problems(world) == []
    nft(world.host, rules)
    with pytest.raises((TimeoutError, OSError)):
        connect(instance.namespace, INTERNET, 80, seconds=DROPPED_SECONDS)
    first = next(f for f in world.network.findings() if "resolver" not in f.problem)
    assert f"chain {chain} " in first.problem
    assert first.remedy.startswith(remedy.format(link=world.network.interface))


def test_a_drop_in_our_own_table_is_no_foreign_one(world: World) -> None:
    chain = "f { type filter hook forward priority 0; policy drop; }"
    nft(world.host, f"add table ip {world.network.host_firewall.tag}")
    nft(world.host, f"add chain ip {world.network.host_firewall.tag} {chain}")
    assert problems(world) == []


def test_a_flush_is_a_finding_until_ensure(world: World) -> None:
    nft(world.host, "flush ruleset")
    assert [problem for problem in problems(world) if "is gone" in problem]
    world.network.ensure()
    assert problems(world) == []


def test_before_anything_is_set_up(bare_world: World) -> None:
    assert problems(bare_world) == ["The network of the instances is not set up"]
