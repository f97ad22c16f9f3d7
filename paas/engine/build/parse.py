"""The door to the `dockerfile` package: text into nodes, with lines and heredocs.

The package is moby's own parser; where it has no wheel, `grammar` does the same. It accepts
unknown instructions and flags, says of an error neither where it is nor which instruction it
was, and ends the process on a lone surrogate: deciding what is valid is
`paas.engine.build.read`'s, and what the parser cannot take is refused here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from paas.engine.build.errors import DockerfileError, Location
from paas.engine.build.grammar import Command

try:
    from dockerfile import GoParseError, parse_string
except ImportError:  # arm64
    from paas.engine.build.grammar import GoParseError, parse_string

MAX_BYTES = 1024 * 1024

_DIRECTIVE = re.compile(r"^#\s*([A-Za-z][A-Za-z0-9]*)\s*=\s*(.+?)\s*$")
_ONBUILD = re.compile(r"^\s*ONBUILD\s+", re.IGNORECASE)


@dataclass(frozen=True)
class Heredoc:
    """An inline document; `content` is as written, leading tabs included."""

    name: str
    content: str


@dataclass(frozen=True)
class Node:
    """One instruction, split into words but neither validated nor expanded.

    `text` is the logical line (continuations joined, documents below it), `source` the
    lines of the file.
    """

    at: Location
    keyword: str
    flags: tuple[str, ...]
    words: tuple[str, ...]
    json: bool
    text: str
    source: str
    heredocs: tuple[Heredoc, ...] = ()


@dataclass(frozen=True)
class Parsed:
    """The nodes of a file and its escape character (`# escape=`)."""

    nodes: tuple[Node, ...]
    escape: str


def parse(data: bytes, file: str) -> Parsed:
    """Split a Dockerfile into nodes. Raises `DockerfileError` with file and line."""
    text = _decode(data, file)
    lines = text.splitlines(keepends=True)
    try:
        commands = parse_string(text)
    except GoParseError as error:
        raise _located(lines, str(error), file) from None
    return Parsed(
        tuple(_node(command, lines, Location(file, command.start_line)) for command in commands),
        _escape(lines),
    )


def parse_trigger(source: str, escape: str, at: Location) -> Node:
    """The node of one instruction that stands alone: what ONBUILD keeps for later.

    Raises `DockerfileError`, placed at `at`.
    """
    directive = f"# escape={escape}\n" if escape != "\\" else ""
    text = directive + _ONBUILD.sub("", source)
    try:
        (command,) = parse_string(text)
    except ValueError as error:  # of the parser, or more than one instruction
        raise at.error(str(error)) from None
    return _node(command, text.splitlines(keepends=True), at)


def _decode(data: bytes, file: str) -> str:
    if len(data) > MAX_BYTES:
        raise DockerfileError(f"{file} is larger than {MAX_BYTES // 1024} KiB")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        at = Location(file, data.count(b"\n", 0, error.start) + 1)
        raise at.error("not UTF-8 text") from None
    if "\0" in text:  # the parser would drop the rest of the line
        raise Location(file, text.count("\n", 0, text.index("\0")) + 1).error("a NUL byte")
    return text


def _node(command: Command, lines: list[str], at: Location) -> Node:
    return Node(
        at=at,
        keyword=(command.cmd or "").upper(),
        flags=command.flags,
        words=command.value,
        json=command.json,
        text=(command.original or "").rstrip("\n"),
        source="".join(lines[command.start_line - 1 : command.end_line]),
        heredocs=tuple(Heredoc(document.name, document.content) for document in command.heredocs),
    )


def _escape(lines: list[str]) -> str:
    """The `escape` directive; directives stand before everything else, comments too."""
    for line in lines:
        match = _DIRECTIVE.match(line.strip())
        if match is None:
            break
        if match[1].lower() == "escape":
            return match[2]
    return "\\"


def _located(lines: list[str], message: str, file: str) -> DockerfileError:
    """The parser's error with the line it is about."""
    if not any(line.strip() and not line.lstrip().startswith("#") for line in lines):
        return DockerfileError(f"{file} has no instructions")
    find = _open_document if "heredoc" in message else _first_bad_line
    first_word = message.split(" ", 1)[0]
    text = message if first_word.isupper() else message[:1].lower() + message[1:]
    return Location(file, find(lines, message)).error(text)


def _first_bad_line(lines: list[str], message: str) -> int:
    """By halves: the parser stops at its first error, so what is before it is fine."""
    good, bad = 0, len(lines)
    while bad - good > 1:
        middle = (good + bad) // 2
        if _message("".join(lines[:middle])) == message:
            bad = middle
        else:
            good = middle
    return bad


def _open_document(lines: list[str], message: str) -> int:
    """The last `<<` that does not stand in a document itself: it is the one left open."""
    for number in range(len(lines), 0, -1):
        if "<<" in lines[number - 1] and _message("".join(lines[: number - 1])) != message:
            return number
    return 1


def _message(text: str) -> str:
    try:
        parse_string(text)
    except GoParseError as error:
        return str(error)
    return ""
