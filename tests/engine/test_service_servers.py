"""One server at a time on the data of a service: it ends in peace before the next one begins."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from paas.deploy.services_candidate import Candidate, Candidates
from paas.engine.container import ContainerNotFound, State
from paas.host.database import DatabaseUnwritable
from paas.model.report import Silent
from paas.model.service import Service, ServiceState
from paas.plugin.service_runner import owner_of
from tests.engine.shop import PLUGINS, Shop
from tests.engine.world import World
from tests.killing import die, forked
from tests.push.outcome import eventually

IMAGES = ("paas/ledger:1", "paas/ledger:1.1", "paas/ledger:2")


@pytest.fixture(scope="module")
def shop(world: World) -> Shop:
    shop = Shop(world)
    for name in IMAGES:
        world.parts.engine.images.tag(name, world.image)
    shop.run(f"plugin:install {PLUGINS}/ledger")
    shop.run("plugin:enable ledger")
    return shop


class Ledger:
    """A service whose server ends when `busy` is gone, and answers when `deaf` is."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.parts = shop.world.parts
        # By a command that has ended, as all are before the next one.
        done(forked(partial(shop.run, "ledger:create l --image paas/ledger:1")))
        self.id = self.row.id

    @property
    def row(self) -> Service:
        return self.parts.store.services.get("ledger", "l")

    @property
    def data(self) -> Path:
        return self.shop.world.layout.engine_fs / "volumes" / self.row.volume

    def running(self) -> list[str]:
        """The containers in which a server of it is at work."""
        containers = self.parts.engine.containers
        ours = [one.id for one in containers.list() if one.owner == owner_of(self.id)]
        return [one for one in ours if self._state(one) is State.RUNNING]

    def _state(self, container: str) -> State | None:
        try:
            return self.parts.engine.containers.status(container).state
        except ContainerNotFound:
            return None

    def kill(self) -> None:
        self.parts.engine.containers.kill(self.row.container or "")
        eventually(lambda: not self.parts.services.is_up(self.row))

    def heal(self) -> bool:
        return self.parts.service_care.heal(self.row)

    def leads(self) -> bool:
        """Whether its address leads to its server."""
        address = self.parts.engine.containers.get(self.row.container or "").address
        backends = self.parts.engine.network.backends(owner_of(self.id))
        return [one.address for one in backends] == [address]

    def upgrade(self, image: str) -> None:
        self.parts.service_copies.upgrade(self.row, "", image, actor="test", report=Silent())


@pytest.fixture
def ledger(shop: Shop) -> Iterator[Ledger]:
    ledger = Ledger(shop)
    yield ledger
    for name in ("busy", "deaf"):
        (ledger.data / name).unlink(missing_ok=True)
    shop.run("ledger:destroy l --force")


def done(pid: int) -> None:
    assert os.waitpid(pid, 0)[1] == 0


