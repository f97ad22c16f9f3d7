"""Dokku's CHECKS file, which app.json's healthchecks replaced: read for apps that still have it.

    WAIT=5
    TIMEOUT=30
    ATTEMPTS=5
    /path                  expected content
    http://example.com/up  expected content
    //example.com/up       expected content

Each line with a path is a check of `web`: a GET that is answered well and contains the
content, if there is any. A host becomes the Host header.
"""

from __future__ import annotations

import re

from paas.errors import PaasError
from paas.model.health import Healthcheck, parse_healthcheck
from paas.model.names import shown

SETTING = re.compile(r"(WAIT|TIMEOUT|ATTEMPTS)=(\d{1,5})")
OTHER = re.compile(r"[A-Z_]+=\S*")
"""Variables of Dokku's that mean nothing here (INITIAL_NETWORK…) are left alone."""

CHECK = re.compile(r"(?:(https?):)?(?://([^/\s]+))?(/\S*)(?:\s+(.*))?")
FIELDS = {"WAIT": "wait", "TIMEOUT": "timeout", "ATTEMPTS": "attempts"}
DEFAULTS = {"wait": 5, "timeout": 30, "attempts": 5}


class InvalidChecks(PaasError):
    """A line of CHECKS cannot be read; the message names file and line."""


def parse_checks(text: str, name: str = "CHECKS") -> tuple[Healthcheck, ...]:
    """The checks in their order. `name` is the file's path for messages.

    Raises `InvalidChecks` and `InvalidHealthcheck`.
    """
    settings: dict[str, int] = dict(DEFAULTS)
    checks: list[tuple[str, dict[str, object]]] = []
    for number, raw in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if setting := SETTING.fullmatch(line):
            settings[FIELDS[setting[1]]] = int(setting[2])
        elif not OTHER.fullmatch(line):
            checks.append((f"{name}:{number}", _check(line, f"{name}:{number}")))
    return tuple(parse_healthcheck({**settings, **fields}, place) for place, fields in checks)


def _check(line: str, place: str) -> dict[str, object]:
    match = CHECK.fullmatch(line)
    if match is None:
        raise InvalidChecks(
            f"{place}: {shown(line)} is not of the form '/path expected content'",
            resolution="Better: declare healthchecks in app.json, and remove CHECKS.",
        )
    scheme, host, path, content = match.groups()
    fields: dict[str, object] = {"path": path, "content": (content or "").strip()}
    if scheme:
        fields["scheme"] = scheme
    if host:
        fields["httpHeaders"] = [{"name": "Host", "value": host}]
    return fields
