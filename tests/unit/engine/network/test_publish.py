"""What `docker run -p` may say."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from paas.engine.network.publish import (
    InvalidPublish,
    NoNetworkToPublish,
    Publish,
    check_publish,
    parse_publish,
)

LOOPBACK = IPv4Address("127.0.0.1")


@pytest.mark.parametrize(
    "text",
    ["", "x", "0", "65536", "80:", "80:80:80", "1.2.3:80:80", "300.1.1.1:80:80", "80/sctp",
     "90-80", "80-81:80", "8000-8002:80-81", "-1", "80:80 ", "80;80"],
)  # fmt: skip
def test_refused(text: str) -> None:
    with pytest.raises(InvalidPublish):
        parse_publish(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("80", [Publish(80)]),
        ("8080:80", [Publish(80, 8080)]),
        ("127.0.0.1:8080:80", [Publish(80, 8080, LOOPBACK)]),
        ("127.0.0.1::80", [Publish(80, 0, LOOPBACK)]),
        ("5353:53/udp", [Publish(53, 5353, protocol="udp")]),
        ("8000-8001:9000-9001", [Publish(9000, 8000), Publish(9001, 8001)]),
        ("80-81/udp", [Publish(80, protocol="udp"), Publish(81, protocol="udp")]),
    ],
)
def test_read(text: str, expected: list[Publish]) -> None:
    assert list(parse_publish(text)) == expected


@pytest.mark.parametrize("network", ["none", "host"])
def test_a_container_without_a_network_of_its_own_publishes_nothing(network: str) -> None:
    check_publish((), network)
    with pytest.raises(NoNetworkToPublish, match=network):
        check_publish(("80",), network)
