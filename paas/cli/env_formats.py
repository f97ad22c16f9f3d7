"""The formats in which config is given out and taken in: pure texts."""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Iterator, Mapping

from paas.errors import PaasError

EXPORTS = ("exports", "envfile", "docker-args", "shell", "pretty", "json", "json-list")
IMPORTS = ("envfile", "json")

KEY = re.compile(r"[ \t]*(?:export[ \t]+)?([^=\s'\"#]+)[ \t]*=[ \t]*")
WORD = re.compile(
    r"""(?P<single>'[^']*')
    |(?P<double>"(?:[^"\\]|\\.)*")
    |(?P<escape>\\[^\n])
    |(?P<comment>(?<=[\s])\#[^\n]*)
    |(?P<bare>[ \t\r\f\v]+|[^'"\\\s]+|\\(?=\n)|[^\S\n])""",
    re.DOTALL | re.VERBOSE,
)
ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


class InvalidEnvironment(PaasError):
    """What was to be imported is not in the format; the message names the line."""


def exported(values: Mapping[str, str], form: str) -> str:
    """The variables in one of `EXPORTS`."""
    pairs = [f"{key}={quoted(value)}" for key, value in values.items()]
    entries = [{"name": key, "value": value} for key, value in values.items()]
    width = max(map(len, values), default=0) + 1
    return {
        "exports": "".join(f"export {pair}\n" for pair in pairs),
        "envfile": "".join(f"{key}={escaped(value)}\n" for key, value in values.items()),
        "docker-args": " ".join(f"--env={pair}" for pair in pairs) + "\n",
        "shell": " ".join(pairs) + "\n",
        "pretty": "".join(f"{key + ':':<{width}}  {value}\n" for key, value in values.items()),
        "json": json.dumps(values, ensure_ascii=False) + "\n",
        "json-list": json.dumps(entries, ensure_ascii=False) + "\n",
    }[form]


def quoted(value: str) -> str:
    """One word of a POSIX shell that means `value`, whatever it holds (XCU 2.2.2)."""
    return "'" + value.replace("'", "'\\''") + "'"


def escaped(value: str) -> str:
    """In double quotes, on one line: how .env files are read by all who read them."""
    for char, escape in (("\\", "\\\\"), ('"', '\\"'), ("$", "\\$"), ("`", "\\`")):
        value = value.replace(char, escape)
    return '"' + value.replace("\n", "\\n").replace("\r", "\\r") + '"'


def bundled(values: Mapping[str, str]) -> bytes:
    """A tar archive of one file for each variable, named by it."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for key, value in values.items():
            data = value.encode("utf-8", "surrogateescape")
            info = tarfile.TarInfo(key)
            info.size, info.mode = len(data), 0o600
            tar.addfile(info, io.BytesIO(data))
    return archive.getvalue()


def imported(text: str, form: str | None) -> dict[str, str]:
    """The variables of a text; without `form` JSON is told by its brace or bracket.

    Names and values are not looked at. Raises `InvalidEnvironment`.
    """
    text = text.removeprefix("\ufeff")
    if form == "json" or (form is None and text.lstrip()[:1] in ("{", "[")):
        return _from_json(text)
    return dict(_from_envfile(text))


def _from_json(text: str) -> dict[str, str]:
    try:
        document = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        where = f":{error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise InvalidEnvironment(f"stdin{where}: not valid JSON") from None
    if isinstance(document, list):
        document = _from_list(document)
    if not isinstance(document, dict) or not all(
        isinstance(value, str | int | float) and not isinstance(value, bool)
        for value in document.values()
    ):
        raise InvalidEnvironment(
            "The JSON is not an object of texts",
            resolution='It is like {"KEY": "value"}, or the list that json-list gives.',
        )
    return {key: str(value) for key, value in document.items()}


def _from_list(entries: list[object]) -> dict[str, object] | None:
    found: dict[str, object] = {}
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            return None
        found[entry["name"]] = entry.get("value")
    return found


def _from_envfile(text: str) -> Iterator[tuple[str, str]]:
    """The lines of a .env file, or of a shell's exports: both quote as a shell does."""
    text += "\n"
    position = 0
    while position < len(text):
        number = text.count("\n", 0, position) + 1
        end = text.index("\n", position)
        line = text[position:end].strip()
        if not line or line.startswith("#"):
            position = end + 1
            continue
        match = KEY.match(text, position)
        if match is None:
            # The line itself is not shown: it may well be a secret.
            raise InvalidEnvironment(
                f"stdin:{number}: this line is not of the form KEY=VALUE",
                resolution="One variable a line; quote a value of several lines.",
            )
        value, position = _value(text, match.end(), number)
        yield match[1], value


def _value(text: str, position: int, number: int) -> tuple[str, int]:
    """The words of a value up to the end of its line, and where the next line begins."""
    parts: list[str] = []
    while text[position] != "\n":
        match = WORD.match(text, position)
        if match is None:
            raise InvalidEnvironment(f"stdin:{number}: a quote is not closed")
        position = match.end()
        kind, found = match.lastgroup, match[0]
        if kind == "comment":
            break
        if kind == "single":
            parts.append(found[1:-1])
        elif kind == "double":
            parts.append(_unescaped(found[1:-1]))
        else:
            # A blank ends no value: .env files are not that strict.
            parts.append(found[1:] if kind == "escape" else found)
            if kind == "bare" and found.isspace() and text[position] in "\n#":
                parts.pop()
    return "".join(parts), text.index("\n", position) + 1


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: ESCAPES.get(match[1], match[1]), text, flags=re.DOTALL)
