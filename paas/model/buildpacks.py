"""The buildpacks that were set for an app, and the stack it is built on."""

from __future__ import annotations

import json
import re

from paas.model.names import shown
from paas.model.settings import InvalidSetting, Setting

DEFAULT_STACK = "debian-13"
MADE = "debian-"
"""How the names of stacks begin that are made on the server; others are pulled."""
STACK_NAME = re.compile(r"[a-z][a-z0-9.-]{0,40}")


def dump(sources: tuple[str, ...] | list[str]) -> str | None:
    """The text that `BUILDPACKS` is set to; None when there are none."""
    return json.dumps(list(sources)) if sources else None


def _sources(text: str) -> tuple[str, ...]:
    return tuple(map(str, json.loads(text)))


def _stack(text: str) -> str:
    if not STACK_NAME.fullmatch(text):
        raise InvalidSetting(f"{shown(text)} cannot name a stack")
    return text


BUILDPACKS: Setting[tuple[str, ...]] = Setting(
    "buildpacks", _sources, (), "The buildpacks of an app, before what its tree names", app=True
)
GIT_HOSTS: Setting[tuple[str, ...]] = Setting(
    "git-hosts", _sources, (), "Hosts that may be fetched from though they are not public"
)
STACK = Setting("stack", _stack, DEFAULT_STACK, "What buildpack apps are built on", app=True)
