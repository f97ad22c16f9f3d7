"""The stacks of the server: what each is, which apps are on it, and making it anew."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from paas.deploy.housekeeping import Housekeeping
from paas.engine.engine import Engine
from paas.engine.pulledstacks import BUILD, LABEL, RELEASE, RUN, Source
from paas.engine.stack import SUITES, NoSuchStack
from paas.errors import PaasError
from paas.model.app import App
from paas.model.buildpacks import MADE, STACK, STACK_NAME
from paas.model.names import shown
from paas.model.report import Report
from paas.store.store import Store


class InvalidStackName(PaasError):
    """The name cannot be that of a stack that is pulled."""


class StackInUse(PaasError):
    """Apps are built on it, or the server makes it."""


@dataclass(frozen=True)
class StackStatus:
    """One stack. `version` is that of its run image, the first digits of its id, and `made` when
    that was, as RFC 3339 has it; both empty before that. `image` and `build_image` are where it
    is pulled from; of one that is made here they are empty, and `suite` is Debian's word.

    `behind` are the apps that still run on an earlier image of it.
    """

    name: str
    suite: str
    version: str
    made: str
    image: str
    build_image: str
    apps: tuple[str, ...]
    behind: tuple[str, ...]


@dataclass(frozen=True)
class Stacks:
    """Lists, pulls, updates and chooses stacks."""

    engine: Engine
    store: Store
    housekeeping: Housekeeping

    def list(self) -> list[StackStatus]:
        """All of them, the default one first, those that are pulled last."""
        made = [self._status(name, suite, Source("", "")) for name, suite in SUITES.items()]
        pulled = self.engine.pulled_stacks.list()
        return made + [self._status(name, "", source) for name, source in pulled.items()]

    def update(self, name: str | None, report: Report) -> None:
        """Make the images of one stack, or of all that are in use, with today's packages.

        Apps keep theirs until they are rebuilt. One that cannot be made stays as it is, and
        is named. Raises `NoSuchStack` and what making or pulling an image does.
        """
        pulled = self.engine.pulled_stacks.list()
        names = [self.check(name)] if name else [each.name for each in self.list() if each.made]
        for each in names:
            if each in pulled:
                self.pull(each, pulled[each], report)
            else:
                self._make(each, report)

    def _make(self, name: str, report: Report) -> None:
        run, build = f"{RUN}{name}", f"{BUILD}{name}"
        wanted = [run, build] if self.engine.images.resolve(build) else [run]
        with self._staying(name):
            self.engine.stack.rebuild(wanted, report)

    def pull(self, name: str, source: Source, report: Report) -> None:
        """Make images of a registry the stack `name`, or what they are by now.

        Raises `InvalidStackName`, `NotAStack` and what pulling an image does; then nothing of
        it stays.
        """
        _check_free(name)
        report.step(f"Pulling {name}")
        try:
            with self._staying(name):
                changed = self.engine.pulled_stacks.pull(name, source, report)
        except PaasError:
            self.housekeeping.collect()
            raise
        (found,) = (each for each in self.list() if each.name == name)
        said = f"{name} is {found.version} ({found.suite})"
        report.step(f"{said} from now on" if changed else f"{said} still: {source.run} is no newer")

    def remove(self, name: str) -> None:
        """Take a pulled stack away. Raises `NoSuchStack`, `StackInUse`."""
        self.check(name)
        if name in SUITES:
            raise StackInUse(f"{name} is the server's own, and stays")
        (found,) = (each for each in self.list() if each.name == name)
        if found.apps:
            raise StackInUse(
                f"{name} is in use",
                [f"by app {app}" for app in found.apps],
                "Build them on another first: stack:set APP STACK",
            )
        self.engine.pulled_stacks.forget(name)
        self.housekeeping.collect()

    @contextmanager
    def _staying(self, name: str) -> Iterator[None]:
        """An error in the block says as well that the stack which is there stays."""
        try:
            yield
        except PaasError as error:
            if self.engine.images.resolve(f"{RUN}{name}"):
                error.brief = f"{name} stays as it is: {error.brief}"
            raise

    def choose(self, app: App, name: str) -> None:
        """Have an app built on a stack, from its next build on. Raises `NoSuchStack`."""
        self.store.settings.set(app.id, STACK.name, self.check(name))

    def check(self, name: str) -> str:
        """The name of a stack that there is. Raises `NoSuchStack`."""
        names = [*SUITES, *self.engine.pulled_stacks.list()]
        if name not in names:
            raise NoSuchStack(
                f"There is no stack {shown(name)}",
                resolution=f"There are {', '.join(names)}; pull others: stack:pull NAME IMAGE",
            )
        return name

    def _status(self, name: str, suite: str, source: Source) -> StackStatus:
        image = self.engine.images.resolve(f"{RUN}{name}")
        settings = self.store.settings
        apps = [app for app in self.store.apps.list() if settings.value(STACK, app.id) == name]
        return StackStatus(
            name,
            image.config.labels.get(RELEASE, suite) if image else suite,
            image.id.removeprefix("sha256:")[:12] if image else "",
            (image.config.created or "") if image else "",
            source.run,
            source.build,
            tuple(app.name for app in apps),
            tuple(app.name for app in apps if self._behind(app, name)),
        )

    def _behind(self, app: App, name: str) -> bool:
        """Whether it runs on an image of a stack that is no longer the stack's."""
        if app.live is None:
            return False
        live = self.engine.images.resolve(self.store.releases.get(app.id, app.live).image)
        ref = live.config.labels.get(LABEL) if live else None
        if live is None or ref not in (f"{RUN}{name}", f"{BUILD}{name}"):
            return False
        stack = self.engine.images.resolve(ref)
        return stack is not None and live.layers[: len(stack.layers)] != stack.layers


def _check_free(name: str) -> None:
    """Raises `InvalidStackName` unless a pulled stack may be called so."""
    if not STACK_NAME.fullmatch(name) or name.startswith(MADE):
        raise InvalidStackName(
            f"{shown(name)} cannot name a stack that is pulled",
            resolution="Use lower-case letters, digits, dots and dashes, for example heroku-24; "
            f"what begins with {MADE} is made on the server.",
        )
