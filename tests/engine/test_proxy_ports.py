"""Ports of the server that another program has: they are closed, and all else is served."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from paas.model.layout import Layout
from paas.model.port import parse_port
from paas.proxy import workers
from paas.proxy.exposed import Exposed
from paas.proxy.openings import Opening
from paas.proxy.proxy import Proxy
from paas.proxy.site import Listener, Site
from tests.engine.proxied import (
    OTHER_SLOTS,
    ask,
    backend,
    own_network,
    own_root,
    running,
    site,
)


@pytest.fixture
def layout() -> Iterator[Layout]:
    with own_network(), own_root() as layout:
        yield layout


@pytest.fixture
def proxy(layout: Layout) -> Iterator[Proxy]:
    with running(layout) as proxy, backend("one"), backend("two", OTHER_SLOTS):
        yield proxy


def with_ports(app: str, *texts: str) -> Site:
    return site(app, listeners=[Listener(parse_port(text), OTHER_SLOTS) for text in texts])


def taken(port: int) -> socket.socket:
    return socket.create_server(("127.0.0.1", port))


def master(layout: Layout) -> int:
    return int((layout.run / "proxy/nginx.pid").read_text())


def kill(pid: int) -> None:
    """Kill it, and wait for its end."""
    pidfd = os.pidfd_open(pid)
    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    assert select.select([pidfd], [], [], 60)[0]
    os.close(pidfd)


def reasons(*ports: int) -> list[str]:
    return [f"Port {port} is in use by a program of this server" for port in ports]


def test_a_port_in_use_keeps_no_other_change_from_being_served(
    proxy: Proxy, layout: Layout
) -> None:
    proxy.apply([site()])
    with taken(8090):
        applied = proxy.apply([site(), with_ports("bad", "http:8090:5000", "http:8091:5000")])
        # nginx was not let try it itself, for 2.5 s.
        assert "bind() to" not in (layout.logs / "proxy/error.log").read_text()
        assert [each.reason for each in applied.closed] == reasons(8090)
        assert applied.closed[0].app == "bad"
        assert applied.quarantined == ()
        assert ask("bad.test").status == 200
        assert ask("x", port=8091).told["name"] == "two"
        assert proxy.apply([site(), site("new")]).closed == ()
        assert ask("new.test").status == 200


def test_a_port_that_is_taken_at_the_start_closes_that_port_alone(proxy: Proxy) -> None:
    sites = [site(), with_ports("shop", "http:8090:5000", "tcp:7000:5000", "udp:7000:53")]
    assert proxy.apply(sites).closed == ()
    proxy.stop()
    with taken(8090), taken(7000):
        assert proxy.start()
        for host in ("hello.test", "shop.test"):
            assert ask(host).status == 200
        assert proxy.open() == {Opening(7000, datagrams=True)}
        applied = proxy.apply(sites)
        assert not applied.reloaded
        assert sorted(each.reason for each in applied.closed) == reasons(7000, 8090)
    assert proxy.apply(sites).closed == ()
    assert ask("x", port=8090).told["name"] == "two"


def test_ports_of_services_and_of_datagrams_are_tried_too(proxy: Proxy) -> None:
    exposed = Exposed("postgres-db", 5432, "127.0.2.1")
    with taken(5432), closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as datagrams:
        datagrams.bind(("0.0.0.0", 7000))
        applied = proxy.apply([with_ports("shop", "udp:7000:53", "tcp:7000:53"), exposed])
        found = {(each.app, each.opening) for each in applied.closed}
        assert found == {
            ("service:postgres-db", Opening(5432)),
            ("shop", Opening(7000, datagrams=True)),
        }
        assert ask("shop.test").status == 200


def test_what_our_own_nginx_listens_to_is_not_another_program_s(
    proxy: Proxy, layout: Layout
) -> None:
    assert proxy.apply([with_ports("a", "http:8090:5000", "udp:7000:53")]).closed == ()
    # Of another app, in another scheme, and beside new ones.
    assert proxy.apply([with_ports("b", "tcp:8090:80", "udp:7000:53")]).closed == ()
    assert proxy.apply([with_ports("b", "tcp:8090:80", "http:8091:80")]).closed == ()
    # The workers of a killed master have them still.
    kill(master(layout))
    assert proxy.start()
    assert proxy.open() == {Opening(8090), Opening(8091)}
    assert ask("x", port=8091).told["name"] == "two"


def test_a_worker_of_a_killed_master_that_hangs_keeps_no_port(
    proxy: Proxy, layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "QUIT_S", 0.5)
    assert proxy.apply([with_ports("shop", "http:8090:5000", "udp:7000:53")]).closed == ()
    hanging = workers.children(master(layout))[0]
    os.kill(hanging, signal.SIGSTOP)
    kill(master(layout))
    assert proxy.start()
    assert proxy.open() == {Opening(8090), Opening(7000, datagrams=True)}
    assert ask("x", port=8090).told["name"] == "two"


def test_a_worker_that_a_killed_master_has_only_just_forked_keeps_no_port(
    proxy: Proxy, layout: Layout
) -> None:
    """It is called like its master as long as it has no title of its own."""
    assert proxy.apply([with_ports("shop", "http:8090:5000")]).closed == ()
    proxy.stop()
    title = Path("nginx: master process")
    # A shell that starts this in the background has its children ignore it.
    before = signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    with taken(8090) as port, (layout.logs / "proxy/error.log").open("a") as log:
        young = subprocess.Popen(
            [title, "60"], executable="/usr/bin/sleep", pass_fds=[port.fileno()], stderr=log
        )
    signal.signal(signal.SIGQUIT, before)
    with young:
        assert proxy.start()
    assert young.returncode == -signal.SIGQUIT
    assert proxy.open() == {Opening(8090)}


def test_a_change_while_nginx_is_down_is_tried_at_its_start(proxy: Proxy) -> None:
    proxy.stop()
    sites = [with_ports("shop", "http:8090:5000")]
    with taken(8090):
        assert proxy.apply(sites).closed == ()
        assert proxy.start()
        assert ask("shop.test").status == 200
    proxy.apply(sites)
    assert ask("x", port=8090).told["name"] == "two"
