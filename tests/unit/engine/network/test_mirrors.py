"""What the host's own configuration allows instances to reach."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

import pytest

from paas.engine.network.mirrors import InvalidTarget, configured, endpoints, parse_egress
from paas.engine.network.policy import Target


@pytest.mark.parametrize(
    "entry",
    [
        "",
        "-x.example.com",
        "host name",
        "host:http",
        "10.0.0.1/33",
        "10.0.0.300",
        "0.0.0.0/0",
        "169.254.169.254",
        "169.254.0.0/16",
        "host;drop",
    ],
)
def test_invalid_targets_are_named(entry: str) -> None:
    with pytest.raises(InvalidTarget):
        parse_egress([entry])


def test_names_and_addresses_are_told_apart() -> None:
    egress = parse_egress(["Mirror.example.com:80", "10.1.2.3:3142", "192.168.7.0/24"])
    assert egress.names == {"mirror.example.com"}
    assert egress.targets == {
        Target(IPv4Network("10.1.2.3/32"), 3142),
        Target(IPv4Network("192.168.7.0/24")),
    }


def test_the_hosts_own_loopback_is_no_target() -> None:
    assert parse_egress(["127.0.0.1:3142"]).targets == frozenset()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("deb [arch=amd64] http://mirror.test/debian bookworm main", {"mirror.test:80"}),
        ("URIs: https://deb.example.com:8443/debian", {"deb.example.com:8443"}),
        ('Acquire::http::Proxy "http://10.0.0.7:3142";', {"10.0.0.7:3142"}),
        ("index-url = https://user:secret@pypi.test/simple", {"pypi.test:443"}),
        ("# http://commented.test/", set()),
        ("//registry.test/:_authToken=abc", set()),
        ("proxy=http://localhost:3128", set()),
        ("registry=http://[fd00::1]:80/", set()),
        ("http://broken.test:port/", set()),
        ("url = http://${MIRROR}/", set()),
        ("proxy=http://169.254.169.254/", set()),
    ],
)
def test_endpoints(text: str, found: set[str]) -> None:
    assert endpoints(text) == found


def test_files_and_variables_of_the_host(tmp_path: Path) -> None:
    sources = tmp_path / "etc/apt/sources.list.d"
    sources.mkdir(parents=True)
    (sources / "debian.sources").write_text("URIs: http://deb.test/debian\n")
    (tmp_path / "etc/pip.conf").write_text("[global]\nindex-url = https://pypi.test/simple\n")
    variables = {"HTTPS_PROXY": "http://proxy.test:8080", "HOME": "http://not.test"}
    assert configured(tmp_path, variables) == ["deb.test:80", "proxy.test:8080", "pypi.test:443"]
