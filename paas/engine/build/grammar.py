"""The grammar of Dockerfiles: what the `dockerfile` package does, for where it has no wheel.

It is moby's parser, in Go, and has none for arm64. Here is the same in Python, with the same
results for every text (a test compares them over many): lines, continuations, directives,
flags, words, JSON arrays and documents. Like that one it accepts unknown instructions.

Sources: https://docs.docker.com/reference/dockerfile and, where that is silent, what the
package does.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from paas.engine.build.inline import Document, documents
from paas.engine.build.lexer import first_word, quoted, split_flags, strip, words_of

MAX_LINE_BYTES = 65535

_DIRECTIVE = re.compile(
    r"^#[\t\n\f\r ]*([A-Za-z][A-Za-z0-9]*)[\t\n\f\r ]*=[\t\n\f\r ]*(.+?)[\t\n\f\r ]*$"
)
_DIRECTIVES = frozenset({"escape", "syntax"})
_BLANKS = re.compile(r"[\t\v\f\r ]+")


class GoParseError(ValueError):
    """The text is no Dockerfile; worded as the package words it."""


@dataclass(frozen=True)
class Command:
    """One instruction, as the package describes it."""

    cmd: str | None
    """As it is written; the package has None for an empty one, which an escape can leave."""

    start_line: int
    end_line: int
    original: str | None
    flags: tuple[str, ...]
    value: tuple[str, ...]
    json: bool
    heredocs: tuple[Document, ...]
    sub_cmd: str | None = None


@dataclass
class _Lines:
    """The lines of a text, one after another, and what its directives say.

    A line that is too long is the end of the text, and an error when all else is well.
    """

    lines: list[str]
    number: int = 0
    escape: str = "\\"
    cut: bool = False
    _seen: set[str] = field(default_factory=set)
    _header: bool = True

    def next(self) -> str | None:
        """The next line with its end; None behind the last one."""
        if self.number == len(self.lines):
            return None
        line = self.lines[self.number]
        if len(line.removesuffix("\n").encode()) > MAX_LINE_BYTES:
            self.cut = True
            self.lines = self.lines[: self.number]
            return None
        self.number += 1
        return line

    def heed(self, line: str) -> None:
        """Follow a parser directive; they stand before everything else."""
        match = _DIRECTIVE.match(line) if self._header else None
        name = match[1].lower() if match else ""
        if match is None or name not in _DIRECTIVES:
            self._header = False
            return
        if name in self._seen:
            raise GoParseError(f"only one {name} parser directive can be used")
        self._seen.add(name)
        if name == "escape":
            if match[2] not in ("`", "\\"):
                raise GoParseError(f"invalid escape token '{match[2]}' does not match ` or \\")
            self.escape = match[2]

    def continued(self, line: str) -> tuple[str, bool]:
        """The line without the escape at its end, and whether there was one."""
        token = re.escape(self.escape)
        found = re.search(rf"(?:^|(?<!{token})){token}[ \t]*$", line)
        return (line[: found.start()], True) if found else (line, False)


def parse_string(text: str) -> tuple[Command, ...]:
    """Every instruction of a Dockerfile. Raises `GoParseError`."""
    lines = _Lines(_split(text.removeprefix("\ufeff")))
    commands = tuple(_commands(lines))
    if not commands:
        raise GoParseError("file with no instructions")
    if lines.cut:
        raise GoParseError(f"dockerfile line greater than max allowed size of {MAX_LINE_BYTES}")
    return commands


def _commands(lines: _Lines) -> Iterator[Command]:
    while (line := lines.next()) is not None:
        line = strip(_ended(line), right=False)
        lines.heed(line)
        start = lines.number
        logical, more = lines.continued("" if line.startswith("#") else line)
        if not more and not logical:
            continue
        while more and (line := lines.next()) is not None:
            line = _ended(line)
            lines.heed(line)
            blank = strip(line)
            if blank and not blank.startswith("#"):
                part, more = lines.continued(line)
                logical += part
        yield _command(logical, start, lines)


def _command(line: str, start: int, lines: _Lines) -> Command:
    keyword, flags, rest = _instruction(line)
    sub = None
    name, arguments = keyword, rest
    if keyword.upper() == "ONBUILD" and rest:
        name, _, arguments = _instruction(rest)
        sub = name
    value, is_json = _ARGUMENTS.get(name.upper(), _ignored)(arguments, lines.escape)
    found: tuple[Document, ...] = ()
    if name.upper() in ("ADD", "COPY", "RUN") and not is_json:
        found = tuple(_read(document, lines) for document in documents(line))
    # The package knows of ONBUILD's documents where they end, and does not tell.
    told = found if sub is None else ()
    original = line
    if told:
        original += "\n" + "".join(f"{one.content}{one.name}\n" for one in told)
    return Command(
        keyword or None,
        start,
        lines.number,
        original or None,
        flags,
        value,
        json=is_json,
        heredocs=told,
        sub_cmd=sub,
    )


def _read(document: Document, lines: _Lines) -> Document:
    content = ""
    while (line := lines.next()) is not None:
        ended = _ended(line)
        if (ended.lstrip("\t") if document.chomp else ended) == document.name:
            return Document(document.name, document.file_descriptor, document.chomp, content)
        content += line
    raise GoParseError("unterminated heredoc")


def _instruction(line: str) -> tuple[str, tuple[str, ...], str]:
    keyword, *behind = _BLANKS.split(strip(line), maxsplit=1)
    flags, rest = split_flags(behind[0]) if behind else ((), "")
    return keyword, flags, strip(rest)


def _split(text: str) -> list[str]:
    lines = text.split("\n")
    return [f"{line}\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])


def _ended(line: str) -> str:
    return line.rstrip("\r\n")


# -- the arguments of an instruction, by its kind ---------------------------------------------

_Value = tuple[tuple[str, ...], bool]


def _ignored(_: str, __: str) -> _Value:
    return ("",), False


def _whole(rest: str, _: str) -> _Value:
    return ((rest,) if rest else ()), False


def _blank_separated(rest: str, _: str) -> _Value:
    return (tuple(_BLANKS.split(rest)) if rest else ()), False


def _words(rest: str, escape: str) -> _Value:
    return tuple(words_of(rest, escape)), False


def _json_or_whole(rest: str, escape: str) -> _Value:
    array = _array(rest)
    return _whole(rest, escape) if array is None else (array, True)


def _json_or_blank_separated(rest: str, escape: str) -> _Value:
    array = _array(rest)
    return _blank_separated(rest, escape) if array is None else (array, True)


def _health(rest: str, escape: str) -> _Value:
    kind, behind = first_word(rest)
    if not kind:
        return (), False
    value, is_json = _json_or_whole(behind, escape)
    return (kind, *value), is_json


def _pairs(keyword: str) -> Callable[[str, str], _Value]:
    def parse(rest: str, escape: str) -> _Value:
        words = words_of(rest, escape)
        if not words:
            return (), False
        if "=" not in words[0]:
            parts = _BLANKS.split(rest, maxsplit=1)
            if len(parts) < 2:
                raise GoParseError(f"{keyword} must have two arguments")
            return tuple(parts), False
        for word in words:
            if "=" not in word:
                raise GoParseError(
                    f"Syntax error - can't find = in {quoted(word)}. "
                    "Must be of the form: name=value"
                )
        return tuple(part for word in words for part in word.split("=", 1)), False

    return parse


_ARGUMENTS: Mapping[str, Callable[[str, str], _Value]] = {
    "ADD": _json_or_blank_separated,
    "ARG": _words,
    "CMD": _json_or_whole,
    "COPY": _json_or_blank_separated,
    "ENTRYPOINT": _json_or_whole,
    "ENV": _pairs("ENV"),
    "EXPOSE": _blank_separated,
    "FROM": _blank_separated,
    "HEALTHCHECK": _health,
    "LABEL": _pairs("LABEL"),
    "MAINTAINER": _whole,
    "ONBUILD": lambda rest, _: (("",) if rest else (), False),
    "RUN": _json_or_whole,
    "SHELL": _json_or_whole,
    "STOPSIGNAL": _whole,
    "USER": _whole,
    "VOLUME": _json_or_blank_separated,
    "WORKDIR": _whole,
}


def _array(rest: str) -> tuple[str, ...] | None:
    """The strings of a JSON array; None for what is none. Raises `GoParseError`.

    What is behind it is of no interest to the package.
    """
    text = strip(rest, right=False)
    if not text.startswith("["):
        return None
    try:
        found, _ = _JSON.raw_decode(text)
    except (ValueError, RecursionError):
        return None
    if not all(isinstance(one, str) for one in found):
        raise GoParseError("when using JSON array syntax, arrays must be comprised of strings only")
    # Half of a surrogate pair is no character; Go puts this one in its place.
    return tuple(re.sub("[\ud800-\udfff]", "\ufffd", one) for one in found)


def _no_number(text: str) -> float:
    raise ValueError(text)


def _number(text: str) -> float:
    if math.isinf(number := float(text)):
        raise ValueError(text)
    return number


_JSON = json.JSONDecoder(parse_constant=_no_number, parse_float=_number)
