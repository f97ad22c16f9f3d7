"""A disk without any room left: what cannot be recorded keeps nothing from its turn."""

from __future__ import annotations

import errno
from collections.abc import Iterator

import pytest

from paas.daemon.supervisor import Supervisor
from paas.deploy.heal import Crash, Healing
from paas.host.database import DatabaseUnwritable
from paas.host.files import FileLock
from paas.model.instance import Instance
from paas.model.report import Silent
from tests.engine.world import World


class Seen:
    """What the supervisor looks at last."""

    descriptors = ()
    due = ()

    def __init__(self) -> None:
        self.looks = 0

    def look(self) -> None:
        self.looks += 1

    def finished(self, _key: object, _code: int) -> bool:
        return False


@pytest.fixture
def fleet(world: World) -> Iterator[list[Instance]]:
    """The two instances of an app."""
    app = world.app("full")
    world.deploy(app, 1, web=2)
    yield world.parts.store.instances.list(app.id)
    app = world.parts.store.apps.get(app.name)
    world.parts.lifecycle.destroy(app, actor="test", report=Silent())


@pytest.fixture
def full_journal(world: World, fleet: list[Instance]) -> Iterator[None]:
    """Every write into the journal of containers fails with ENOSPC (full(4))."""
    path = world.layout.engine / "events.log"
    path.unlink(missing_ok=True)
    path.symlink_to("/dev/full")
    yield
    path.unlink()


@pytest.fixture
def supervisor(world: World) -> Iterator[Supervisor]:
    """One that only looks when it is told to."""
    supervisor = Supervisor(world.layout, FileLock(world.layout.locks / "test"))
    yield supervisor
    supervisor._wake.close()
    supervisor._live.look([])


@pytest.mark.usefixtures("full_journal")
def test_the_end_of_an_instance_is_seen_whose_journal_has_no_room(
    world: World, fleet: list[Instance], supervisor: Supervisor
) -> None:
    one, _ = fleet
    supervisor._look()
    world.parts.engine.containers.kill(one.container)
    supervisor._wait()
    now = world.parts.store.instances.by_container(one.container)
    assert now is not None
    assert not now.state.can_serve


def test_ends_that_the_database_has_no_room_for_keep_nothing_from_its_turn(
    world: World,
    fleet: list[Instance],
    supervisor: Supervisor,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = []

    def crashed(_: Healing, instance: Instance, _code: int | None = None) -> Crash | None:
        asked.append(instance.container)
        raise DatabaseUnwritable("The disk is full")

    monkeypatch.setattr(Healing, "crashed", crashed)
    gone, ended = fleet
    seen = Seen()
    supervisor._watches = (seen,)  # type: ignore[assignment]
    slept: list[float] = []
    monkeypatch.setattr(supervisor._clock, "sleep", slept.append)
    supervisor._look()
    for each in (gone, ended):
        world.parts.engine.containers.kill(each.container)
        world.parts.engine.containers.wait(each.container)
    world.parts.engine.containers.remove(gone.container)
    for _ in range(2):
        supervisor._wait()
        supervisor._look()
    assert seen.looks == 3
    assert {*asked} == {gone.container, ended.container}
    # Each is told once, and looked at again in a while: not as fast as a processor can.
    assert capsys.readouterr().err.count("The disk is full") == 2
    assert len(asked) > 2
    assert slept


def test_a_supervisor_begins_that_cannot_drop_what_a_reboot_ended(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Healing) -> None:
        raise DatabaseUnwritable("The disk is full")

    monkeypatch.setattr(Healing, "forget_lost", full)
    tidied: list[bool] = []
    monkeypatch.setattr(supervisor, "_tidy_up", lambda: tidied.append(True))
    supervisor._settle()
    assert tidied


def test_what_cannot_be_stopped_is_removed(
    world: World, fleet: list[Instance], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = fleet

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(world.parts.engine.containers, "stop", full)
    world.parts.pipeline.runner.stop(one.container, 0)
    assert not (world.layout.containers / one.container).exists()
