"""The host's firewall opened for what instances send: kept open, and shut again."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from paas.deploy.egress_care import BLOCKED, OPEN, OPENED, EgressCare
from paas.engine.network.network import Network
from paas.model.layout import Layout
from paas.model.report import Silent
from paas.model.settings import ALLOW_FIREWALL
from paas.model.webhook import TROUBLE
from paas.store.store import Store
from tests.engine.network.conftest import make_network
from tests.engine.network.firewalls import (
    DOCKER,
    FIREWALLD,
    PLAIN,
    UFW,
    iptables,
    iptables_restore,
)
from tests.engine.network.world import (
    DROPPED_SECONDS,
    INTERNET,
    SECONDS,
    Instance,
    World,
    connect,
    nft,
)


@pytest.fixture
def care(world: World, tmp_path: Path) -> Iterator[EgressCare]:
    (tmp_path / "store").mkdir()
    store = Store(Layout.at(tmp_path / "store"), lambda: 0.0)
    yield EgressCare(store, world.network.host_firewall)
    store.close()


class Said(Silent):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def step(self, text: str) -> None:
        self.lines.append(text)

    def detail(self, text: str) -> None:
        self.lines.append(text)

    def warn(self, text: str) -> None:
        self.lines.append(f"! {text}")


def allow(care: EgressCare, word: str = "on") -> None:
    care.store.settings.set(None, ALLOW_FIREWALL.name, word)


def events(care: EgressCare) -> list[str]:
    return [event.what for event in care.store.events.tail(100)]


def rules() -> str:
    """All of the host, but for counters."""
    done = subprocess.run(["nft", "-s", "list", "ruleset"], check=True, capture_output=True)
    return done.stdout.decode()


def passes(container: Instance, seconds: float = SECONDS) -> bool:
    try:
        with connect(container.namespace, INTERNET, 80, seconds=seconds):
            return True
    except OSError:
        return False


def docker(_: World) -> None:
    iptables_restore(DOCKER)


def plain(world: World) -> None:
    nft(world.host, PLAIN)


def policy(_: World) -> None:
    iptables("-P", "FORWARD", "DROP")


def old_iptables(_: World) -> None:
    iptables("-P", "FORWARD", "DROP", program="iptables-legacy")


FLEETING = pytest.mark.parametrize("shut", [docker, plain, policy, old_iptables])


@FLEETING
def test_where_it_is_not_allowed_nothing_is_changed_and_it_is_told_once(
    world: World, care: EgressCare, shut: Callable[[World], None]
) -> None:
    care.look()
    assert events(care) == []
    shut(world)
    before = rules()
    care.look()
    care.look()
    assert rules() == before
    assert events(care) == [BLOCKED]
    [told] = care.store.events.tail(1)
    assert "drops what instances send: paas up --allow-firewall" in told.detail
    assert BLOCKED in TROUBLE


@FLEETING
def test_where_it_is_allowed_the_way_is_opened_and_again_when_the_rules_are_gone(
    world: World, care: EgressCare, shut: Callable[[World], None]
) -> None:
    world.serve(world.outside, "internet", 80)
    web = world.instance("web")
    shut(world)
    assert not passes(web, DROPPED_SECONDS)
    allow(care)
    care.look()
    assert passes(web)
    assert events(care) == [OPENED]
    opened = rules()
    care.look()
    assert rules() == opened
    world.network.host_firewall.withdraw()
    assert not passes(web, DROPPED_SECONDS)
    care.look()
    assert passes(web)
    assert events(care) == [OPENED, OPENED]


@FLEETING
def test_switched_off_the_rules_are_as_they_were(
    world: World, care: EgressCare, shut: Callable[[World], None]
) -> None:
    shut(world)
    before = rules(), iptables("-S", program="iptables-legacy")
    allow(care)
    care.look()
    assert (rules(), iptables("-S", program="iptables-legacy")) != before
    allow(care, "off")
    care.forbid(Silent())
    assert (rules(), iptables("-S", program="iptables-legacy")) == before


def test_that_it_is_open_again_is_told_too_and_once(world: World, care: EgressCare) -> None:
    policy(world)
    care.look()
    iptables("-P", "FORWARD", "ACCEPT")
    care.look()
    care.look()
    assert events(care) == [BLOCKED, OPEN]
    docker(world)
    care.look()
    assert events(care) == [BLOCKED, OPEN, BLOCKED]


def test_rules_of_ours_that_another_rule_was_put_before_do_not_pile_up(
    world: World, care: EgressCare
) -> None:
    policy(world)
    allow(care)
    care.look()
    iptables("-I", "FORWARD", "-j", "DROP")
    for _ in range(3):
        care.look()
    said = iptables("-S", "FORWARD").splitlines()
    assert len([line for line in said if world.network.host_firewall.tag in line]) == 2
    assert events(care) == [OPENED, OPENED]


def ufw(_: World) -> None:
    iptables_restore(UFW)


def firewalld(world: World) -> None:
    nft(world.host, FIREWALLD)


@pytest.mark.parametrize("shut", [ufw, firewalld])
def test_a_firewall_that_keeps_its_rules_is_told_by_a_person_alone(
    world: World, care: EgressCare, shut: Callable[[World], None]
) -> None:
    """Its command loads all of its rules anew: not every few seconds."""
    shut(world)
    before = rules()
    allow(care)
    care.look()
    assert rules() == before
    assert events(care) == [BLOCKED]


def test_what_ufw_keeps_is_said_when_it_is_switched_off(world: World, care: EgressCare) -> None:
    ufw(world)
    link = world.network.interface
    iptables("-A", "ufw-user-forward", "-i", link, "-j", "ACCEPT")
    said = Said()
    care.forbid(said)
    [line] = said.lines
    assert line.endswith(f"ufw route delete allow in on {link}")


def test_up_says_what_it_does_to_the_firewall(world: World, care: EgressCare) -> None:
    docker(world)
    said = Said()
    care.allow(said)
    tag, link = world.network.host_firewall.tag, world.network.interface
    assert said.lines[0].startswith("The chain FORWARD of the firewall table ip filter drops")
    assert said.lines[1] == (
        f"iptables-nft -t filter -I DOCKER-USER -i {link} -m comment --comment {tag} -j ACCEPT"
    )
    assert tag in iptables("-S", "DOCKER-USER")
    silent = Said()
    care.allow(silent)
    assert silent.lines == []


def test_two_on_a_machine_leave_each_other_s_rules_alone(world: World, tmp_path: Path) -> None:
    docker(world)
    with ExitStack() as cleanup:
        other = make_network(tmp_path / "other", cleanup)
        other.ensure()
        both = (world.network, other)
        for network in both:
            opened = network.host_firewall.open(lasting=False)
            assert opened.opened
            assert not opened.left
        settled = iptables("-S")
        for network in both:
            assert not network.host_firewall.open(lasting=False).opened
        assert iptables("-S") == settled
        other.host_firewall.withdraw()
        assert findings(world.network) == []
        assert len(findings(other)) == 1
        assert other.host_firewall.open(lasting=False).opened
        assert findings(world.network) == []


def findings(network: Network) -> list[str]:
    return [one.problem for one in network.host_firewall.findings()]


def test_what_is_taken_down_leaves_no_rule_behind(world: World, tmp_path: Path) -> None:
    docker(world)
    before = iptables("-S")
    with ExitStack() as cleanup:
        other = make_network(tmp_path / "other", cleanup)
        other.ensure()
        other.host_firewall.open(lasting=False)
        assert iptables("-S") != before
        other.teardown()
        assert iptables("-S") == before


def test_many_addresses_that_are_kept_out_cost_nothing(world: World) -> None:
    """What is in sets by name is not read: some hosts have tens of thousands in one."""
    plain(world)
    nft(world.host, "add set inet filter banned { type ipv4_addr; }")
    nft(world.host, "add element inet filter banned { 203.0.113.1 }")
    nft(world.host, "insert rule inet filter forward ip saddr @banned drop")
    opened = world.network.host_firewall.open(lasting=False)
    assert opened.opened
    assert "203.0.113.1" in rules()
