"""One deploy while it goes on: its row, its lock, its place in the queue, its output."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from paas.deploy.lock import refuse_locked
from paas.deploy.starting import deploying
from paas.deploy.timeline import Timeline
from paas.deploy.turns import Superseded
from paas.deploy.wake import wake_supervisor
from paas.errors import PaasError
from paas.host.clock import Clock
from paas.host.files import FileLock, remove_tree, write_atomic
from paas.host.identity import Identity
from paas.model.app import App
from paas.model.deploy import Deploy, Stage
from paas.model.layout import Layout
from paas.model.report import Report
from paas.store.store import Store

QUEUE_POLL_SECONDS = 0.1

OWNER, CANCELED = "owner.json", "canceled"
"""Beside the output of a deploy: its process, and who canceled it."""


@dataclass(frozen=True)
class Attempt:
    """A deploy that holds its app's deploy lock."""

    app: App
    deploy: Deploy
    report: Report
    timeline: Timeline
    directory: Path

    @property
    def objects(self) -> Path:
        return self.directory / "objects"


class Canceled(PaasError):
    """Somebody ended the deploy before its commit point."""

    def __init__(self, actor: str) -> None:
        super().__init__(
            f"The deploy was canceled by {actor}",
            resolution="Nothing was changed: the release that was live still is.",
        )


