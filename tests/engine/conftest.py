"""Fixtures of the ring that needs a kernel."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from paas.model.app import App
from tests.engine.machine import Machine
from tests.engine.storage import Storage
from tests.engine.world import World


@pytest.fixture
def storage() -> Iterator[Storage]:
    """The storage half of an engine, in a root of its own."""
    storage = Storage()
    yield storage
    storage.destroy()


@pytest.fixture(scope="session")
def shared_machine() -> Iterator[Machine]:
    """One engine for all tests that run containers: making its network takes a while."""
    machine = Machine()
    try:
        machine.prepare()
        yield machine
    finally:
        machine.destroy()


@pytest.fixture
def machine(shared_machine: Machine) -> Iterator[Machine]:
    """The engine; a test leaves nothing of its containers behind."""
    shared_machine.told = len(shared_machine.bundler.events.read())
    yield shared_machine
    assert shared_machine.traces() == []


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """A server without paasd for each file that wants one: what it kills is its own."""
    world = World()
    try:
        world.prepare()
        yield world
    finally:
        world.destroy()


@pytest.fixture(scope="module")
def app(world: World) -> App:
    """An app of it that is served, and says so by `VERSION`."""
    return world.deployed("shop", 7)
