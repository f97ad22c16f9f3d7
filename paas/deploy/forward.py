"""Connections of a caller's to an instance of an app, or to a service it is linked to.

The host may reach every container, and nobody but root is on the host: so what comes over ssh
is joined here, one connection for each command, and no port is opened for it.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from paas.deploy.enter import Instances
from paas.engine.container import ContainerNotFound
from paas.errors import NotFound, PaasError
from paas.host.streams import write_all
from paas.model.app import App
from paas.model.service import Service
from paas.plugin.catalog import Catalog
from paas.store.store import Store

CHUNK = 65536
CONNECT_SECONDS = 10.0


class NoSuchTarget(NotFound):
    """There is nothing of that name to connect to."""

    def __init__(self, app: App, word: str) -> None:
        super().__init__(
            f"{word[:80]} is neither an instance of {app.name} nor a service linked to it",
            resolution=f"See what there is: paas ps {app.name}, paas config:keys {app.name}",
        )


class PortUnknown(PaasError):
    """It has to be said which port is meant."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} has no port that is known here", resolution="Name it: forward APP TARGET PORT"
        )


class NotAnswered(PaasError):
    """Nobody accepts there."""

    def __init__(self, target: Target, why: str) -> None:
        super().__init__(f"{target} does not accept a connection: {why}")


@dataclass(frozen=True)
class Target:
    """Where a connection goes to, and its name for people."""

    name: str
    address: str
    port: int

    def __str__(self) -> str:
        return f"{self.name}:{self.port}"


@dataclass(frozen=True)
class Forwarding:
    """Finds targets, and joins a caller's streams to them."""

    store: Store
    instances: Instances
    catalog: Catalog

    def find(self, app: App, word: str | None, port: int | None, *, anywhere: bool) -> Target:
        """`web.1`, `web`, a config var that holds a link, `db` or `postgres:db`; without a word
        an instance. `anywhere` allows services that the app is not linked to.

        Raises `NoSuchTarget`, `NoSuchInstance`, `PortUnknown`, `NotAnswered`.
        """
        known = {one.process_type for one in self.store.instances.list(app.id)}
        if word is None or word.partition(".")[0] in known:
            return self._instance(app, word, port)
        for service in self._services(app, word, anywhere=anywhere):
            return self._service(service, port)
        raise NoSuchTarget(app, word)

    def _instance(self, app: App, word: str | None, port: int | None) -> Target:
        container = self.instances.container(app, word)
        instance = self.store.instances.by_container(container)
        name = word or "web"
        if instance is None:
            raise NoSuchTarget(app, name)
        name = instance.name
        if not (port or instance.port):
            raise PortUnknown(name)
        return Target(name, instance.address, port or instance.port)

    def _services(self, app: App, word: str, *, anywhere: bool) -> Iterator[Service]:
        plugin, colon, name = word.rpartition(":")
        for link in self.store.links.of_app(app.id):
            service = self.store.services.by_id(link.service_id)
            if service is None:
                continue
            named = name == service.name and plugin in ("", service.plugin)
            if named or word == link.variable:
                yield service
        if anywhere and colon:
            yield self.store.services.get(plugin, name)

    def _service(self, service: Service, port: int | None) -> Target:
        name = f"{service.plugin}:{service.name}"
        try:
            address = self.instances.engine.containers.get(service.container or "").address
        except ContainerNotFound:
            address = None
        manifest = self.catalog.get(service.plugin).manifest
        target = Target(name, str(address or ""), port or manifest.port)
        if address is None:
            raise NotAnswered(target, "it does not run")
        return target

    def connect(self, target: Target) -> socket.socket:
        """Raises `NotAnswered`."""
        try:
            connection = socket.create_connection((target.address, target.port), CONNECT_SECONDS)
        except OSError as error:
            raise NotAnswered(target, error.strerror or "no answer") from None
        connection.settimeout(None)
        return connection


def join(connection: socket.socket, stdin: int, stdout: int) -> None:
    """Copy both ways until the other side has ended; the end of `stdin` is told it alone."""
    sender = threading.Thread(target=_send, args=(connection, stdin), daemon=True)
    sender.start()
    with connection:
        while data := _received(connection):
            write_all(stdout, data)


def _send(connection: socket.socket, stdin: int) -> None:
    try:
        while data := os.read(stdin, CHUNK):
            connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
    except OSError:
        # The other side takes no more: what it still says is read to its end.
        return


def _received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(CHUNK)
    except ConnectionResetError:
        return b""
