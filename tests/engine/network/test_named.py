"""Named networks, tried with real packets: who shares one reaches the others, and nobody else."""

from __future__ import annotations

import pytest

from paas.engine.network.addresses import Backend
from paas.engine.network.named import (
    AliasTaken,
    InvalidNetworkName,
    NetworkExists,
    NetworkInUse,
    NetworkNotFound,
)
from tests.engine.network.world import World, ask, connect

REFUSED = ConnectionRefusedError


def test_what_cannot_be(world: World) -> None:
    networks = world.network.named
    networks.create("back")
    with pytest.raises(NetworkExists):
        networks.create("back")
    for name in ("Back", "a.b", "-a", "a" * 64, ""):
        with pytest.raises(InvalidNetworkName):
            networks.create(name)
    with pytest.raises(NetworkNotFound):
        world.network.join("app:1", ["front"])
    world.network.join("app:1", ["back"])
    with pytest.raises(NetworkInUse) as refused:
        networks.destroy("back")
    assert refused.value.members == ("app:1",)
    networks.name("app:1", "back", "db")
    world.network.join("app:2", ["back"])
    with pytest.raises(AliasTaken):
        networks.name("app:2", "back", "db")
    world.network.forget_links("app:1")
    assert networks.aliases() == {}
    world.network.join("app:2", [])
    networks.destroy("back")
    with pytest.raises(NetworkNotFound):
        networks.destroy("back")


def test_members_reach_each_other_and_others_do_not(world: World) -> None:
    for name in ("back", "front"):
        world.network.named.create(name)
    world.network.join("app:1", ["back"])
    web = world.instance("web", owner="app:1")
    shop = world.instance("shop", owner="app:2")
    other = world.instance("other", owner="app:3")
    with pytest.raises(REFUSED):
        connect(web.namespace, world.address("shop"), 5000)
    # While they run: nobody is restarted for it.
    world.network.join("app:2", ["back", "front"])
    assert ask(web.namespace, world.address("shop"), 5000).startswith("shop")
    assert ask(shop.namespace, world.address("web"), 5000).startswith("web")
    world.network.join("app:3", ["front"])
    assert ask(other.namespace, world.address("shop"), 5000).startswith("shop")
    for stranger, address in ((web, "other"), (other, "web")):
        with pytest.raises(REFUSED):
            connect(stranger.namespace, world.address(address), 5000)
    # Through its stable address too, and what is written anew has it all.
    vip = world.network.service("app:2/web").vip
    world.network.set_backends({"app:2/web": [Backend(world.address("shop"), 5000)]})
    world.network.ensure()
    assert ask(web.namespace, vip, 80).startswith("shop")
    world.network.join("app:2", ["front"])
    with pytest.raises(REFUSED):
        connect(web.namespace, vip, 80)


def test_instances_of_one_member_reach_each_other_and_late_ones_too(world: World) -> None:
    world.network.named.create("back")
    world.network.join("app:1", ["back"])
    first = world.instance("web", owner="app:1")
    world.instance("worker", owner="app:1")
    assert ask(first.namespace, world.address("worker"), 5000).startswith("worker")
    world.network.detach("worker")
    address = world.instance("next", owner="app:9") and world.address("next")
    # Whoever comes by the address later is not let in with it.
    with pytest.raises(REFUSED):
        connect(first.namespace, address, 5000)