class Attempts:
    """Begins deploys, one at a time for each app, and settles those that died."""

    def __init__(self, layout: Layout, store: Store, clock: Clock) -> None:
        self._layout = layout
        self._store = store
        self._clock = clock

    def directory(self, deploy_id: int) -> Path:
        return self._layout.deploys / str(deploy_id)

    @contextmanager
    def begin(
        self,
        app: App,
        actor: str,
        report: Report,
        commit: str | None = None,
        *,
        even_locked: bool = False,
    ) -> Iterator[Attempt]:
        """Enter the queue of `app` and yield when its turn has come.

        The commit point inside the block ends the row as LIVE; so does a block that had
        nothing to do. An error before it ends the row as FAILED with the error's first
        line. Raises `Superseded` when a newer push waits too, `AppNotFound` when the app
        was destroyed meanwhile, and `AppLocked`, also when it was locked meanwhile, unless
        what is done deploys nothing (`even_locked`). The attempt's app is as the deploys
        before it left it.
        """
        if not even_locked:
            refuse_locked(self._store, app)
        deploy, alive = self._enlist(app, actor, commit)
        directory = self.directory(deploy.id)
        timeline = Timeline(self._clock)
        try:
            with _cancelable(directory), self._turn(app, deploy, report) as current:
                if not even_locked:
                    refuse_locked(self._store, current)
                yield Attempt(current, deploy, report, timeline, directory)
        except Superseded as error:
            self._finish(deploy, Stage.SUPERSEDED, error.brief)
            raise
        except BaseException as error:
            brief = error.brief if isinstance(error, PaasError) else type(error).__name__
            # It may name a file, whose name may be no text.
            brief = brief.encode("utf-8", "backslashreplace").decode()
            self._settle(deploy, Stage.FAILED, brief)
            raise
        else:
            self._settle(deploy, Stage.LIVE, "")
        finally:
            timeline.save(directory / "timeline.json")
            remove_tree(directory / "objects")
            alive.release()

    def exclusive(self, app: App, holder: str) -> FileLock:
        """The lock of an app's deploys: held by one at a time, and by who ends the app."""
        return deploying(self._layout, app.id, holder)

    def _enlist(self, app: App, actor: str, commit: str | None) -> tuple[Deploy, FileLock]:
        # The gate keeps `abandoned` from looking between the row and its lock.
        with self._gate():
            self._store.apps.current(app)
            deploy = self._store.deploys.start(app.id, commit, actor)
            directory = self.directory(deploy.id)
            directory.mkdir(parents=True)
            # The git user goes through to the objects of his that are kept in there.
            directory.chmod(0o711)
            alive = self._alive(deploy.id, f"deploy of {app.name} by {actor}")
            alive.acquire()
            write_atomic(directory / OWNER, json.dumps(asdict(Identity.current())))
        return deploy, alive

    def _settle(self, deploy: Deploy, stage: Stage, brief: str) -> None:
        with self._store.transaction():
            settled = self._finish(deploy, stage, brief)
            app = self._store.apps.by_id(deploy.app_id)
            if settled and stage is Stage.FAILED and app is not None:
                detail = f"build {deploy.id}: {brief}"
                self._store.events.add(deploy.actor, app.name, "deploy failed", detail)
        if settled:
            # What it stopped first may be started again.
            wake_supervisor(self._layout)

    def _finish(self, deploy: Deploy, stage: Stage, brief: str) -> bool:
        """End the row of a deploy; says whether there was one to end.

        Finished already when its block reached its commit point, whatever came after; gone
        with its app when that was destroyed.
        """
        with self._store.transaction():
            goes_on = any(one.id == deploy.id for one in self._store.deploys.unfinished())
            if goes_on:
                self._store.deploys.finish(deploy.id, stage, brief)
        return goes_on

    @contextmanager
    def _turn(self, app: App, deploy: Deploy, report: Report) -> Iterator[App]:
        lock = self.exclusive(app, f"deploy {deploy.id}")
        shown = 0
        # In the order of arrival: an older push behind a newer one would undo it.
        while (ahead := self._ahead(app, deploy)) or not lock.try_acquire():
            if ahead != shown:
                report.step(f"Waiting for {ahead} deploy(s) of {app.name} ahead of this one")
                shown = ahead
            self._clock.sleep(QUEUE_POLL_SECONDS)
        try:
            current = self._store.apps.current(app)
            if deploy.commit and self._newer_push(app, deploy):
                raise Superseded(
                    "A newer push of this app is waiting, so this one is skipped",
                    resolution="Nothing to do: the newer push is deployed next.",
                )
            yield current
        finally:
            lock.release()

    def _ahead(self, app: App, deploy: Deploy) -> int:
        return sum(1 for one in self._others(app) if one.id < deploy.id)

    def _newer_push(self, app: App, deploy: Deploy) -> bool:
        return any(one.id > deploy.id and one.commit for one in self._others(app))

    def _others(self, app: App) -> list[Deploy]:
        """Those that go on: one that was killed keeps nobody waiting until it is settled."""
        unfinished = self._store.deploys.unfinished()
        return [one for one in unfinished if one.app_id == app.id and self.goes_on(one)]

    def cancel(self, deploy: Deploy, actor: str) -> bool:
        """Have the process of a deploy end it; False when it has none any more.

        Raises `Canceled` in there, wherever it is; past its commit point nothing is undone.
        """
        directory = self.directory(deploy.id)
        with self._gate():
            if not self.goes_on(deploy):
                return False
            owner = self._owner(deploy)
            write_atomic(directory / CANCELED, actor)
            return owner is not None and owner.signal(signal.SIGTERM)

    def may_speak(self, deploy: Deploy) -> bool:
        """Whether something may still come: an error is told when the deploy has ended."""
        owner = self._owner(deploy)
        return self.goes_on(deploy) or (owner is not None and owner.alive)

    def _owner(self, deploy: Deploy) -> Identity | None:
        try:
            return Identity(**json.loads((self.directory(deploy.id) / OWNER).read_text()))
        except FileNotFoundError:
            return None

    def goes_on(self, deploy: Deploy) -> bool:
        """Whether its process lives."""
        # Shared, so that two who look do not take each other for its process.
        alive = FileLock(self.directory(deploy.id) / "lock", shared=True)
        if not alive.try_acquire():
            return True
        alive.release()
        return False

    def abandoned(self) -> list[Deploy]:
        """Finish the deploys whose process is gone, and free what deploys kept.

        Containers they started have no row and a dead owner: the supervisor reaps those.
        """
        found: list[Deploy] = []
        with self._gate():
            for deploy in self._store.deploys.unfinished():
                alive = self._alive(deploy.id, "cleaning up")
                if not alive.try_acquire():
                    continue
                why = "its process ended before the commit point"
                # It may also have come to its end by itself, a moment ago.
                if self._finish(deploy, Stage.ABANDONED, why):
                    found.append(replace(deploy, stage=Stage.ABANDONED, error=why))
                alive.release()
        self.free()
        return found

    def free(self) -> None:
        """Remove the objects of deploys that ended, and all of deploys whose app is gone."""
        with self._gate():
            known = self._store.deploys.ids()
            for directory in self._layout.deploys.glob("*"):
                gone = int(directory.name) not in known
                kept = directory if gone else directory / "objects"
                if not kept.exists():
                    continue
                alive = self._alive(int(directory.name), "cleaning up")
                if alive.try_acquire():
                    remove_tree(kept)
                    alive.release()

    def _gate(self) -> FileLock:
        return FileLock(self._layout.locks / "deploys")

    def _alive(self, deploy_id: int, holder: str) -> FileLock:
        return FileLock(self.directory(deploy_id) / "lock", holder)


@contextmanager
def _cancelable(directory: Path) -> Iterator[None]:
    """The end by SIGTERM that somebody asked for, in words."""
    try:
        yield
    except SystemExit:
        with suppress(FileNotFoundError):
            raise Canceled((directory / CANCELED).read_text()) from None
        raise
