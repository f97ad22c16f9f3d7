"""Which tasks are due, after what: deploys, downtime, clocks that are set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from paas.deploy.cron import Cron, Due, TaskDeclared
from paas.model.app import App
from paas.model.cron import MAINTENANCE, TIMEZONE, CronTask, Missed, RunStatus
from paas.model.layout import Layout
from paas.store.cron import TaskTaken, TaskUnknown
from paas.store.store import Store

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
HOURLY = CronTask("tidy", "0 * * * *")


@dataclass
class HeldClock:
    """Stands still until a test moves it."""

    at: float = 100 * DAY + 1

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        raise AssertionError(f"nobody waits {seconds} s here")


class World:
    """A store, a clock, and what the supervisor does about what is due."""

    def __init__(self, folder: Path) -> None:
        self.clock = HeldClock()
        self.store = Store(Layout.at(folder), self.clock.now)
        self.cron = Cron(self.store, self.clock)
        self.app = self.released(self.store.apps.create("shop"))

    def released(self, app: App, *tasks: CronTask) -> App:
        release = self.store.releases.add(
            app.id, image="i", commit=None, config={}, processes={}, formation={}, health={},
            reason="r", actor="a", cron=tasks,
        )  # fmt: skip
        self.store.apps.set_live(app.id, release.number)
        return self.store.apps.get(app.name)

    def look(self) -> list[tuple[str, float]]:
        """Command and moment of what would be begun now."""
        begun = []
        for due in self.cron.outlook().due:
            if self.cron.is_due(due) and self.cron.deal_with(due):
                self.begin(due)
                begun.append((due.planned.task.command, due.moment))
        return begun

    def begin(self, due: Due) -> None:
        task = due.planned.task
        self.store.cron.begin(
            due.planned.app_id, task, container="c", release=1, due=due.moment, actor="x"
        )

    def recorded(self) -> list[tuple[RunStatus, str]]:
        return [
            (run.status, run.detail)
            for run in self.store.cron.history(self.app.id)
            if run.status is not RunStatus.RUNNING
        ]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.store.close()


def test_nothing_of_what_was_before_a_task_is_due(world: World) -> None:
    world.cron.add(world.app, HOURLY, actor="ann")
    assert world.look() == []
    assert world.cron.outlook().next_at == 100 * DAY + HOUR


def test_a_run_is_due_once(world: World) -> None:
    world.cron.add(world.app, HOURLY, actor="ann")
    world.clock.at = 100 * DAY + HOUR
    assert world.look() == [("tidy", 100 * DAY + HOUR)]
    assert world.look() == []
    world.clock.at += 59
    assert world.look() == []


def test_two_who_look_at_the_same_moment_begin_one_run(world: World) -> None:
    world.cron.add(world.app, HOURLY, actor="ann")
    world.clock.at = 100 * DAY + HOUR
    [first], [second] = world.cron.outlook().due, world.cron.outlook().due
    assert world.cron.is_due(first)
    assert world.cron.deal_with(first)
    assert not world.cron.is_due(second)


@dataclass
class Ends(HeldClock):
    """One whose second look finds an app destroyed: by then all have been listed."""

    world: World | None = None
    looks: int = 0

    def now(self) -> float:
        self.looks += 1
        if self.world is not None and self.looks == 2:
            self.world.store.apps.destroy(self.world.app)
        return self.at


@pytest.mark.parametrize("stopped", [False, True])
def test_an_app_that_is_destroyed_during_a_look_ends_nobody(world: World, *, stopped: bool) -> None:
    world.app = world.released(world.app, HOURLY)
    if stopped:
        world.cron.outlook()
        world.store.apps.set_stopped(world.app.id, stopped=True)
    clock = Ends(world.clock.at + HOUR, world)
    outlook = Cron(world.store, clock).outlook()
    assert clock.looks > 1
    assert outlook.due == []
    assert world.store.cron.known() == set()


@pytest.mark.parametrize("back", [1.0, 90.0, HOUR, 2.9 * HOUR])
def test_a_clock_that_is_set_back_runs_nothing_twice(world: World, back: float) -> None:
    world.cron.add(world.app, HOURLY, actor="ann")
    world.clock.at = 100 * DAY + 4 * HOUR + 5
    assert len(world.look()) == 1
    world.clock.at -= back
    begun = []
    while world.clock.at < 100 * DAY + 5 * HOUR:
        begun += world.look()
        world.clock.at += MINUTE
    assert begun == []
    assert world.look() == [("tidy", 100 * DAY + 5 * HOUR)]


def test_a_clock_that_was_far_ahead_does_not_stop_tasks_for_ever(world: World) -> None:
    world.cron.add(world.app, HOURLY, actor="ann")
    right, world.clock.at = world.clock.at, world.clock.at + 5 * 365 * DAY
    world.look()
    world.clock.at = right + 1
    assert world.look() == []
    world.clock.at = 100 * DAY + HOUR
    assert world.look() == [("tidy", 100 * DAY + HOUR)]


def test_a_run_that_is_a_little_late_is_not_missed(world: World) -> None:
    world.cron.add(world.app, HOURLY, actor="ann")
    world.clock.at = 100 * DAY + HOUR + 4 * MINUTE
    assert world.look() == [("tidy", 100 * DAY + HOUR)]
    assert world.recorded() == []


def test_what_a_downtime_kept_from_running_is_recorded(world: World) -> None:
    world.cron.add(world.app, HOURLY, actor="ann")
    world.clock.at = 100 * DAY + 5.5 * HOUR
    assert world.look() == []
    assert world.recorded() == [(RunStatus.MISSED, "5 runs missed while the server was down")]
    assert world.store.events.tail(1, "shop")[0].what == "cron missed"
    assert world.look() == []
    world.clock.at = 100 * DAY + 6 * HOUR
    assert world.look() == [("tidy", 100 * DAY + 6 * HOUR)]
    assert len(world.recorded()) == 1


def test_one_of_those_missed_is_made_up_for_where_a_task_asks_for_it(world: World) -> None:
    world.cron.add(world.app, replace(HOURLY, missed=Missed.ONCE), actor="ann")
    world.clock.at = 100 * DAY + 5.5 * HOUR
    assert world.look() == [("tidy", 100 * DAY + 5 * HOUR)]
    assert world.look() == []


def test_those_before_one_that_is_in_time_are_recorded_beside_it(world: World) -> None:
    world.cron.add(world.app, CronTask("tick", "* * * * *"), actor="ann")
    world.clock.at = 100 * DAY + 3 * MINUTE + 2
    assert world.look() == [("tick", 100 * DAY + 3 * MINUTE)]
    assert world.recorded() == [(RunStatus.MISSED, "2 runs missed while the server was down")]


def test_maintenance_and_a_stop_are_no_downtime(world: World) -> None:
    world.cron.add(world.app, HOURLY, actor="ann")
    world.cron.suspend(world.app, HOURLY.id, suspended=True, actor="ann")
    world.clock.at += 3 * HOUR
    assert world.look() == []
    assert [each.fault for each in world.cron.tasks(world.app)] == ["maintenance"]
    world.cron.suspend(world.app, HOURLY.id, suspended=False, actor="ann")
    world.store.settings.set(world.app.id, MAINTENANCE.name, "true")
    world.clock.at += 3 * HOUR
    assert world.look() == []
    world.store.settings.set(world.app.id, MAINTENANCE.name, None)
    world.store.apps.set_stopped(world.app.id, stopped=True)
    world.clock.at += 3 * HOUR
    assert world.look() == []
    world.store.apps.set_stopped(world.app.id, stopped=False)
    assert world.look() == []
    assert world.recorded() == []
    world.clock.at += HOUR
    assert len(world.look()) == 1


def test_a_task_of_the_repository_comes_and_goes_with_its_release(world: World) -> None:
    declared = replace(HOURLY, maintenance=True)
    world.app = world.released(world.app, declared, CronTask("tick", "0 1 * * *"))
    world.clock.at += 1
    assert world.look() == []
    assert [each.fault for each in world.cron.tasks(world.app)] == ["maintenance", ""]
    with pytest.raises(TaskDeclared, match=r"app\.json"):
        world.cron.remove(world.app, HOURLY.id, actor="ann")
    with pytest.raises(TaskTaken):
        world.cron.add(world.app, HOURLY, actor="ann")
    # Resumed against what it declares, it runs.
    world.cron.suspend(world.app, HOURLY.id, suspended=False, actor="ann")
    world.clock.at = 100 * DAY + HOUR
    assert sorted(command for command, _ in world.look()) == ["tick", "tidy"]
    world.app = world.released(world.app)
    world.cron.tidy()
    world.clock.at += 10 * DAY
    assert (world.look(), world.cron.tasks(world.app)) == ([], [])
    # Back again, it begins anew: nobody missed it meanwhile.
    world.app = world.released(world.app, HOURLY)
    assert world.look() == []
    assert world.recorded() == []


def test_what_was_suspended_stays_so_when_it_comes_again(world: World) -> None:
    world.app = world.released(world.app, HOURLY)
    world.cron.suspend(world.app, HOURLY.id, suspended=True, actor="ann")
    world.app = world.released(world.app)
    world.cron.tidy()
    world.app = world.released(world.app, HOURLY)
    assert [each.fault for each in world.cron.tasks(world.app)] == ["maintenance"]


def test_zones_are_the_tasks_the_apps_or_the_servers(world: World) -> None:
    nightly = CronTask("a", "30 3 * * *")
    world.cron.add(world.app, nightly, actor="ann")
    world.cron.add(world.app, replace(nightly, timezone="Asia/Tokyo"), actor="ann")
    world.store.settings.set(None, TIMEZONE.name, "Europe/Berlin")
    assert {each.zone for each in world.cron.tasks(world.app)} == {"Europe/Berlin", "Asia/Tokyo"}
    world.store.settings.set(world.app.id, TIMEZONE.name, "Europe/London")
    assert {each.zone for each in world.cron.tasks(world.app)} == {"Europe/London", "Asia/Tokyo"}


def test_a_zone_that_this_server_does_not_know_stops_no_other_task(world: World) -> None:
    world.cron.add(world.app, replace(HOURLY, timezone="Mars/Base"), actor="ann")
    world.cron.add(world.app, HOURLY, actor="ann")
    world.clock.at = 100 * DAY + HOUR
    assert len(world.look()) == 1
    faults = [each.fault for each in world.cron.tasks(world.app)]
    assert sorted(faults) == ["", "'Mars/Base' is not a time zone"]


def test_a_removed_task_is_due_no_more(world: World) -> None:
    world.cron.add(world.app, HOURLY, actor="ann")
    world.clock.at = 100 * DAY + HOUR
    [due] = world.cron.outlook().due
    world.cron.remove(world.app, HOURLY.id, actor="ann")
    assert not world.cron.is_due(due)
    with pytest.raises(TaskUnknown):
        world.cron.remove(world.app, HOURLY.id, actor="ann")
    told = [(one.actor, one.what) for one in world.store.events.tail(9, "shop")]
    assert told == [("ann", "cron added"), ("ann", "cron removed")]


def test_a_clone_has_the_tasks_that_were_added(world: World) -> None:
    world.cron.add(world.app, HOURLY, actor="ann")
    clone = world.store.apps.create("copy")
    world.store.cron.copy(world.app.id, clone.id)
    world.released(clone)
    assert world.look() == []
    world.clock.at = 100 * DAY + HOUR
    assert [command for command, _ in world.look()] == ["tidy", "tidy"]


def test_so_many_runs_of_each_task_are_kept(world: World) -> None:
    for task in (HOURLY, CronTask("tick", "* * * * *")):
        for moment in range(5):
            world.store.cron.note(world.app.id, task, RunStatus.SKIPPED, float(moment), "")
    world.store.cron.retain(world.app.id, 2)
    kept = [(run.command, run.due) for run in world.store.cron.history(world.app.id)]
    assert kept == [("tick", 4.0), ("tick", 3.0), ("tidy", 4.0), ("tidy", 3.0)]
