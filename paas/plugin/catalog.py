"""The service plugins that come with the program: one folder each, below `plugins/`."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from paas.errors import NotFound
from paas.plugin.manifest import InvalidManifest, ServiceManifest, parse_manifest

FILE = "plugin.toml"
DOCKERFILE = "Dockerfile"


class NoSuchPlugin(NotFound):
    """No service plugin has that name."""


@dataclass(frozen=True)
class ServicePlugin:
    """A folder, and what its plugin.toml says; the Dockerfile beside it may be absent."""

    folder: Path
    manifest: ServiceManifest

    @property
    def has_dockerfile(self) -> bool:
        """Whether its image is made here; else one must be named."""
        return (self.folder / DOCKERFILE).is_file()


@dataclass(frozen=True)
class Broken:
    """A folder whose plugin.toml cannot be used: it stops no other plugin."""

    name: str
    error: InvalidManifest


class Catalog:
    """The plugins below one folder, read anew when it is asked."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, name: str) -> ServicePlugin:
        """Raises `NoSuchPlugin`, and `InvalidManifest` for a damaged one."""
        path = self._folder / name / FILE
        if not path.is_file():
            raise NoSuchPlugin(
                f"There is no service plugin {name}",
                resolution=f"There are: {', '.join(each.name for each in self._folders())}.",
            )
        return self._read(path.parent)

    def all(self) -> Iterator[ServicePlugin | Broken]:
        """Every plugin by name; one that cannot be read as what is wrong with it."""
        for folder in self._folders():
            try:
                yield self._read(folder)
            except InvalidManifest as error:
                yield Broken(folder.name, error)

    def by_addon(self, addon: str) -> ServicePlugin | None:
        """The plugin that an add-on of app.json names, by its own name or another's."""
        wanted = addon.partition(":")[0]
        for plugin in self.all():
            if isinstance(plugin, ServicePlugin) and (
                wanted == plugin.manifest.name or wanted in plugin.manifest.link.addons
            ):
                return plugin
        return None

    def _folders(self) -> list[Path]:
        return sorted(path.parent for path in self._folder.glob(f"*/{FILE}") if _of_service(path))

    def _read(self, folder: Path) -> ServicePlugin:
        path = folder / FILE
        name = f"{folder.name}/{FILE}"
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            raise InvalidManifest(f"{name}: not UTF-8 text") from None
        manifest = parse_manifest(text, name)
        if manifest.name != folder.name:
            raise InvalidManifest(f"{name}: plugin.name must be the folder's, {folder.name}")
        return ServicePlugin(folder, manifest)


def _of_service(path: Path) -> bool:
    """Whether it describes a service: a plugin may be something else, and a broken file any."""
    try:
        return "service" in tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        return True
