"""Log drains: where the output of an app is sent on to."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from paas.errors import PaasError
from paas.model.names import shown
from paas.model.settings import Setting

TLS_PORT, TCP_PORT = 6514, 601
"""Syslog's own (RFC 5425, RFC 3195); over plain TCP most receivers want to be told another."""

LONGEST = 2000


class InvalidDrain(PaasError):
    """No URL that logs can be sent to."""


@dataclass(frozen=True)
class DrainUrl:
    """A drain's URL, which may hold a password or a token: shown in part alone."""

    text: str
    scheme: str
    host: str
    port: int

    @property
    def is_syslog(self) -> bool:
        """RFC 5424, instead of JSON by HTTPS."""
        return self.scheme.startswith("syslog")

    @property
    def has_tls(self) -> bool:
        """Whether nobody on the way can read it."""
        return self.scheme in ("https", "syslog+tls")

    def __str__(self) -> str:
        """What everybody may see: the server."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}" + ("" if self.is_syslog else "/…")

    def __repr__(self) -> str:
        return f"<drain {self}>"


def parse_drain(text: str) -> DrainUrl:
    """`syslog+tls://host[:port]`, `syslog://host:port` or `https://…`. Raises `InvalidDrain`."""
    try:
        parts = urlsplit(text)
        scheme, host, port = parts.scheme, parts.hostname or "", parts.port
    except ValueError:
        parts, scheme, host, port = urlsplit(""), "", "", None
    defaults = {"https": 443, "syslog+tls": TLS_PORT, "syslog": TCP_PORT}
    readable = text.isprintable() and " " not in text and len(text) <= LONGEST
    if scheme not in defaults or not host or not readable:
        raise InvalidDrain(
            f"{shown(scheme or text)} is not where logs can be sent to",
            resolution="Write syslog+tls://HOST:PORT, syslog://HOST:PORT or https://HOST/PATH.",
        )
    if scheme != "https" and (parts.path.strip("/") or parts.query or parts.username):
        raise InvalidDrain(
            "Syslog takes a host and a port alone", resolution="Write syslog+tls://HOST:PORT."
        )
    return DrainUrl(text, scheme, host, port or defaults[scheme])


def _hosts(text: str) -> frozenset[str]:
    return frozenset(filter(None, text.split(",")))


DRAIN_HOSTS: Setting[frozenset[str]] = Setting(
    "drain-hosts",
    _hosts,
    frozenset(),
    "Hosts that logs are sent to although their addresses are not public",
)
