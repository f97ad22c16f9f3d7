"""The plugins that are enabled, with what their plugin.toml says.

A plugin's files are at `plugins/NAME/VERSION` below the root: root's, laid once and never
changed, so that what was shown when it was enabled is what runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from paas.model.layout import Layout
from paas.model.plugin import InstalledPlugin
from paas.plugin.catalog import FILE
from paas.plugin.declaration import Declaration, parse_declaration
from paas.plugin.foreign import Plugin
from paas.plugin.grants import VETO
from paas.plugin.manifest import InvalidManifest
from paas.plugin.proxyrule import ProxyRule
from paas.store.plugins import Plugins


def is_bundled(plugin: InstalledPlugin) -> bool:
    """Whether it came with the program."""
    return plugin.source.startswith("bundled:")


def folder_of(layout: Layout, name: str, version: str) -> Path:
    """Where a version of a plugin is kept."""
    return layout.plugins / name / version


def read_declaration(folder: Path, name: str, *, bundled: bool = False) -> Declaration:
    """The plugin.toml of a folder that was laid by us. Raises `InvalidManifest`."""
    try:
        text = (folder / FILE).read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise InvalidManifest(
            f"The files of the plugin {name} in {folder} are missing or damaged",
            resolution=f"Fetch them again: paas plugin:update {name}",
        ) from None
    return parse_declaration(text, f"{name}/{FILE}", bundled=bundled)


class Installed:
    """Reads them from a store, each time anew: others may enable and disable meanwhile."""

    def __init__(self, layout: Layout, plugins: Plugins) -> None:
        self._layout = layout
        self._plugins = plugins

    def enabled(self, wants: Callable[[Declaration], object] = bool) -> list[Plugin]:
        """The enabled plugins by name, of those whose declaration has something wanted.

        Costs one query when there is none. One that cannot be read is left out.
        """
        return list(self._those(self._plugins.enabled(), wants))

    def _those(
        self,
        rows: Sequence[InstalledPlugin],
        wants: Callable[[Declaration], object],
        *,
        strict: bool = False,
    ) -> Iterator[Plugin]:
        for row in rows:
            folder = folder_of(self._layout, row.name, row.active)
            try:
                declaration = read_declaration(folder, row.name, bundled=is_bundled(row))
            except InvalidManifest:
                if strict and any(line.endswith(VETO) for line in row.granted):
                    raise
                continue
            if wants(declaration):
                settings = self._plugins.settings(row.name) if declaration.settings else {}
                yield Plugin(row.name, row.active, folder, declaration, row.image, settings)

    def with_hooks(self) -> list[Plugin]:
        """Those with hooks. Raises `InvalidManifest` when one may refuse, but cannot be read:
        it may not be passed by because its files are damaged.
        """
        return list(self._those(self._plugins.enabled(), lambda each: each.hooks, strict=True))

    def proxy_rules(self) -> list[ProxyRule]:
        """The settings of the proxy that they add."""
        found = self.enabled(lambda each: each.proxy)
        return [rule for plugin in found for rule in plugin.declaration.proxy]

    def services(self) -> dict[str, Path]:
        """The folders of those that are datastores, by name."""
        return {plugin.name: plugin.folder for plugin in self.enabled(lambda each: each.service)}
