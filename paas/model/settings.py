"""The one table of settings: name, where it may be set, parser, default, help."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from paas.errors import NotFound, PaasError
from paas.model.limits import BUILD_LIMITS, MIB
from paas.model.names import parse_branch, parse_domain, shown

T = TypeVar("T")


class InvalidSetting(PaasError):
    """A value the setting cannot take."""


class UnknownSetting(NotFound):
    """There is no setting of that name."""


@dataclass(frozen=True)
class Setting(Generic[T]):
    """One row. `parse` raises `PaasError`; `app` says that an app may have its own value."""

    name: str
    parse: Callable[[str], T]
    default: T
    help: str
    app: bool = False

    def text(self, given: str) -> str:
        """What is kept for `given`: a short word of it written out. Raises `PaasError`."""
        parsed = self.parse(given)
        return parsed if isinstance(parsed, str) else given


def whole(least: int, most: int) -> Callable[[str], int]:
    """Parses a whole number of that range."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not least <= int(text) <= most:
            raise InvalidSetting(f"{shown(text)} is not a whole number from {least} to {most}")
        return int(text)

    return parse


def memory(text: str) -> int:
    """Bytes: of `512m` or `2g`. Raises `InvalidSetting`."""
    match = re.fullmatch(r"([0-9]{1,9})([kmg]?)", text.lower().removesuffix("b"))
    if match is None:
        raise InvalidSetting(
            f"{shown(text)} is not an amount of memory",
            resolution="Write it like 512m or 2g.",
        )
    return int(match[1]) * {"": 1, "k": 1024, "m": MIB, "g": 1024 * MIB}[match[2]]


def _domains(text: str) -> str:
    """Domains parted by commas; none is fine."""
    return ",".join(dict.fromkeys(parse_domain(each.strip()) for each in text.split(",") if each))


def switch(text: str) -> bool:
    """`on` or `off`. Raises `InvalidSetting`."""
    if text not in {"on", "off"}:
        raise InvalidSetting(f"{shown(text)} is neither on nor off")
    return text == "on"


HTTP_ADDRESS = Setting("http-address", str, "", "The address nginx listens on; empty for all")
HTTP_PORT = Setting("http-port", whole(1, 65535), 80, "The port nginx serves HTTP on")
HTTPS_PORT = Setting("https-port", whole(1, 65535), 443, "The port nginx serves HTTPS on")
DOMAIN = Setting("domain", _domains, "", "Apps are served at <app>.<domain>, for each of them")
ALLOW_FIREWALL = Setting(
    "allow-firewall",
    switch,
    False,  # noqa: FBT003 (the default)
    "Whether the host's firewall is made to pass what instances send out",
)
DEPLOY_BRANCH = Setting(
    "deploy-branch", parse_branch, "", "The branch whose push deploys", app=True
)
"""Without one it is the branch of the first push, which is then set for its app."""

DRAIN_SECONDS = Setting(
    "drain-seconds",
    whole(0, 3600),
    30,
    "How long an old instance may finish its connections before it is stopped",
    app=True,
)
BOOT_SECONDS = Setting(
    "boot-seconds",
    whole(1, 3600),
    60,
    "How long a new instance may take until it is healthy",
    app=True,
)
TEST = Setting(
    "test",
    switch,
    False,  # noqa: FBT003 (the default)
    "Whether a push is tested before it is released",
    app=True,
)
BUILD_SECONDS = Setting(
    "build-seconds", whole(10, 86400), 3600, "How long a build may take", app=True
)
BUILD_MEMORY = Setting(
    "build-memory", memory, BUILD_LIMITS.memory_bytes, "Memory of a build", app=True
)
KEEP_RELEASES = Setting(
    "keep-releases", whole(1, 1000), 10, "How many releases can be rolled back to", app=True
)
HTTPS_REDIRECT = Setting(
    "https-redirect",
    switch,
    True,  # noqa: FBT003 (the default)
    "Whether domains with a certificate answer on plain HTTP with a redirect alone",
    app=True,
)
HSTS_SECONDS = Setting(
    "hsts-seconds",
    whole(0, 999999999),
    182 * 86400,
    "How long browsers are to insist on HTTPS (RFC 6797); 0 says nothing",
    app=True,
)
"""On by default as in Dokku: these apps redirect to HTTPS anyway, and without it the first
request of every visit can be taken over on its way. Never for subdomains: they may be other
people's, and on other servers. Browsers ignore it from a certificate they do not trust."""

SETTINGS: tuple[Setting[int] | Setting[str] | Setting[bool], ...] = (
    HTTP_ADDRESS,
    HTTP_PORT,
    HTTPS_PORT,
    DOMAIN,
    ALLOW_FIREWALL,
    DEPLOY_BRANCH,
    DRAIN_SECONDS,
    BOOT_SECONDS,
    TEST,
    BUILD_SECONDS,
    BUILD_MEMORY,
    KEEP_RELEASES,
    HTTPS_REDIRECT,
    HSTS_SECONDS,
)


def server_domains(value: str) -> list[str]:
    """The value of `DOMAIN` as the domains that it lists."""
    return value.split(",") if value else []


def setting(name: str) -> Setting[int] | Setting[str] | Setting[bool]:
    """The setting called `name`. Raises `UnknownSetting`."""
    for each in SETTINGS:
        if each.name == name:
            return each
    raise UnknownSetting(
        f"There is no setting {shown(name)}",
        resolution="Settings: " + ", ".join(each.name for each in SETTINGS) + ".",
    )
