"""What is shown of texts in which credentials may be: addresses, and words of commands."""

from __future__ import annotations

import re
from collections.abc import Iterable

HIDDEN = "***"
"""Shown instead of each."""

_USERINFO = re.compile(r"(?<=://)[^\s/?#]*@")
"""RFC 3986, section 3.2.1; up to the last @, as programs read it."""

_TELLING = r"(?:auth|cookie|credential|key|passw|secret|sig|token)"
# Bounded: what is looked at may be as long as a hostile server likes.
_QUERY = re.compile(rf"([?&][^\s=&#]{{0,64}}{_TELLING}[^\s=&#]{{0,64}}=)[^\s&#]+", re.IGNORECASE)
_HEADER = re.compile(rf"({_TELLING}[\w-]{{0,64}}\s*:(?!//)\s*).+", re.IGNORECASE | re.DOTALL)


def url_shown(text: str) -> str:
    """A URL, or a text with some in it, less the users, passwords and tokens in them."""
    return _QUERY.sub(rf"\1{HIDDEN}", _USERINFO.sub(f"{HIDDEN}@", text))


def words_shown(argv: Iterable[str]) -> list[str]:
    """The words of a command, less what their URLs and headers (`Authorization: …`) let in by."""
    return [_HEADER.sub(rf"\1{HIDDEN}", url_shown(word)) for word in argv]
