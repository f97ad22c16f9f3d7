"""Runs of cron tasks: real containers, a real supervisor, and what is left when it is killed."""

from __future__ import annotations

import os
import re
import time
from contextlib import closing
from functools import partial

import pytest

from paas.deploy.cron import Due
from paas.deploy.cron_runs import StillRuns
from paas.deploy.parts import Parts
from paas.deploy.running import log_directory
from paas.engine.container import ContainerNotFound
from paas.errors import PaasError
from paas.model.app import App
from paas.model.cron import RETAIN_RUNS, Concurrency, CronRun, CronTask, RunStatus
from paas.model.logsettings import EVENTS_AGE, EVENTS_COUNT, RETAIN_COUNT
from paas.store.cron import Planned
from paas.store.store import Store
from tests.engine.world import Step, World, killed_at, steps_of
from tests.push.outcome import eventually

MODULES = re.compile(
    r"/paas/(deploy/(cron|cron_runs|oneoff)|store/cron|engine/(bundler|containers|monitor))\.py"
)
"""Where a function that is entered counts as a step of a run's begin."""

NEVER = "0 0 1 1 *"
WAIT = "echo $VERSION; while [ ! -e /tmp/go ]; do /bin/sleep 0.05; done"


def begun(world: World, app: App, task: CronTask) -> CronRun:
    return world.parts.cron_runs.begin(app, task, actor="ann")


def now(world: World, run: CronRun) -> CronRun:
    found = world.parts.store.cron.by_id(run.id)
    assert found is not None
    return found


def status(world: World, run: CronRun) -> tuple[RunStatus, int | None]:
    found = now(world, run)
    return found.status, found.exit_code


def let_go(world: World, run: CronRun) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    args = ["/bin/sh", "-c", "echo > /tmp/go"]
    assert world.parts.engine.foreground.exec(run.container, args, null, null, null) == 0
    os.close(null)


def runs(world: World, run: CronRun) -> bool:
    """Whether its container does: between two, there is the row alone."""
    try:
        return world.parts.engine.containers.status(run.container).state.can_join
    except ContainerNotFound:
        return False


def containers(world: World) -> set[str]:
    found = world.parts.engine.containers.list()
    return {one.id for one in found if one.labels["paas.process-type"] == "cron"}


def planned(world: World, app: App, task: CronTask) -> Planned:
    world.parts.store.cron.add(app, task, "ann")
    return world.parts.store.cron.find(app, task.id)


def due(world: World, app: App, task: CronTask) -> Due:
    """As if its time had come just now."""
    found = planned(world, app, task)
    return Due(found, time.time() + 1, 0)


def test_one_that_cannot_be_started_is_recorded_and_leaves_nothing(world: World) -> None:
    app = world.app("broken")
    with pytest.raises(PaasError, match="not been deployed"):
        begun(world, app, CronTask("true", NEVER))
    world.deploy(app, 1)
    app = world.parts.store.apps.get("broken")
    release = world.parts.store.releases.get(app.id, 1)
    moment = due(world, app, CronTask("true", NEVER))
    world.parts.store._db.execute("UPDATE releases SET image = 'gone' WHERE app_id = ?", (app.id,))
    with pytest.raises(PaasError):
        world.parts.cron_runs.begin_due(moment)
    world.parts.store._db.execute(
        "UPDATE releases SET image = ? WHERE app_id = ?", (release.image, app.id)
    )
    [run] = world.parts.store.cron.history(app.id)
    assert run.status is RunStatus.FAILED
    assert "could not be started" in run.detail
    assert containers(world) == set()
    # Its moment is over: it is not tried again and again.
    assert world.parts.cron_runs.begin_due(moment) is None


