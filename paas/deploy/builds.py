"""Deploys as one looks back at them: what they said, how they ended, and their end by hand."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from paas.deploy.attempt import Attempts
from paas.deploy.receive import LOG
from paas.errors import NotFound, PaasError
from paas.host.clock import Clock
from paas.model.app import App
from paas.model.deploy import Deploy
from paas.store.store import Store

CHUNK = 64 * 1024
FOLLOW_SECONDS = 0.1

LAST_WORDS_SECONDS = 5.0
"""How long a deploy that has ended may take to say why; git may still talk to its client."""


class NoSuchBuild(NotFound):
    """The app has no such deploy, or nothing of it was kept."""

    def __init__(self, app: App, brief: str) -> None:
        super().__init__(brief, resolution=f"See what there is: paas builds:list {app.name}")


class NotUnderWay(PaasError):
    """The deploy has ended already."""


@dataclass(frozen=True)
class Builds:
    """The deploys of an app, by their numbers."""

    store: Store
    attempts: Attempts
    clock: Clock

    def list(self, app: App) -> Sequence[Deploy]:
        """The newest first."""
        return self.store.deploys.list(app.id)

    def find(self, app: App, number: int | None, *, with_output: bool = False) -> Deploy:
        """The deploy of that number; without one the newest. Raises `NoSuchBuild`.

        `with_output` passes over those that wrote none: a restart is no build.
        """
        for deploy in self.list(app):
            if number not in (None, deploy.id):
                continue
            if not with_output or self._log(deploy).exists():
                return deploy
            if number is not None:
                raise NoSuchBuild(app, f"No output of build {number} is kept")
        missing = f"no build {number}" if number is not None else "no builds"
        raise NoSuchBuild(app, f"App {app.name} has {missing}")

    def output(
        self, deploy: Deploy, out: Callable[[bytes], None], *, follow: bool = False
    ) -> Deploy:
        """Write what a deploy said, with `follow` until it has ended; the deploy as it is then."""
        for data in self._read(deploy, follow=follow):
            out(data)
        return self.store.deploys.get(deploy.id)

    def _read(self, deploy: Deploy, *, follow: bool) -> Iterator[bytes]:
        with self._log(deploy).open("rb") as log:
            until = None
            while True:
                # Asked first: what is written before the end is read behind it.
                over = not follow or not self.attempts.may_speak(deploy)
                if until is None and not self.attempts.goes_on(deploy):
                    until = self.clock.monotonic() + LAST_WORDS_SECONDS
                over = over or (until is not None and self.clock.monotonic() > until)
                while data := log.read(CHUNK):
                    yield data
                if over:
                    return
                self.clock.sleep(FOLLOW_SECONDS)

    def cancel(self, app: App, number: int | None, actor: str) -> Deploy:
        """End a deploy before its commit point; the old release keeps serving.

        Raises `NotUnderWay`.
        """
        under_way = [one for one in self.list(app) if not one.stage.finished]
        for deploy in under_way:
            if number in (None, deploy.id) and self.attempts.cancel(deploy, actor):
                return deploy
        what = f"Build {number}" if number is not None else f"No build of {app.name}"
        raise NotUnderWay(f"{what} is {'not ' if number is not None else ''}under way")

    def kept(self, deploy: Deploy) -> bool:
        """Whether its output can be read."""
        return os.access(self._log(deploy), os.R_OK)

    def _log(self, deploy: Deploy) -> Path:
        return self.attempts.directory(deploy.id) / LOG
