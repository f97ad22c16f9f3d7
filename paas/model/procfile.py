"""The Procfile: one `type: command` a line, the rules being Dokku's.

Blank lines, `#` and `//` comments (at the end of a line only after whitespace, and not
inside quotes) and CRLF are accepted; any other line is an error, so that a leftover of
a merge fails the push and not the app.
"""

from __future__ import annotations

import re

from paas.errors import PaasError
from paas.model.names import PROCESS_TYPE, shown

LINE = re.compile(r"(?P<type>[^\s:]+)[ \t]*:[ \t]*(?P<command>.*)")
COMMENT = re.compile(r"#|//")
MERGE_MARKER = re.compile(r"(<{7}|={7}|>{7}|\|{7})( |$)")
RELEASE = "release"
"""The type that is run once before a release goes live, and is not scaled."""


class InvalidProcfile(PaasError):
    """A line of the Procfile cannot be read; the message names file and line."""


def parse_procfile(text: str, name: str = "Procfile") -> dict[str, str]:
    """Process types and their shell commands, in the order of the file.

    `name` is the file's path for messages. Raises `InvalidProcfile`.
    """
    processes: dict[str, str] = {}
    for number, raw in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        line = _without_comment(raw).strip()
        if not line:
            continue
        process_type, command = _parse_line(line, f"{name}:{number}")
        if process_type in processes:
            raise InvalidProcfile(
                f"{name}:{number}: process type '{process_type}' is declared twice",
                resolution="Keep one line for each process type.",
            )
        processes[process_type] = command
    return processes


def _parse_line(line: str, place: str) -> tuple[str, str]:
    if MERGE_MARKER.match(line):
        raise InvalidProcfile(
            f"{place}: a merge conflict was left in the file",
            details=[line[:60]],
            resolution="Resolve the conflict, commit and push again.",
        )
    match = LINE.fullmatch(line)
    if match is None or "\0" in line:
        raise InvalidProcfile(
            f"{place}: {shown(line)} is not of the form 'type: command'",
            resolution="Write one 'type: command' a line; comments begin with #.",
        )
    if not PROCESS_TYPE.fullmatch(match["type"]):
        raise InvalidProcfile(
            f"{place}: {shown(match['type'])} is not a process type",
            resolution="Use 1 to 63 letters, digits, dashes and underscores.",
        )
    if not match["command"]:
        raise InvalidProcfile(
            f"{place}: process type '{match['type']}' has no command",
            resolution=f"Write the command behind '{match['type']}:' or remove the line.",
        )
    return match["type"], match["command"]


def _without_comment(line: str) -> str:
    """The line up to a comment mark that stands outside of quotes and after whitespace."""
    quote, escaped = "", False
    for position, char in enumerate(line):
        if escaped:
            escaped = False
        elif char == "\\" and quote != "'":
            escaped = True
        elif quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif COMMENT.match(line, position) and (position == 0 or line[position - 1].isspace()):
            return line[:position]
    return line
