"""One app and the repository it is pushed from, as a test uses them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from tests.push.outcome import Outcome
from tests.push.repository import Files, Repository
from tests.push.server import Page, Server

_numbers = itertools.count(1)


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
