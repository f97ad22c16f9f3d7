"""Where an instance listens, and what is said when that is the wrong place."""

from __future__ import annotations

import os
import socket
from ipaddress import ip_address

import pytest

from paas.deploy.explain import misplaced
from paas.deploy.listening import Listener, listeners, parse, waiting


def listener(address: str, port: int) -> Listener:
    return Listener(ip_address(address), port)


def test_a_process_that_is_gone_listens_nowhere() -> None:
    assert listeners(2**22 + 1) == []


@pytest.mark.parametrize(
    ("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
)
def test_a_real_listener_is_found_and_closed_sockets_are_not(
    family: socket.AddressFamily, address: str
) -> None:
    with socket.socket(family) as server:
        server.bind((address, 0))
        server.listen()
        port = server.getsockname()[1]
        assert listener(address, port) in listeners(os.getpid())
    assert port not in [one.port for one in listeners(os.getpid())]


def test_connections_that_nobody_accepted_are_counted() -> None:
    with socket.create_server(("0.0.0.0", 0)) as server:
        port = server.getsockname()[1]
        assert waiting(os.getpid(), port) == 0
        with socket.create_connection(("127.0.0.1", port)):
            assert waiting(os.getpid(), port) == 1
            server.accept()[0].close()
            assert waiting(os.getpid(), port) == 0
    assert waiting(os.getpid(), port) is None


def test_only_sockets_in_listen_state_are_read() -> None:
    table = (
        "  sl  local_address rem_address   st\n"
        "   0: 0100007F:1388 00000000:0000 0A 00000000:00000000\n"
        "   1: 0100007F:1389 0200007F:9999 01 00000000:00000000\n"
    )
    assert list(parse(table)) == [listener("127.0.0.1", 5000)]


def test_loopback_is_named_with_the_address_to_bind_instead() -> None:
    brief, remedy = misplaced("web.1", [listener("127.0.0.1", 5000)], 5000, 60)
    assert "127.0.0.1:5000" in brief
    assert "0.0.0.0:5000" in remedy


def test_another_port_is_named_with_both_ways_to_mend_it() -> None:
    brief, remedy = misplaced("web.1", [listener("0.0.0.0", 3000)], 5000, 60)
    assert "0.0.0.0:3000" in brief
    assert "5000 was expected" in brief
    assert "PORT=3000" in remedy


def test_nobody_listening_names_the_port_and_the_wait() -> None:
    brief, remedy = misplaced("web.1", [], 5000, 60)
    assert "did not listen on port 5000 within 60 seconds" in brief
    assert "$PORT" in remedy