def test_a_run_has_the_apps_config_an_exit_code_and_a_log(world: World, app: App) -> None:
    said: list[str] = []
    run = begun(world, app, CronTask("echo $VERSION $DYNO; echo wrong >&2; exit 3", NEVER))
    ended = world.parts.cron_runs.follow(run, lambda line: said.append(line.text))
    assert (ended.status, ended.exit_code, ended.release) == (RunStatus.FAILED, 3, 1)
    assert sorted(said) == [f"7 {run.name}", "wrong"]
    assert sorted(line.text for line in world.parts.cron_runs.lines(run)) == sorted(said)
    assert containers(world) == set()
    event = world.parts.store.events.tail(1, "shop")[0]
    assert (event.what, event.detail) == ("cron failed", f"{run.task}, run {run.id}: exit code 3")


def test_an_earlier_run_is_beside_the_next_or_forbids_it_or_makes_room(
    world: World, app: App
) -> None:
    store, cron_runs = world.parts.store, world.parts.cron_runs
    allowed = CronTask(WAIT, NEVER)
    both = [begun(world, app, allowed), begun(world, app, allowed)]
    assert [run.id for run in store.cron.running(app.id)] == [run.id for run in both]
    for run in both:
        let_go(world, run)
        assert cron_runs.follow(run, lambda _: None).status is RunStatus.SUCCEEDED

    forbidden = CronTask(WAIT, NEVER, Concurrency.FORBID, timezone="UTC")
    first = begun(world, app, forbidden)
    with pytest.raises(StillRuns, match=f"Run {first.id} "):
        begun(world, app, forbidden)
    skipped = cron_runs.begin_due(due(world, app, forbidden))
    assert skipped is not None
    assert (skipped.status, skipped.detail) == (RunStatus.SKIPPED, f"run {first.id} still ran")

    replacing = CronTask(WAIT, NEVER, Concurrency.REPLACE, timezone="Asia/Tokyo")
    older, newer = begun(world, app, replacing), begun(world, app, replacing)
    assert now(world, older).status is RunStatus.REPLACED
    assert now(world, newer).status is RunStatus.RUNNING
    for run in (first, newer):
        cron_runs.stop(app, now(world, run), actor="ann")
        assert now(world, run).status is RunStatus.CANCELED
    assert containers(world) == set()


def test_the_supervisor_runs_what_is_due_and_records_its_end(world: World, app: App) -> None:
    store = world.parts.store
    task = CronTask("echo $DYNO; exit 4", "* * * * *")
    store.cron.add(app, task, "ann")
    # Until the minute is over a test does not wait: it was added a minute ago.
    store.cron.mark(app.id, task.id, time.time() - 60)
    hung = begun(world, app, CronTask("exec /bin/sleep 600", NEVER, timeout_s=0.5))
    with world.supervised():
        eventually(lambda: store.cron.last(app.id, task.id) is not None)
        run = store.cron.last(app.id, task.id)
        assert run is not None
        eventually(lambda: status(world, run) == (RunStatus.FAILED, 4))
        eventually(lambda: now(world, hung).status is RunStatus.TIMED_OUT)
        eventually(lambda: containers(world) == set())
    store.cron.remove(app, task.id)
    assert (run.due or 0.0) % 60 == 0
    assert [line.text for line in world.parts.cron_runs.lines(run)] == [run.name]


def test_a_run_goes_on_without_its_supervisor_and_the_next_one_sees_it_end(
    world: World, app: App
) -> None:
    store = world.parts.store
    task = CronTask(WAIT, "* * * * *", Concurrency.FORBID)
    store.cron.add(app, task, "ann")
    store.cron.mark(app.id, task.id, time.time() - 60)
    with world.supervised():
        # One of another task may have begun as the supervisor before was killed.
        [run] = eventually(
            lambda: [one for one in store.cron.running(app.id) if one.task == task.id]
        )
        eventually(lambda: runs(world, run))
    # Killed. The run is as it was, and no second one comes of the same minute.
    assert runs(world, run)
    with world.supervised():
        let_go(world, run)
        eventually(lambda: status(world, run) == (RunStatus.SUCCEEDED, 0))
    moments = [one.due for one in store.cron.history(app.id, task.id)]
    assert len(set(moments)) == len(moments)
    store.cron.remove(app, task.id)


