"""The config vars that a repository declares in app.json, in Heroku's and Dokku's fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from paas.errors import PaasError
from paas.model.env import Secret, parse_value
from paas.model.names import parse_config_key

SECRET = "secret"  # noqa: S105  Heroku's word for the generator


class InvalidDeclaration(PaasError):
    """An entry of app.json's `env` cannot be read; the message names it."""


class MissingConfig(PaasError):
    """Config vars that the app requires are not set."""

    def __init__(self, missing: Sequence[Declared]) -> None:
        super().__init__(
            f"The app requires config vars that are not set: "
            f"{', '.join(one.key for one in missing)}",
            [f"{one.key}: {one.description}" for one in missing if one.description],
            "Set them, then push again: paas config:set APP "
            + " ".join(f"{one.key}=VALUE" for one in missing),
        )


@dataclass(frozen=True)
class Declared:
    """One config var. `value` is what it is unless it is set; with `sync` also then.

    `generated` asks for a random value, `required` for one at all.
    """

    key: str
    value: Secret | None = None
    description: str = ""
    required: bool = True
    generated: bool = False
    sync: bool = False


def parse_declared(value: object, place: str) -> tuple[Declared, ...]:
    """The `env` of app.json. Raises `InvalidDeclaration`, `InvalidName`, `InvalidValue`."""
    if value is None:
        return ()
    if not isinstance(value, Mapping):
        raise InvalidDeclaration(f"{place} must be an object, written in braces")
    return tuple(_declared(str(key), entry, f"{place}.{key}") for key, entry in value.items())


def _declared(name: str, entry: object, place: str) -> Declared:
    key = parse_config_key(name)
    if isinstance(entry, str):
        return Declared(key, Secret(parse_value(key, entry)))
    if not isinstance(entry, Mapping):
        raise InvalidDeclaration(f"{place} must be a string or an object")
    value = _text(entry, "value", place)
    generator = _text(entry, "generator", place)
    if generator not in (None, SECRET):
        raise InvalidDeclaration(f'{place}.generator must be "{SECRET}"')
    return Declared(
        key,
        None if value is None else Secret(parse_value(key, value)),
        description=_text(entry, "description", place) or "",
        required=_flag(entry, "required", place, default=True),
        generated=generator is not None,
        sync=_flag(entry, "sync", place, default=False),
    )


def _text(entry: Mapping[str, object], field: str, place: str) -> str | None:
    value = entry.get(field)
    if value is not None and not isinstance(value, str):
        raise InvalidDeclaration(f"{place}.{field} must be a string")
    return value


def _flag(entry: Mapping[str, object], field: str, place: str, *, default: bool) -> bool:
    value = entry.get(field, default)
    if not isinstance(value, bool):
        raise InvalidDeclaration(f"{place}.{field} must be true or false")
    return value


def additions(
    declared: Sequence[Declared], present: Mapping[str, Secret], generate: Callable[[], str]
) -> dict[str, Secret]:
    """What has to be set for the app to run, above the config that is `present`.

    Raises `MissingConfig`, which names everything that is missing at once.
    """
    found: dict[str, Secret] = {}
    missing = []
    for one in declared:
        if one.key in present and not (one.sync and one.value is not None):
            continue
        if one.value is not None:
            found[one.key] = one.value
        elif one.generated:
            found[one.key] = Secret(generate())
        elif one.required:
            missing.append(one)
    if missing:
        raise MissingConfig(missing)
    return found
