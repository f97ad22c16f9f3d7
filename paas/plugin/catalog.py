"""The service plugins: those that come with the program, one folder each below `plugins/`,
and those that were installed.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Mapping
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
    """The plugins below one folder and those installed, read anew when it is asked."""

    def __init__(self, folder: Path, installed: Callable[[], Mapping[str, Path]] = dict) -> None:
        """`installed` gives the folders of further ones by their names."""
        self._folder = folder
        self._installed = installed

    def get(self, name: str) -> ServicePlugin:
        """Raises `NoSuchPlugin`, and `InvalidManifest` for a damaged one."""
        folder = self._folder / name
        if not (folder / FILE).is_file():
            folder = self._installed().get(name, folder)
        if not (folder / FILE).is_file():
            raise NoSuchPlugin(
                f"There is no service plugin {name}",
                resolution=f"There are: {', '.join(self._folders())}.",
            )
        return self._read(name, folder)

    def all(self) -> Iterator[ServicePlugin | Broken]:
        """Every plugin by name; one that cannot be read as what is wrong with it."""
        for name, folder in self._folders().items():
            try:
                yield self._read(name, folder)
            except InvalidManifest as error:
                yield Broken(name, error)

    def by_addon(self, addon: str) -> ServicePlugin | None:
        """The plugin that an add-on of app.json names, by its own name or another's."""
        wanted = addon.partition(":")[0]
        for plugin in self.all():
            if isinstance(plugin, ServicePlugin) and (
                wanted == plugin.manifest.name or wanted in plugin.manifest.link.addons
            ):
                return plugin
        return None

    def _folders(self) -> dict[str, Path]:
        """Those that come with the program first: nothing installed takes their place."""
        paths = sorted(self._folder.glob(f"*/{FILE}"))
        bundled = {path.parent.name: path.parent for path in paths if _of_service(path)}
        return {**bundled, **{k: v for k, v in self._installed().items() if k not in bundled}}

    def _read(self, name: str, folder: Path) -> ServicePlugin:
        path = folder / FILE
        file = f"{name}/{FILE}"
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            raise InvalidManifest(f"{file}: not UTF-8 text") from None
        manifest = parse_manifest(text, file)
        if manifest.name != name:
            raise InvalidManifest(f"{file}: plugin.name must be the folder's, {name}")
        return ServicePlugin(folder, manifest)


def _of_service(path: Path) -> bool:
    """Whether it describes a service: a plugin may be something else, and a broken file any."""
    try:
        return "service" in tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError):
        return True
