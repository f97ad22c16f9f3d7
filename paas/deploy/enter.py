"""Joining a running instance of an app: a further process in its container."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from paas.deploy.running import NAME, owner_of
from paas.engine.engine import Engine
from paas.errors import NotFound
from paas.host.terminal import Terminal
from paas.model.app import App
from paas.store.store import Store

SHELL = ("/bin/sh", "-c", "if [ -x /bin/bash ]; then exec /bin/bash; fi; exec /bin/sh")
"""What is run when nobody says: the better shell, where the image has one."""


class NoSuchInstance(NotFound):
    """The app runs no such instance."""

    def __init__(self, app: App, process: str | None) -> None:
        what = f"no {process}" if process else "nothing"
        super().__init__(
            f"App {app.name} runs {what}", resolution=f"See what it runs: paas ps {app.name}"
        )


@dataclass(frozen=True)
class Instances:
    """The containers of an app by the names that people know."""

    store: Store
    engine: Engine

    def container(self, app: App, process: str | None) -> str:
        """Of `web` (the first that runs), `web.2` or `run.ab12`; of None, of any instance.

        Raises `NoSuchInstance`.
        """
        serving = [one for one in self.store.instances.list(app.id) if one.state.can_serve]
        # `web` before the others, and the lowest number first.
        serving.sort(key=lambda one: (one.process_type != "web", one.process_type, one.index))
        for one in serving:
            name = f"{one.process_type}.{one.index}"
            if process in (None, one.process_type, name):
                return one.container
        for container in self.engine.containers.list():
            if container.owner == owner_of(app.id) and container.labels.get(NAME) == process:
                return container.id
        raise NoSuchInstance(app, process)

    def enter(self, app: App, process: str | None, argv: Sequence[str], terminal: Terminal) -> int:
        """Run `argv`, or a shell, on the caller's descriptors; its exit code."""
        return self.engine.foreground.exec(
            self.container(app, process),
            argv or SHELL,
            terminal.stdin,
            terminal.stdout,
            terminal.stderr,
            terminal if terminal.isatty else None,
        )

    def split(self, app: App, words: Sequence[str]) -> tuple[str | None, Sequence[str]]:
        """`web.1 ls -l` as instance and command; the instance may be left out."""
        types = {one.process_type for one in self.store.instances.list(app.id)}
        if words and (words[0] in types or re.fullmatch(r"[A-Za-z0-9_-]+\.[0-9a-f]+", words[0])):
            return words[0], words[1:]
        return None, words
