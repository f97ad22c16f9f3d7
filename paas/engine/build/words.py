"""Expanding variables and removing quotes in a word of a Dockerfile.

A subset of the shell's rules, as the Dockerfile reference ("Environment replacement")
and POSIX 2.6.2 (parameter expansion) have them: `$x`, `${x}`, `${x:-word}`, `${x-word}`,
`:+`, `+`, `:?`, `?`, `#`, `##`, `%`, `%%`, `/` and `//`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from paas.engine.build.errors import BadSubstitution

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[0-9]+|[@*#?$!-]")


def expand(word: str, values: Mapping[str, str], escape: str = "\\") -> str:
    """`word` with variables replaced and quotes removed; what is unset becomes empty.

    Raises `BadSubstitution`.
    """
    return _Expansion(word, values, escape).whole()


def expand_document(text: str, values: Mapping[str, str], escape: str = "\\") -> str:
    """An inline document: variables are replaced, quotes are text."""
    return _Expansion(text, values, escape, quotes=False).whole()


class _Expansion:
    """One pass over one word."""

    def __init__(
        self, text: str, values: Mapping[str, str], escape: str, *, quotes: bool = True
    ) -> None:
        self._text = text
        self._values = values
        self._escape = escape
        self._quotes = quotes
        self._at = 0

    def whole(self) -> str:
        return self._until("", raw=False)

    def _next(self) -> str:
        """The character here, taken; empty at the end."""
        character = self._text[self._at : self._at + 1]
        self._at += 1
        return character

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _until(self, stop: str, *, raw: bool) -> str:
        """Expand up to `stop` (taken), or to the end. `raw` keeps escape characters."""
        parts: list[str] = []
        while character := self._next():
            if character == stop:
                return "".join(parts)
            if character == "$":
                parts.append(self._dollar())
            elif character == "'" and self._quotes:
                parts.append(self._single())
            elif character == '"' and self._quotes:
                parts.append(self._double(raw=raw))
            elif character == self._escape:
                parts.append(self._escaped(raw=raw))
            else:
                parts.append(character)
        if stop:
            raise BadSubstitution(f"{self._text}: missing '{stop}'")
        return "".join(parts)

    def _escaped(self, *, raw: bool) -> str:
        following = self._next()
        keep = raw or (not self._quotes and following not in ("$", self._escape))
        return (self._escape if keep else "") + following

    def _single(self) -> str:
        end = self._text.find("'", self._at)
        if end < 0:
            raise BadSubstitution(f"{self._text}: missing closing single quote")
        text = self._text[self._at : end]
        self._at = end + 1
        return text

    def _double(self, *, raw: bool) -> str:
        parts: list[str] = []
        while character := self._next():
            if character == '"':
                return "".join(parts)
            if character == "$":
                parts.append(self._dollar())
            elif character == self._escape and self._peek() in ('"', "$", self._escape):
                parts.append((self._escape if raw else "") + self._next())
            else:
                parts.append(character)
        raise BadSubstitution(f"{self._text}: missing closing double quote")

    def _dollar(self) -> str:
        if self._peek() != "{":
            name = self._name()
            return self._values.get(name, "") if name else "$"
        self._next()
        name = self._name()
        if not name:
            raise BadSubstitution(f"{self._text}: bad substitution")
        operator = self._next()
        if operator == "}":
            return self._values.get(name, "")
        return self._operated(name, operator)

    def _name(self) -> str:
        match = _NAME.match(self._text, self._at)
        if match is None:
            return ""
        self._at = match.end()
        return match[0]

    def _operated(self, name: str, operator: str) -> str:
        """`${name<operator>…}`, from behind the operator's first character."""
        value = self._values.get(name)
        if operator == ":" and self._peek() in ("-", "+", "?"):
            operator = self._next()
            value = value or None
        if operator in ("-", "+", "?"):
            return self._defaulted(name, operator, value)
        if operator in ("#", "%"):
            return self._trimmed(operator, value or "")
        if operator == "/":
            return self._replaced(value or "")
        if not operator:
            raise BadSubstitution(f"{self._text}: missing '}}'")
        raise BadSubstitution(f"{self._text}: unsupported modifier {operator} in substitution")

    def _defaulted(self, name: str, operator: str, value: str | None) -> str:
        word = self._until("}", raw=False)
        if operator == "-":
            return word if value is None else value
        if operator == "+":
            return "" if value is None else word
        if value is None:
            raise BadSubstitution(f"{name}: {word or 'is not allowed to be unset'}")
        return value

    def _trimmed(self, operator: str, value: str) -> str:
        greedy = self._peek() == operator
        if greedy:
            self._next()
        pattern = _pattern(self._until("}", raw=True), greedy=greedy)
        if operator == "#":
            match = re.match(pattern, value, re.DOTALL)
            return value[match.end() :] if match else value
        # The shortest suffix is the match that starts last, the longest that starts first.
        starts = range(len(value) + 1) if greedy else range(len(value), -1, -1)
        for start in starts:
            if re.fullmatch(pattern, value[start:], re.DOTALL):
                return value[:start]
        return value

    def _replaced(self, value: str) -> str:
        every = self._peek() == "/"
        if every:
            self._next()
        pattern = _pattern(self._until("/", raw=True), greedy=True)
        replacement = self._until("}", raw=True)
        put: Callable[[re.Match[str]], str] = lambda _: replacement  # noqa: E731
        return re.sub(pattern, put, value, count=0 if every else 1, flags=re.DOTALL)


def _pattern(glob: str, *, greedy: bool) -> str:
    """A shell pattern as a regular expression: `*`, `?` and backslash escapes."""
    parts: list[str] = []
    characters = iter(glob)
    for character in characters:
        if character == "*":
            parts.append(".*" if greedy else ".*?")
        elif character == "?":
            parts.append(".")
        elif character == "\\":
            parts.append(re.escape(next(characters, "\\")))
        else:
            parts.append(re.escape(character))
    return "".join(parts)
