"""Stable addresses: they lead where they are told to, at once and all together."""

from __future__ import annotations

import pytest

from paas.engine.network.addresses import Backend
from paas.engine.network.services import ServiceNotFound
from tests.engine.network.world import World, ask, ask_datagram, connect, datagram_client, talk

WEB = "app:1/web"


def backends(world: World, *containers: str) -> list[Backend]:
    return [Backend(world.address(container), 5000) for container in containers]


def test_a_service_without_backends_refuses(world: World) -> None:
    service = world.network.service(WEB)
    for address in (service.vip, *service.slots):
        with pytest.raises(ConnectionRefusedError):
            connect(world.host, address, 80)


def test_an_unknown_service_is_named(world: World) -> None:
    with pytest.raises(ServiceNotFound, match="app:9/web"):
        world.network.set_backends({"app:9/web": []})


def test_slots_lead_to_backends_in_turn_and_the_virtual_address_to_all(world: World) -> None:
    service = world.network.service(WEB)
    for name in ("a", "b", "c"):
        world.instance(name)
    world.network.set_backends({WEB: backends(world, "a", "b", "c")})
    answers = [ask(world.host, slot, 80).split()[0] for slot in service.slots]
    assert answers == ["a", "b", "c", "a", "b", "c", "a", "b"]
    assert {ask(world.host, service.vip, 80).split()[0] for _ in range(60)} == {"a", "b", "c"}


def test_a_switch_keeps_connections_and_takes_every_new_one(world: World) -> None:
    service = world.network.service(WEB)
    old = world.instance("old")
    world.instance("new")
    world.network.set_backends({WEB: backends(world, "old")})
    with connect(world.host, service.slots[0], 80) as before:
        assert talk(before).startswith("old")
        world.network.set_backends({WEB: backends(world, "new")})
        assert talk(before).startswith("old")
        for slot in service.slots:
            assert ask(world.host, slot, 80).startswith("new")
    assert world.network.drain(old.pid, seconds=30) == 0


def test_two_services_move_in_one_call(world: World) -> None:
    first, second = world.network.service(WEB), world.network.service("app:1/api")
    for name in ("a", "b"):
        world.instance(name)
    world.network.set_backends({WEB: backends(world, "a"), "app:1/api": backends(world, "b")})
    world.network.set_backends({WEB: backends(world, "b"), "app:1/api": backends(world, "a")})
    assert ask(world.host, first.vip, 80).startswith("b")
    assert ask(world.host, second.vip, 80).startswith("a")


def test_an_instance_reaches_itself_through_its_own_service(world: World) -> None:
    service = world.network.service(WEB)
    instance = world.instance("only")
    world.network.set_backends({WEB: backends(world, "only")})
    assert ask(instance.namespace, service.vip, 80) == "only 169.254.0.1"
    assert ask(instance.namespace, service.slots[3], 80) == "only 169.254.0.1"


def test_an_instance_reaches_a_linked_service_and_no_other(world: World) -> None:
    service = world.network.service("service:1")
    world.network.allow("app:1", "service:1")
    world.instance("database", owner="service:1")
    app, stranger = world.instance("app", owner="app:1"), world.instance("stranger", owner="app:2")
    world.network.set_backends({"service:1": backends(world, "database")})
    assert ask(app.namespace, service.vip, 5432).startswith("database")
    with pytest.raises(ConnectionRefusedError):
        connect(stranger.namespace, service.vip, 5432)


def test_a_udp_flow_follows_the_switch(world: World) -> None:
    service = world.network.service(WEB)
    world.instance("old")
    world.instance("new")
    world.network.set_backends({WEB: backends(world, "old")})
    with datagram_client(world.host) as client:
        assert ask_datagram(client, service.slots[0], 53) == "old"
        world.network.set_backends({WEB: backends(world, "new")})
        assert ask_datagram(client, service.slots[0], 53) == "new"


def test_an_address_that_a_service_still_leads_to_is_not_handed_out(world: World) -> None:
    world.network.service(WEB)
    world.instance("a")
    used = world.address("a")
    world.network.set_backends({WEB: backends(world, "a")})
    world.network.detach("a")
    # As if all others had been used since.
    world.network._observed.execute("UPDATE cursor SET number = number - 1")
    world.instance("b")
    assert world.address("b") != used


def test_more_slots_keep_the_first_ones(world: World) -> None:
    few = world.network.service(WEB)
    world.network.service("app:2/web")
    many = world.network.service(WEB, slots=20)
    assert many.vip == few.vip
    assert many.slots[:8] == few.slots
    assert len(set(many.slots)) == 20
    world.instance("a")
    world.network.set_backends({WEB: backends(world, "a")})
    assert ask(world.host, many.slots[19], 80).startswith("a")


def test_a_released_service_refuses_and_its_key_starts_anew(world: World) -> None:
    service = world.network.service(WEB)
    world.instance("a")
    world.network.set_backends({WEB: backends(world, "a")})
    world.network.release_service(WEB)
    with pytest.raises(ConnectionRefusedError):
        connect(world.host, service.vip, 80)
    assert world.network.service(WEB).vip != service.vip
    world.network.release_service("app:9/web")
