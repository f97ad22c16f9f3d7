"""Runs of cron tasks: begun once, each in a container of its own, and seen to their end.

A run is a row that names its container before there is one. Its container has a monitor of
its own, so it goes on when the supervisor ends; the next one finds it by its row. A row whose
container is gone is a lost run: it is never begun again.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from paas.deploy.cron import Cron, Due
from paas.deploy.detached import STOP_SECONDS
from paas.deploy.draft import Draft
from paas.deploy.oneoff import OneOff
from paas.deploy.pipeline import Pipeline
from paas.deploy.running import DETACHED, KIND, log_directory, new_container_id
from paas.deploy.wake import wake_supervisor
from paas.engine import logs
from paas.engine.container import ContainerNotFound, State, Status
from paas.engine.logs import Line
from paas.errors import NotFound, PaasError
from paas.host.database import Unique
from paas.host.files import FileLock
from paas.model.app import App
from paas.model.cron import Concurrency, CronRun, CronTask, RunStatus

CRON = "cron"
"""The process type of runs: of their limits, mounts and logs."""

SCHEDULE = "the schedule"


class StillRuns(PaasError):
    """An earlier run of the task goes on, and the task forbids a second one."""

    def __init__(self, app: App, run: CronRun) -> None:
        super().__init__(
            f"Run {run.id} of this task goes on, and the task forbids a second one",
            resolution=f"Wait for it, or stop it: paas cron:stop {app.name} {run.id}",
        )


class NotRunning(NotFound):
    """A run that is to be stopped has ended."""

    def __init__(self, app: App, run: CronRun) -> None:
        super().__init__(
            f"Run {run.id} of {app.name} has ended: {run.status.value}",
            resolution=f"See what ran: paas cron:history {app.name}",
        )


@dataclass(frozen=True)
class CronRuns:
    """Begins, watches and ends runs. Steps of the supervisor are safe to be killed in."""

    cron: Cron
    pipeline: Pipeline
    oneoff: OneOff
    live: Callable[[App], Draft]
    """What an app runs now."""

    # -- beginning -----------------------------------------------------------------------------

    def begin_due(self, due: Due) -> CronRun | None:
        """Begin the run that is due, unless somebody has, or its task says otherwise.

        Raises what starting a container raises; the run is recorded as failed then.
        """
        store, app_id, task = self.pipeline.store, due.planned.app_id, due.planned.task
        with self.pipeline.using(app_id), self._alone(app_id):
            running = self._running(app_id, task.id)
            # One transaction: whoever is killed has begun it, or left it to be begun.
            with store.transaction():
                app = store.apps.by_id(app_id)
                if app is None or not self.cron.is_due(due) or not self.cron.deal_with(due):
                    return None
                if running and task.concurrency is Concurrency.FORBID:
                    detail = f"run {running[-1].id} still ran"
                    return store.cron.note(app_id, task, RunStatus.SKIPPED, due.moment, detail)
                try:
                    run = self._row(app, task, due.moment, SCHEDULE)
                except Unique:
                    # The clock was set back behind a moment that had its run.
                    return None
            return self._go(app, task, run, running)

    def begin(
        self, app: App, task: CronTask, *, actor: str, timeout_s: float | None = None
    ) -> CronRun:
        """Begin a run now, in maintenance too; it is stopped after `timeout_s`, else after the
        task's own. Raises `StillRuns`, `NotDeployed`, the engine's.
        """
        self.live(app)
        if timeout_s is not None:
            task = replace(task, timeout_s=timeout_s)
        with self.pipeline.using(app.id), self._alone(app.id):
            running = self._running(app.id, task.id)
            if running and task.concurrency is Concurrency.FORBID:
                raise StillRuns(app, running[-1])
            return self._go(app, task, self._row(app, task, None, actor), running)

    def _running(self, app_id: int, task_id: str) -> list[CronRun]:
        return [one for one in self.pipeline.store.cron.running(app_id) if one.task == task_id]

    def _row(self, app: App, task: CronTask, due: float | None, actor: str) -> CronRun:
        """A run that nothing is started of yet. Raises `Unique` when its moment had one."""
        return self.pipeline.store.cron.begin(
            app.id, task, container=new_container_id(), release=app.live, due=due, actor=actor
        )

    def _go(self, app: App, task: CronTask, run: CronRun, running: Sequence[CronRun]) -> CronRun:
        if task.concurrency is Concurrency.REPLACE:
            for one in running:
                self._stop(one, RunStatus.REPLACED)
        try:
            self._start(app, self.live(app), run)
        except BaseException as error:
            self.pipeline.engine.containers.remove(run.container)
            why = error.brief if isinstance(error, PaasError) else type(error).__name__
            self._finish(run, RunStatus.FAILED, None, f"it could not be started: {why}")
            raise
        # It watches for the end.
        wake_supervisor(self.pipeline.layout)
        return run

    def _start(self, app: App, draft: Draft, run: CronRun) -> None:
        directory = log_directory(self.pipeline.layout, app.id)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        spec = self.oneoff.shell_spec(app, draft, CRON, run.name, run.container, run.command)
        labels = {**spec.labels, DETACHED: f"{run.until:.0f}"}
        containers = self.pipeline.engine.containers
        containers.create(replace(spec, labels=labels, log=self._log(run)))
        containers.start(run.container)

    # -- ending --------------------------------------------------------------------------------

    def settle(self, number: int) -> None:
        """Record the end of a run and remove its container; stop one whose time is over."""
        run = self.pipeline.store.cron.by_id(number)
        if run is None or run.status is not RunStatus.RUNNING:
            return
        status = self._status(run)
        if status is not None and status.state.has_ended:
            self._record(run, status)
        elif status is None or status.state in (State.CREATING, State.CREATED):
            self._settle_unstarted(run)
        elif run.until <= self.cron.clock.now():
            self._stop(run, RunStatus.TIMED_OUT)

    def _settle_unstarted(self, run: CronRun) -> None:
        """Nothing runs: it is being started, or whoever did has been killed."""
        alone = self._alone(run.app_id)
        if not alone.try_acquire():
            return
        try:
            status = self._status(run)
            if status is None or status.state in (State.CREATING, State.CREATED):
                self.pipeline.engine.containers.remove(run.container)
                self._finish(run, RunStatus.LOST, None, "the server ended before it did")
        finally:
            alone.release()

    def stop(self, app: App, run: CronRun, *, actor: str) -> None:
        """End a run. Raises `NotRunning`."""
        if run.status is not RunStatus.RUNNING:
            raise NotRunning(app, run)
        self._stop(run, RunStatus.CANCELED)
        self.pipeline.store.events.add(actor, app.name, "cron stopped", f"run {run.id}")

    def _stop(self, run: CronRun, ending: RunStatus) -> None:
        self.pipeline.store.cron.stop(run, ending)
        with suppress(ContainerNotFound):
            self.pipeline.engine.containers.stop(run.container, STOP_SECONDS)
        self.settle(run.id)

    def _record(self, run: CronRun, status: Status) -> None:
        code = status.exit_code
        if run.ending is not None:
            self._finish(run, run.ending, code, "")
        elif status.state is State.LOST:
            self._finish(run, RunStatus.LOST, None, "its monitor was killed")
        elif status.oom_killed:
            self._finish(run, RunStatus.FAILED, code, "out of memory")
        else:
            self._finish(run, RunStatus.FAILED if code else RunStatus.SUCCEEDED, code, "")
        # Last: killed before it, `sweep` finds it.
        self.pipeline.engine.containers.remove(run.container)

    def _finish(self, run: CronRun, status: RunStatus, code: int | None, detail: str) -> None:
        store = self.pipeline.store
        with store.transaction():
            app = store.apps.by_id(run.app_id)
            if store.cron.finish(run, status, code, detail) and app and status.is_trouble:
                why = detail or ("" if code is None else f"exit code {code}")
                what = f"{run.task}, run {run.id}: {why or status.value}"
                store.events.add("supervisor", app.name, f"cron {status.value}", what)

    def _status(self, run: CronRun) -> Status | None:
        try:
            return self.pipeline.engine.containers.settle(run.container)
        except ContainerNotFound:
            return None

    def sweep(self) -> None:
        """Remove containers of runs that are over, and what is known of tasks that are none."""
        engine, store = self.pipeline.engine, self.pipeline.store
        # In this order: whoever begins one in between has left a row.
        found = [one for one in engine.containers.list() if one.labels.get(KIND) == CRON]
        running = {run.container for run in store.cron.running()}
        for container in found:
            if DETACHED in container.labels and container.id not in running:
                engine.containers.remove(container.id)
        self.cron.tidy()

    def _alone(self, app_id: int) -> FileLock:
        """Held by whoever begins a run of an app, until its container runs."""
        return FileLock(self.pipeline.layout.locks / f"app-{app_id}.cron", "beginning a run")

    # -- looking on ------------------------------------------------------------------------------

    def _log(self, run: CronRun) -> Path:
        directory = log_directory(self.pipeline.layout, run.app_id)
        return directory / f"{run.name}.{run.container}.log"

    def follow(self, run: CronRun, out: Callable[[Line], None]) -> CronRun:
        """Hand on every line that a run writes, until it has ended; the run as it is then."""
        descriptor = self._watched(run)
        ended = descriptor is None

        def pause(seconds: float) -> None:
            nonlocal ended
            if ended:
                # What was there at its end has been read since.
                raise _Over
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)  # type: ignore[arg-type]
            ended = bool(poll.poll(seconds * 1000))

        try:
            with suppress(_Over):
                for line in logs.follow(lambda: {run.name: self._log(run)}, logs.EVERY, pause):
                    out(line)
        finally:
            if descriptor is not None:
                os.close(descriptor)
        self.settle(run.id)
        return self.pipeline.store.cron.by_id(run.id) or run

    def lines(self, run: CronRun) -> list[Line]:
        """What a run wrote, as far as it is kept."""
        return logs.last(self._log(run), logs.EVERY, run.name)

    def _watched(self, run: CronRun) -> int | None:
        try:
            return self.pipeline.engine.containers.watch(run.container)
        except ContainerNotFound:
            return None


class _Over(Exception):
    """A run has ended, and all it said was read."""
