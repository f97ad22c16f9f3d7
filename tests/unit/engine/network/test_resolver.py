"""The resolver's configuration, and where the host resolves."""

from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

import pytest

from paas.engine.network.resolver import configuration, hosts_file, nameservers, upstreams

SERVER = IPv4Address("192.0.2.53")


@pytest.mark.parametrize(
    ("text", "servers"),
    [
        ("", []),
        ("# nameserver 192.0.2.1\n", []),
        ("nameserver\n", []),
        ("nameserver fd00::1\nnameserver 192.0.2.53\n", ["192.0.2.53"]),
        ("nameserver 192.0.2.53\nnameserver 192.0.2.53\n", ["192.0.2.53"]),
        ("search a.test\n  nameserver\t192.0.2.53 # first\n", ["192.0.2.53"]),
    ],
)
def test_nameservers(text: str, servers: list[str]) -> None:
    assert nameservers(text) == tuple(map(IPv4Address, servers))


def test_behind_a_stub_are_the_servers_it_asks(tmp_path: Path) -> None:
    stub, behind = tmp_path / "stub", tmp_path / "behind"
    stub.write_text("nameserver 127.0.0.53\n")
    assert upstreams(stub, behind) == ()
    behind.write_text(f"nameserver {SERVER}\n")
    assert upstreams(stub, behind) == (SERVER,)
    stub.write_text("nameserver 192.0.2.1\n")
    assert upstreams(stub, behind) == (IPv4Address("192.0.2.1"),)


def test_configuration_names_servers_and_mirrors() -> None:
    text = configuration(
        IPv4Address("10.203.0.53"),
        Path("/r"),
        Path("/h"),
        Path("/p"),
        ["b.test", "a.test", "a.test"],
    )
    lines = text.splitlines()
    assert "resolv-file=/r" in lines
    assert "listen-address=10.203.0.53" in lines
    assert [line for line in lines if line.startswith("nftset=")] == [
        "nftset=/a.test/4#ip#paas#mirrors",
        "nftset=/b.test/4#ip#paas#mirrors",
    ]


def test_names_are_below_the_private_domain() -> None:
    assert hosts_file({"web.blog": SERVER}) == "192.0.2.53 web.blog.internal\n"
