"""The buildpacks that come with this program, in the order in which they are asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from paas.buildpack.declaration import Declaration, InvalidBuildpack, parse_declaration
from paas.buildpack.source import BUNDLED, GitSource


@dataclass(frozen=True)
class Buildpack:
    """A folder with `bin/detect`, `bin/compile` and, mostly, `bin/release`.

    Of one that has a `source` nothing else is known before it is fetched, and nothing is
    believed: only bundled ones have programs that root runs in the build container.
    """

    name: str
    declaration: Declaration = field(default_factory=Declaration)
    has_setup: bool = False
    has_dependencies: bool = False
    source: GitSource | None = None


def foreign(source: GitSource) -> Buildpack:
    """A buildpack that is somebody else's."""
    return Buildpack(source.slug, source=source)


class Catalogue:
    """The bundled buildpacks, which are read when one is asked for."""

    def __init__(self, folder: Callable[[], Path]) -> None:
        """`folder` says where they are; raises `ContentMissing` in a broken installation."""
        self._find = folder

    @cached_property
    def folder(self) -> Path:
        """Holds one folder per buildpack."""
        return self._find()

    def get(self, name: str) -> Buildpack:
        """A bundled buildpack. Raises `InvalidBuildpack` for one that is damaged."""
        folder = self.folder / name
        for program in ("detect", "compile"):
            if not (folder / "bin" / program).is_file():
                raise InvalidBuildpack(
                    f"The buildpack {name} has no bin/{program}",
                    resolution="Run ./install.sh again: it restores it.",
                )
        path = folder / "buildpack.toml"
        text = path.read_text("utf-8") if path.is_file() else ""
        return Buildpack(
            name,
            parse_declaration(text, f"{name}/buildpack.toml"),
            has_setup=(folder / "bin/setup").is_file(),
            has_dependencies=(folder / "bin/dependencies").is_file(),
        )

    def all(self) -> list[Buildpack]:
        """All of them, in the order of detection."""
        return [self.get(name) for name in BUNDLED]
