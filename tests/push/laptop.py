"""`paas` on a developer's machine, where it stays: a port that leads to the server."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from tests.push.app import App
from tests.push.server import CLIENT

LAPTOP = ["/usr/bin/python3", "-I", "-S", str(CLIENT)]


@contextmanager
def forwarded(live: App, *words: str) -> Iterator[tuple[str, int]]:
    """`paas forward WORDS` on a developer's machine: where it listens."""
    process = subprocess.Popen(
        [*LAPTOP, "forward", *words], env=live.server.env, cwd=live.repository.folder,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        said = process.stdout.readline().decode()
        match = re.match(r"Forwarding ([\d.]+):(\d+) to \S+;", said)
        assert match, said + process.communicate(timeout=100)[1].decode()
        yield match[1], int(match[2])
    finally:
        process.terminate()
        process.communicate()
