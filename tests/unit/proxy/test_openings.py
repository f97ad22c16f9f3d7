"""Which ports the files of sites open, and what is left of them when one cannot be had."""

from __future__ import annotations

import socket
from contextlib import closing
from pathlib import Path

import pytest

from paas.host.content import content
from paas.host.ports import bind_error, why_not
from paas.model.port import parse_port
from paas.proxy.exposed import Exposed
from paas.proxy.openings import Closed, Opening, opening, openings, without_refused
from paas.proxy.render import Renderer, Server
from paas.proxy.site import Listener, Site
from tests.ports import free_port

SERVER = Server(("0.0.0.0:80", "[::]:80"), "www-data", Path("/p"), Path("/r"), Path("/l"),
                addresses=("0.0.0.0", "[::]"))  # fmt: skip
WANTED = {
    "http:8090:5000": Opening(8090),
    "grpcs:8443:5000": Opening(8443),
    "tcp:7000:5000": Opening(7000),
    "udp:7000:53": Opening(7000, datagrams=True),
}


def files() -> dict[str, dict[str, str]]:
    renderer, slots = Renderer(content("proxy")), ("10.0.0.1",)
    listeners = tuple(Listener(parse_port(text), slots) for text in WANTED)
    shop = Site("shop", ("a.example",), slots, listeners=listeners)
    exposed = Exposed("db", 5432, "10.0.0.2")
    return {each.app: renderer.files(each, SERVER) for each in (shop, exposed)}


def test_each_port_has_a_file_of_its_own_that_listens_to_it_alone() -> None:
    for app, texts in files().items():
        for name, text in texts.items():
            listened = set(openings({app: {name: text}}))
            assert listened == ({opening(name)} if opening(name) is not None else set()), name
    assert set(openings(files())) == {*WANTED.values(), Opening(5432)}


def test_files_of_an_older_version_are_understood() -> None:
    """They are what runs when a newer version first looks: those ports are not a stranger's."""
    old = {
        "sites/shop.conf": "server {\n    listen [::]:8443 ssl http2 default_server;\n"
        "    include listen.conf;\n}\nserver {\n    listen 0.0.0.0:8090;\n}\n",
        "streams/shop.conf": "server {\n    listen 0.0.0.0:53 udp;\n}\n",
    }
    assert set(openings({"shop": old})) == {
        Opening(8443), Opening(8090), Opening(53, datagrams=True),
    }  # fmt: skip
    assert [name for name in old if opening(name)] == []


def test_no_text_of_an_app_is_taken_for_a_port_that_we_have() -> None:
    said = 'return 200 "\\"\n    listen 0.0.0.0:22;\n";\n'
    texts = {"sites/shop.conf": said, "own-pages/shop.html": "\n    listen 0.0.0.0:22;\n"}
    assert list(openings({"shop": texts})) == []


def test_what_cannot_be_had_is_left_out_and_told_but_what_we_have() -> None:
    held = {Opening(8090)}
    found, closed = without_refused(files(), held, lambda one: f"no {one.port}")
    assert {one.opening for one in closed} == {*WANTED.values(), Opening(5432)} - held
    assert Closed("service:db", Opening(5432), "no 5432") in closed
    assert set(openings(found)) == held
    assert "sites/shop.conf" in found["shop"]
    assert without_refused(files(), (), lambda _: None) == (files(), ())


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize("datagrams", [False, True])
def test_a_port_is_in_use_while_a_program_has_it(address: str, datagrams: bool) -> None:
    kind = socket.SOCK_DGRAM if datagrams else socket.SOCK_STREAM
    with closing(socket.socket(socket.AF_INET, kind)) as other:
        # Not one that the kernel gives to the next connection of anybody.
        port = free_port()
        other.bind(("127.0.0.1", port))
        if not datagrams:
            other.listen()
        error = bind_error(address, port, datagrams=datagrams)
        assert error is not None
        assert why_not(error) == "is in use by a program of this server"
        assert bind_error(address, port, datagrams=not datagrams) is None
    assert bind_error(address, port, datagrams=datagrams) is None


def test_an_address_of_another_machine_says_so() -> None:
    error = bind_error("192.0.2.1", 8090)
    assert error is not None
    assert "Cannot assign requested address" in why_not(error)
