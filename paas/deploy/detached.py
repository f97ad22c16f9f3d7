"""One-offs that nobody waits for: they outlive their caller and the daemon."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from paas.deploy.draft import Draft
from paas.deploy.oneoff import COMMAND, OneOff
from paas.deploy.running import DETACHED, KIND, NAME, log_directory, owner_of
from paas.engine.container import Container, ContainerNotFound
from paas.engine.engine import Engine
from paas.errors import NotFound
from paas.host.clock import Clock
from paas.model.app import App
from paas.model.layout import Layout

RUN = "run"

DEFAULT_TTL_SECONDS = 86400.0
"""As Dokku: what was forgotten does not run for ever."""

STOP_SECONDS = 10.0


class NoSuchOneOff(NotFound):
    """The app has no one-off of that name."""

    def __init__(self, app: App, name: str) -> None:
        super().__init__(
            f"App {app.name} runs no one-off {name}",
            resolution=f"See what there is: paas run:list {app.name}",
        )


@dataclass(frozen=True)
class OneOffStatus:
    """A one-off as it is now. `since` is in seconds since the epoch."""

    name: str
    container: str
    state: str
    command: str
    detached: bool
    since: float


@dataclass(frozen=True)
class Detached:
    """Starts, lists and ends one-offs. Their output goes to the app's log."""

    layout: Layout
    engine: Engine
    oneoff: OneOff
    clock: Clock

    def start(
        self,
        app: App,
        draft: Draft,
        argv: Sequence[str],
        env: Mapping[str, str],
        ttl_s: float = DEFAULT_TTL_SECONDS,
    ) -> str:
        """Start `argv`, or the process type it names; the one-off's name.

        Raises `CommandNotFound`, among others; then nothing of it is left.
        """
        container = self.create(app, draft, RUN, argv, env, self.clock.now() + ttl_s)
        return container.labels[NAME]

    def create(
        self,
        app: App,
        draft: Draft,
        kind: str,
        argv: Sequence[str],
        env: Mapping[str, str],
        until: float,
    ) -> Container:
        """Start a container that is over at `until`, seconds since the epoch."""
        directory = log_directory(self.layout, app.id)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        own = {DETACHED: f"{until:.0f}"}
        spec = self.oneoff.spec(app, draft, kind, argv, env, own, directory)
        try:
            container = self.engine.containers.create(spec)
            self.engine.containers.start(spec.id)
        except BaseException:
            self.engine.containers.remove(spec.id)
            raise
        return container

    def list(self, app: App, kind: str = RUN) -> Sequence[OneOffStatus]:
        """The one-offs of an app that run, also those that somebody waits for."""
        found = []
        for one in self._of(app, kind):
            try:
                status = self.engine.containers.status(one.id)
            except ContainerNotFound:
                continue
            if not status.state.has_ended:
                found.append(
                    OneOffStatus(
                        one.labels[NAME],
                        one.id,
                        status.state.value,
                        one.labels.get(COMMAND, ""),
                        DETACHED in one.labels,
                        one.created_at,
                    )
                )
        return sorted(found, key=lambda one: one.since)

    def stop(self, app: App, name: str | None) -> Sequence[str]:
        """Stop one of them, or all; the names. Raises `NoSuchOneOff`."""
        found = [one for one in self.list(app) if name is None or one.name == name]
        if name is not None and not found:
            raise NoSuchOneOff(app, name)
        for one in found:
            if one.detached:
                self._end(one.container)
            else:
                # Its caller sees the exit code and removes it.
                self.engine.foreground.kill(one.container)
        return [one.name for one in found]

    def settle(self) -> None:
        """Remove those that have ended, and end those whose time is over."""
        for one in self.engine.containers.list():
            if one.labels.get(KIND) != RUN or DETACHED not in one.labels:
                continue
            try:
                ended = self.engine.containers.status(one.id).state.has_ended
            except ContainerNotFound:
                continue
            if ended or float(one.labels[DETACHED]) <= self.clock.now():
                self._end(one.id)

    def _end(self, container: str) -> None:
        try:
            self.engine.containers.stop(container, STOP_SECONDS)
        except ContainerNotFound:
            return
        self.engine.containers.remove(container)

    def _of(self, app: App, kind: str) -> Iterable[Container]:
        owner = owner_of(app.id)
        containers = self.engine.containers.list()
        return [one for one in containers if one.owner == owner and one.labels.get(KIND) == kind]
