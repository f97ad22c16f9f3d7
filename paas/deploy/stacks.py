"""The stacks of the server: what each is, which apps are on it, and making it anew."""

from __future__ import annotations

from dataclasses import dataclass

from paas.engine.engine import Engine
from paas.engine.images import Image
from paas.engine.stack import SUITES, NoSuchStack
from paas.errors import PaasError
from paas.model.app import App
from paas.model.buildpacks import STACK
from paas.model.names import shown
from paas.model.report import Report
from paas.store.store import Store

LABEL = "paas.stack"
"""Of an image that is made of a stack: the stack's own name."""


@dataclass(frozen=True)
class StackStatus:
    """One stack. `made` is when its image was, as RFC 3339 has it; empty before that.

    `behind` are the apps that still run on an earlier image of it.
    """

    name: str
    suite: str
    made: str
    apps: tuple[str, ...]
    behind: tuple[str, ...]


@dataclass(frozen=True)
class Stacks:
    """Lists, updates and chooses stacks."""

    engine: Engine
    store: Store

    def list(self) -> list[StackStatus]:
        """All of them, the default one first."""
        return [self._status(name, suite) for name, suite in SUITES.items()]

    def update(self, name: str | None, report: Report) -> None:
        """Make the images of one stack, or of all that are in use, with today's packages.

        Apps keep theirs until they are rebuilt. One that cannot be made stays as it is, and
        is named. Raises `NoSuchStack` and what making an image does.
        """
        names = [check(name)] if name else [each.name for each in self.list() if each.made]
        for each in names:
            run, build = f"paas/stack:{each}", f"paas/stack-build:{each}"
            known = self.engine.images.resolve(run), self.engine.images.resolve(build)
            try:
                self.engine.stack.rebuild([run, build] if known[1] else [run], report)
            except PaasError as error:
                if known[0]:
                    error.brief = f"{each} stays as it is: {error.brief}"
                raise

    def choose(self, app: App, name: str) -> None:
        """Have an app built on a stack, from its next build on. Raises `NoSuchStack`."""
        self.store.settings.set(app.id, STACK.name, check(name))

    def _status(self, name: str, suite: str) -> StackStatus:
        image = self.engine.images.resolve(f"paas/stack:{name}")
        settings = self.store.settings
        apps = [app for app in self.store.apps.list() if settings.value(STACK, app.id) == name]
        return StackStatus(
            name,
            suite,
            (image.config.created or "") if image else "",
            tuple(app.name for app in apps),
            tuple(app.name for app in apps if image and self._behind(app, image)),
        )

    def _behind(self, app: App, stack: Image) -> bool:
        """Whether it runs on a stack's image, and not on this one."""
        if app.live is None:
            return False
        live = self.engine.images.resolve(self.store.releases.get(app.id, app.live).image)
        name = stack.config.labels[LABEL]
        either = (name, name.replace("paas/stack:", "paas/stack-build:"))
        if live is None or live.config.labels.get(LABEL) not in either:
            return False
        return live.layers[:1] != stack.layers[:1]


def check(name: str) -> str:
    """The name of a stack that there is. Raises `NoSuchStack`."""
    if name not in SUITES:
        raise NoSuchStack(
            f"There is no stack {shown(name)}",
            resolution=f"The stacks of this version: {', '.join(SUITES)}.",
        )
    return name
