"""Between two pushes: changes that are killed, that contradict, and instances that fail."""

from __future__ import annotations

import http.client
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import count

import pytest

from paas.daemon import local
from paas.deploy.creation import create_app
from paas.deploy.draft import Draft
from paas.deploy.explain import Unhealthy
from paas.deploy.heal import Healing
from paas.deploy.parts import Parts
from paas.deploy.services_route import OWNER as SERVICES
from paas.deploy.usage import usage
from paas.engine.config import ImageConfig
from paas.engine.images import ImageNotFound
from paas.engine.layers import LayerId
from paas.engine.spec import ContainerSpec
from paas.model.app import App
from paas.model.caller import Caller
from paas.model.env import Secret
from paas.model.health import Healthcheck, Probe
from paas.model.instance import InstanceState
from paas.model.processes import RESTART_POLICY, STOP_TIMEOUT, UPDATE_ORDER
from paas.model.report import Silent
from tests.engine.machine import end_sleep
from tests.engine.world import HANG, SERVE, World, killed_at, steps_of
from tests.killing import Step, forked
from tests.push.outcome import eventually
from tests.turns import in_turn

FILES = "mkdir /w; echo $DYNO > /w/index.html; echo > /w/up"
FLAGGED = f"{FILES}; exec /bin/busybox httpd -f -p $PORT -h /w"
_versions = count(100)


@pytest.fixture(scope="module", autouse=True)
def stopped_soon(world: World) -> None:
    """A shell as the first process ignores SIGTERM: nobody here waits for that."""
    world.parts.store.processes.set(None, "", STOP_TIMEOUT.name, "1")


def launch(world: World, app: App, command: str, **changed: object) -> None:
    """Deploy a release with something in it that `World.deploy` does not give."""
    parts = Parts(world.layout)
    kind = "worker" if "worker" in str(changed.get("formation", "")) else "web"
    with parts.attempts.begin(app, "test", Silent()) as attempt:
        draft = Draft(
            image=world.image,
            commit=None,
            config={},
            processes={kind: command},
            formation={kind: 1},
            reason="test",
        )
        parts.pipeline.launch(attempt, replace(draft, **changed))  # type: ignore[arg-type]


def in_container(world: World, container: str, command: str) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    args = ["/bin/sh", "-c", command]
    assert world.parts.engine.foreground.exec(container, args, null, null, null) == 0
    os.close(null)


def answers(world: World, app: App, times: int = 16) -> set[str]:
    """Who answers that many requests in a row."""
    found = set()
    for _ in range(times):
        connection = http.client.HTTPConnection("127.0.0.1", world.port, timeout=30)
        connection.request("GET", "/index.html", headers={"Host": f"{app.name}.kill.test"})
        found.add(connection.getresponse().read().decode().strip())
        connection.close()
    return found


# -- what is kept ----------------------------------------------------------------------------


def test_the_image_of_a_container_is_kept_for_as_long_as_it_is_there(world: World) -> None:
    world.deployed("keeps-its-own")
    engine, container = world.parts.engine, secrets.token_hex(16)
    layers = engine.images.get(world.image).layers
    image = engine.images.add(ImageConfig(env={"NAMED": "by-nobody"}), layers).id
    spec = ContainerSpec(id=container, image=image, owner="hand", args=("/bin/sleep", "600"))
    engine.containers.create(spec)
    try:
        assert world.parts.housekeeping.collect() is not None
        engine.containers.start(container)
    finally:
        engine.containers.remove(container)
    assert world.parts.housekeeping.collect() is not None
    with pytest.raises(ImageNotFound):
        engine.images.get(image)


def test_layers_that_a_container_stands_on_outlive_the_repair_of_its_image(world: World) -> None:
    engine, container = world.parts.engine, secrets.token_hex(16)

    def layer(text: str) -> LayerId:
        upper = engine.layers.new_upper()
        (upper / "file").write_text(text)
        return engine.layers.commit(upper)

    below = engine.images.get(world.image).layers
    damaged, mended = layer("half"), layer("whole")
    image = engine.images.add(ImageConfig(env={"NAMED": "damaged"}), [*below, damaged]).id
    spec = ContainerSpec(id=container, image=image, owner="hand", args=("/bin/sleep", "600"))
    engine.containers.create(spec)
    try:
        engine.containers.start(container)
        # As `images:verify --repair` does.
        engine.layers.condemn(damaged)
        engine.images.mend(image, [*below, mended])
        assert world.parts.housekeeping.collect() is not None
        assert engine.layers.path(damaged).is_dir()
        left = usage(world.layout, engine, world.parts.housekeeping)
        assert {one.kind: one.reclaimable for one in left}["build cache"] == 0
        (engine.layers.path(damaged) / "file").unlink()
        (found,) = world.parts.images.verify()
        assert found.remedy == "restart what runs since before its repair; paas gc"
    finally:
        engine.containers.remove(container)
    assert world.parts.housekeeping.collect() is not None
    assert damaged not in engine.layers.list()


