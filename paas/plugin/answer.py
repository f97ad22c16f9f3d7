"""What a program of a plugin wrote, held against what it may say.

Anybody may have written the program, and anything the text: it is one JSON object of known
fields, of a bounded size, or it is an error.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from paas.errors import PaasError
from paas.model.env import InvalidValue, Secret, parse_value
from paas.model.harmless import harmless
from paas.model.names import CONFIG_KEY, PROCESS_TYPE, shown
from paas.plugin.declaration import Permissions
from paas.plugin.hookspecs import Answer

MAX_ANSWER = 256 * 1024
"""Bytes of standard output: a Dockerfile and its like fit."""

MAX_REASON = 2000
MAX_COMMAND = 4000


class BadAnswer(PaasError):
    """A program of a plugin wrote something else than what it was asked for."""


def hook_answer(data: bytes, name: str, permissions: Permissions) -> Answer:
    """What a hook said; nothing at all is consent. Raises `BadAnswer`."""
    fields = _object(data, {"refuse", "config"} if name == "pre-release" else {"refuse"})
    config = _texts(fields, "config")
    for key, value in config.items():
        if not CONFIG_KEY.fullmatch(key) or not permissions.sets(key):
            raise BadAnswer(f"config: it may not set {shown(key)}")
        try:
            parse_value(key, value)
        except InvalidValue as error:
            raise BadAnswer(f"config: {error.brief}") from None
    reason = fields.get("refuse", "")
    if not isinstance(reason, str) or len(reason) > MAX_REASON:
        raise BadAnswer(f"refuse: must be a text of at most {MAX_REASON} characters")
    if "refuse" in fields and not reason.strip():
        raise BadAnswer("refuse: must say why")
    return Answer(harmless(reason).strip(), {key: Secret(value) for key, value in config.items()})


def builder_answer(data: bytes) -> tuple[str, Mapping[str, str]]:
    """The Dockerfile that a builder wrote, and process types. Raises `BadAnswer`."""
    fields = _object(data, {"dockerfile", "processes"})
    dockerfile = fields.get("dockerfile")
    if not isinstance(dockerfile, str) or not dockerfile.strip():
        raise BadAnswer("dockerfile: must be the text of a Dockerfile")
    processes = _texts(fields, "processes")
    for kind, command in processes.items():
        if not PROCESS_TYPE.fullmatch(kind) or not command.strip() or "\0" in command:
            raise BadAnswer(f"processes: {shown(kind)} is no process type with a command")
        if len(command) > MAX_COMMAND:
            raise BadAnswer(f"processes: the command of {shown(kind)} is too long")
    return dockerfile, processes


def _object(data: bytes, known: set[str]) -> Mapping[str, object]:
    if not data.strip():
        return {}
    try:
        found = json.loads(data.decode("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError, ValueError):
        raise BadAnswer(f"its answer is not JSON: {shown(_beginning(data))}") from None
    if not isinstance(found, dict):
        raise BadAnswer(f"its answer is no JSON object: {shown(_beginning(data))}")
    unknown = sorted(found.keys() - known)
    if unknown:
        may = f"; it may say {', '.join(sorted(known))}"
        raise BadAnswer(f"its answer has the field {shown(unknown[0])}{may}")
    return found


def _texts(fields: Mapping[str, object], name: str) -> dict[str, str]:
    """A field that maps texts to texts; empty when it is not there."""
    found = fields.get(name, {})
    if not isinstance(found, dict) or not all(isinstance(each, str) for each in found.values()):
        raise BadAnswer(f"{name}: must be an object of texts")
    return dict(found)


def _beginning(data: bytes) -> str:
    return data[:200].decode("utf-8", "replace").strip()
