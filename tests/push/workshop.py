"""The fixture apps, built and verified in a process of its own, on a server of its own.

Compilers and runtimes of eight languages come from the distribution's mirror: minutes of
waiting that other tests can fill. `Workshop` is the side of the tests; run as a program it
is the other one, which says how each app went, a line of JSON each.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path

from paas.engine.engine import Engine
from paas.errors import PaasError
from paas.host.files import FileLock
from tests.push.apps import APPS
from tests.push.server import Server
from tests.push.verified import Output, build, verify
from tests.turns import in_turn

ALL = sorted(path.parent.name for path in APPS.glob("*/verify"))
BUILT = in_turn(ALL, 6)
"""Three of each language, so that it is one of every second language's."""
BEHIND_OTHERS = ("nice", "-n", "10", "ionice", "-c", "2", "-n", "7")
"""Behind the tests at the processor and the disk; not in the idle class, which may get nothing."""
END_SECONDS = 900.0
MAX_OUTPUT = 3000
"""Characters of what a build said."""


@dataclass(frozen=True)
class Made:
    """What became of an app: `error` is empty when its script was content."""

    name: str
    error: str


END = Made("", "")
"""Behind the last one."""


class Workshop:
    """One process for all workers of a run; `stop` it.

    What it says goes to a file in `folder`, which they share: whoever is the first begins it,
    and nobody knows whose the tests of the apps will be.
    """

    def __init__(self, folder: Path) -> None:
        self._said = folder / "workshop.jsonl"
        self._complaints = folder / "workshop.log"
        self._process: subprocess.Popen[bytes] | None = None
        with FileLock(folder / "workshop.lock"):
            if not self._said.exists():
                self._process = self._begin()

    def _begin(self) -> subprocess.Popen[bytes]:
        with self._said.open("wb") as said, self._complaints.open("wb") as complaints:
            return subprocess.Popen(
                [*BEHIND_OTHERS, sys.executable, "-m", "tests.push.workshop"],
                cwd=Path(__file__).parents[2],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=complaints,
            )

    def made(self, name: str) -> Made:
        """How it went with an app; waits for it."""
        while True:
            has_ended = self._process is not None and self._process.poll() is not None
            found = self._all()
            for made in found:
                if made.name == name:
                    return made
            assert END not in found, f"{name} is none of its apps"
            assert not has_ended, self._complaints.read_text("utf-8", "replace")
            time.sleep(0.1)

    def _all(self) -> list[Made]:
        lines = self._said.read_text("utf-8").splitlines(keepends=True)
        return [Made(**json.loads(line)) for line in lines if line.endswith("\n")]

    def stop(self) -> None:
        """Have it end, and take its server away. Another worker may still wait for its apps."""
        if self._process is None:
            return
        if "PYTEST_XDIST_WORKER" not in os.environ:
            self._process.terminate()
        code = self._process.wait(END_SECONDS)
        assert code == 0, f"exit {code}\n{self._complaints.read_text('utf-8', 'replace')}"


def each(engine: Engine) -> Iterator[Made]:
    """Build and verify one app after another."""
    for name in BUILT:
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
        for made in chain(each(engine), [END]):
            print(json.dumps(asdict(made)), flush=True)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        engine.database.close()
        server.destroy()


if __name__ == "__main__":
    main()