def test_what_a_push_made_and_did_not_fill_is_gone_unless_somebody_set_it_up(world: World) -> None:
    store, lifecycle = world.parts.store, world.parts.lifecycle
    mistyped, prepared, renamed = (
        create_app(store, name, Caller("root", "root"), "by its first push")
        for name in ("mistyped", "prepared", "renamed")
    )
    world.parts.operations.apply_config(
        prepared, {"A": "1"}, [], actor="ann", report=Silent(), restart=False
    )
    lifecycle.rename(renamed, "meant", actor="ann", report=Silent())
    for app in (mistyped, prepared, renamed):
        lifecycle.forget(app)
    assert store.apps.find("mistyped") is None
    assert store.config.get(prepared.id)["A"].reveal() == "1"
    assert store.apps.get("meant").id == renamed.id


# -- killed, and two at once -----------------------------------------------------------------


def set_version(world: World, app: App, version: int) -> None:
    Parts(world.layout).operations.apply_config(
        app, {"VERSION": str(version)}, [], actor="ann", report=Silent(), restart=True
    )


def scale(world: World, app: App, quantity: int) -> None:
    Parts(world.layout).operations.scale(app, {"web": quantity}, actor="ann", report=Silent())


def roll_back(world: World, app: App) -> None:
    Parts(world.layout).operations.rollback(app, None, actor="ann", report=Silent())


def steps_below(steps: list[Step]) -> list[Step]:
    """Those of operations and of what they write, and some of the launch that all share."""
    ours = [step for step in steps if "/operations.py" in step[0] or "/store/" in step[0]]
    shared = [step for step in steps if step not in ours and "/paas/deploy/" in step[0]]
    return [*in_turn(ours[::3], 2), *in_turn(shared[::6], 2)]


def whole(world: World, app: App) -> tuple[int, int]:
    """Version and quantity; the store's wishes and the live release say the same."""
    store = world.parts.store
    live = store.releases.get(app.id, store.apps.get(app.name).live or 0)
    assert store.config.get(app.id) == live.config
    asked = store.config.formation(app.id).get("web", 1)
    assert live.formation == {"web": asked}
    return int(live.config["VERSION"].reveal()), asked


def test_a_change_killed_at_any_step_has_happened_or_not(world: World) -> None:
    app = world.deployed("torn")
    changes: dict[str, Callable[[], object]] = {
        "config:set": lambda: set_version(world, app, next(_versions)),
        "ps:scale": lambda: scale(world, app, 3 - whole(world, app)[1]),
        "rollback": lambda: roll_back(world, app),
    }
    for name, change in changes.items():
        steps = steps_below(steps_of(change))
        assert len(steps) > 5, name
        outcomes = []
        for step in steps:
            before = whole(world, app)
            released = world.parts.store.releases.latest(app.id)
            # Scaling goes up and down in turn, and the way down adds no instance. A way back
            # goes to what the last kill has left: another version, or another number of it.
            assert killed_at(step, change) or name != "config:set", step
            # Whatever was killed: one release more with all of it, or nothing.
            now = world.parts.store.releases.latest(app.id)
            assert whole(world, app) == before or now != released, (name, step)
            outcomes.append(now != released)
        assert {True, False} == set(outcomes), name
    with world.supervised():
        eventually(lambda: world.version(app) == whole(world, app)[0])
        eventually(lambda: world.strays() == [])


