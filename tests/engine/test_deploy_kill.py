"""SIGKILL at every step of a deploy, a heal and a destruction: a supervisor settles it."""

from __future__ import annotations

import http.client
import os
import signal
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from itertools import count, cycle
from pathlib import Path

import pytest

from paas.daemon import supervisor
from paas.daemon.supervisor import Supervisor
from paas.deploy.fleet import Member
from paas.deploy.heal import Healing
from paas.deploy.parts import Parts
from paas.deploy.wake import wake_supervisor
from paas.host.files import FileLock
from paas.model.app import App
from paas.model.report import Silent
from paas.store.events import Event
from tests.engine.machine import end_sleep
from tests.engine.world import (
    CRASH_WHEN_ASKED,
    HANG,
    SERVE,
    World,
    interrupted_at,
    killed_at,
    steps_of,
)
from tests.killing import Step, forked
from tests.push.outcome import eventually
from tests.turns import in_turn

SECONDS = 100.0
"""More than two rounds of the supervisor's tidying."""

GARBAGE = {"Bundler.wire", "Pipeline._route"}
"""Where a killed deploy leaves most: a wired container before the commit, and behind it."""

_versions = count(10)


@pytest.fixture(scope="module")
def apps(world: World) -> list[App]:
    """Some apps that are served: the deploys that are killed take turns in them."""
    apps = [world.app(f"app{number}") for number in range(5)]
    for app in apps:
        world.deploy(app, 1)
    return apps


@pytest.fixture(scope="module")
def steps(world: World, apps: list[App]) -> list[Step]:
    """The steps of a deploy: all of the deploy layer, of those below every other one."""
    every = steps_of(lambda: world.deploy(apps[0], next(_versions)))
    below = [step for step in every if not is_ours(step)]
    left_out = {step for step in below[1::2] if step[1] not in GARBAGE}
    return [step for step in every if step not in left_out]


def is_ours(step: Step) -> bool:
    """Whether it is one of the deploy layer, not of the store or the engine below."""
    return "/paas/deploy/" in step[0]


def settled(world: World, apps: list[App]) -> None:
    """Until every app is served as the database says, and nothing else is there."""

    def wrong() -> list[str]:
        served = [(app.name, world.version(app), world.live_version(app)) for app in apps]
        return [*(str(one) for one in served if one[1] != one[2]), *world.strays()]

    def right() -> bool:
        found = wrong()
        assert found == []
        return True

    eventually(right)


def end_deploys(
    world: World,
    apps: list[App],
    steps: list[Step],
    ended_at: Callable[[Step, Callable[[], object]], bool] = killed_at,
) -> list[bool]:
    """A deploy that is ended at each step; for each whether it had committed.

    All the while each app answers: its old release before the commit.
    """
    committed = []
    for step, app in zip(steps, cycle(apps), strict=False):
        version, before, served = next(_versions), world.live_version(app), world.version(app)
        assert ended_at(step, partial(world.deploy, app, version)), step
        live = world.live_version(app)
        assert live in (before, version), step
        # A supervisor may have routed what an earlier one had only committed.
        assert world.version(app) in {served, before, live}
        committed.append(live == version)
    return committed


def test_a_deploy_killed_at_any_step_is_rolled_back_or_forward_by_the_next_supervisor(
    world: World, apps: list[App], steps: list[Step]
) -> None:
    ours = [step for step in steps if is_ours(step)]
    others = set(ours[1::2]) - {step for step in steps if step[1] in GARBAGE}
    killed = set(in_turn([step for step in steps if step not in others], 2))
    killed |= {step for step in steps if step[1] in GARBAGE}
    committed = end_deploys(world, apps, [step for step in steps if step in killed])
    # One commit point: everything before it is thrown away, everything behind it kept.
    assert committed == sorted(committed)
    assert len(set(committed)) == 2
    with world.supervised():
        settled(world, apps)


def test_a_deploy_killed_at_any_step_is_settled_by_a_supervisor_that_lives(
    world: World, apps: list[App], steps: list[Step]
) -> None:
    """At those of the deploy layer that were left out above: half of them each."""
    with world.supervised():
        # Those around the commit and the map are where a retirement could come too early.
        end_deploys(world, apps, in_turn([step for step in steps if is_ours(step)][1::2], 2))
        settled(world, apps)


def test_a_deploy_interrupted_at_any_step_ends_on_one_side_of_its_commit_point(
    world: World, apps: list[App], steps: list[Step]
) -> None:
    """Unlike SIGKILL it runs the cleaning up, which must not touch what has gone live."""
    ours = in_turn([step for step in steps if is_ours(step)], 6)
    committed = end_deploys(world, apps, ours, interrupted_at)
    assert committed == sorted(committed)
    with world.supervised():
        settled(world, apps)


