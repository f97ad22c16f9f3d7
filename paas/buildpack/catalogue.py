"""The buildpacks that come with this program, in the order in which they are asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from paas.buildpack.declaration import Declaration, InvalidBuildpack, parse_declaration

BUNDLED = {
    "node": "package.json with package-lock.json",
    "python": "requirements.txt, or pyproject.toml with uv.lock",
    "static": "index.html or static.json",
}
"""Name and what it is found by, for people. Heroku asks in this order too."""

ALIASES = {
    "heroku/nodejs": "node",
    "heroku/python": "python",
    "nodejs": "node",
}
"""Names by which repositories know the same languages elsewhere."""


@dataclass(frozen=True)
class Buildpack:
    """A folder with `bin/detect`, `bin/compile` and, mostly, `bin/release`."""

    name: str
    declaration: Declaration
    has_setup: bool = False
    has_dependencies: bool = False


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
