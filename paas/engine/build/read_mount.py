"""Reading the `--mount` flags of RUN, as BuildKit does (Dockerfile reference, RUN --mount)."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from paas.engine.build.errors import Location
from paas.engine.build.flags import did_you_mean
from paas.engine.build.instructions import RunMount

BIND, CACHE, TMPFS, SECRET, SSH = "bind", "cache", "tmpfs", "secret", "ssh"
KINDS = (BIND, CACHE, TMPFS, SECRET, SSH)
SHARED, PRIVATE, LOCKED = "shared", "private", "locked"
MAX_ID = 65535

Expand = Callable[[str], str]

_KEYS = {
    "type": "type",
    "from": "from",
    "source": "source",
    "src": "source",
    "target": "target",
    "dst": "target",
    "destination": "target",
    "readonly": "readonly",
    "ro": "readonly",
    "readwrite": "readwrite",
    "rw": "readwrite",
    "id": "id",
    "sharing": "sharing",
    "required": "required",
    "size": "size",
    "mode": "mode",
    "uid": "uid",
    "gid": "gid",
    "env": "env",
}
_SWITCHES = frozenset({"readonly", "readwrite", "required"})
_TEXTS = {"from": "origin", "source": "source", "target": "target", "id": "id", "env": "env"}
_WORDS = {
    "type": ("mount type", KINDS),
    "sharing": ("sharing value", (SHARED, PRIVATE, LOCKED)),
}
_ALLOWED = {
    "mode": (SECRET, SSH, CACHE),
    "uid": (SECRET, SSH, CACHE),
    "gid": (SECRET, SSH, CACHE),
    "env": (SECRET,),
    "size": (TMPFS,),
}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([kmgt]?)(?:i?b)?", re.IGNORECASE)
_UNITS = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}


@dataclass(frozen=True)
class MountFlag:
    """One mount, read and expanded. `size` is in bytes, 0 is no limit of its own."""

    kind: str = BIND
    target: str = ""
    source: str = ""
    origin: str | None = None
    id: str = ""
    read_only: bool | None = None
    required: bool = False
    sharing: str = ""
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    size: int = 0
    env: str = ""


def read_mount(at: Location, text: str) -> RunMount:
    """A mount as far as it can be read before its variables are known.

    Raises `DockerfileError`.
    """
    return RunMount(text, parse_mount(at, text).origin)


def parse_mount(at: Location, text: str, expand: Expand | None = None) -> MountFlag:
    """Read a mount. Without `expand`, values with variables are left for later.

    Raises `DockerfileError`.
    """
    found, whole = MountFlag(), True
    for field in _fields(at, text):
        word, equals, value = field.partition("=")
        key = _KEYS.get(word.strip().lower())
        if key is None and equals:
            hint = did_you_mean(word, _KEYS)
            raise at.error(f"unexpected key '{word}' in '{field}'{hint}")
        if key is None or (not equals and key not in _SWITCHES):
            raise at.error(f"invalid field '{field}' must be a key=value pair")
        if "$" in value:
            if key == "from":
                raise at.error(
                    f"'{field}' doesn't support variable expansion, define alias stage instead"
                )
            if expand is None:
                whole = False
                continue
            value = expand(value)
        found = _with(at, found, key, value if equals else "true")
    return _checked(at, found) if whole else found


def _fields(at: Location, text: str) -> list[str]:
    """The fields of one line of CSV (RFC 4180): a value with a comma stands in quotes."""
    try:
        (fields,) = csv.reader([text], strict=True)
    except (csv.Error, ValueError):
        raise at.error(f"failed to parse csv mounts: {text}") from None
    return fields


def _with(at: Location, found: MountFlag, key: str, value: str) -> MountFlag:
    if key in _TEXTS:
        return replace(found, **{_TEXTS[key]: value})  # type: ignore[arg-type]
    if key in _WORDS:
        name, words = _WORDS[key]
        if value.lower() not in words:
            raise at.error(f'unsupported {name} "{value}"{did_you_mean(value, words)}')
        field = "kind" if key == "type" else key
        return replace(found, **{field: value.lower()})  # type: ignore[arg-type]
    if key in _SWITCHES:
        on = _switch(at, key, value)
        if key == "required":
            return replace(found, required=on)
        return replace(found, read_only=on if key == "readonly" else not on)
    if key == "size":
        return replace(found, size=_size(at, value))
    base, most = (8, 0o7777) if key == "mode" else (10, MAX_ID)
    number = _number(at, key, value, base, most)
    return replace(found, **{key: number})  # type: ignore[arg-type]


def _checked(at: Location, found: MountFlag) -> MountFlag:
    """What goes with the kind, and its defaults."""
    for field, kinds in _ALLOWED.items():
        if getattr(found, field) not in (None, "", 0) and found.kind not in kinds:
            raise at.error(f'{field} not allowed for "{found.kind}" type mounts')
    if found.sharing and found.kind != CACHE:
        raise at.error(f"invalid cache sharing set for {found.kind} mount")
    if found.kind in (SECRET, SSH):
        found = _checked_secret(at, found)
    if found.read_only is None:
        return replace(found, read_only=found.kind not in (CACHE, TMPFS))
    return found


def _checked_secret(at: Location, found: MountFlag) -> MountFlag:
    if found.origin is not None:
        raise at.error(f"{found.kind} mount should not have a from")
    if found.source and found.id:
        raise at.error("both source and id can't be set")
    found = replace(found, id=found.id or found.source)
    if found.kind == SECRET and not found.id and not found.target:
        raise at.error("invalid secret mount. one of source, target required")
    return found


def _switch(at: Location, key: str, value: str) -> bool:
    if value.lower() not in ("true", "false", "1", "0"):
        raise at.error(f"invalid value for {key}: {value}")
    return value.lower() in ("true", "1")


def _number(at: Location, key: str, value: str, base: int, most: int) -> int:
    try:
        number = int(value, base)
    except ValueError:
        number = -1
    if not 0 <= number <= most:
        raise at.error(f"invalid value {value} for {key}")
    return number


def _size(at: Location, value: str) -> int:
    match = _SIZE.fullmatch(value)
    if match is None:
        raise at.error(f"invalid value for size: {value}", resolution="Write it like 64m or 1g.")
    return int(float(match[1]) * (1 << _UNITS[match[2].lower()]))
