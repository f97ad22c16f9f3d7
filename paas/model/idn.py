"""Internationalised domain names: the one door to the `idna` package (RFC 5891, UTS 46)."""

from __future__ import annotations

import idna


def to_ascii(name: str) -> str | None:
    """`name` in its `xn--` form; None when it cannot be a domain.

    UTS 46 maps what a keyboard makes of it first: capitals, full-width letters, dots.
    """
    try:
        return idna.encode(name, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        return None


def to_unicode(name: str) -> str:
    """`name` as its owner writes it, for people to read; itself where that is not possible."""
    try:
        return idna.decode(name)
    except (idna.IDNAError, UnicodeError):
        return name
