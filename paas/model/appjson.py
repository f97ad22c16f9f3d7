"""app.json: what the repository declares about its app, in Heroku's and Dokku's fields.

`healthchecks`, `formation`, `scripts`, `env`, `environments.test`, `buildpacks`, `addons` and
`cron` are read; what other platforms put there is left alone. `//` and `/* */` comments are
accepted, as Dokku does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from paas.errors import PaasError
from paas.model.cron import CronTask, parse_task
from paas.model.declared import Declared, parse_declared
from paas.model.health import Healthcheck, parse_healthcheck
from paas.model.names import parse_process_type

COMMENT = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
MAX_INSTANCES = 1000


class InvalidAppJson(PaasError):
    """app.json cannot be read; the message names the file and the line or field."""


@dataclass(frozen=True)
class Scripts:
    """Commands run in one-off containers around a deploy, None when not declared.

    `predeploy` runs in the new image before the switch and `postdeploy` after each
    deploy (`scripts.dokku.*`); `first_postdeploy` after the first one only.
    """

    predeploy: str | None = None
    postdeploy: str | None = None
    first_postdeploy: str | None = None


@dataclass(frozen=True)
class AppTest:
    """How the app is tested (Heroku CI): a command, its own variables, its scratch services."""

    command: str | None = None
    env: tuple[Declared, ...] = ()
    addons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Addon:
    """A service that the app needs: `heroku-postgresql:mini`, and `as` what it is attached."""

    plan: str
    alias: str = ""


@dataclass(frozen=True)
class AppJson:
    """The parsed file; an empty one when there is none."""

    healthchecks: Mapping[str, tuple[Healthcheck, ...]] = field(default_factory=dict)
    formation: Mapping[str, int] = field(default_factory=dict)
    scripts: Scripts = Scripts()
    buildpacks: tuple[str, ...] = ()
    """Names or URLs, in their order."""
    env: tuple[Declared, ...] = ()
    test: AppTest = AppTest()
    addons: tuple[Addon, ...] = ()
    cron: tuple[CronTask, ...] = ()


def parse_app_json(text: str, name: str = "app.json") -> AppJson:
    """Read the file; `name` is its path for messages.

    Raises `InvalidAppJson`, `InvalidHealthcheck` or `InvalidName`.
    """
    top = _object(_load(text, name), name)
    return AppJson(
        healthchecks={
            parse_process_type(process_type): _checks(
                checks, f"{name}: healthchecks.{process_type}"
            )
            for process_type, checks in _object(
                top.get("healthchecks"), f"{name}: healthchecks"
            ).items()
        },
        formation={
            parse_process_type(process_type): quantity
            for process_type, entry in _object(top.get("formation"), f"{name}: formation").items()
            if (quantity := _quantity(entry, f"{name}: formation.{process_type}")) is not None
        },
        scripts=_scripts(_object(top.get("scripts"), f"{name}: scripts"), f"{name}: scripts"),
        buildpacks=_buildpacks(top.get("buildpacks"), f"{name}: buildpacks"),
        env=parse_declared(top.get("env"), f"{name}: env"),
        test=_test(_object(top.get("environments"), f"{name}: environments"), name),
        addons=_attached(top.get("addons"), f"{name}: addons"),
        cron=_cron(top.get("cron"), f"{name}: cron"),
    )


def _load(text: str, name: str) -> object:
    try:
        return json.loads(COMMENT.sub(_blank, text.removeprefix("\ufeff")))
    except json.JSONDecodeError as error:
        raise InvalidAppJson(
            f"{name}:{error.lineno}: not valid JSON: {error.msg}",
            resolution="Correct the file, commit and push again.",
        ) from None
    except RecursionError:
        raise InvalidAppJson(f"{name}: nested too deeply to be read") from None


def _blank(match: re.Match[str]) -> str:
    """A string as it is; a comment as blanks, so that line numbers stay true."""
    found = match[0]
    return found if found.startswith('"') else re.sub(r"[^\n]", " ", found)


def _object(value: object, place: str) -> Mapping[str, object]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidAppJson(f"{place} must be an object, written in braces")
    return value


def _checks(value: object, place: str) -> tuple[Healthcheck, ...]:
    if not isinstance(value, list):
        raise InvalidAppJson(f"{place} must be a list, written in brackets")
    return tuple(parse_healthcheck(check, f"{place}[{n}]") for n, check in enumerate(value))


def _quantity(entry: object, place: str) -> int | None:
    quantity = _object(entry, place).get("quantity")
    if quantity is None:
        return None
    if (
        isinstance(quantity, bool)
        or not isinstance(quantity, int)
        or not 0 <= quantity <= MAX_INSTANCES
    ):
        raise InvalidAppJson(f"{place}.quantity must be a whole number from 0 to {MAX_INSTANCES}")
    return quantity


def _scripts(scripts: Mapping[str, object], place: str) -> Scripts:
    each = _object(scripts.get("dokku"), f"{place}.dokku")
    return Scripts(
        predeploy=_command(each, "predeploy", f"{place}.dokku"),
        postdeploy=_command(each, "postdeploy", f"{place}.dokku"),
        first_postdeploy=_command(scripts, "postdeploy", place),
    )


def _test(environments: Mapping[str, object], name: str) -> AppTest:
    place = f"{name}: environments.test"
    test = _object(environments.get("test"), place)
    scripts = _object(test.get("scripts"), f"{place}.scripts")
    return AppTest(
        command=_command(scripts, "test", f"{place}.scripts"),
        env=parse_declared(test.get("env"), f"{place}.env"),
        addons=_addons(test.get("addons"), f"{place}.addons"),
    )


def _addons(value: object, place: str) -> tuple[str, ...]:
    """Plans such as `heroku-postgresql:mini`, each alone or as the `plan` of an object."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise InvalidAppJson(f"{place} must be a list, written in brackets")
    plans = [one.get("plan") if isinstance(one, dict) else one for one in value]
    if not all(isinstance(plan, str) and plan for plan in plans):
        raise InvalidAppJson(f'{place} must be texts, or objects of the form {{"plan": "NAME"}}')
    return tuple(map(str, plans))


