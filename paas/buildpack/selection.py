"""Which buildpacks build an app: those that are named, else the first that recognises it.

Named by `buildpacks:set`, in `.buildpacks` (one a line, as of heroku-buildpack-multi) or in
app.json's `buildpacks`, the first of these that names any; all of those are used, in their
order, and every one has to recognise the app.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from paas.buildpack.catalogue import Buildpack, Catalogue, foreign
from paas.buildpack.source import BUNDLED, GitSource, InvalidBuildpackName, parse_source

FILE = ".buildpacks"
APT = "apt"


@dataclass(frozen=True)
class Selection:
    """Lists of buildpacks to try: the first list of which all recognise the app builds it."""

    attempts: tuple[tuple[Buildpack, ...], ...]

    def __bool__(self) -> bool:
        return bool(self.attempts)


def parse_buildpacks(text: str) -> list[str]:
    """The names in a `.buildpacks` file."""
    lines = (line.strip() for line in text.removeprefix("\ufeff").splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def named(names: Sequence[str], catalogue: Catalogue, place: str) -> Selection:
    """What the app asks for in the file `place`. Raises `InvalidBuildpackName`."""
    packs = tuple(_pack(name, catalogue, place) for name in names)
    doubled = next((pack.name for pack in packs if packs.count(pack) > 1), None)
    if doubled is not None:
        raise InvalidBuildpackName(
            f"{place} names the buildpack {doubled} twice",
            resolution="Keep one of the two.",
        )
    return Selection((packs,))


def detected(paths: Iterable[str], catalogue: Catalogue) -> Selection:
    """The bundled ones that may recognise a tree of these `paths`, one language each.

    An Aptfile is no language: its packages are there for whatever else is recognised.
    """
    known = list(paths)
    found = [pack for pack in catalogue.all() if _may_detect(pack, known)]
    before = tuple(pack for pack in found if pack.name == APT)
    languages = [pack for pack in found if pack.name != APT]
    return Selection(tuple((*before, pack) for pack in languages) or ((before,) if before else ()))


def supported() -> list[str]:
    """What is recognised, one line each, for who pushed something else."""
    return [f"{name:8}{files}" for name, files in BUNDLED.items()]


def matching(paths: Iterable[str], patterns: Sequence[str]) -> list[str]:
    """The paths that one of the patterns means; `*` stays within a directory."""
    return [path for path in paths if any(_matches(path, pattern) for pattern in patterns)]


def _matches(path: str, pattern: str) -> bool:
    parts, rules = path.split("/"), pattern.split("/")
    return len(parts) == len(rules) and all(map(fnmatchcase, parts, rules))


def _may_detect(pack: Buildpack, paths: Sequence[str]) -> bool:
    wanted = pack.declaration.detect
    return not wanted or bool(matching(paths, wanted))


def _pack(name: str, catalogue: Catalogue, place: str) -> Buildpack:
    try:
        source = parse_source(name)
    except InvalidBuildpackName as error:
        error.brief = f"{place}: {error.brief}"
        raise
    return foreign(source) if isinstance(source, GitSource) else catalogue.get(source)
