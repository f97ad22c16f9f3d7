"""Routes and redirects: what a domain, or the part of one below a path, leads to."""

from __future__ import annotations

import re
from dataclasses import dataclass

from paas.model.names import InvalidName, parse_domain, shown

PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*")
"""Unreserved characters alone (RFC 3986, section 2.3): nothing that nginx would decode."""

MAX_PATH = 200
TARGET = re.compile(r"(https?)://([^/?#:@\s]+)(:[0-9]{1,5})?([/?][A-Za-z0-9._~/?&=%:@!*,+-]*)?")
CODES = (301, 302, 303, 307, 308)
"""The redirects that have a Location (RFC 9110, section 15.4)."""


@dataclass(frozen=True, order=True)
class Route:
    """`host` and everything below `path`, which is empty for the whole host."""

    host: str
    path: str = ""

    def __str__(self) -> str:
        return self.host + self.path


@dataclass(frozen=True, order=True)
class Redirect:
    """Requests to `source` are sent to the URL `target` with the status `code`.

    A target without a path keeps the path and query of the request.
    """

    source: Route
    target: str
    code: int = 301

    @property
    def keeps_path(self) -> bool:
        """Whether the request's own path and query come behind the target."""
        return "/" not in self.target.partition("://")[2]


def parse_route(text: str) -> Route:
    """`example.com` or `example.com/api`. Raises `InvalidName`."""
    host, slash, rest = text.partition("/")
    path = (slash + rest).rstrip("/")
    parts = path.split("/")
    if len(path) > MAX_PATH or not PATH.fullmatch(path) or "." in parts or ".." in parts:
        raise InvalidName(
            f"{shown(text)} is not a domain with a path",
            resolution="Write it like example.com/api, of letters, digits and . _ ~ -",
        )
    if path.startswith(("/.well-known/acme-challenge", "/.paas-pages")):
        raise InvalidName(f"{shown(path)} is the proxy's own")
    return Route(parse_domain(host), path)


def parse_target(text: str) -> str:
    """The URL that a redirect leads to, its host in ASCII. Raises `InvalidName`."""
    match = TARGET.fullmatch(text)
    if match is None or match[2].startswith("*"):
        raise InvalidName(
            f"{shown(text)} is not a URL to redirect to",
            resolution="Write it like https://www.example.com or https://example.com/new.",
        )
    scheme, host, port, rest = match.groups("")
    return f"{scheme}://{parse_domain(host)}{port}{rest}"


def parse_code(text: str) -> int:
    """The status of a redirect. Raises `InvalidName`."""
    if text not in map(str, CODES):
        raise InvalidName(
            f"{shown(text)} is not the status of a redirect",
            resolution=f"One of {', '.join(map(str, CODES))}.",
        )
    return int(text)
