"""Servers that killed commands left: at work on the data of a service, and not the service."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from paas.deploy.services_route import OWNER
from paas.engine.container import Container
from paas.engine.engine import Engine
from paas.plugin.service_runner import ServiceRunner, owner_of
from paas.store.store import Store


class Strays:
    """Finds and ends them."""

    def __init__(self, store: Store, engine: Engine, runner: ServiceRunner) -> None:
        self._store = store
        self._engine = engine
        self._runner = runner

    def owners(self) -> list[int]:
        """The ids of the services that have some: also of one that is just being stopped by who
        holds it.
        """
        return sorted({int(one.owner.removeprefix(OWNER)) for one in self._list()})

    def end(self, service_id: int) -> None:
        """End those of a service in peace; for who holds it exclusively.

        Before another server begins on its data: two at one time destroy it, and the guards
        that servers have see no process of another container.
        """
        for one in self._list():
            if one.owner == owner_of(service_id):
                self._runner.stop(one.id)

    @contextmanager
    def left_none(self, container: str) -> Iterator[None]:
        """The block makes a server the service's, or it is ended."""
        try:
            yield
        except BaseException:
            self._runner.stop(container)
            raise

    def _list(self) -> list[Container]:
        left = [
            one
            for one in self._engine.containers.list()
            if one.owner.startswith(OWNER) and not one.keeper.alive
        ]
        # In this order: a maker that commits and ends in between has left a row.
        owned = {one.container for one in self._store.services.list()}
        return [one for one in left if one.id not in owned]
