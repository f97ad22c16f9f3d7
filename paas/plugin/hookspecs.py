"""Every hook there is, in one file: when it is called, what it is told, what it may answer.

A hook takes one argument, a `Call`. Bundled plugins implement it in Python (pluggy); for all
others `paas.plugin.foreign` runs a program of theirs in a container, with the call as JSON on
its standard input. The docstrings are the documentation: `paas plugin:hooks` prints them.

Those that are *asked* run while something is about to happen, and may refuse it where the
plugin declares `veto = true`. Those that are *told* run afterwards, out of the journal of
events, by the supervisor and in its own time: nobody waits for them, and nothing that they do
or fail to do reaches what they are told of.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import pluggy

from paas.engine.build.context import Context
from paas.model.env import Secret
from paas.model.report import Report, Silent

PROJECT = "paas"
hookimpl = pluggy.HookimplMarker(PROJECT)
_hookspec = pluggy.HookspecMarker(PROJECT)


@dataclass(frozen=True)
class Call:
    """What a hook is told: `facts` are the values that its docstring names.

    `source` are the pushed files and `config` the app's variables, for those who may have
    them; neither is part of the document that every plugin gets.
    """

    hook: str
    app: str = ""
    actor: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)
    report: Report = field(default_factory=Silent, compare=False, repr=False)
    source: Context | None = field(default=None, compare=False, repr=False)
    config: Mapping[str, Secret] = field(default_factory=dict, repr=False)

    def document(self) -> dict[str, Any]:
        """The call as JSON has it."""
        return {"hook": self.hook, "app": self.app or None, "actor": self.actor, **self.facts}


@dataclass(frozen=True)
class Answer:
    """What an asked hook said: why it refuses, and config vars for the release."""

    refuse: str = ""
    config: Mapping[str, Secret] = field(default_factory=dict)


@dataclass(frozen=True)
class Hook:
    """One row of the table of hooks. `events` are those it is told of; asked ones have none."""

    name: str
    text: str
    events: tuple[str, ...] = ()

    @property
    def asked(self) -> bool:
        """Whether it runs before the fact, and may refuse."""
        return not self.events

    @property
    def attribute(self) -> str:
        """Its name in Python."""
        return self.name.replace("-", "_")

    def hears(self, what: str) -> bool:
        """Whether it is told of an event called `what`, by patterns as of fnmatch(3); those
        behind a `!` are not meant.
        """
        hits = [each for each in self.events if fnmatchcase(what, each.removeprefix("!"))]
        return bool(hits) and not any(each.startswith("!") for each in hits)


Spec = Callable[[Call], Answer | None]
HOOKS: dict[str, Hook] = {}
"""By name, in the order of this file."""


def _add(spec: Spec, events: tuple[str, ...]) -> Spec:
    name = spec.__name__.replace("_", "-")
    HOOKS[name] = Hook(name, inspect.getdoc(spec) or "", events)
    marked: Spec = _hookspec(spec)
    return marked


def _asked(spec: Spec) -> Spec:
    return _add(spec, ())


def _told(*events: str) -> Callable[[Spec], Spec]:
    return lambda spec: _add(spec, events)


@_asked
def pre_build(call: Call) -> Answer | None:
    """A push is about to be built.

    commit, branch (empty where the app has none and is built again), builder,
    process_types (those of the Procfile).
    """


@_asked
def pre_release(call: Call) -> Answer | None:
    """A push was built, and is about to be tested and released.

    commit, image, processes (commands by type; null is the image's own), formation,
    config_keys. May answer with `config`: variables that the release and the app get.
    """


@_asked
def pre_deploy(call: Call) -> Answer | None:
    """New instances are about to be started: of a push, a rollback, a scale, a restart.

    commit, image, reason, formation, release (a number, or null when it makes a new one).
    """


@_asked
def check_deploy(call: Call) -> Answer | None:
    """The new instances are healthy, and the traffic is about to move to them.

    commit, image, reason, formation, release, instances (`web.1`…).
    """


@_asked
def pre_destroy(call: Call) -> Answer | None:
    """An app is about to be destroyed.

    release (the number of its live one, or null).
    """


@_told("created")
def post_create(call: Call) -> None:
    """An app was made."""


@_told("destroyed")
def post_destroy(call: Call) -> None:
    """An app was destroyed."""


@_told("renamed")
def post_rename(call: Call) -> None:
    """An app has another name; detail says which it had."""


@_told("released")
def post_deploy(call: Call) -> None:
    """A release is live; detail is its version and reason."""


@_told("deploy failed", "deploy abandoned")
def deploy_failed(call: Call) -> None:
    """A deploy ended before its release was live; detail says why."""


@_told("config changed", "config set", "config unset")
def config_changed(call: Call) -> None:
    """Config vars were set or unset; detail names them, without values."""


@_told("domain *", "domains *", "redirect *", "ports *", "server domains set")
def domains_changed(call: Call) -> None:
    """An app has other domains, redirects or ports."""


@_told("proxy setting", "maintenance *")
def proxy_changed(call: Call) -> None:
    """The proxy serves an app, or all, in another way."""


@_told("certificate *", "letsencrypt *", "renewal *")
def certificates_changed(call: Call) -> None:
    """A certificate was added or removed, expires soon, or could not be renewed."""


@_told("crashed", "start failed", "not alive", "not ready")
def instance_crashed(call: Call) -> None:
    """An instance or a service ended by itself, hangs, or could not be started."""


@_told("*:*", "!access:*", "!ssh-keys:*", "!run:*", "!builds:*", "!plugin:*", "backup failed")
def service_changed(call: Call) -> None:
    """A service was made, changed, linked, backed up or removed."""


@_told("volume *", "storage *")
def storage_changed(call: Call) -> None:
    """A volume was made, mounted, unmounted, filled or removed."""


@_told("access:*", "ssh-keys:*")
def access_changed(call: Call) -> None:
    """A key or a role was given or taken away."""


@_told("*")
def event(call: Call) -> None:
    """Anything at all: whatever the journal of events gets (`paas events`)."""
