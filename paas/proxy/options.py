"""What can be tuned about one site, as values that mean nothing else to nginx."""

from __future__ import annotations

import re
from dataclasses import dataclass

from paas.errors import PaasError

USERS = re.compile(r"([A-Za-z0-9_.@-]{1,64}:\{SSHA\}[A-Za-z0-9+/=]+( |$))*")
NETWORK = re.compile(r"[0-9a-f.:]+/[0-9]{1,3}")
RATE = re.compile(r"([1-9][0-9]{0,5}/[sm])?")
LOG_FORMATS = ("json", "combined", "off")


class InvalidSite(PaasError):
    """A site that nginx could not serve."""


@dataclass(frozen=True)
class SiteOptions:
    """What can be tuned per app. Sizes in bytes, times in seconds.

    `paas.model.proxysettings` says what each is for; the names are the same.
    """

    max_body_bytes: int = 100 * 1024 * 1024
    """0 is no limit. nginx's own default of 1 MB is everybody's first 413."""
    connect_timeout_s: int = 5
    read_timeout_s: int = 60
    send_timeout_s: int = 60
    body_timeout_s: int = 60
    keepalive_timeout_s: int = 65
    buffering: bool = True
    request_buffering: bool = True
    compression: bool = True
    https_redirect: bool = True
    """Domains that have a certificate answer on plain HTTP with a redirect alone."""
    hsts_s: int = 0
    """How long clients are to insist on HTTPS for this very name (RFC 6797); 0 says nothing."""
    hsts_subdomains: bool = False
    hsts_preload: bool = False
    canonical: str = "none"
    """`www` or `apex`: of two such domains the one that the other redirects to."""
    users: str = ""
    """`name:{SSHA}…` each, parted by spaces; without any, everybody may pass."""
    allow: tuple[str, ...] = ()
    rate: str = ""
    rate_burst: int = 20
    connections: int = 0
    sticky: bool = False
    strip_path: bool = True
    log_format: str = "json"
    extra: str = ""
    """nginx directives for the server block: the operator's, or what `snippet` let through."""

    def __post_init__(self) -> None:
        if self.max_body_bytes < 0 or self.read_timeout_s < 1:
            raise InvalidSite("A body limit is 0 or more, a read timeout 1 second or more")
        if self.hsts_s < 0:
            raise InvalidSite("The time of HSTS is 0 seconds or more")
        words = USERS.fullmatch(self.users) and RATE.fullmatch(self.rate)
        if not words or not all(map(NETWORK.fullmatch, self.allow)):
            raise InvalidSite("Users, networks or the rate of a site are not in their one spelling")
        if self.log_format not in LOG_FORMATS or self.canonical not in ("none", "www", "apex"):
            raise InvalidSite("A site has no such log format, or no such canonical host")

    @property
    def hsts(self) -> str:
        """The value of Strict-Transport-Security (RFC 6797, section 6.1)."""
        parts = [f"max-age={self.hsts_s}"]
        parts += ["includeSubDomains"] if self.hsts_subdomains else []
        parts += ["preload"] if self.hsts_preload else []
        return "; ".join(parts)

    @property
    def rate_per(self) -> str:
        """The rate as nginx writes it: `10r/s`."""
        count, _, unit = self.rate.partition("/")
        return f"{count}r/{unit}"
