"""Names with paths, and where redirects lead."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas.model.names import InvalidName
from paas.model.port import InvalidPort, Port, Scheme, parse_port
from paas.model.route import PATH, Redirect, Route, parse_code, parse_route, parse_target


def test_a_route_is_a_host_and_perhaps_a_path() -> None:
    assert parse_route("Example.com") == Route("example.com")
    assert parse_route("example.com/") == Route("example.com")
    assert str(parse_route("bücher.example/api/v1/")) == "xn--bcher-kva.example/api/v1"


@pytest.mark.parametrize(
    "text",
    ["a.example/..", "a.example/a/../b", "a.example//x", "a.example/a b", "a.example/%2e",
     "a.example/{", "a.example/;", "a.example/$x", "/x", "a.example/.well-known/acme-challenge",
     "a.example/.paas-pages/x", "a.example/" + "x" * 300, "a.example/\n", 'a.example/"'],
)  # fmt: skip
def test_what_is_no_route_is_refused(text: str) -> None:
    with pytest.raises(InvalidName):
        parse_route(text)


@given(st.text(alphabet=";{}$\"'\\ \n#*.-aA_/~%", max_size=40))
def test_what_passes_as_a_route_means_nothing_to_nginx(text: str) -> None:
    try:
        route = parse_route(text)
    except InvalidName:
        return
    assert PATH.fullmatch(route.path)
    assert set(str(route)) <= set("abcdefghijklmnopqrstuvwxyzA0123456789.-_~/*")


@pytest.mark.parametrize(
    "text",
    ["example.com", "ftp://a.example", "https://", "https://a b", "https://a.example/$host",
     'https://a.example/"; return 200 "', "https://a.example/\n", "https://*.a.example",
     "https://a.example/{", "javascript:alert(1)", "https://user@a.example", "//a.example"],
)  # fmt: skip
def test_what_is_no_target_is_refused(text: str) -> None:
    with pytest.raises(InvalidName):
        parse_target(text)


def test_a_target_without_a_path_keeps_the_one_that_was_asked_for() -> None:
    assert parse_target("https://BÜCHER.example:8443/x?y=1") == (
        "https://xn--bcher-kva.example:8443/x?y=1"
    )
    assert Redirect(Route("a.b"), "https://c.example:8443").keeps_path
    assert not Redirect(Route("a.b"), "https://c.example/").keeps_path
    with pytest.raises(InvalidName):
        parse_code("200")


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("http:8080:5000", Port(Scheme.HTTP, 8080, 5000)),
        ("udp:53", Port(Scheme.UDP, 53, 53)),
        ("grpcs:8443:50051", Port(Scheme.GRPCS, 8443, 50051)),
    ],
)
def test_a_port_mapping(text: str, port: Port) -> None:
    assert parse_port(text) == port


@pytest.mark.parametrize(
    "text", ["80", "http", "ftp:21:21", "http:0:80", "http:80:65536", "http:80:80:80", "tcp:-1", ""]
)
def test_what_is_no_port_mapping_is_refused(text: str) -> None:
    with pytest.raises(InvalidPort):
        parse_port(text)
