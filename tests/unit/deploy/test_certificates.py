"""Certificates that come, and go, at once: a real store, and a proxy that serves all at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest

from paas.deploy.certificates import Certificates, NoCertificate
from paas.host.waiting import wait_until
from paas.model.app import App
from paas.model.layout import Layout
from paas.model.report import Report, Silent
from paas.proxy.certificates import Pair, self_signed
from paas.proxy.pairs import Pairs
from paas.store.store import Store


@dataclass
class Edge:
    """Proxy and router: each certificate is served at once, behind what a test does then."""

    store: Store
    pairs: Pairs
    meanwhile: list[Callable[[], object]] = field(default_factory=list)

    def running(self) -> bool:
        return True

    def domains(self, _: App) -> list[str]:
        return ["a.test"]

    def certified(self, app: App) -> dict[str, tuple[str, ...]]:
        newest = self.store.certificates.list(app.id)[-1:]
        return {each.fingerprint: ("a.test",) for each in newest}

    def presents(self, *_: str) -> bool:
        if self.meanwhile:
            self.meanwhile.pop()()
        return True

    def publish(self, _: Report) -> None:
        """There is no proxy."""

    def forget_pairs(self) -> None:
        """Keys are no matter here."""


@dataclass
class World:
    """An app, and what it is given."""

    certificates: Certificates
    edge: Edge
    app: App
    locks: Path

    def install(self, pair: Pair) -> None:
        self.certificates.install(self.app, pair, actor="me", report=Silent())

    def fingerprints(self) -> list[str]:
        return [each.fingerprint for each in self.edge.store.certificates.list(self.app.id)]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    layout = Layout.at(tmp_path)
    store = Store(layout)
    edge = Edge(store, Pairs(layout.proxy))
    hands = cast(Any, edge)
    certificates = Certificates(layout, store, hands, hands, hands)
    yield World(certificates, edge, store.apps.create("app"), layout.locks)
    store.close()


def pair() -> Pair:
    return self_signed(["a.test"], time.time())


def is_waited_for(lock: Path) -> bool:
    """Whether somebody wants a lock that another has (proc(5), /proc/locks)."""
    inode = f":{lock.stat().st_ino} " if lock.exists() else None
    lines = Path("/proc/locks").read_text().splitlines()
    return inode is not None and any("->" in line and inode in line for line in lines)


def test_of_two_that_come_at_once_the_later_one_waits_and_replaces_the_other(
    world: World,
) -> None:
    old, first, second = pair(), pair(), pair()
    world.install(old)
    other = threading.Thread(target=world.install, args=(second,))

    def begin() -> None:
        other.start()
        lock = world.locks / f"certificates-{world.app.id}"
        assert wait_until(lambda: is_waited_for(lock) or not other.is_alive(), 60)

    world.edge.meanwhile.append(begin)
    world.install(first)
    other.join()
    assert world.fingerprints() == [second.certificate.fingerprint]


def test_one_that_was_taken_away_before_it_was_seen_replaces_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Certificates, "_turn", lambda *_: nullcontext(), raising=False)
    first, second = pair(), pair()
    world.edge.meanwhile.append(lambda: world.install(second))
    with pytest.raises(NoCertificate, match="was removed"):
        world.install(first)
    assert world.fingerprints() == [second.certificate.fingerprint]


def test_one_that_came_meanwhile_is_not_replaced(world: World) -> None:
    """As a process of the version before would add it, during an upgrade."""
    old, first, second = pair(), pair(), pair()
    world.install(old)
    store = world.edge.store
    world.edge.meanwhile.append(lambda: store.certificates.add(world.app.id, second.certificate))
    world.install(first)
    assert world.fingerprints() == [each.certificate.fingerprint for each in (first, second)]
