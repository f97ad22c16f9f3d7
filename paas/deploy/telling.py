"""Telling plugins what has happened, out of the journal of events.

Each plugin has its own place in the journal and a process of its own: one that hangs keeps
nobody else waiting, and one that fails is not told the same again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from paas.deploy.plugin_log import heading, log_report
from paas.errors import PaasError
from paas.host.clock import Clock
from paas.model.layout import Layout
from paas.model.report import Report
from paas.plugin.foreign import Plugin
from paas.plugin.hooks import Hooks
from paas.plugin.hookspecs import Call
from paas.plugin.installed import Installed
from paas.store.events import Event
from paas.store.store import Store

MOST = 1000
"""Events that are told to one that comes late, as after an outage: the newest."""


@dataclass(frozen=True)
class Telling:
    """Run by the supervisor."""

    layout: Layout
    store: Store
    clock: Clock
    installed: Installed
    hooks: Hooks

    def due(self) -> Sequence[str]:
        """The plugins for which there are events that they were not told of."""
        return self.store.plugins.behind(self.store.events.newest())

    def run(self, name: str) -> None:
        """Tell one plugin what it was not told yet, as long as it is enabled."""
        for event in self.store.events.after(self.store.plugins.get(name).seen)[-MOST:]:
            plugin = next((one for one in self.installed.enabled() if one.name == name), None)
            if plugin is None:
                return
            self._tell(plugin, event)
            # Behind it: what was killed meanwhile is told once more rather than never.
            self.store.plugins.set_seen(name, event.id)

    def _tell(self, plugin: Plugin, event: Event) -> None:
        facts = {"event": event.what, "detail": event.detail, "at": event.at, "id": event.id}
        for rule in plugin.declaration.hooks:
            if not rule.hook.hears(event.what):
                continue
            report = log_report(self.layout, plugin.name)
            report.step(heading(rule.hook.name, event.app, event.what, self.clock.now()))
            call = Call(rule.hook.name, event.app, event.actor, facts, report)
            try:
                self.hooks.tell(plugin, call)
            except PaasError as error:
                self._failed(plugin, rule.hook.name, error.brief, report)
            except Exception as error:  # noqa: BLE001 - whatever a plugin raises ends here
                why = f"it raised {type(error).__name__}: {error}"
                self._failed(plugin, rule.hook.name, why, report)
            else:
                self.store.plugins.set_error(plugin.name, "")

    def _failed(self, plugin: Plugin, hook: str, why: str, report: Report) -> None:
        report.warn(f"It failed: {why}")
        self.store.plugins.set_error(plugin.name, f"{hook}: {why}")
