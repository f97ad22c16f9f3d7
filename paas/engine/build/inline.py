"""Which documents a Dockerfile's line announces: `<<EOF`, `3<<-"END OF IT"`.

A word of the shell's grammar, as far as that is needed to tell words from one another.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from paas.engine.build.lexer import SPACE, quoted

_ANNOUNCED = re.compile(r"^(\d*)<<(-?)([^<]*)$")


_VARIABLE = re.compile(r"\$\{(?:[A-Za-z_]\w*|\d+|[@*#?$!-])[}:+?#%/-]", re.ASCII)


@dataclass(frozen=True)
class Document:
    """A document: how it ends, where it goes, and (once it is read) what it says."""

    name: str
    file_descriptor: int = 0
    chomp: bool = False
    """Whether tabs may stand before its end."""

    content: str = ""


class _Unfinished(Exception):
    """A quote or a brace is not closed."""


def documents(line: str) -> list[Document]:
    """The documents that a line announces, in order."""
    try:
        words = _split(line, raw=True)
    except _Unfinished:
        return []
    return [found for word in words if (found := _announced(word)) is not None]


def _announced(word: str) -> Document | None:
    match = _ANNOUNCED.match(word)
    if match is None or not match[3]:
        return None
    try:
        names = _split(match[3], raw=False)
    except _Unfinished as error:
        raise ValueError(f"failed to process {quoted(match[3])}: {error}") from None
    if len(names) != 1:
        return None
    return Document(names[0], int(match[1] or 0), match[2] == "-")


def _split(text: str, *, raw: bool) -> list[str]:
    """Words, with their quotes and escapes if `raw`. Raises `_Unfinished`."""
    words: list[str] = []
    word, inside, position = "", False, 0
    while position < len(text):
        one = text[position]
        if one in SPACE:
            if inside:
                words.append(word)
            word, inside, position = "", False, position + 1
            continue
        inside = True
        if one in "'\"":
            part, position = _quoted(text, position, raw=raw)
        elif one == "\\":
            part = text[position + (0 if raw else 1) : position + 2]
            position += 2
        elif text.startswith("${", position):
            if _VARIABLE.match(text, position) is None or "}" not in text[position:]:
                raise _Unfinished("syntax error: missing '}'")
            part, position = "${", position + 2
        else:
            part, position = one, position + 1
        word += part
    return [*words, word] if inside else words


def _quoted(text: str, start: int, *, raw: bool) -> tuple[str, int]:
    """What is between quotes, and where it ends."""
    quote, position, content = text[start], start + 1, ""
    while position < len(text) and text[position] != quote:
        if quote == '"' and text[position] == "\\":
            following = text[position + 1 : position + 2]
            keep = raw or following not in ('"', "$", "\\")
            content += ("\\" if keep else "") + following
            position += 2
        else:
            content += text[position]
            position += 1
    if position >= len(text):
        raise _Unfinished
    return (f"{quote}{content}{quote}" if raw else content), position + 1
