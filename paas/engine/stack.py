"""The stack: Debian 13 as images, made on this server from the distribution's mirror.

`paas/stack:debian-13` is what apps run on, small; `paas/stack-build:debian-13` is a layer
on top with compilers, git and Python's tools. A first deploy needs no image registry.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from paas.engine import mirror, stackfiles
from paas.engine.chroot import CHECK_MIRROR, TAIL, Chroot, StepFailed
from paas.engine.config import History, ImageConfig
from paas.engine.images import Image, Images
from paas.engine.layers import Layers
from paas.engine.mounting import detach
from paas.engine.reference import Reference, parse_reference
from paas.engine.rootfs import Rootfs
from paas.errors import NotFound
from paas.host import files, processes
from paas.model.layout import Layout
from paas.model.report import Report

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
BOOTSTRAP_SECONDS = 3600.0
"""A small machine with a slow mirror takes its time; apt gives up sooner where nothing comes."""
STACK_BYTES = 1 << 30
"""What making one takes at most: packages and what is unpacked of them."""

_ENV = {"PATH": processes.SEARCH_PATH, "LANG": "C.UTF-8"}
_APT_ENV = {**_ENV, "DEBIAN_FRONTEND": "noninteractive", "APT_CONFIG": "/run/apt.conf"}

_NOT_KEPT = ("/run", "/tmp", "/var/lib/apt/lists", "/var/cache/apt", "/var/log")  # noqa: S108
"""Directories whose content an installation leaves out of its layer."""


@dataclass(frozen=True)
class Recipe:
    """How one image of a stack is made; without `base` it is bootstrapped."""

    ref: str
    suite: str
    packages: tuple[str, ...]
    base: str | None = None


SUITES = {"debian-13": "trixie", "debian-12": "bookworm"}
"""The stacks, and the releases of Debian that they are."""

RUN_PACKAGES = ("ca-certificates", "netbase", "tzdata")
# The second line is what Heroku's buildpacks take for granted: its own image has it.
BUILD_PACKAGES = (
    *("build-essential", "pkg-config", "git", "curl", "unzip", "xz-utils"),
    *("file", "gettext-base", "jq", "rsync", "wget", "zip", "zstd"),
    *("python3", "python3-dev", "python3-pip", "python3-venv"),
    *("libffi-dev", "libssl-dev"),
)


def recipes_of(stack: str, suite: str) -> tuple[Recipe, Recipe]:
    """The image that apps run on, and the one that they are built in."""
    run = Recipe(f"paas/stack:{stack}", suite, RUN_PACKAGES)
    return run, Recipe(f"paas/stack-build:{stack}", suite, BUILD_PACKAGES, base=run.ref)


RECIPES = {recipe.ref: recipe for each in SUITES.items() for recipe in recipes_of(*each)}


class NoSuchStack(NotFound):
    """A name below `paas/` that no recipe makes."""


class Stack:
    """Makes the images of the stack when they are first asked for."""

    def __init__(
        self,
        layout: Layout,
        images: Images,
        layers: Layers,
        rootfs: Rootfs,
        recipes: Mapping[str, Recipe] = RECIPES,
    ) -> None:
        self._layout = layout
        self._images = images
        self._layers = layers
        self._rootfs = rootfs
        self._recipes = recipes

    def ensure(self, name: str, report: Report) -> Image:
        """The image of a stack (`debian-13`) or of a name such as `paas/stack-build:debian-13`.

        Made if it is not here, which takes from ten seconds to a few minutes, most of them
        the mirror's. Raises `NoSuchStack` and `StepFailed`.
        """
        ref = _reference(name)
        known = self._images.resolve(ref)
        if known is not None:
            return known
        recipe = self._recipe(ref)
        if recipe.base is not None:
            self.ensure(recipe.base, report)
        with files.FileLock(self._layout.locks / "stack.lock", f"making {ref}"):
            # Looked at again under the lock: another deploy may have made it.
            return self._images.resolve(ref) or self._make([recipe], report)[0]

    def rebuild(self, names: Sequence[str], report: Report) -> list[Image]:
        """Make images again, with the packages of today; what runs keeps the old ones.

        They take their names when all of them are made: one that fails leaves all as they
        were. A base stands before what stands on it.
        """
        recipes = [self._recipe(_reference(name)) for name in names]
        with files.FileLock(self._layout.locks / "stack.lock", f"making {', '.join(names)}"):
            return self._make(recipes, report)

    def _recipe(self, ref: Reference) -> Recipe:
        recipe = self._recipes.get(str(ref))
        if recipe is None:
            raise NoSuchStack(
                f"There is no stack {ref}",
                resolution=f"The stacks of this version: {', '.join(self._recipes)}.",
            )
        return recipe

    def _make(self, recipes: Sequence[Recipe], report: Report) -> list[Image]:
        made: dict[str, Image] = {}
        # While it is held, no layer is collected that no name stands for yet.
        with self._layers.lease():
            for recipe in recipes:
                base = recipe.base and (made.get(recipe.base) or self._images.resolve(recipe.base))
                made[recipe.ref] = self._make_one(recipe, base or None, report)
            self._images.tag_all({ref: image.id for ref, image in made.items()})
        return list(made.values())

    def _make_one(self, recipe: Recipe, base: Image | None, report: Report) -> Image:
        self._layers.disk.admit(recipe.ref, STACK_BYTES)
        report.step(f"Making {recipe.ref}")
        below = base.layers if base else ()
        upper = self._layers.new_upper(below[-1] if below else None)
        try:
            if base is None:
                self._bootstrap(recipe, upper, report)
            else:
                self._install(recipe, base, upper, report)
            layer = self._layers.commit(upper)
        except BaseException:
            self._layers.abandon(upper)
            raise
        report.detail(f"{self._layers.size(layer) >> 20} MB")
        return self._images.add(_config(recipe, base), (*below, layer))

    def _bootstrap(self, recipe: Recipe, upper: Path, report: Report) -> None:
        sources = mirror.host_mirror()
        report.detail(f"Debian {recipe.suite} from {sources.main}")
        with self._scratch() as scratch:
            options = scratch / "apt.conf"
            options.write_text(mirror.host_options() + stackfiles.APT)
            try:
                processes.run(
                    [
                        "mmdebstrap",
                        "--variant=minbase",
                        "--mode=root",
                        "--format=directory",
                        f"--include={','.join(recipe.packages)}",
                        f"--keyring={KEYRING}",
                        f"--aptopt={options}",
                        *(f"--dpkgopt={line}" for line in stackfiles.DPKG.splitlines()),
                        f"--customize-hook={stackfiles.ASK_NOBODY}",
                        recipe.suite,
                        upper,
                        *sources.sources(recipe.suite),
                    ],
                    timeout=BOOTSTRAP_SECONDS,
                    # It mounts /proc, /sys and /dev into what it makes.
                    apart=True,
                )
            except processes.ProcessFailed as error:
                lines = error.stderr.decode("utf-8", "replace").splitlines()
                raise StepFailed(error.brief, lines[-TAIL:], CHECK_MIRROR) from None
        stackfiles.settle(upper, recipe.suite)

    def _install(self, recipe: Recipe, base: Image, upper: Path, report: Report) -> None:
        report.detail(f"Installing {recipe.packages[0]} and others, once for this server")
        with self._scratch() as scratch, self._mounted(base, upper, scratch / "root") as root:
            binds = {"/etc/resolv.conf": Path("/etc/resolv.conf").resolve()}
            for path in _NOT_KEPT:
                binds[path] = scratch / path.replace("/", "-")
                binds[path].mkdir()
                # apt's sandbox user writes its temporary files.
                binds[path].chmod(0o1777 if path == "/tmp" else 0o755)  # noqa: S108
            run = binds["/run"]
            sources = mirror.host_mirror().sources(recipe.suite)
            (run / "sources.list").write_text("".join(f"{line}\n" for line in sources))
            (run / "apt.conf").write_text(mirror.host_options() + stackfiles.APT_ONCE)
            chroot = Chroot(root, binds)
            apt = ["apt-get", "-qq", "-o", "Dir::Etc::SourceParts=/dev/null"]
            apt += ["-o", "Dir::Etc::SourceList=/run/sources.list"]
            chroot.run([*apt, "update", "--error-on=any"], _APT_ENV)
            install = ["install", "-y", "--no-install-recommends", *recipe.packages]
            chroot.run([*apt, *install], _APT_ENV)

    @contextmanager
    def _mounted(self, base: Image, upper: Path, target: Path) -> Iterator[Path]:
        target.mkdir()
        self._rootfs.overlay(base.layers, upper, target)
        try:
            yield target
        finally:
            detach(target)

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        """A directory of our own, gone at the end; on disk: packages do not fit into RAM."""
        folder = self._layout.engine / "scratch"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = Path(tempfile.mkdtemp(prefix="stack-", dir=folder))
        path.chmod(0o755)
        try:
            yield path
        finally:
            # Never enters a mount that could not be detached.
            files.remove_tree(path)


def _reference(name: str) -> Reference:
    return parse_reference(name if "/" in name else f"paas/stack:{name}")


def _config(recipe: Recipe, base: Image | None) -> ImageConfig:
    created = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    history = base.config.history if base else ()
    return ImageConfig(
        env=_ENV,
        cmd=("/bin/bash",),
        labels={"paas.stack": recipe.ref},
        created=created,
        history=(*history, History(f"paas stack {recipe.ref}", created)),
    )