def test_two_contradictory_commands_at_once_are_one_after_the_other(world: World) -> None:
    app = world.deployed("torn-two")
    with world.supervised():
        pids = [forked(partial(set_version, world, app, version)) for version in (7, 8)]
        pids.append(forked(partial(scale, world, app, 2)))
        assert [os.waitpid(pid, 0)[1] for pid in pids] == [0, 0, 0]
        version, quantity = whole(world, app)
        assert (version in (7, 8), quantity) == (True, 2)
        eventually(lambda: world.version(app) == version)
        numbers = [one.number for one in world.parts.store.releases.list(app.id)]
        assert numbers == [4, 3, 2, 1]


def test_what_is_set_during_a_first_deploy_is_live_behind_it(world: World) -> None:
    app, (seen, begun), (wait, go) = world.app("first-set"), os.pipe(), os.pipe()

    def first() -> None:
        parts = Parts(world.layout)
        with parts.attempts.begin(app, "test", Silent()) as attempt:
            # Its config was read by now.
            os.write(begun, b".")
            os.read(wait, 1)
            draft = Draft(
                image=world.image,
                commit=None,
                config={"VERSION": Secret("1")},
                processes={"web": SERVE},
                formation={"web": 1},
                reason="test",
            )
            parts.pipeline.launch(attempt, draft)

    pids = [forked(first)]
    os.read(seen, 1)
    pids.append(forked(partial(set_version, world, app, 2)))
    eventually(lambda: len(world.parts.store.deploys.list(app.id)) == 2)
    os.write(go, b".")
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0, 0]
    eventually(lambda: world.version(app) == 2)
    for descriptor in (seen, begun, wait, go):
        os.close(descriptor)


def test_what_is_set_during_a_first_deploy_that_fails_is_kept(world: World) -> None:
    app, (seen, begun), (wait, go) = world.app("first-fails"), os.pipe(), os.pipe()

    def first() -> None:
        with Parts(world.layout).attempts.begin(app, "test", Silent()):
            os.write(begun, b".")
            os.read(wait, 1)
            raise Unhealthy("It does not come up")

    failing = forked(first)
    os.read(seen, 1)
    setting = forked(partial(set_version, world, app, 2))
    eventually(lambda: len(world.parts.store.deploys.list(app.id)) == 2)
    os.write(go, b".")
    assert os.waitstatus_to_exitcode(os.waitpid(failing, 0)[1]) == 1
    assert os.waitpid(setting, 0)[1] == 0
    assert world.parts.store.config.get(app.id)["VERSION"].reveal() == "2"
    for descriptor in (seen, begun, wait, go):
        os.close(descriptor)


# -- checks ------------------------------------------------------------------------------------


def test_what_was_unset_stays_away(world: World) -> None:
    """However the app is started again afterwards: nothing remembers a deleted secret."""
    app = world.deployed("forgets")
    operations, store = Parts(world.layout).operations, world.parts.store

    def change(values: dict[str, str], unset: list[str]) -> None:
        operations.apply_config(app, values, unset, actor="ann", report=Silent(), restart=True)

    change({"SECRET": "hunter2"}, [])
    change({}, ["SECRET"])
    operations.restart(store.apps.get("forgets"), None, actor="ann", report=Silent())
    scale(world, app, 2)
    scale(world, app, 1)
    set_version(world, app, 7)
    live = store.releases.get(app.id, store.apps.get("forgets").live or 0)
    assert "SECRET" not in {*store.config.get(app.id), *live.config}
    [instance] = [one for one in store.instances.list(app.id) if one.state is InstanceState.LIVE]
    in_container(world, instance.container, 'test -z "$SECRET" && test "$VERSION" = 7')


def test_an_instance_that_is_not_ready_gets_no_requests_until_it_is(world: World) -> None:
    app = world.app("readiness")
    check = Healthcheck(probe=Probe.READINESS, attempts=1, wait_s=0.1, path="/up", timeout_s=20)
    launch(world, app, FLAGGED, formation={"web": 2}, health={"web": (check,)})
    first, second = world.parts.store.instances.list(app.id)
    with world.supervised():
        assert answers(world, app) == {"web.1", "web.2"}
        in_container(world, first.container, "/bin/busybox rm /w/up")
        eventually(lambda: answers(world, app) == {"web.2"})
        [now, other] = world.parts.store.instances.list(app.id)
        assert (now.container, now.shown, other.shown) == (first.container, "not ready", "up")
        in_container(world, first.container, "echo > /w/up")
        eventually(lambda: answers(world, app) == {"web.1", "web.2"})
    assert [one.container for one in world.parts.store.instances.list(app.id)] == [
        first.container,
        second.container,
    ]
    told = [one.what for one in world.parts.store.events.tail(100, app.name)]
    assert told == ["released", "not ready", "ready again"]


