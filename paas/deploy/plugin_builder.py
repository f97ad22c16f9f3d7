"""Builders that plugins add: they see the pushed files and write a Dockerfile.

What they write is built as if it had been pushed: no more than its author could have done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from paas.engine.build.context import Context
from paas.errors import PaasError
from paas.model.app import App
from paas.model.builder import PLUGIN
from paas.model.env import Secret, revealed
from paas.model.report import Report
from paas.plugin.answer import BadAnswer, builder_answer
from paas.plugin.declaration import BuilderRule
from paas.plugin.foreign import Plugin, PluginFailed, Programs, Task
from paas.plugin.installed import Installed


class NoSuchBuilder(PaasError):
    """The builder that was selected comes with no enabled plugin."""


class BuilderFailed(PaasError):
    """A plugin was to write a Dockerfile, and did not."""


@dataclass(frozen=True)
class PluginBuilders:
    """Finds and runs them."""

    installed: Installed
    programs: Programs

    def selected(self, selected: str) -> str:
        """The plugin that `builder:set` named; empty when it named none.

        Raises `NoSuchBuilder`.
        """
        if not selected.startswith(PLUGIN):
            return ""
        return self._get(selected.removeprefix(PLUGIN))[0].name

    def detected(self, tree: Context) -> str:
        """The first plugin that builds what has such files at its top; empty for none."""
        for plugin, rule in self._all():
            if any(name in tree.entries() for name in rule.files):
                return plugin.name
        return ""

    def dockerfile(
        self, name: str, app: App, tree: Context, config: Mapping[str, Secret], report: Report
    ) -> tuple[str, Mapping[str, str]]:
        """What the plugin writes, and the process types it knows. Raises `BuilderFailed`."""
        plugin, rule = self._get(name)
        may = plugin.declaration.permissions
        known = {key: value for key, value in config.items() if may.sees(key)}
        document: dict[str, object] = {
            "builder": name,
            "app": app.name,
            "files": list(tree.entries()),
        }
        if known:
            document["config"] = revealed(known)
        task = Task(plugin, rule.program, "BUILDER", name, app.name, document, source=tree)
        try:
            return builder_answer(self.programs.ask(task, report))
        except (PluginFailed, BadAnswer) as error:
            raise BuilderFailed(
                f"The plugin {name} cannot build this: {error.brief}",
                resolution="Choose another builder: paas builder:set APP selected KIND",
            ) from error

    def _all(self) -> list[tuple[Plugin, BuilderRule]]:
        found = self.installed.enabled(lambda each: each.builder)
        return [(one, one.declaration.builder) for one in found if one.declaration.builder]

    def _get(self, name: str) -> tuple[Plugin, BuilderRule]:
        for plugin, rule in self._all():
            if plugin.name == name:
                return plugin, rule
        raise NoSuchBuilder(
            f"The builder {name} was selected, and no enabled plugin has it",
            resolution="See paas plugin:list, or unset it: paas builder:set APP selected",
        )
