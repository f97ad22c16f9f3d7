"""SIGKILL before every effect of what is done to the network: the next one ends the work."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from paas.engine.network.network import Network
from paas.engine.network.reservations import Reservations
from paas.engine.network.router import FIRST_INDEX, SYSCTLS, SYSCTLS6
from paas.host import netlink
from paas.host.files import remove_tree
from paas.host.firewall import Firewall
from paas.host.netlink import Netlink
from tests.engine.network.world import INTERNET, Instance, World, ask, connect_host6
from tests.killing import deaths, unseen

OF_INTERFACES = ("accept_ra", "disable_ipv6", "force_forwarding", "forwarding", "route_localnet")
"""Sysctls that are set for each."""

OF_MAC = re.compile(r"fe80000000000000.{6}fffe")
"""An address of a link's own: RFC 4291, appendix A."""

FLEETING = {"handle", "index"}
"""What differs in each answer of nftables."""


@pytest.fixture(autouse=True)
def reservations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reservations:
    """Of these tests alone: another PaaS of the machine would have the next one choose anew."""
    alone = Reservations(tmp_path / "reservations")
    monkeypatch.setattr("paas.engine.network.prefix.Reservations", lambda: alone)
    return alone


@pytest.fixture(params=["IPv4", "IPv6"])
def either(bare_world: World, request: pytest.FixtureRequest) -> World:
    """A host without and one with IPv6, on which no network was made yet."""
    if request.param == "IPv6":
        connect_host6(bare_world.host, bare_world.outside)
    return bare_world


class Place:
    """Where one stand-in container runs after another, each in a namespace of its own."""

    def __init__(self) -> None:
        self.instance = Instance()

    def next(self) -> None:
        self.instance.end()
        self.instance = Instance()


@pytest.fixture
def place() -> Iterator[Place]:
    place = Place()
    yield place
    place.instance.end()


def test_a_network_killed_before_any_effect_is_made_by_the_next_ensure(bare_world: World) -> None:
    world, network = bare_world, bare_world.network
    connect_host6(world.host, world.outside)

    before = uplink()
    network.ensure()
    whole = picture(world)
    network.teardown()
    steps = 0
    forget(world, before)
    for steps in deaths(network.ensure):
        network.ensure()
        assert differing(picture(world), whole) == [], steps
        network.teardown()
        forget(world, before)
    assert steps > 40
    network.ensure()
    works(world)


def test_an_end_of_the_network_killed_before_any_effect_is_its_end_the_next_time(
    world: World,
) -> None:
    network = world.network
    whole = picture(world)
    network.teardown()
    gone = picture(world)
    own = (network._layout.id, "<prefix>")
    assert [fact for fact in gone if fact[:4] == "host" and any(one in fact for one in own)] == []
    network.ensure()
    steps = 0
    for steps in deaths(network.teardown):
        network.teardown()
        assert differing(picture(world), gone) == [], steps
        network.ensure()
        assert differing(picture(world), whole) == [], steps
    assert steps > 4


def test_an_attachment_killed_before_any_effect_is_taken_away_or_made_again(
    world: World, place: Place
) -> None:
    network = world.network
    network.allow("app:1", "app:2")
    world.instance("other", None, owner="app:2")

    def attach() -> None:
        network.attach("web", place.instance.pid, owner="app:1")

    def life() -> None:
        attach()
        network.detach("web")

    without = picture(world)
    attach()
    attached = picture(world, place.instance)
    network.detach("web")
    steps = 0
    place.next()
    for steps in deaths(life):
        network.detach("web")
        assert differing(picture(world), without) == [], steps
        place.next()
    assert steps > 12
    place.next()
    for steps in deaths(attach):
        attach()
        assert differing(picture(world, place.instance), attached) == [], steps
        network.detach("web")
        place.next()


def test_no_effect_on_the_network_is_left_out(either: World, place: Place) -> None:
    network = either.network

    def life() -> None:
        network.ensure()
        network.allow("app:1", "app:1")
        network.attach("web", place.instance.pid, owner="app:1")
        network.detach("web")
        network.teardown()

    assert unseen(life) == set()


def works(world: World) -> None:
    """An instance that comes now reaches the internet, and the host reaches it."""
    world.serve(world.outside, "internet", 80)
    instance = world.instance("web")
    assert ask(instance.namespace, INTERNET, 80).startswith("internet")
    assert ask(world.host, world.address("web"), 5000).startswith("web")