def test_an_instance_that_is_not_alive_is_started_again(world: World) -> None:
    app = world.app("liveness")
    check = Healthcheck(
        "pulse",
        probe=Probe.LIVENESS,
        attempts=2,
        wait_s=0.1,
        command=("/bin/busybox", "test", "-e", "/w/up"),
    )
    launch(world, app, FLAGGED, health={"web": (check,)})
    [before] = world.parts.store.instances.list(app.id)
    with world.supervised():
        in_container(world, before.container, "/bin/busybox rm /w/up")
        eventually(lambda: alive_again(world, app, before.container))
        eventually(lambda: answers(world, app, 1) == {"web.1"})
    told = [one.detail for one in world.parts.store.events.tail(100, app.name)]
    assert any("pulse: /bin/busybox ended with 1" in detail for detail in told)


def alive_again(world: World, app: App, container: str) -> bool:
    return any(
        one.state is InstanceState.LIVE and one.container != container and one.restarts == 1
        for one in world.parts.store.instances.list(app.id)
    )


def test_a_failed_check_is_named_with_what_it_got(world: World) -> None:
    app = world.deployed("checked")
    for check, words in (
        (
            Healthcheck("up", command=("/bin/sh", "-c", "echo oh; exit 4"), attempts=1, wait_s=0.3),
            "ended with 4: oh",
        ),
        (Healthcheck("up", command=("/nothing",), attempts=1, wait_s=0.3), "/nothing"),
    ):  # fmt: skip
        with pytest.raises(Unhealthy, match="did not pass its check 'up'") as caught:
            launch(world, app, SERVE, config={"VERSION": Secret("2")}, health={"web": (check,)})
        assert words in str(caught.value)
    assert world.version(app) == 1


def test_a_check_that_only_warns_holds_nothing_up(world: World) -> None:
    app = world.app("warned")
    check = Healthcheck(command=("/bin/busybox", "false"), attempts=1, wait_s=0.2, warn=True,
                        timeout_s=0.2)  # fmt: skip
    launch(world, app, SERVE, config={"VERSION": Secret("3")}, health={"web": (check,)})
    assert world.version(app) == 3


# -- process types -----------------------------------------------------------------------------


def worker_runs(world: World, app: App) -> list[str]:
    return [one.container for one in world.parts.store.instances.list(app.id)
            if one.state.can_serve]  # fmt: skip


def test_a_worker_that_may_not_overlap_is_stopped_first(world: World) -> None:
    app = world.app("single")
    world.parts.store.processes.set(app.id, "worker", UPDATE_ORDER.name, "stop-first")
    launch(world, app, HANG, formation={"worker": 1})
    [old] = worker_runs(world, app)
    seen = []

    def started(process: str) -> None:
        parts = Parts(world.layout)
        app_now = parts.store.apps.get(app.name)
        with parts.attempts.begin(app_now, "test", Silent()) as attempt:
            draft = replace(parts.drafts.live(app_now), number=None, processes={"worker": process})
            start_all = parts.pipeline.runner.start_all

            def start(*args: object) -> object:
                seen.append(old in {one.id for one in parts.engine.containers.list()})
                seen.append(Healing(parts.pipeline).missing(app_now) == [])
                return start_all(*args)  # type: ignore[arg-type]

            parts.pipeline.runner.start_all = start  # type: ignore[assignment,method-assign]
            parts.pipeline.launch(attempt, draft)

    # One that fails: what was stopped for it comes back.
    with pytest.raises(Unhealthy, match="exited with code 7"):
        started("exit 7")
    # The first is for what may overlap: nothing. Then the old one is gone, and nobody heals it.
    assert seen[2:] == [False, True]
    assert worker_runs(world, app) == []
    with world.supervised():
        eventually(lambda: len(worker_runs(world, app)) == 1)
    [back] = world.parts.store.instances.list(app.id)
    assert back.release == 1
    started("exec /bin/sleep 601")
    assert len(worker_runs(world, app)) == 1


