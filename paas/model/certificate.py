"""What is known of a TLS certificate, and which one of several serves a domain."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

RENEW_AT = 2 / 3
"""The part of a lifetime after which it is renewed: with one third left, as Let's Encrypt
advises (https://letsencrypt.org/docs/integration-guide/, "When to Renew")."""


class Source(StrEnum):
    """Where a certificate came from."""

    GIVEN = "given"
    SELF_SIGNED = "self-signed"
    LETSENCRYPT = "letsencrypt"


@dataclass(frozen=True)
class Certificate:
    """One certificate, without its key. Times are seconds since the epoch."""

    fingerprint: str
    """SHA-256 of its DER form, 64 hex digits."""
    source: Source
    names: tuple[str, ...]
    """DNS names in lower case, wildcards as `*.example.com`."""
    issuer: str
    serial: str
    not_before: float
    not_after: float
    self_signed: bool
    stapled: bool = False
    """Whether its issuer is asked how the certificate stands (OCSP), for clients to be told."""

    @property
    def renew_at(self) -> float:
        """From when on a new one should be had."""
        return self.not_before + RENEW_AT * (self.not_after - self.not_before)

    def valid_at(self, now: float) -> bool:
        """Whether clients accept its dates."""
        return self.not_before <= now <= self.not_after

    def covers(self, domain: str) -> bool:
        """Whether clients take it for `domain`, which may be a wildcard itself."""
        return any(name_covers(name, domain) for name in self.names)


def name_covers(name: str, domain: str) -> bool:
    """RFC 9525, section 6.3: a wildcard is the whole first label and stands for one."""
    if name == domain:
        return True
    label, _, rest = domain.partition(".")
    return name.startswith("*.") and label not in {"", "*"} and name[2:] == rest


def choose(certificates: Iterable[Certificate], domain: str, now: float) -> Certificate | None:
    """The certificate to serve `domain` with; None when none covers it.

    Of equals the last: callers give the newest last. One that is expired is better than
    none: the visitor is warned instead of turned away.
    """
    best: Certificate | None = None
    for each in certificates:
        if each.covers(domain) and (
            best is None or _rank(each, domain, now) >= _rank(best, domain, now)
        ):
            best = each
    return best


def _rank(certificate: Certificate, domain: str, now: float) -> tuple[bool, bool, bool]:
    return (certificate.valid_at(now), not certificate.self_signed, domain in certificate.names)
