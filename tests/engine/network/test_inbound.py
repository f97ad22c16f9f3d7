"""Whether the host's firewall lets browsers come to the proxy, judged as the kernel does."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from tests.engine.network.firewalls import (
    DOCKER,
    FIREWALLD,
    PLAIN,
    UFW,
    iptables,
    iptables_restore,
)
from tests.engine.network.world import DROPPED_SECONDS, HOST, SECONDS, World, ask, connect, nft

HTTP, HTTPS = 80, 443


def remedies(world: World, *ports: int) -> list[str]:
    return [one.remedy for one in world.network.host_firewall.shut(list(ports))]


def ufw(world: World) -> None:
    iptables_restore(UFW)


def firewalld(world: World) -> None:
    nft(world.host, FIREWALLD)


def plain(world: World) -> None:
    nft(world.host, PLAIN)


def rejecting(world: World) -> None:
    """As on images of some clouds."""
    iptables("-A", "INPUT", "-m", "state", "--state", "RELATED,ESTABLISHED", "-j", "ACCEPT")
    iptables("-A", "INPUT", "-p", "tcp", "-m", "state", "--state", "NEW", "--dport", "22",
             "-j", "ACCEPT")  # fmt: skip
    iptables("-A", "INPUT", "-j", "REJECT", "--reject-with", "icmp-host-prohibited")


def shut(world: World) -> bool:
    return not passes(world, DROPPED_SECONDS)


def passes(world: World, seconds: float = SECONDS) -> bool:
    try:
        connect(world.outside, HOST, HTTP, seconds=seconds).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    ("rules", "chain", "remedy"),
    [
        (ufw, "INPUT of the firewall table ip filter", "ufw allow 80,443/tcp"),
        (
            firewalld,
            "filter_INPUT of the firewall table inet firewalld",
            "firewall-cmd --permanent --zone=public --add-service=http --add-service=https"
            " && firewall-cmd --reload",
        ),
        (
            plain,
            "input of the firewall table inet filter",
            "nft insert rule inet filter input tcp dport '{ 80,443 }' accept; to keep it, write"
            " the same into /etc/nftables.conf",
        ),
        (
            rejecting,
            "INPUT of the firewall table ip filter",
            "iptables-nft -I INPUT -p tcp -m multiport --dports 80,443 -j ACCEPT; to keep it:"
            " apt-get install iptables-persistent && netfilter-persistent save",
        ),
    ],
    ids=["ufw", "firewalld", "plain", "rejecting"],
)
def test_what_keeps_everybody_out_is_named_with_a_remedy_that_stays(
    world: World, rules: Callable[[World], None], chain: str, remedy: str
) -> None:
    world.serve(world.host, "proxy", HTTP)
    assert ask(world.outside, HOST, HTTP).startswith("proxy")
    assert remedies(world, HTTP, HTTPS) == []
    rules(world)
    assert shut(world)
    [found] = world.network.host_firewall.shut([HTTP, HTTPS])
    assert found.problem == f"The chain {chain} keeps everybody outside from port 80 and 443"
    assert found.remedy == remedy


def test_a_port_that_is_let_in_is_not_named(world: World) -> None:
    world.serve(world.host, "proxy", HTTP)
    iptables_restore(UFW)
    iptables("-A", "ufw-user-input", "-p", "tcp", "--dport", "80", "-j", "ACCEPT")
    assert passes(world)
    assert remedies(world, HTTP) == []
    assert remedies(world, HTTP, HTTPS) == ["ufw allow 443/tcp"]
    assert remedies(world, 8080) == ["ufw allow 8080/tcp"]


def test_the_remedy_of_a_plain_table_opens_the_ports(world: World) -> None:
    world.serve(world.host, "proxy", HTTP)
    nft(world.host, PLAIN)
    [remedy] = remedies(world, HTTP, HTTPS)
    nft(world.host, remedy.partition(";")[0].removeprefix("nft ").replace("'", ""))
    assert passes(world)
    assert remedies(world, HTTP, HTTPS) == []


@pytest.mark.parametrize(
    "words",
    [
        ["-p", "tcp", "-m", "multiport", "--dports", "80,443", "-j", "ACCEPT"],
        # Those in front of a load balancer, whoever they are.
        ["-s", "203.0.113.0/24", "-p", "tcp", "--dport", "80:443", "-j", "ACCEPT"],
        ["-p", "tcp", "-m", "hashlimit", "--hashlimit-upto", "10/s", "--hashlimit-name", "web",
         "-j", "ACCEPT"],
    ],
)  # fmt: skip
def test_who_lets_somebody_in_raises_no_alarm(world: World, words: list[str]) -> None:
    iptables_restore(UFW)
    iptables("-A", "ufw-user-input", *words)
    assert remedies(world, HTTP, HTTPS) == []


def test_an_input_that_docker_leaves_open_is_open(world: World) -> None:
    iptables_restore(DOCKER)
    assert remedies(world, HTTP, HTTPS) == []


def test_the_default_zone_of_firewalld_needs_no_name(world: World) -> None:
    nft(world.host, FIREWALLD.replace('iifname "up0" goto filter_IN_public', ""))
    [remedy] = remedies(world, HTTP)
    assert remedy == "firewall-cmd --permanent --add-service=http && firewall-cmd --reload"


def test_a_chain_that_iptables_does_not_show_counts_too(world: World) -> None:
    iptables("-P", "INPUT", "ACCEPT")
    drop = "type filter hook input priority -5; policy drop;"
    nft(world.host, f"add chain ip filter early {{ {drop} }}")
    [remedy] = remedies(world, HTTP)
    assert remedy.startswith("nft insert rule ip filter early tcp dport '{ 80 }' accept")


def test_rules_of_the_old_iptables_are_seen_too(world: World) -> None:
    iptables("-P", "INPUT", "DROP", program="iptables-legacy")
    [remedy] = remedies(world, HTTP)
    assert remedy.startswith("iptables-legacy -I INPUT -p tcp")


def test_a_host_without_a_way_out_is_not_judged(world: World) -> None:
    iptables_restore(UFW)
    assert remedies(world, HTTP)
    subprocess.run(["ip", "route", "del", "default"], check=True)
    assert remedies(world, HTTP) == []
