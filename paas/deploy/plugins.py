"""Installing, enabling and removing plugins.

Nothing of a plugin runs before it is enabled, and nothing is used that was not shown: what
is enabled is one version, pinned by its commit, with the lines that it was granted. An update
that wants more than those leaves the version before it in use until somebody allows it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from paas.deploy.plugin_files import BadPlugin, PluginFiles, Source, Taken, bundled_names
from paas.deploy.plugin_image import PluginImages
from paas.deploy.plugin_log import forget
from paas.deploy.route import Router
from paas.engine.engine import Engine
from paas.errors import PaasError
from paas.host.files import FileLock
from paas.model.buildpacks import GIT_HOSTS
from paas.model.env import Secret
from paas.model.layout import Layout
from paas.model.names import shown
from paas.model.plugin import InstalledPlugin
from paas.model.report import Report
from paas.plugin.declaration import Declaration
from paas.plugin.foreign import Programs
from paas.plugin.grants import grants, more
from paas.plugin.installed import folder_of, is_bundled, read_declaration
from paas.store.store import Store


class PluginInUse(PaasError):
    """Something that the plugin made is still there."""


class NoSuchPluginSetting(PaasError):
    """The plugin's plugin.toml has no such setting."""


@dataclass(frozen=True)
class Known:
    """A plugin as it is shown. `wants` is what its latest version may touch, when enabled."""

    row: InstalledPlugin
    declaration: Declaration
    wants: tuple[str, ...]

    @property
    def new(self) -> list[str]:
        """Of that, what it was not granted yet."""
        return more(self.wants, self.row.granted)


