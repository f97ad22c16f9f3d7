"""Commands that plugins add, run for somebody who may."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from paas.deploy.route import Router
from paas.model.app import App
from paas.model.env import revealed
from paas.plugin.declaration import CommandRule
from paas.plugin.foreign import Plugin, PluginFailed, Programs, Task
from paas.store.store import Store

MAX_WORDS = 100
SECRETIVE = "viewer"
"""A role that may not know the values of config vars: what serves it is not told them."""


@dataclass(frozen=True)
class PluginCommands:
    """Runs them. Who may was decided before."""

    store: Store
    router: Router
    programs: Programs

    def run(
        self,
        plugin: Plugin,
        rule: CommandRule,
        app: App | None,
        words: Sequence[str],
        *,
        actor: str,
        output: Callable[[bytes], None],
        errors: Callable[[bytes], None],
    ) -> int:
        """Run a command to its end; its exit code. Raises `PluginFailed` at its time limit."""
        document: dict[str, Any] = {
            "command": rule.name,
            "actor": actor,
            "words": list(words),
            "app": app.name if app else None,
        }
        if app is not None:
            document |= self._facts(plugin, rule, app)
        name = app.name if app else ""
        task = Task(plugin, rule.program, "COMMAND", rule.name, name, document, tuple(words))
        try:
            return self.programs.stream(task, output, errors)
        except PluginFailed as error:
            raise PluginFailed(f"The plugin {plugin.name} was ended: {error.brief}") from None

    def _facts(self, plugin: Plugin, rule: CommandRule, app: App) -> dict[str, Any]:
        config = self.store.config.effective(app.id)
        facts: dict[str, Any] = {
            "release": app.live,
            "stopped": app.stopped,
            "urls": self.router.urls(app),
            "config_keys": sorted(config),
        }
        if app.live is not None:
            release = self.store.releases.get(app.id, app.live)
            facts |= {"commit": release.commit, "formation": dict(release.formation)}
        may = plugin.declaration.permissions
        known = {key: value for key, value in config.items() if may.sees(key)}
        if known and rule.role != SECRETIVE:
            facts["config"] = revealed(known)
        return facts
