"""One PaaS for the whole ring, one app for each test that wants one."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.push import apps
from tests.push.outcome import Outcome
from tests.push.repository import Files, Repository
from tests.push.server import Page, Server

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A running PaaS with one registered key and its own sshd."""
    server = Server.start()
    yield server
    server.destroy()


@dataclass
class App:
    """An app of the test's own, with the repository it is pushed from."""

    server: Server
    name: str
    repository: Repository

    def push(self, files: Files | None = None) -> Outcome:
        """Commit the files over the tree and push."""
        self.repository.commit(files)
        return self.repository.push()

    def get(self, path: str = "/") -> Page:
        return self.server.get(self.name, path)

    def serves(self, text: str) -> bool:
        return self.server.serves(self.name, text)

    def ssh(self, command: str, *options: str, input: bytes = b"") -> Outcome:
        """An ssh command; `{}` in it is the app's name."""
        return self.server.ssh(command.replace("{}", self.name), *options, input=input)


def new_app(server: Server, prefix: str = "app") -> App:
    name = f"{prefix}{next(_numbers)}"
    return App(server, name, server.repository(name))


@pytest.fixture
def app(server: Server) -> Iterator[App]:
    """An app nobody pushed yet; gone after the test, whatever became of it."""
    app = new_app(server)
    yield app
    server.paas("apps:destroy", app.name, "--force")


@pytest.fixture(scope="module")
def live(server: Server) -> Iterator[App]:
    """An app that is served, shared by the tests of a module, which leave it served."""
    app = new_app(server, "live")
    app.push(apps.plain()).ok()
    yield app
    server.paas("apps:destroy", app.name, "--force").ok()
