"""Words and flags of a Dockerfile's line: quotes, escapes, and what counts as a space."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

SPACE = frozenset("\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000") | frozenset(
    chr(code) for code in range(0x2000, 0x200B)
)
"""Unicode's White_Space, which is not what `str.isspace` goes by."""

_BYTE_SPACE = frozenset("\t\n\v\f\r \x85\xa0")


def quoted(text: str) -> str:
    """As Go's %q."""
    plain = re.sub(r"\\u00([0-7])", r"\\x\1", json.dumps(text, ensure_ascii=False))
    return "".join(one if one.isprintable() else f"\\u{ord(one):04x}" for one in plain)


def strip(text: str, *, right: bool = True) -> str:
    """Without the spaces before and, unless `right` is false, behind it."""
    start, end = 0, len(text)
    while start < end and text[start] in SPACE:
        start += 1
    while right and end > start and text[end - 1] in SPACE:
        end -= 1
    return text[start:end]


def words_of(rest: str, escape: str) -> list[str]:
    """Split at spaces outside of quotes; quotes and escapes stay for who expands the words."""
    return list(_words(rest, escape))


def _words(rest: str, escape: str) -> Iterator[str]:
    word, quote, inside = "", "", False
    characters = iter(range(len(rest)))
    for position in characters:
        one = rest[position]
        if not inside and not quote:
            if one in SPACE:
                continue
            inside = True
        if not quote and one in SPACE:
            yield word
            word, inside = "", False
            continue
        if one == escape and quote != "'":
            if position + 1 == len(rest):
                quote = ""
                continue  # an escape at the very end is for nothing
            word += one
            one = rest[next(characters)]
        elif quote:
            quote = "" if one == quote else quote
        elif one in "'\"":
            quote = one
        word += one
    if word:
        yield word


def first_word(text: str) -> tuple[str, str]:
    """The first word and what is behind it and its spaces; byte by byte too."""
    octets = _octets(text)
    end = next((at for at, one in enumerate(octets) if one in _BYTE_SPACE), len(octets))
    rest = end
    while rest < len(octets) and octets[rest] in _BYTE_SPACE:
        rest += 1
    return _text(octets[:end]), _text(octets[rest:])


def _octets(text: str) -> str:
    return text.encode().decode("latin-1")


def _text(octets: str) -> str:
    return octets.encode("latin-1").decode("utf-8", "replace")


def split_flags(line: str) -> tuple[tuple[str, ...], str]:
    """The `--flags` that a line begins with, and what is behind them.

    Byte by byte, each a character of its own, as the package does it.
    """
    text = _octets(line)
    flags: list[str] = []
    position = 0
    while True:
        while position < len(text) and text[position] in _BYTE_SPACE:
            position += 1
        if text[position : position + 2] != "--":
            break
        flag, quoted, position = _flag(text, position)
        if flag == "--":
            break
        if flag or quoted:
            flags.append(flag)
    return tuple(flags), _text(text[position:])


def _flag(text: str, position: int) -> tuple[str, bool, int]:
    """One word without its quotes and escapes, whether it had quotes, and where it ends."""
    word, quote, quoted = "", "", False
    while position < len(text):
        one = text[position]
        if not quote and one in _BYTE_SPACE:
            break
        position += 1
        if quote and one == quote:
            quote = ""
        elif not quote and one in "'\"":
            quote, quoted = one, True
        elif one == "\\":
            word += text[position : position + 1]
            position += 1
        else:
            word += one
    return word, quoted, min(position, len(text))
