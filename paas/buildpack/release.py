"""The door to YAML: what `bin/release` prints.

Source: https://devcenter.heroku.com/articles/buildpack-api, bin/release. Three keys are
known: `default_process_types` and `config_vars`, mappings of scalars, and `addons`, a list.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import yaml

from paas.errors import PaasError
from paas.model.names import parse_config_key, parse_process_type

PROCESSES, CONFIG, ADDONS = "default_process_types", "config_vars", "addons"
_NOTHING = ("", "~", "null")


class InvalidRelease(PaasError):
    """The output of a `bin/release` that cannot be read; the message names the line."""


@dataclass(frozen=True)
class Defaults:
    """What a buildpack suggests: shell commands by process type, config vars, add-ons."""

    processes: Mapping[str, str] = field(default_factory=dict)
    config: Mapping[str, str] = field(default_factory=dict)
    addons: tuple[str, ...] = ()


def parse_release(text: str, name: str) -> Defaults:
    """Read what the `bin/release` of the buildpack `name` printed.

    Other keys are left alone, as on Heroku. Raises `InvalidRelease` and `InvalidName`.
    """
    place = f"bin/release of {name}"
    document = _load(text, place)
    if document in (None, *_NOTHING):
        return Defaults()
    if not isinstance(document, dict):
        raise InvalidRelease(f"{place}: it must print a mapping, or nothing", [text[:200]])
    processes = _mapping(document.get(PROCESSES, ""), f"{place}: {PROCESSES}")
    config = _mapping(document.get(CONFIG, ""), f"{place}: {CONFIG}")
    return Defaults(
        {parse_process_type(key): value for key, value in processes.items()},
        {parse_config_key(key): value for key, value in config.items()},
        _words(document.get(ADDONS, ""), f"{place}: {ADDONS}"),
    )


def _load(text: str, place: str) -> object:
    """Texts, lists and mappings, no more: the loader knows no tags, so `1.10` stays as it is."""
    try:
        return yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506  less than safe_load makes
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise InvalidRelease(f"{place}{line}: not valid YAML: {error.problem}") from None
    except (yaml.YAMLError, RecursionError) as error:
        raise InvalidRelease(f"{place}: not valid YAML: {str(error)[:200]}") from None


def _mapping(value: object, place: str) -> dict[str, str]:
    if value in _NOTHING:
        return {}
    if not isinstance(value, dict):
        raise InvalidRelease(f"{place} must be a mapping")
    for key, each in value.items():
        if not isinstance(key, str) or not isinstance(each, str):
            raise InvalidRelease(f"{place}.{key} must be a text")
    return value


def _words(value: object, place: str) -> tuple[str, ...]:
    if value in _NOTHING:
        return ()
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise InvalidRelease(f"{place} must be a list of names")
    return tuple(value)