def test_a_heal_killed_at_any_step_is_done_again(world: World, apps: list[App]) -> None:
    healing = Healing(world.parts.pipeline)

    def crash(app: App) -> App:
        [instance] = world.parts.store.instances.list(app.id)
        world.parts.engine.containers.stop(instance.container, 0)
        healing.crashed(instance)
        return world.parts.store.apps.get(app.name)

    def heal(app: App) -> None:
        assert Healing(Parts(world.layout).pipeline).heal(app, Member("web", 1))

    first = crash(apps[0])
    steps = [step for step in steps_of(lambda: heal(first)) if is_ours(step)]
    assert len(steps) > 10
    steps = in_turn(steps, 2)
    for app in apps[1:]:
        crash(app)
    for step, app in zip(steps, cycle(apps[1:]), strict=False):
        now = world.parts.store.apps.get(app.name)
        if healing.missing(now):
            assert killed_at(step, lambda now=now: heal(now)), step
    with world.supervised():
        settled(world, apps)


def test_an_app_destroyed_by_a_process_that_is_killed_is_gone_all_the_same(
    world: World, apps: list[App]
) -> None:
    def destroy(app: App) -> None:
        Parts(world.layout).lifecycle.destroy(app, actor="test", report=Silent())

    first = pushed(world, "gone")
    steps = [step for step in steps_of(lambda: destroy(first)) if is_ours(step)]
    assert len(steps) > 10
    steps = in_turn(steps, 4)
    doomed = [pushed(world, f"gone{number}") for number in range(len(steps))]
    for step, app in zip(steps, doomed, strict=True):
        assert killed_at(step, lambda app=app: destroy(app)), step
    with world.supervised():
        eventually(lambda: rest_of_the_gone(world, doomed) == [])
        settled(world, apps)
    for app in doomed:
        if world.parts.store.apps.by_id(app.id) is not None:
            destroy(app)
    assert rest_of_the_gone(world, [first, *doomed]) == []


def pushed(world: World, name: str) -> App:
    """A new app that is served and has a repository."""
    app = world.app(name)
    (world.layout.repo(app.id) / "objects").mkdir(parents=True)
    world.deploy(app, 1)
    return app


def rest_of_the_gone(world: World, apps: list[App]) -> list[str]:
    """What is still there of those that are gone."""
    engine, found = world.parts.engine, []
    for app in apps:
        if world.parts.store.apps.by_id(app.id) is not None:
            continue
        owner = f"app:{app.id}"
        if engine.network._services.exists(f"{owner}/web"):
            found.append(f"addresses of {owner}")
        if engine.ranges.find(owner) is not None:
            found.append(f"user ids of {owner}")
        if world.layout.repo(app.id).exists():
            found.append(f"repository of {owner}")
    return found


def test_a_committed_release_that_nobody_routed_costs_no_request(world: World) -> None:
    """The supervisor retires the old instance only behind the map that leads elsewhere."""
    app = world.app("unrouted")
    world.deploy(app, 1)
    steps = steps_of(lambda: world.deploy(app, 2))
    switch = next(step for step in steps if step[1] == "Router.switch")
    with world.supervised():
        settled(world, [app])
        assert killed_at(switch, lambda: world.deploy(app, 3))
        assert world.live_version(app) == 3
        # By now the supervisor may have tidied on its own.
        assert world.version(app) in (2, 3)
        wake_supervisor(world.layout)
        deadline = time.monotonic() + SECONDS
        while world.strays() or world.version(app) != 3:
            assert world.version(app) in (2, 3)
            assert time.monotonic() < deadline
        settled(world, [app])


def crashes(world: World, app: App) -> list[Event]:
    told = world.parts.store.events.tail(100, app.name)
    return [event for event in told if event.what == "crashed"]


def crashes_when_asked(world: World, app: App) -> list[Event]:
    with suppress(OSError, http.client.HTTPException):
        world.get(app, "/cgi-bin/end")
    return crashes(world, app)


def test_an_app_that_is_healthy_and_crashes_at_once_is_started_ever_more_seldom(
    world: World,
) -> None:
    app = world.app("crashing")
    world.deploy(app, 1, CRASH_WHEN_ASKED)
    with world.supervised():
        eventually(lambda: len(crashes_when_asked(world, app)) >= 4)
    told = crashes(world, app)[:4]
    waits = [event.detail.rpartition("again in ")[2] for event in told]
    assert waits == ["0 s", "1 s", "2 s", "4 s"]
    for seconds, before, after in zip((0, 1, 2), told, told[1:], strict=False):
        assert after.at - before.at >= seconds
    world.parts.lifecycle.destroy(app, actor="test", report=Silent())


