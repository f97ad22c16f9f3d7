"""How an app is built, as its users chose with `builder:set`."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from paas.model.buildpacks import BUILDPACKS, GIT_HOSTS, STACK
from paas.model.names import shown
from paas.model.settings import BUILD_MEMORY, BUILD_SECONDS, InvalidSetting, Setting, switch

DOCKERFILE, BUILDPACK, IMAGE = "dockerfile", "buildpack", "image"
KINDS = (DOCKERFILE, BUILDPACK, IMAGE)
"""What can make an app's image; which of them is detected unless one is selected."""

PLUGIN = "plugin:"
"""What stands before the name of a plugin that builds."""

ALL = "all"
"""Every config var, as a value of `build-config`."""

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _kind(text: str) -> str:
    if text not in ("", *KINDS) and not re.fullmatch(f"{PLUGIN}[a-z][a-z0-9-]{{0,29}}", text):
        raise InvalidSetting(
            f"{shown(text)} is no builder",
            resolution=f"One of: {', '.join(KINDS)}, or {PLUGIN}NAME of a plugin that builds.",
        )
    return text


def _inner_path(text: str) -> str:
    """A path that stays in the tree, without slashes around it; `.` is the whole tree."""
    path = posixpath.normpath(text).strip("/")
    if path == ".." or path.startswith("../") or "\0" in path:
        raise InvalidSetting(f"{shown(text)} leads out of the repository")
    return "" if path == "." else path


def _arguments(text: str) -> Mapping[str, str]:
    found = json.loads(text)
    return {str(name): str(value) for name, value in found.items()}


def _config_names(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(word for word in re.split(r"[\s,]+", text) if word))
    for name in names:
        if not NAME.fullmatch(name):
            raise InvalidSetting(
                f"{shown(name)} cannot name a config var",
                resolution="Name config vars, separated by commas, or say all.",
            )
    return names


SELECTED = Setting("selected", _kind, "", "What builds the app; empty detects it", app=True)
BUILD_DIR = Setting("build-dir", _inner_path, "", "The directory that is the app's tree", app=True)
DOCKERFILE_PATH = Setting(
    "dockerfile-path", _inner_path, "Dockerfile", "The Dockerfile, within that tree", app=True
)
BUILD_ARGS: Setting[Mapping[str, str]] = Setting(
    "build-args", _arguments, {}, "Values for the ARGs of the Dockerfile", app=True
)
BUILD_CONFIG: Setting[tuple[str, ...]] = Setting(
    "build-config",
    _config_names,
    (),
    "Config vars that builds may mount as secrets: names, or all",
    app=True,
)
SSH_KEY = Setting(
    "ssh-key",
    switch,
    False,  # noqa: FBT003 (the default)
    "Whether steps of the Dockerfile may sign with the server's ssh key",
    app=True,
)


@dataclass(frozen=True)
class BuilderOptions:
    """What was set for one app. `selected` is one of `KINDS`, or empty: detect it.

    `directory` is empty for the whole tree; `dockerfile` is a path in it. `seconds` and
    `memory_bytes` are the limits of one build.
    """

    selected: str = SELECTED.default
    directory: str = BUILD_DIR.default
    dockerfile: str = DOCKERFILE_PATH.default
    args: Mapping[str, str] = field(default_factory=dict)
    config: tuple[str, ...] = ()
    ssh_key: bool = SSH_KEY.default
    seconds: int = BUILD_SECONDS.default
    memory_bytes: int = BUILD_MEMORY.default
    buildpacks: tuple[str, ...] = BUILDPACKS.default
    stack: str = STACK.default
    git_hosts: tuple[str, ...] = GIT_HOSTS.default

    def wants(self, name: str) -> bool:
        """Whether builds may see the config var of that name."""
        return name in self.config or ALL in self.config


def argument(text: str) -> tuple[str, str | None]:
    """Name and value of `NAME=VALUE`; a name alone has None. Raises `InvalidSetting`."""
    name, equals, value = text.partition("=")
    if not NAME.fullmatch(name):
        raise InvalidSetting(
            f"{shown(name)} cannot name a build argument", resolution="Write it as NAME=VALUE."
        )
    return name, value if equals else None