def test_a_restart_policy_is_kept(world: World) -> None:
    apps = {}
    for policy, command in (("on-failure", "exit 0"), ("on-failure:1", "exit 5")):
        name = f"policy-{len(apps)}"
        apps[name] = world.app(name)
        world.parts.store.processes.set(apps[name].id, "", RESTART_POLICY.name, policy)
        launch(world, apps[name], f"/bin/sleep 600; {command}", formation={"worker": 1})
    with world.supervised():
        for name, restarts in zip(apps, (0, 1), strict=True):
            for starts in range(restarts + 1):
                eventually(partial(has_been_woken, world, apps[name], starts))
            eventually(partial(has_ended, world, apps[name], restarts))


def has_been_woken(world: World, app: App, restarts: int) -> bool:
    """Whether its instance, live after so many restarts, slept and does not any more."""
    return any(
        end_sleep(world.parts.engine.cgroups, one.container)
        for one in world.parts.store.instances.list(app.id)
        if one.state is InstanceState.LIVE and one.restarts == restarts
    )


def has_ended(world: World, app: App, restarts: int) -> bool:
    found = [one for one in world.parts.store.instances.list(app.id) if one.state.can_retire]
    return [(one.state, one.restarts) for one in found] == [(InstanceState.EXITED, restarts)]


def test_one_instance_is_restarted_and_the_others_stay(world: World) -> None:
    app = world.deployed("one-of-three")
    scale(world, app, 3)
    before = {one.name: one.container for one in world.parts.store.instances.list(app.id)}
    with world.supervised():
        world.parts.operations.restart(app, "web.2", actor="ann", report=Silent())
        after = {one.name: one.container for one in world.parts.store.instances.list(app.id)
                 if one.state.can_serve}  # fmt: skip
    assert {name for name in before if before[name] != after[name]} == {"web.2"}


def test_limits_are_a_release_of_their_own_and_stay_in_a_rollback(world: World) -> None:
    app = world.deployed("limited")
    operations = world.parts.operations
    operations.limit(
        app, {("web", "limit-memory"): "64m"}, actor="ann", report=Silent(), restart=True
    )
    [instance] = [one for one in world.parts.store.instances.list(app.id) if one.state.can_serve]
    config = world.parts.engine.containers._existing(instance.container).config()
    assert config["linux"]["resources"]["memory"]["limit"] == 64 << 20
    app = world.parts.store.apps.get(app.name)
    release = operations.rollback(app, 1, actor="ann", report=Silent())
    assert release.limits["web"].memory_bytes == 64 << 20
    assert [one.reason for one in world.parts.store.releases.list(app.id)] == [
        "Rollback to v1",
        "Change limits",
        "test",
    ]


def test_what_every_app_has_is_not_made_its_own_by_a_rollback(world: World) -> None:
    store = world.parts.store
    store.config.set(None, {"SHARED": "old"})
    app = world.deployed("shared")
    set_version(world, app, 2)
    store.config.set(None, {"SHARED": "new"})
    app = store.apps.get(app.name)
    release = world.parts.operations.rollback(app, 2, actor="ann", report=Silent())
    assert store.config.get(app.id) == {"VERSION": Secret("2")}
    assert release.config == {"VERSION": Secret("2"), "SHARED": Secret("new")}
    store.config.unset(None, ["SHARED"])


def test_everything_stops_in_time_also_what_does_not_want_to(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A machine goes down in a bounded time, and no app outlives the services behind it."""
    monkeypatch.setattr(local, "APPS_S", 1.5)
    monkeypatch.setattr(local, "SERVICES_S", 0.5)
    containers = world.parts.engine.containers
    patient = world.app("patient")
    world.parts.store.processes.set(patient.id, "web", STOP_TIMEOUT.name, "3600")
    world.deploy(patient, 1, f"trap '' TERM; {SERVE}")
    deaf = ("/bin/sh", "-c", "trap '' TERM; while :; do /bin/sleep 600; done")
    for owner in ("app:9", f"{SERVICES}9"):
        name = owner.replace(":", "")
        containers.create(ContainerSpec(name, world.image, owner, deaf, stop_timeout=3600.0))
        containers.start(name)
    began = time.monotonic()
    local.Local(world.parts).stop_instances()
    assert 2.0 <= time.monotonic() - began < 60.0
    assert containers.list() == []
    stopped = [one.container for one in world.parts.engine.events.read() if one.action == "stop"]
    assert stopped[-1] == "service9"
    assert "app9" in stopped
