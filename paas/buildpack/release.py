"""What `bin/release` prints: the small part of YAML that buildpacks use.

Source: https://devcenter.heroku.com/articles/buildpack-api, bin/release. It has mappings of
scalars one level deep and a list of add-ons; a whole YAML parser would be a dependency and
would accept much more than can be meant.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from paas.errors import PaasError
from paas.model.names import parse_config_key, parse_process_type

ENTRY = re.compile(r"""(?P<key>"[^"]*"|'[^']*'|[^\s:#'"\[{][^:#]*?)\s*:(?:\s+(?P<value>.*))?""")
NOTHING = frozenset({"", "{}", "[]", "~", "null"})
DOCUMENT_MARK = re.compile(r"(---|\.\.\.)(\s+\{\s*\})?\s*")
"""Also with the empty mapping behind it, by which many buildpacks say that they say nothing."""


class InvalidRelease(PaasError):
    """The output of a `bin/release` that cannot be read; the message names the line."""


@dataclass(frozen=True)
class Defaults:
    """What a buildpack suggests: shell commands by process type, and config vars."""

    processes: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, str] = field(default_factory=dict)


def parse_release(text: str, name: str) -> Defaults:
    """Read what the `bin/release` of the buildpack `name` printed.

    `addons` are nothing of ours and are left out. Raises `InvalidRelease` and `InvalidName`.
    """
    found: dict[str, dict[str, str]] = {"default_process_types": {}, "config_vars": {}}
    section = ""
    for place, indented, line in _lines(text, name):
        if not indented:
            section, value = _entry(line, place)
            if value not in NOTHING:
                raise InvalidRelease(f"{place}: {section} must be a mapping", [line])
        elif section in found:
            key, value = _entry(line, place)
            found[section][key] = _scalar(value, place)
        elif not section:
            raise InvalidRelease(f"{place}: indented, but below nothing", [line])
    return Defaults(
        {parse_process_type(key): value for key, value in found["default_process_types"].items()},
        {parse_config_key(key): value for key, value in found["config_vars"].items()},
    )


def _lines(text: str, name: str) -> Iterator[tuple[str, bool, str]]:
    """Place, whether it is indented, and text of each line that says something."""
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if line and not line.startswith("#") and not DOCUMENT_MARK.fullmatch(line):
            # A list at the margin belongs to the key above it.
            yield f"bin/release of {name}, line {number}", raw[0] in " \t-", line


def _entry(line: str, place: str) -> tuple[str, str]:
    match = ENTRY.fullmatch(line)
    if match is None:
        raise InvalidRelease(f"{place}: not of the form 'key: value'", [line])
    return _scalar(match["key"], place), (match["value"] or "").strip()


def _scalar(text: str, place: str) -> str:
    """A plain, a 'single' or a "double" quoted scalar. Raises `InvalidRelease`."""
    if text.startswith("'"):
        if len(text) < 2 or not text.endswith("'"):
            raise InvalidRelease(f"{place}: a quote is not closed", [text])
        return text[1:-1].replace("''", "'")
    if text.startswith('"'):
        try:
            # YAML's double quotes are a superset of JSON's strings.
            return str(json.loads(text))
        except ValueError:
            raise InvalidRelease(f"{place}: a quoted text cannot be read", [text]) from None
    if text[:1] in ("|", ">", "&", "*", "!", "[", "{"):
        raise InvalidRelease(f"{place}: only plain and quoted texts are understood", [text])
    return text.partition(" #")[0].rstrip()
