"""The images of the server: who uses which, and taking away what nobody does.

An image that a kept release or a container needs is never removed; a name may go when it
is not the last thing that holds an unneeded image, and the answer says who needs it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from paas.deploy.housekeeping import Housekeeping
from paas.engine.engine import Engine
from paas.engine.gc import Collected
from paas.engine.images import Image
from paas.engine.layers import LayerId
from paas.engine.pulledstacks import BUILD, RUN
from paas.engine.reference import LOCAL, Reference, parse_reference
from paas.errors import PaasError
from paas.model.report import Report
from paas.store.store import Store


class ImageInUse(PaasError):
    """Somebody needs the image."""


class Busy(PaasError):
    """Something is being built or pulled; nothing is collected meanwhile."""


class ReservedName(PaasError):
    """Names below `paas/` are made by this server alone."""


@dataclass(frozen=True)
class Listed:
    """An image as lists show it; `bytes` counts layers that others share too."""

    image: Image
    names: tuple[str, ...]
    bytes: int
    used_by: tuple[str, ...]


@dataclass(frozen=True)
class Damaged:
    """A damaged layer, the images made of it, and what brings them back."""

    layer: LayerId
    problem: str
    images: tuple[str, ...]
    remedy: str


class ServerImages:
    """Lists, names, removes and examines images."""

    def __init__(self, store: Store, engine: Engine, housekeeping: Housekeeping) -> None:
        self._store = store
        self._housekeeping = housekeeping
        self.engine = engine

    def everything(self) -> Sequence[Listed]:
        """All images, the newest first."""
        users = self._users()
        return [self._listed(image, users) for image in self.engine.images.list()]

    def look(self, text: str) -> Listed:
        """One image, by name or id. Raises `ImageNotFound`."""
        return self._listed(self.engine.images.find(text), self._users())

    def tag(self, source: str, target: str) -> Reference:
        """Give an image one more name. Raises `ImageNotFound`, `ReservedName`."""
        name = free_name(target)
        self.engine.images.tag(name, self.engine.images.find(source).id)
        return name

    def remove(self, text: str) -> Collected | None:
        """Take a name from an image, or all names of an id; then what nobody needs goes.

        Raises `ImageNotFound`, and `ImageInUse` while a release or a container needs it.
        None when it goes later, since something is being built.
        """
        listed = self.look(text)
        named = [name for name in listed.names if name == normal(text)]
        if listed.used_by and len(listed.names) <= len(named or listed.names):
            raise ImageInUse(
                f"{text} is in use",
                [f"by {user}" for user in listed.used_by[:10]],
                "It goes by itself when the last of them is gone; `releases` and `apps:destroy` "
                "are the commands.",
            )
        for name in named or listed.names:
            self.engine.images.untag(name)
        return self._housekeeping.collect()

    def prune(self, *, all_names: bool) -> Collected:
        """Remove images that nothing names or needs; with `all_names` also named ones.

        Those below `paas/` stay: without its stack the next build would first make it again.
        Raises `Busy`.
        """
        if all_names:
            for listed in self.everything():
                if not listed.used_by:
                    for name in listed.names:
                        if not parse_reference(name).local:
                            self.engine.images.untag(name)
        return self._done(self._housekeeping.collect())

    def collect(self) -> Collected:
        """All of the housekeeping, now, and of downloads whatever can be had again.

        Raises `Busy`.
        """
        done = self._done(self._housekeeping.run())
        return replace(done, bytes=done.bytes + self._housekeeping.prune_downloads(0))

    def verify(self) -> Sequence[Damaged]:
        """Look at every layer; those that are damaged are used for nothing new.

        Nothing is collected meanwhile: what is gone was not damaged.
        """
        found = []
        with self.engine.layers.lease():
            for layer in self.engine.layers.list():
                problem = self.engine.layers.damage(layer)
                if problem is not None:
                    self.engine.layers.condemn(layer)
                    found.append(self._damaged(layer, problem))
        return found

    def repair(self, damaged: Sequence[Damaged], report: Report) -> Sequence[str]:
        """Pull what has a registry's name again; the ids of images that need another build."""
        names = self._names()
        needed = {image for one in damaged for image in one.images}
        left = []
        for image in sorted(needed):
            pullable = [name for name in names[image] if not parse_reference(name).local]
            if not pullable:
                left.append(image)
                continue
            self.engine.registry.pull(pullable[0], report)
            known = self.engine.images.resolve(image)
            if known is None or not all(map(self.engine.layers.is_sound, known.layers)):
                left.append(image)
        return left

    def _damaged(self, layer: LayerId, problem: str) -> Damaged:
        images = self.engine.images.made_of(layer)
        users = self._users()
        apps = {user.split()[1] for image in images for user in users[image] if _is_app(user)}
        names = self._names()
        pulls = {_pull(name) for image in images for name in names[image]} - {""}
        builds = {f"paas ps:rebuild {app}" for app in apps}
        steps = sorted(pulls) + sorted(builds)
        in_use = not images and layer in self.engine.rootfs.stood_on()
        rest = "restart what runs since before its repair; paas gc" if in_use else "paas gc"
        return Damaged(layer, problem, tuple(images), "; ".join(steps) or rest)

    def _listed(self, image: Image, users: Mapping[str, Sequence[str]]) -> Listed:
        size = sum(map(self.engine.layers.size, dict.fromkeys(image.layers)))
        return Listed(image, tuple(self._names()[image.id]), size, tuple(users[image.id]))

    def _names(self) -> dict[str, list[str]]:
        names: dict[str, list[str]] = defaultdict(list)
        for name, image in self.engine.images.refs().items():
            names[image].append(name)
        return names

    def _users(self) -> dict[str, list[str]]:
        """For each image the releases and containers that need it, in words."""
        users: dict[str, list[str]] = defaultdict(list)
        for image, app, number in self._store.releases.needing():
            users[image].append(f"app {app} v{number}")
        for plugin in self._store.plugins.enabled():
            users[plugin.image].append(f"plugin {plugin.name}")
        for container in self.engine.containers.list():
            if not users[container.image]:
                users[container.image].append(f"container {container.id[:12]}")
        return users

    @staticmethod
    def _done(collected: Collected | None) -> Collected:
        if collected is None:
            raise Busy(
                "Something is being built, pulled or deployed just now",
                resolution="Try again when it has ended: paas gc",
            )
        return collected


def _pull(name: str) -> str:
    """The command that brings the image of a name back; empty of one that builds make."""
    if not parse_reference(name).local:
        return f"paas images:pull {name}"
    stack = name.removeprefix(BUILD).removeprefix(RUN)
    return f"paas stack:update {stack}" if stack != name else ""


def free_name(text: str) -> Reference:
    """The name that a user gives to an image. Raises `InvalidReference`, `ReservedName`."""
    name = parse_reference(text)
    if name.local:
        raise ReservedName(
            f"Names below {LOCAL} are this server's own",
            resolution="Choose another, for example registry.example/team/app:v1.",
        )
    return name


def normal(text: str) -> str:
    """The whole name that a text stands for, or nothing."""
    try:
        return str(parse_reference(text))
    except PaasError:
        return ""


def _is_app(user: str) -> bool:
    return user.startswith("app ")
