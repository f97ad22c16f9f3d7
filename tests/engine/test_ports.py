"""Ports of the server that are wanted for an app and that another program has."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest

from paas.daemon.doctor import Doctor
from paas.deploy.edge import PortUnusable
from paas.deploy.parts import Parts
from paas.deploy.route import PORT_CLOSED
from paas.errors import PaasError
from paas.model.app import App
from paas.model.port import Port, parse_port
from paas.model.report import Silent
from paas.model.route import parse_route
from paas.proxy.nginx import NginxFailed
from tests.engine.world import World
from tests.ports import free_port


@pytest.fixture(scope="module")
def shop(world: World) -> App:
    return world.deployed("ports-shop")


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


def port(text: str) -> Port:
    return parse_port(text)


def add(world: World, app: App, *ports: Port) -> None:
    Parts(world.layout).edge.add_ports(app, ports, actor="ann", report=Silent())


def answers(number: int) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", number, timeout=60)
    connection.request("GET", "/index.html", headers={"Host": "x.test"})
    status = connection.getresponse().status
    connection.close()
    return status


def changes_are_served(world: World, name: str) -> bool:
    """Whether what another app is given is served at once, by a new version too."""

    def consent(_: App) -> None:
        raise AssertionError("that domain is nobody's")

    other = world.deployed(name)
    routes = [parse_route(f"{name}.test")]
    parts = Parts(world.layout)
    parts.edge.add_domains(other, routes, consent=consent, actor="ann", report=Silent())
    world.deploy(other, 2)
    connection = http.client.HTTPConnection("127.0.0.1", world.port, timeout=60)
    connection.request("GET", "/index.html", headers={"Host": f"{name}.test"})
    answer = connection.getresponse().read()
    connection.close()
    return int(answer) == world.version(other) == 2


def test_a_port_in_use_is_refused_and_nothing_changes(world: World, shop: App, taken: int) -> None:
    free = free_port()
    for ports in ([f"http:{taken}:5000"], [f"tcp:{free}:5000", f"tcp:{taken}:5000"]):
        with pytest.raises(PortUnusable) as refused:
            add(world, shop, *map(port, ports))
        assert refused.value.brief == f"Port {taken} is in use by a program of this server"
        assert world.parts.store.ports.list(shop.id) == []
    with pytest.raises(PortUnusable):
        Parts(world.layout).edge.set_ports(
            shop, [port(f"http:{taken}:5000")], actor="ann", report=Silent()
        )
    assert world.parts.store.ports.list(shop.id) == []
    assert changes_are_served(world, "ports-beside")


def test_a_port_that_our_own_proxy_has_for_the_app_is_not_in_use(world: World, shop: App) -> None:
    number, second = free_port(), free_port()
    add(world, shop, port(f"http:{number}:5000"))
    try:
        add(world, shop, port(f"http:{number}:5000"), port(f"http:{second}:5000"))
        assert (answers(number), answers(second)) == (200, 200)
        edge = Parts(world.layout).edge
        edge.set_ports(shop, [port(f"tcp:{number}:5000")], actor="ann", report=Silent())
        assert answers(number) == 200
    finally:
        Parts(world.layout).edge.set_ports(shop, (), actor="ann", report=Silent())


@pytest.mark.parametrize("late", ["proxy.Proxy.refused", "openings.bind_error"])
def test_a_port_that_is_taken_behind_the_trial_is_given_back(
    world: World, shop: App, taken: int, late: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the proxy tries it itself, or only when nginx binds it: the trial sees nothing."""
    kept = port(f"http:{free_port()}:5000")
    add(world, shop, kept)
    try:
        with monkeypatch.context() as patch, pytest.raises(PaasError) as refused:
            patch.setattr(f"paas.proxy.{late}", lambda *_, **__: None)
            add(world, shop, port(f"http:{taken}:5000"))
        expected = PortUnusable if "refused" in late else NginxFailed
        assert isinstance(refused.value, expected)
        assert str(taken) in str(refused.value)
        assert world.parts.store.ports.list(shop.id) == [kept]
        assert answers(kept.port) == 200
        assert changes_are_served(world, f"ports-late-{expected.__name__.lower()}")
    finally:
        Parts(world.layout).edge.set_ports(shop, (), actor="ann", report=Silent())


@pytest.mark.parametrize("change", ["add_ports", "set_ports"])
@pytest.mark.parametrize("moment", ["store.transaction", "router.switch"])
def test_what_is_taken_back_is_not_what_somebody_else_has_added(
    world: World, shop: App, change: str, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Just before it is written down, and while nginx is told."""
    kept, wanted, other = sorted(port(f"http:{free_port()}:5000") for _ in range(3))
    add(world, shop, kept)
    parts = Parts(world.layout)
    part = getattr(parts, moment.split(".")[0])
    real, happened = getattr(part, moment.split(".")[1]), []

    def meanwhile(*arguments: object) -> object:
        if not happened:
            happened.append(add(world, shop, other))
        return real(*arguments)

    def fail(_: object) -> None:
        raise NginxFailed("no")

    monkeypatch.setattr(part, moment.split(".")[1], meanwhile)
    monkeypatch.setattr(parts.router, "publish", fail)
    try:
        with pytest.raises(NginxFailed):
            getattr(parts.edge, change)(shop, [wanted], actor="ann", report=Silent())
        assert world.parts.store.ports.list(shop.id) == [kept, other]
        assert world.parts.store.events.tail(1, shop.name)[0].what == "ports taken back"
    finally:
        Parts(world.layout).edge.set_ports(shop, (), actor="ann", report=Silent())


@pytest.mark.parametrize("change", ["another", "none"])
def test_what_somebody_else_has_set_meanwhile_stays(
    world: World, shop: App, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, wanted = (port(f"http:{free_port()}:5000") for _ in range(2))
    other = replace(first, target=6000)
    add(world, shop, first)
    parts, others = Parts(world.layout), Parts(world.layout)

    def fail(_: object) -> None:
        others.edge.set_ports(shop, [other], actor="ben", report=Silent())
        raise NginxFailed("no")

    monkeypatch.setattr(parts.router, "publish", fail)
    try:
        with pytest.raises(NginxFailed):
            wants = [wanted] if change == "another" else []
            parts.edge.set_ports(shop, wants, actor="ann", report=Silent())
        assert world.parts.store.ports.list(shop.id) == [other]
    finally:
        others.edge.set_ports(shop, (), actor="ann", report=Silent())


def test_a_port_that_is_taken_at_a_boot_is_told_and_opened_when_it_is_free(
    world: World, shop: App
) -> None:
    number = free_port()
    add(world, shop, port(f"http:{number}:5000"))
    parts, reason = Parts(world.layout), f"Port {number} is in use by a program of this server"
    parts.proxy.stop()
    try:
        with socket.create_server(("127.0.0.1", number)):
            assert parts.proxy.start()
            assert world.version(shop) == 1
            for _ in range(2):
                parts.router.publish(Silent())
            assert parts.router.closed() == [(shop.name, reason)]
            events = parts.store.events.tail(50, [shop.name])
            assert [one.what for one in events if one.detail == reason] == [PORT_CLOSED]
            told = next(one for one in Doctor(parts).examine() if one.name == "proxy")
            assert reason in told.text
            assert "ss -ltnup" in told.remedy
        parts.router.publish(Silent())
        assert parts.router.closed() == []
        assert answers(number) == 200
    finally:
        parts.edge.set_ports(shop, (), actor="ann", report=Silent())