def forget(world: World, before: dict[Path, str]) -> None:
    """Have there never been a network, for this process and for the uplink too."""
    network = world.network
    network._db.execute("DELETE FROM network")
    for name, attribute in vars(Network).items():
        if isinstance(attribute, cached_property):
            vars(network).pop(name, None)
    remove_tree(network._layout.run)
    for path, value in before.items():
        path.write_text(value)


def uplink() -> dict[Path, str]:
    """What the sysctls of the uplink are: `teardown` leaves them to others."""
    places = [Path(f"/proc/sys/net/{version}/conf/up0") for version in ("ipv4", "ipv6")]
    found = [place / name for place in places for name in OF_INTERFACES]
    return {path: path.read_text() for path in found if path.exists()}


# -- all that can be seen of a network ----------------------------------------------------------


def differing(one: set[str], other: set[str]) -> list[str]:
    return sorted(one ^ other)


def picture(world: World, instance: Instance | None = None) -> set[str]:
    """Links, addresses, routes, sysctls and tables of host, router and an instance, the
    files and who has which address. What differs each time is told by its name."""
    network, found = world.network, set(files_of(world))
    places = {"host": world.host, "router": network.directory.parent / "netns/router"}
    if instance is not None:
        places["instance"] = instance.namespace
    for name, place in places.items():
        if netlink.is_namespace(place):
            found |= {f"{name}: {fact}" for fact in facts(place)}
    words = {}
    if "plan" in vars(network):
        # It may be another one each time: others choose theirs meanwhile.
        words[f"10.{network.plan.prefix.network_address.packed[1]}."] = "<prefix>."
    if network.exists():
        found |= {f"lease of {lease.container}" for lease in network._leases.list()}
        address = network.address("web")
        if address is not None:
            words = {
                network.plan.interface_of(address): "<web>",
                f"{address}": "<address>",
                **words,
            }
    for old, new in words.items():
        found = {fact.replace(old, new) for fact in found}
    return found


def files_of(world: World) -> Iterator[str]:
    """Below /run, but for the database; and what is reserved for it."""
    run = world.network._layout.run
    for path in run.rglob("*"):
        if path.is_file() and "network.db" not in path.name and path.name != "router":
            yield f"file {path.relative_to(run)}: {path.read_text()}"
    for path in world.network.prefix.reservations.folder.glob("*"):
        if path.read_text().startswith(world.network._layout.id):
            yield f"reserved {path}"


def facts(place: Path) -> Iterator[str]:
    with netlink.inside(place), Netlink() as net:
        # One that is cut off goes with its namespace, or with the next `ensure`.
        links = [link for link in net.links() if link.up or link.index < FIRST_INDEX]
        names = {link.index: link.name for link in links}
        for link in links:
            yield f"link {link.name} {link.up} {link.mtu} {link.kind}"
            yield from (f"{link.name} has {address}" for address in net.addresses(link.index))
        for route in net.routes():
            yield f"{route.target} by {names.get(route.link or 0)} {route.gateway} {route.metric}"
        yield from facts6()
        yield from sysctls(names.values())
    with closing(Firewall(place)) as firewall:
        for item in firewall.read():
            if "metainfo" not in item:
                yield json.dumps(without_fleeting(item), sort_keys=True)


def facts6() -> Iterator[str]:
    """Addresses and routes of IPv6, but for those of the uplink, and those that the kernel
    makes of a link's MAC: they come a moment later."""
    for name in ("if_inet6", "ipv6_route"):
        for line in Path(f"/proc/thread-self/net/{name}").read_text().splitlines():
            words = line.split()
            kept = [words[0], *words[2:]] if name == "if_inet6" else [*words[:6], words[-1]]
            if words[-1] != "up0" and not OF_MAC.search(line):
                yield f"{name} {' '.join(kept)}"


def sysctls(links: Iterable[str]) -> Iterator[str]:
    of_links = [
        f"{version}/conf/{link}/{name}"
        for version in ("ipv4", "ipv6")
        for link in links
        for name in OF_INTERFACES
    ]
    for name in (*SYSCTLS, *SYSCTLS6, *of_links):
        path = Path("/proc/sys/net") / name
        if path.exists():
            yield f"{name} = {path.read_text().strip()}"


def without_fleeting(item: Any) -> Any:
    if isinstance(item, dict):
        return {
            name: without_fleeting(inner) for name, inner in item.items() if name not in FLEETING
        }
    return [without_fleeting(inner) for inner in item] if isinstance(item, list) else item