class PluginOperations:
    """Each method holds the lock of plugins, and leaves all as it was when it raises."""

    def __init__(self, layout: Layout, store: Store, engine: Engine, router: Router) -> None:
        self._layout = layout
        self._store = store
        self._router = router
        self._images = PluginImages(engine)
        self._programs = Programs(engine)

    # -- looking ---------------------------------------------------------------------------

    def all(self) -> Sequence[Known]:
        """All that are installed, by name."""
        return [self._known(row) for row in self._store.plugins.list()]

    def bundled(self) -> Sequence[str]:
        """Those that come with the program and are not installed."""
        known = {row.name for row in self._store.plugins.list()}
        return [name for name in bundled_names() if name not in known]

    def get(self, name: str) -> Known:
        """One of them. Raises `PluginNotFound`, `InvalidManifest`."""
        return self._known(self._store.plugins.get(name))

    def _known(self, row: InstalledPlugin) -> Known:
        folder = folder_of(self._layout, row.name, row.latest)
        declaration = read_declaration(folder, row.name, bundled=is_bundled(row))
        return Known(row, declaration, grants(declaration))

    # -- installing ------------------------------------------------------------------------

    def install(
        self, source: Source, taken_names: Collection[str], *, actor: str, report: Report
    ) -> Known:
        """Fetch and keep a plugin, which does nothing until it is enabled.

        `taken_names` are nouns of commands that are not a plugin's. Raises `PluginExists`,
        `BadPlugin`, and what fetching and reading it does.
        """
        with self._lock(), self._files().taken(source, report) as taken:
            name = taken.declaration.name
            if name in taken_names or (name in bundled_names() and not source.bundled):
                raise BadPlugin(f"{name} is the name of something that paas has itself")
            self._files().keep(taken)
            with self._store.transaction():
                ref = source.git.ref if source.git else None
                self._store.plugins.add(name, str(source), ref or "", taken.version, actor)
                # Of an earlier one of that name, which was told of something to its very end.
                forget(self._layout, name)
                self._note(actor, "plugin:install", f"{name} {taken.version[:8]} from {source}")
        return self.get(name)

    def update(
        self, name: str, ref: str | None, source: Source, *, actor: str, report: Report
    ) -> Known:
        """Fetch the newest version of a plugin from `source`, which is its own.

        If it is enabled and wants nothing more, the new version is used from here on. Raises
        `PluginInUse` when it has no service any more, and services of it are there.
        """
        with self._lock():
            row = self._store.plugins.get(name)
            with self._files().taken(source, report) as taken:
                if taken.declaration.name != name:
                    raise BadPlugin(f"It is called {taken.declaration.name} now, and not {name}")
                self._refuse_dropped(taken.declaration)
                self._files().keep(taken)
            wants = grants(taken.declaration)
            use = row.enabled and not more(wants, row.granted)
            image = self._image(taken, report) if use else ""
            with self._store.transaction():
                # Again: to build an image takes minutes, in which services come.
                self._refuse_dropped(taken.declaration)
                self._store.plugins.set_latest(name, taken.version, ref or "")
                if use:
                    self._store.plugins.enable(name, taken.version, image, wants)
                self._note(actor, "plugin:update", f"{name} {taken.version[:8]}")
            self._tidy()
        if use:
            self._router.publish(report)
        return self.get(name)

    def enable(self, name: str, *, actor: str, report: Report) -> Known:
        """Use the latest version, with all that it may touch. Raises `PluginInUse` when it has
        no service any more, and services of it are there.
        """
        with self._lock():
            known = self.get(name)
            self._refuse_dropped(known.declaration)
            image = self._images.make(self._folder(known.row), known.declaration, report)
            with self._store.transaction():
                self._refuse_dropped(known.declaration)
                self._store.plugins.enable(name, known.row.latest, image, known.wants)
                self._note(actor, "plugin:enable", f"{name} {known.row.latest[:8]}")
            self._tidy()
        self._router.publish(report)
        return self.get(name)

    def disable(self, name: str, *, actor: str, report: Report) -> None:
        """No longer use a plugin. Raises `PluginInUse` while services of it are there."""
        with self._lock():
            self._store.plugins.get(name)
            with self._store.transaction():
                self._refuse_in_use(name)
                self._store.plugins.disable(name)
                self._note(actor, "plugin:disable", name)
            self._tidy()
        self._router.publish(report)

    def uninstall(self, name: str, *, actor: str, report: Report) -> None:
        """Remove a plugin, with its files and all that was set for it. Raises `PluginInUse`."""
        with self._lock():
            row = self._store.plugins.get(name)
            with self._store.transaction():
                self._refuse_in_use(name)
                for setting in self._proxy_settings(row):
                    self._store.settings.forget(setting)
                self._store.plugins.remove(name)
                self._note(actor, "plugin:uninstall", name)
            self._tidy()
            # In this order: what is ended may be about to say something.
            self._programs.end(name)
            forget(self._layout, name)
        self._router.publish(report)

    def configure(self, name: str, values: Mapping[str, Secret | None], *, actor: str) -> None:
        """Set values for the programs of a plugin; None unsets. Raises `NoSuchPluginSetting`."""
        known = self.get(name)
        names = [key for key, _ in known.declaration.settings]
        for key in values:
            if key not in names:
                raise NoSuchPluginSetting(
                    f"The plugin {name} has no setting {shown(key)}",
                    resolution=f"It has: {', '.join(names) or 'none'}.",
                )
        with self._store.transaction():
            self._store.plugins.configure(name, values)
            self._note(actor, "plugin:set", f"{name} {', '.join(sorted(values))}")

    # -- parts -----------------------------------------------------------------------------

    def _lock(self) -> FileLock:
        return FileLock(self._layout.locks / "plugins", "changing plugins")

    def _files(self) -> PluginFiles:
        return PluginFiles(self._layout, self._store.settings.value(GIT_HOSTS))

    def _folder(self, row: InstalledPlugin) -> Path:
        return folder_of(self._layout, row.name, row.latest)

    def _image(self, taken: Taken, report: Report) -> str:
        folder = folder_of(self._layout, taken.declaration.name, taken.version)
        return self._images.make(folder, taken.declaration, report)

    def _proxy_settings(self, row: InstalledPlugin) -> list[str]:
        try:
            return [rule.name for rule in self._known(row).declaration.proxy]
        except PaasError:
            # Files that are gone keep nobody from removing the rest.
            return []

    def _refuse_dropped(self, declaration: Declaration) -> None:
        """Nothing could start, back up or end the services of a version that knows of none."""
        if declaration.service is None:
            self._refuse_in_use(declaration.name)

    def _refuse_in_use(self, name: str) -> None:
        """Within the transaction that ends it: a new service looks for its plugin in its own."""
        services = [each.name for each in self._store.services.list() if each.plugin == name]
        if services:
            raise PluginInUse(
                f"There are services of {name}: {', '.join(services)}",
                resolution=f"Destroy them first: paas {name}:destroy {services[0]}",
            )

    def _tidy(self) -> None:
        """Remove the files and images of versions that nobody needs."""
        rows = self._store.plugins.list()
        versions = {(row.name, version) for row in rows for version in (row.latest, row.active)}
        self._files().forget_others(
            {folder_of(self._layout, name, version) for name, version in versions if version}
        )
        self._images.forget_others({row.name: row.image for row in rows})

    def _note(self, actor: str, what: str, detail: str) -> None:
        self._store.events.add(actor, "", what, detail)