def test_a_run_whose_machine_ended_is_lost_and_not_begun_again(world: World, app: App) -> None:
    run = begun(world, app, CronTask(WAIT, NEVER))
    # What a reboot leaves of it: the row.
    world.parts.engine.containers.remove(run.container)
    with world.supervised():
        eventually(lambda: now(world, run).status is RunStatus.LOST)
    assert "lost" in world.parts.store.events.tail(1, "shop")[0].what
    assert world.parts.store.cron.running(app.id) == []


def test_logs_of_runs_and_of_instances_push_each_other_out_of_nothing(
    world: World, app: App
) -> None:
    store, cron_runs = world.parts.store, world.parts.cron_runs
    store.settings.set(app.id, RETAIN_COUNT.name, "1")
    store.settings.set(app.id, RETAIN_RUNS.name, "2")
    task = CronTask("echo kept", NEVER)
    runs = [cron_runs.follow(begun(world, app, task), lambda _: None) for _ in range(3)]
    # A process type may be called so, too; this one has ended last.
    instance = log_directory(world.layout, app.id) / f"cron.1.{'a' * 32}.log"
    instance.write_text("2026-01-01T00:00:00.000000001+00:00 stdout F web\n")
    world.parts.housekeeping.run()
    assert [[line.text for line in cron_runs.lines(run)] for run in runs] == [
        [],
        ["kept"],
        ["kept"],
    ]
    assert instance.exists()
    assert [run.id for run in store.cron.history(app.id, task.id)] == [runs[2].id, runs[1].id]


def test_housekeeping_prunes_the_journal_by_count_and_age(world: World, app: App) -> None:
    store = world.parts.store
    with closing(Store(world.layout, lambda: time.time() - 2 * 3600)) as earlier:
        earlier.events.add("ann", "flapping", "crash 0")
    for number in range(1, 5):
        store.events.add("ann", "flapping", f"crash {number}")
    kept = partial(store.events.tail, 9, "flapping")
    store.settings.set(None, EVENTS_AGE.name, "1h")
    world.parts.housekeeping.run()
    assert [one.what for one in kept()] == ["crash 1", "crash 2", "crash 3", "crash 4"]
    store.settings.set(None, EVENTS_COUNT.name, "3")
    world.parts.housekeeping.run()
    assert [one.what for one in kept()] == ["crash 2", "crash 3", "crash 4"]
    assert store.events.tail(1, app.name) != []


def run_steps(steps: list[Step]) -> list[Step]:
    """Those of cron itself, and some of the engine's that all containers share."""
    ours = [step for step in steps if "cron" in step[0]]
    return [*ours, *[step for step in steps if step not in ours][::10]]


def test_a_run_killed_at_any_step_of_its_begin_is_begun_once_or_lost(
    world: World, app: App
) -> None:
    store = world.parts.store
    codes = iter(range(1, 256))

    def fresh() -> Due:
        return due(world, app, CronTask(f"exit {next(codes)}", NEVER))

    def begin(moment: Due) -> None:
        Parts(world.layout).cron_runs.begin_due(moment)

    steps = run_steps(steps_of(partial(begin, fresh()), MODULES))
    assert len(steps) > 10
    outcomes = set()
    for step in steps:
        moment = fresh()
        task = moment.planned.task
        assert killed_at(step, partial(begin, moment), MODULES), step
        found = store.cron.history(app.id, task.id)
        if not found:
            # It has not happened: it is still due, and done by the next who looks.
            assert world.parts.cron.is_due(moment), step
            begin(moment)
            found = store.cron.history(app.id, task.id)
        assert len(found) == 1, step
        assert not world.parts.cron.is_due(moment), step
        outcomes.add(found[0].id)
    with world.supervised():
        eventually(lambda: store.cron.running(app.id) == [])
        eventually(lambda: containers(world) == set())
    statuses = {run.status for run in store.cron.history(app.id) if run.id in outcomes}
    assert statuses == {RunStatus.FAILED, RunStatus.LOST}