def _buildpacks(value: object, place: str) -> tuple[str, ...]:
    """The `url` of each; a bare text is taken for one."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise InvalidAppJson(f"{place} must be a list, written in brackets")
    urls = [one.get("url") if isinstance(one, dict) else one for one in value]
    if not all(isinstance(url, str) and url for url in urls):
        raise InvalidAppJson(f'{place} must be objects of the form {{"url": "NAME"}}')
    return tuple(map(str, urls))


def _attached(value: object, place: str) -> tuple[Addon, ...]:
    """Each is a plan, or an object with `plan` and perhaps `as`."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise InvalidAppJson(f"{place} must be a list, written in brackets")
    found = []
    for one in value:
        fields = one if isinstance(one, dict) else {"plan": one}
        plan, alias = fields.get("plan"), fields.get("as", "")
        if not isinstance(plan, str) or not plan or not isinstance(alias, str):
            raise InvalidAppJson(f'{place} must be names like "heroku-postgresql:mini"')
        found.append(Addon(plan, alias))
    return tuple(found)


def _cron(value: object, place: str) -> tuple[CronTask, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise InvalidAppJson(f"{place} must be a list, written in brackets")
    found: dict[str, CronTask] = {}
    for number, one in enumerate(value):
        here = f"{place}[{number}]"
        try:
            task = parse_task(_object(one, here), here)
        except PaasError as error:
            raise InvalidAppJson(f"{here}: {error.brief}", resolution=error.resolution) from None
        if task.id in found:
            raise InvalidAppJson(f"{here}: the same command at the same times as one before it")
        found[task.id] = task
    return tuple(found.values())


def _command(scripts: Mapping[str, object], name: str, place: str) -> str | None:
    command = scripts.get(name)
    if command is not None and not isinstance(command, str):
        raise InvalidAppJson(f"{place}.{name} must be a string")
    return command or None
