"""When a certificate is renewed, and which domains an authority could look at: pure rules."""

from __future__ import annotations

import math
from collections.abc import Iterable

from paas.model.certificate import Certificate

FIRST_WAIT_S = 15 * 60.0
LONGEST_WAIT_S = 24 * 3600.0
"""Between attempts after failures, doubled each time. Let's Encrypt allows five failures an
hour for each name (https://letsencrypt.org/docs/rate-limits/)."""

LAST_PART = 1 / 8
"""Of the time that is left, the most to wait after a failure."""

JITTER = 1 / 20
"""Of a lifetime: certificates that were made together are not renewed together."""

WARN_S = 21 * 86400.0
WARN_PART = 1 / 4
"""Of a lifetime, for certificates that live shorter than three months."""

PRIVATE = frozenset(
    {"test", "example", "invalid", "localhost", "local", "internal", "lan", "home", "arpa", "onion"}
)
"""Top labels without public DNS (RFC 6761, 6762, 7686, 8375): no authority is asked unbidden."""


def renew_at(certificate: Certificate, suggested_at: float | None) -> float:
    """From when on a certificate is to be renewed, in seconds since the epoch.

    The authority's own wish counts, when it has one (RFC 9773). Else one third of the
    lifetime is left, a little less for some than for others.
    """
    if suggested_at is not None:
        return min(suggested_at, certificate.not_after)
    lifetime = certificate.not_after - certificate.not_before
    return certificate.renew_at + JITTER * lifetime * share_of(certificate.fingerprint)


def share_of(fingerprint: str) -> float:
    """A number from 0 to 1 that stays the same for a certificate."""
    return int(fingerprint[:4] or "0", 16) / 0xFFFF


def wait_after(failures: int, retry_after: float, left_s: float = math.inf) -> float:
    """Seconds until the next attempt, after this many failures before the last one.

    `left_s` is how long the certificate is good for: of that there are always several attempts
    left. `retry_after` is what the authority asks for, in seconds.
    """
    patience = max(FIRST_WAIT_S, LAST_PART * left_s)
    return max(min(FIRST_WAIT_S * 2.0**failures, LONGEST_WAIT_S, patience), retry_after)


def warn_at(certificate: Certificate) -> float:
    """From when on people are told that a certificate is about to end."""
    lifetime = certificate.not_after - certificate.not_before
    return certificate.not_after - min(WARN_S, WARN_PART * lifetime)


def public(domains: Iterable[str]) -> list[str]:
    """Those that an authority on the internet could find."""
    return [each for each in domains if "." in each and each.rpartition(".")[2] not in PRIVATE]