def killed(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


@pytest.fixture
def beside(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What was at work on the data when each server was begun."""
    runner = ledger.parts.services.runner
    found: list[list[str]] = []
    start = runner.start

    def watched(*words: object, **options: object) -> str:
        found.append(ledger.running())
        return start(*words, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(runner, "start", watched)
    return found


def refuse(*_: object, **__: object) -> None:
    raise DatabaseUnwritable("the disk is full")


def once(first: Callable[..., object], then: Callable[..., object]) -> Callable[..., object]:
    """`first` when it is called, and `then` from the next time on."""
    left = [first]
    return lambda *words, **options: (left.pop() if left else then)(*words, **options)


# -- ended in peace ----------------------------------------------------------------------------


def test_a_server_that_is_being_stopped_comes_to_its_end(shop: Shop, ledger: Ledger) -> None:
    (ledger.data / "busy").touch()
    pid = forked(partial(shop.run, "ledger:stop l"))
    eventually(lambda: ledger.row.container is None)
    shop.tidied()
    (ledger.data / "busy").unlink()
    done(pid)
    assert (ledger.data / "clean").exists()
    assert ledger.running() == []


def test_so_does_one_whose_stop_was_killed(shop: Shop, ledger: Ledger) -> None:
    # As it is before the server is told.
    ledger.parts.store.services.set_state(ledger.id, ServiceState.STOPPED)
    ledger.parts.store.services.set_container(ledger.id, None)
    shop.tidied()
    assert (ledger.data / "clean").exists()
    assert ledger.running() == []


# -- one at a time -----------------------------------------------------------------------------


def test_what_a_killed_start_left_has_ended_before_the_next_server_begins(
    ledger: Ledger, beside: list[list[str]]
) -> None:
    (ledger.data / "deaf").touch()
    ledger.kill()
    (ledger.data / "asked").unlink()
    pid = forked(ledger.heal)
    eventually((ledger.data / "asked").exists)
    killed(pid)
    [left] = ledger.running()
    (ledger.data / "deaf").unlink()
    eventually(ledger.heal)
    assert beside == [[]]
    assert ledger.running() == [ledger.row.container] != [left]
    assert (ledger.data / "clean").exists()


def test_what_cannot_be_recorded_is_ended(
    shop: Shop, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.kill()
    with monkeypatch.context() as patch:
        patch.setattr(ledger.parts.store.services, "set_container", refuse)
        with pytest.raises(DatabaseUnwritable):
            ledger.heal()
        assert ledger.running() == []
        with pytest.raises(DatabaseUnwritable):
            ledger.parts.services.start(ledger.row, actor="test")
        assert ledger.running() == []
    shop.run("ledger:start l")


def test_a_newer_server_has_ended_before_the_older_one_is_back(
    ledger: Ledger, beside: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    router = ledger.parts.services.router
    # Behind the moment from which on it is the service.
    monkeypatch.setattr(router, "lead", once(refuse, router.lead))
    with pytest.raises(DatabaseUnwritable):
        ledger.upgrade("paas/ledger:1.1")
    assert beside == [[], []]
    assert ledger.row.reference == "paas/ledger:1"
    assert ledger.running() == [ledger.row.container]


# -- closed while it is copied -----------------------------------------------------------------


def meanwhile(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Have this done when the dump is about to be loaded into another server."""
    loaded = Candidates.loaded

    @contextmanager
    def later(self: Candidates, service: Service, dump: int) -> Iterator[Candidate]:
        act()
        with loaded(self, service, dump) as candidate:
            yield candidate

    monkeypatch.setattr(Candidates, "loaded", later)


def test_what_would_be_lost_is_refused(
    shop: Shop, ledger: Ledger, beside: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    meanwhile(monkeypatch, lambda: said.append(shop.refused("ledger:import l")))
    ledger.upgrade("paas/ledger:2")
    assert "ledger service l is not running" in said[0]
    assert (ledger.data / "pages").read_text() == "one\n"
    assert ledger.row.version == "2"
    assert ledger.running() == [ledger.row.container]
    assert ledger.leads()
    assert beside[0] == []


def test_one_that_is_not_upgraded_serves_again(
    shop: Shop, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    meanwhile(monkeypatch, refuse)
    with pytest.raises(DatabaseUnwritable):
        ledger.upgrade("paas/ledger:2")
    assert ledger.row.version == "1"
    assert ledger.running() == [ledger.row.container]
    assert ledger.leads()
    shop.run("ledger:import l", "two\n")
    assert (ledger.data / "pages").read_text() == "two\n"


def test_one_whose_upgrade_was_killed_is_served_by_another_server(
    ledger: Ledger, beside: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        meanwhile(patch, die)
        os.waitpid(forked(partial(ledger.upgrade, "paas/ledger:2")), 0)
    assert len(ledger.running()) == 1
    eventually(ledger.heal)
    assert beside == [[]]
    assert ledger.running() == [ledger.row.container]
    assert ledger.leads()


# -- its address -------------------------------------------------------------------------------


def behind_the_list(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]
) -> None:
    """Have this done when somebody has just listed the services, once."""
    services = ledger.parts.store.services
    listed = services.list

    def first(*words: str) -> object:
        rows = listed(*words)
        act()
        return rows

    monkeypatch.setattr(services, "list", once(first, listed))


def test_an_address_leads_to_the_server_there_is_and_not_to_the_one_there_was(
    shop: Shop, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = ledger.row.container
    behind_the_list(ledger, monkeypatch, partial(shop.run, "ledger:restart l"))
    ledger.parts.service_care.mend()
    assert ledger.row.container != began
    assert ledger.leads()


def test_who_is_being_changed_is_led_by_who_changes_it(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Service] = []
    monkeypatch.setattr(ledger.parts.services.router, "lead", lambda one, _: asked.append(one))
    with ledger.parts.services.exclusive(ledger.row, "test"):
        ledger.parts.service_care.mend()
    assert ledger.id not in {one.id for one in asked}


@pytest.mark.parametrize("step", ["mend", "publish"])
def test_a_service_that_is_destroyed_meanwhile_gets_no_address_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    brief = Ledger(shop)
    parts = brief.parts
    reader, writer = os.pipe()

    def destroyed() -> bool:
        return parts.store.services.by_id(brief.id) is None

    def destroy() -> None:
        os.read(reader, 1)
        shop.run("ledger:destroy l --force")

    # It has none of the locks of who lists, and may have to wait for one.
    pid = forked(destroy)

    def act() -> None:
        os.write(writer, b".")
        eventually(lambda: destroyed() or waits_for_a_lock(pid))

    behind_the_list(brief, monkeypatch, act)
    (parts.service_care.mend if step == "mend" else parts.services.router.publish)()
    done(pid)
    os.close(reader)
    os.close(writer)
    assert destroyed()
    assert parts.engine.network.services_of(owner_of(brief.id)) == []


def waits_for_a_lock(pid: int) -> bool:
    """proc_locks(5): the line of who waits has an arrow."""
    lines = Path("/proc/locks").read_text().splitlines()
    return any("->" in line and f" {pid} " in line for line in lines)
