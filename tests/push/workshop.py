"""The fixture apps, built and verified in a process of its own, on a server of its own.

Compilers and runtimes of eight languages come from the distribution's mirror: minutes of
waiting that other tests can fill. `Workshop` is the side of the tests; run as a program it
is the other one, which says how each app went, a line of JSON each.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from paas.engine.engine import Engine
from paas.errors import PaasError
from tests.push.apps import APPS
from tests.push.server import Server
from tests.push.verified import Output, build, verify

ALL = sorted(path.parent.name for path in APPS.glob("*/verify"))
BEHIND_OTHERS = ("nice", "-n", "10", "ionice", "-c", "3")
STOP_SECONDS = 100.0
MAX_OUTPUT = 3000
"""Characters of what a build said; all apps' words fit into the pipe until they are read."""


@dataclass(frozen=True)
class Made:
    """What became of an app: `error` is empty when its script was content."""

    name: str
    error: str


class Workshop:
    """The process; `stop` it."""

    def __init__(self) -> None:
        self._made: dict[str, Made] = {}
        self._process = subprocess.Popen(
            [*BEHIND_OTHERS, sys.executable, "-m", "tests.push.workshop"],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )

    def made(self, name: str) -> Made:
        """How it went with an app; waits for it."""
        assert self._process.stdout is not None
        while name not in self._made:
            line = self._process.stdout.readline()
            assert line, f"the workshop ended before {name}, with {self._process.wait()}"
            found = Made(**json.loads(line))
            self._made[found.name] = found
        return self._made[name]

    def stop(self) -> None:
        """Have it end, and take its server away."""
        self._process.terminate()
        assert self._process.wait(STOP_SECONDS) == 0


def each(engine: Engine) -> Iterator[Made]:
    """Build and verify one app after another."""
    for name in ALL:
        output, error = Output(), ""
        try:
            verify(engine, name, build(engine, name, output), output)
        except (PaasError, AssertionError) as failure:
            error = "\n".join([str(failure), *getattr(failure, "details", ())])
        yield Made(name, error and f"{error}\n{output.text[-MAX_OUTPUT:]}")


def main() -> None:
    """A server, all apps or as many as are waited for, and no server again."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    server = Server.start()
    engine = Engine(server.layout)
    try:
        for made in each(engine):
            print(json.dumps(asdict(made)), flush=True)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        engine.database.close()
        server.destroy()


if __name__ == "__main__":
    main()