def test_hanging_instances_of_one_app_do_not_keep_another_from_coming_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although there are as many of them as may be started at once."""
    monkeypatch.setattr(supervisor, "HEALS", 4)
    hanging, app = world.app("a-hanging"), world.app("z-fine")
    world.deploy(app, 1)
    world.deploy(hanging, 1, SERVE, web=4)
    release_that_hangs(world, hanging)
    for instance in world.parts.store.instances.list():
        if instance.app_id in (hanging.id, app.id):
            world.parts.engine.containers.remove(instance.container)
    began = time.monotonic()
    with world.supervised():
        eventually(lambda: world.version(app) == 1)
        # The others have that long to boot.
        assert time.monotonic() - began < 20.0
        # Nor do they keep it from being stopped, mended or destroyed.
        world.parts.operations.stop(hanging, actor="test", report=Silent())
        eventually(lambda: not world.parts.store.instances.list(hanging.id))
        assert world.parts.store.apps.get(hanging.name).stopped
    for one in (hanging, app):
        world.parts.lifecycle.destroy(one, actor="test", report=Silent())


def release_that_hangs(world: World, app: App) -> None:
    """What an app is that came up once and does not any more."""
    world.parts.store._db.execute(
        "UPDATE releases SET processes = json_object('web', ?) WHERE app_id = ?", (HANG, app.id)
    )


def test_an_instance_whose_monitor_was_killed_is_replaced_and_ended(world: World) -> None:
    app = world.app("lost")
    world.deploy(app, 1)
    [before] = world.parts.store.instances.list(app.id)
    with world.supervised():
        monitor = world.parts.engine.containers._existing(before.container).live().monitor
        os.kill(monitor.pid, signal.SIGKILL)
        eventually(lambda: is_replaced(world, app, before.container))
        settled(world, [app])
    assert any("monitor was killed" in event.detail for event in crashes(world, app))


def is_replaced(world: World, app: App, container: str) -> bool:
    return container not in {one.container for one in world.parts.store.instances.list(app.id)}


def test_a_rename_in_the_middle_of_a_deploy_does_not_end_it(world: World) -> None:
    app = world.app("before")
    world.deploy(app, 1)
    pid = forked(lambda: world.deploy(app, 2, f"/bin/sleep 1; {SERVE}"))
    eventually(lambda: len(world.parts.engine.containers.list()) > len(containers(world)))
    renamed = world.parts.lifecycle.rename(app, "after", actor="test", report=Silent())
    assert os.waitpid(pid, 0)[1] == 0
    assert world.version(renamed) == 2
    with world.supervised():
        settled(world, [renamed])


def containers(world: World) -> set[str]:
    return {one.container for one in world.parts.store.instances.list()}


def test_a_destroyed_app_takes_its_one_offs_and_its_queue_along(world: World) -> None:
    app = world.app("ending")
    world.deploy(app, 1)
    oneoff = forked(lambda: sleep_in_a_oneoff(world, app))
    eventually(lambda: "sleep" in kinds_of_containers(world))
    deploying = forked(lambda: world.deploy(app, 2, f"/bin/sleep 600; {SERVE}"))
    eventually(lambda: world.parts.store.deploys.unfinished())
    queued = forked(lambda: world.deploy(app, 3))
    eventually(lambda: len(world.parts.store.deploys.unfinished()) == 2)
    with world.supervised():
        destroying = forked(partial(destroy, world, app))
        eventually(lambda: waits_for_a_lock(destroying))
        eventually(lambda: wake_up(world))
        assert os.waitpid(deploying, 0)[1] == 0
        # The one in the queue finds no app, unless it looked for its turn at that very moment.
        assert os.waitstatus_to_exitcode(os.waitpid(queued, 0)[1]) in (0, 1)
        assert os.waitpid(destroying, 0)[1] == 0
        assert world.parts.store.apps.by_id(app.id) is None
        os.waitpid(oneoff, 0)
        eventually(lambda: world.strays() == [])


def destroy(world: World, app: App) -> None:
    Parts(world.layout).lifecycle.destroy(app, actor="test", report=Silent())


def waits_for_a_lock(pid: int) -> bool:
    """Whether it is blocked by somebody's lock: proc_locks(5)."""
    locks = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    return any("->" in words and str(pid) in words for words in locks)


def wake_up(world: World) -> bool:
    """Have the web process that sleeps go on; False if there is none yet."""
    engine = world.parts.engine
    webs = [one.id for one in engine.containers.list() if one.labels["paas.process-type"] == "web"]
    return any(end_sleep(engine.cgroups, one) for one in webs)


def sleep_in_a_oneoff(world: World, app: App) -> None:
    parts = Parts(world.layout)
    draft = replace(parts.live(parts.store.apps.get(app.name)), processes={"sleep": HANG})
    with parts.pipeline.using(app.id):
        parts.oneoff.reported(app, draft, "sleep", Silent())


def kinds_of_containers(world: World) -> set[str]:
    return {one.labels["paas.process-type"] for one in world.parts.engine.containers.list()}


def test_a_supervisor_killed_at_any_step_of_tidying_is_followed_by_one_that_goes_on(
    world: World, apps: list[App], steps: list[Step]
) -> None:
    def tidy() -> None:
        lock = FileLock(world.layout.locks / "supervisor", "test")
        supervisor = Supervisor(world.layout, lock)
        with closing(supervisor._wake):
            supervisor._tidy()

    garbage = [step for step in steps if step[1] in GARBAGE]
    end_deploys(world, apps, garbage)
    tidying = [step for step in steps_of(tidy) if is_ours(step)]
    assert len(tidying) > 20
    tidying = in_turn(tidying, 4)
    for step, left in zip(tidying, cycle(garbage), strict=False):
        end_deploys(world, apps, [left])
        assert killed_at(step, tidy), step
    with world.supervised():
        settled(world, apps)
