"""Which mirrors and proxies this host is configured for: builds may use them as it does.

Only names and addresses are taken, never credentials. Formats: sources.list(5) and its
deb822 style, apt.conf(5), pip's configuration files, npmrc(5), the *_proxy variables.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Network, NetmaskValueError
from pathlib import Path
from urllib.parse import urlsplit

from paas.engine.network.policy import METADATA, Target
from paas.errors import PaasError

URL = re.compile(r"\b(?:https?|ftp)://[^\s\"';,\]]+", re.IGNORECASE)

DEFAULT_PORTS = {"http": 80, "https": 443, "ftp": 21}

CONFIGURATION = (
    "etc/apt/sources.list",
    "etc/apt/sources.list.d/*.list",
    "etc/apt/sources.list.d/*.sources",
    "etc/apt/apt.conf",
    "etc/apt/apt.conf.d/*",
    "etc/pip.conf",
    "etc/xdg/pip/pip.conf",
    "root/.pip/pip.conf",
    "root/.config/pip/pip.conf",
    "etc/npmrc",
    "usr/etc/npmrc",
    "root/.npmrc",
    "etc/environment",
)
VARIABLES = ("http_proxy", "https_proxy", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "UV_INDEX_URL")


class InvalidTarget(PaasError):
    """An entry of the allowed egress is neither a name nor an address."""

    def __init__(self, entry: str) -> None:
        super().__init__(
            f"{entry!r} is no target that egress can be allowed to",
            resolution="Use a host name, an address or a network, with or without a port:"
            " mirror.example.com, 10.1.2.3:3142, 192.168.7.0/24.",
        )


@dataclass(frozen=True)
class Egress:
    """Where instances may go although it is not on the internet."""

    names: frozenset[str] = frozenset()
    targets: frozenset[Target] = frozenset()


def parse_egress(entries: Iterable[str]) -> Egress:
    """Sort `host`, `host:port`, `address`, `network` entries. Raises `InvalidTarget`.

    The port of a name is not kept: the resolver adds addresses, and TCP alone is allowed.
    """
    names, targets = set(), set()
    for entry in entries:
        host, _, port = entry.strip().partition(":")
        if port and not port.isdecimal():
            raise InvalidTarget(entry)
        network = _network(host, entry)
        if network is None:
            names.add(host.lower())
        elif not network.is_loopback:
            targets.add(Target(network, int(port or 0)))
    return Egress(frozenset(names), frozenset(targets))


def configured(root: Path = Path("/"), variables: Mapping[str, str] | None = None) -> list[str]:
    """The `host:port` entries of every mirror and proxy that the host is configured for."""
    texts = [path.read_text("utf-8", "replace") for path in _files(root)]
    given = variables or {}
    texts += [given[name] for name in given if name in VARIABLES or name.lower() in VARIABLES]
    return sorted({entry for text in texts for entry in endpoints(text)})


def endpoints(text: str) -> set[str]:
    """`host:port` of every URL in `text` outside of comment lines.

    Only of those that `parse_egress` takes: foreign files also hold templates, IPv6
    addresses and URLs of the host itself, none of which instances could use.
    """
    found = set()
    for line in text.splitlines():
        if line.lstrip().startswith(("#", "//")):
            continue
        for match in URL.finditer(line):
            entry = _endpoint(match.group().rstrip("/"))
            if entry:
                found.add(entry)
    return found


def _endpoint(text: str) -> str:
    """`host:port` of one URL, empty when instances cannot use it."""
    try:
        url = urlsplit(text)
        entry = f"{url.hostname}:{url.port or DEFAULT_PORTS[url.scheme]}"
        parse_egress([entry])
    except (ValueError, InvalidTarget):
        return ""
    return "" if url.hostname == "localhost" else entry


def _files(root: Path) -> list[Path]:
    return sorted(
        path for pattern in CONFIGURATION for path in root.glob(pattern) if path.is_file()
    )


def _network(host: str, entry: str) -> IPv4Network | None:
    """The network that `host` gives, None for a name."""
    if re.fullmatch(r"[0-9./]+", host) is None:
        if re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", host) is None:
            raise InvalidTarget(entry)
        return None
    try:
        network = IPv4Network(host)
    except (AddressValueError, NetmaskValueError, ValueError) as error:
        raise InvalidTarget(entry) from error
    if network.overlaps(METADATA) or network.prefixlen < 8:
        raise InvalidTarget(entry)
    return network
