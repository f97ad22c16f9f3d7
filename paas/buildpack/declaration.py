"""`buildpack.toml`: what a buildpack says of itself beyond Heroku's three programs.

All of it is optional and none of it is needed: a foreign buildpack without the `[paas]`
table is compiled as on Heroku. With it the engine can put a part of the work into layers
that outlive a push:

    [paas]
    detect = ["requirements.txt"]         # it is only asked where one of these is there
    packages = ["python3"]                # Debian packages that the app needs to run
    dependencies = ["requirements*.txt"]  # all that bin/dependencies looks at
    settings = ["PIP_"]                   # config vars that change what it installs
    build-only = true                     # what bin/dependencies installs is not run

`bin/dependencies BUILD_DIR CACHE_DIR ENV_DIR` is then run with these files alone, and what
it installs is a layer that all apps with the same files share. `bin/setup` runs as root,
once a server, to install what the buildpack itself needs.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass

from paas.errors import PaasError

DEBIAN_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")
"""Debian Policy, 5.6.1."""

PATTERN = re.compile(r"[\w.*-]+(/[\w.*-]+)*")
"""A path, with `*` in it; nothing that a Dockerfile reads as more than that."""

BUILD_ONLY = "build-only"


class InvalidBuildpack(PaasError):
    """A buildpack that is not one; the message names it."""


@dataclass(frozen=True)
class Declaration:
    """The `[paas]` table; an empty one for a buildpack that has none."""

    detect: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    dependencies: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    build_only: bool = False


def parse_declaration(text: str, name: str) -> Declaration:
    """Read a `buildpack.toml`; `name` is its path for messages. Raises `InvalidBuildpack`."""
    try:
        table = tomllib.loads(text).get("paas", {})
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InvalidBuildpack(f"{name}: not valid TOML: {error}") from None
    if not isinstance(table, Mapping):
        raise InvalidBuildpack(f"{name}: paas must be a table")
    fields = {
        "detect": PATTERN,
        "packages": DEBIAN_PACKAGE,
        "dependencies": PATTERN,
        "settings": re.compile(r"\w+"),
    }
    unknown = sorted(set(table) - {*fields, BUILD_ONLY})
    if unknown:
        raise InvalidBuildpack(f"{name}: paas.{unknown[0]} is not known")
    build_only = table.get(BUILD_ONLY, False)
    if not isinstance(build_only, bool):
        raise InvalidBuildpack(f"{name}: paas.{BUILD_ONLY} must be true or false")
    words = {
        field: _words(table.get(field, []), rule, f"{name}: paas.{field}")
        for field, rule in fields.items()
    }
    return Declaration(**words, build_only=build_only)


def _words(value: object, rule: re.Pattern[str], place: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise InvalidBuildpack(f"{place} must be a list")
    for word in value:
        if not isinstance(word, str) or not rule.fullmatch(word) or ".." in word.split("/"):
            raise InvalidBuildpack(f"{place}: {word!r} cannot stand there")
    return tuple(value)
