"""The queue of an app's deploys, and what becomes of those that died."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from paas.deploy.attempt import Attempt, Attempts
from paas.deploy.turns import Superseded
from paas.host.clock import SystemClock
from paas.host.files import FileLock
from paas.model.app import App
from paas.model.deploy import Stage
from paas.model.layout import Layout
from paas.model.report import Silent
from paas.store.apps import AppNotFound
from paas.store.store import Store


class WhileItWaits(SystemClock):
    """A clock whose sleeper sees something happen each time."""

    def __init__(self, *happens: Callable[[], object]) -> None:
        self._happens = list(happens)

    def sleep(self, seconds: float) -> None:  # noqa: ARG002
        self._happens.pop(0)()


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout.at(tmp_path)


@pytest.fixture
def store(layout: Layout) -> Store:
    return Store(layout)


@pytest.fixture
def app(store: Store) -> App:
    return store.apps.create("web")


def attempts(layout: Layout, *happens: Callable[[], object]) -> Attempts:
    return Attempts(layout, Store(layout), WhileItWaits(*happens))


def dead(layout: Layout, app: App, commit: str | None = None) -> int:
    """The id of a deploy whose process was killed."""
    pid = os.fork()
    if pid == 0:
        alive = attempts(layout)._enlist(app, "dev", commit)
        os.kill(os.getpid(), signal.SIGKILL)
        del alive
    os.waitpid(pid, 0)
    return Store(layout).deploys.unfinished()[-1].id


def test_a_deploy_that_failed_says_why(layout: Layout, store: Store, app: App) -> None:
    with pytest.raises(AppNotFound), attempts(layout).begin(app, "dev", Silent()):
        raise AppNotFound("other")
    [deploy] = store.deploys.list(app.id)
    assert (deploy.stage, deploy.error) == (Stage.FAILED, "App other does not exist")


def test_who_came_first_is_first(layout: Layout, store: Store, app: App) -> None:
    """Even when the lock happens to be free: a newer deploy never overtakes."""
    first = attempts(layout)
    deploy, alive = first._enlist(app, "dev", None)
    order: list[int] = []

    def first_has_its_turn() -> None:
        with first._turn(app, deploy, Silent()):
            order.append(deploy.id)
        store.deploys.finish(deploy.id, Stage.LIVE)
        alive.release()

    with attempts(layout, first_has_its_turn).begin(app, "dev", Silent()) as second:
        order.append(second.deploy.id)
    assert order == [deploy.id, second.deploy.id]


def test_the_attempt_sees_the_app_as_its_predecessors_left_it(
    layout: Layout, store: Store, app: App
) -> None:
    store.apps.set_stopped(app.id, stopped=True)
    with attempts(layout).begin(app, "dev", Silent()) as attempt:
        assert attempt.app.stopped
        assert not app.stopped


def test_a_waiting_push_gives_way_to_a_newer_one(layout: Layout, app: App) -> None:
    older = attempts(layout)
    with attempts(layout).begin(app, "dev", Silent(), "1" * 40) as running:
        waiting, alive = older._enlist(app, "dev", "2" * 40)
        newer, newer_alive = attempts(layout)._enlist(app, "dev", "3" * 40)
        assert running.deploy.id < waiting.id < newer.id
    with pytest.raises(Superseded), older._turn(app, waiting, Silent()):
        pass
    for lock in (alive, newer_alive):
        lock.release()


def test_a_killed_push_keeps_nobody_waiting_and_supersedes_nobody(layout: Layout, app: App) -> None:
    before = dead(layout, app, "1" * 40)
    queue = attempts(layout)
    deploy, alive = queue._enlist(app, "dev", "2" * 40)
    behind = dead(layout, app, "3" * 40)
    assert before < deploy.id < behind
    with queue._turn(app, deploy, Silent()) as current:
        assert current == app
    alive.release()


def test_an_app_destroyed_meanwhile_is_no_longer_deployed(
    layout: Layout, store: Store, app: App
) -> None:
    holder = attempts(layout).exclusive(app, "destroyed by root")
    holder.acquire()

    def destroy() -> None:
        store.apps.destroy(app)
        holder.release()

    with pytest.raises(AppNotFound), attempts(layout, destroy).begin(app, "dev", Silent()):
        pytest.fail("its turn came")
    with pytest.raises(AppNotFound), attempts(layout).begin(app, "dev", Silent()):
        pytest.fail("its turn came")
    attempts(layout).free()
    assert list(layout.deploys.iterdir()) == []


def test_a_killed_deploy_is_abandoned_and_one_that_goes_on_is_not(
    layout: Layout, store: Store, app: App
) -> None:
    killed = dead(layout, app)
    objects = layout.deploys / str(killed) / "objects"
    objects.mkdir()
    with attempts(layout).begin(app, "dev", Silent()) as going_on:
        going_on.objects.mkdir()
        [found] = attempts(layout).abandoned()
        assert (found.id, found.stage) == (killed, Stage.ABANDONED)
        assert "its process ended" in found.error
        assert not objects.exists()
        assert going_on.objects.exists()
    assert not going_on.objects.exists()


class SeesItEnd(Attempts):
    """It finds a deploy under way whose process comes to its end a moment later."""

    def __init__(self, layout: Layout, store: Store, end: Callable[[int], object]) -> None:
        super().__init__(layout, store, SystemClock())
        self._end: list[Callable[[int], object]] = [end]

    def _alive(self, deploy_id: int, holder: str) -> FileLock:
        if self._end:
            self._end.pop()(deploy_id)
        return super()._alive(deploy_id, holder)


@pytest.mark.parametrize("gone", [False, True])
def test_a_deploy_that_ends_by_itself_meanwhile_was_not_abandoned(
    layout: Layout, store: Store, app: App, *, gone: bool
) -> None:
    ending, killed = dead(layout, app), dead(layout, store.apps.create("other"))

    def end(deploy_id: int) -> None:
        assert deploy_id == ending
        store.deploys.finish(deploy_id, Stage.LIVE)
        if gone:
            store.apps.destroy(app)

    found = SeesItEnd(layout, store, end).abandoned()
    assert [one.id for one in found] == [killed]
    assert [one.stage for one in store.deploys.list(app.id)] == ([] if gone else [Stage.LIVE])


def test_objects_of_a_deploy_killed_behind_its_commit_are_freed(
    layout: Layout, store: Store, app: App
) -> None:
    killed = dead(layout, app)
    store.deploys.finish(killed, Stage.LIVE)
    objects = layout.deploys / str(killed) / "objects"
    objects.mkdir()
    assert attempts(layout).abandoned() == []
    assert not objects.exists()


def test_a_committed_attempt_stays_so_whatever_comes_after(
    layout: Layout, store: Store, app: App
) -> None:
    def commit(attempt: Attempt) -> None:
        store.deploys.finish(attempt.deploy.id, Stage.LIVE)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), attempts(layout).begin(app, "dev", Silent()) as attempt:
        commit(attempt)
    [deploy] = store.deploys.list(app.id)
    assert deploy.stage is Stage.LIVE
