"""The repositories that tests push: `plain` as it is, and its broken variants."""

from __future__ import annotations

from pathlib import Path

APPS = Path(__file__).parents[1] / "fixtures/apps"

STACK = "FROM paas/stack:debian-13\n"
"""For apps that need a shell and no more."""


def fixture(name: str) -> dict[str, str]:
    """The files of an app in `tests/fixtures/apps`."""
    folder = APPS / name
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text() for path in paths}


def plain(version: str = "1", **files: str) -> dict[str, str]:
    """The app that answers questions; `files` replace or add to its own."""
    return fixture("plain") | {"VERSION": version + "\n"} | files


def with_command(*command: str) -> dict[str, str]:
    """`plain` whose image runs something else: the same layers, another CMD."""
    text = fixture("plain")["Dockerfile"]
    kept = [line for line in text.splitlines() if not line.startswith("CMD")]
    quoted = ", ".join(
        '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"' for word in command
    )
    return plain(Dockerfile="\n".join([*kept, f"CMD [{quoted}]", ""]))


def python(code: str) -> dict[str, str]:
    """`plain` whose program is this one."""
    return plain(**{"app.py": code})


LISTEN = """
import os, socket, time
s = socket.socket()
s.bind(({address!r}, {port}))
s.listen()
print("up", flush=True)
while True:
    s.accept()[0].close()
"""


def listening(address: str = "0.0.0.0", port: str = 'int(os.environ["PORT"])') -> dict[str, str]:
    """`plain` that listens where it is told to and closes what connects."""
    return python(LISTEN.format(address=address, port=port))


FORKING = """
import os, socket, sys, time
s = socket.create_server(("0.0.0.0", int(os.environ["PORT"])))
print("listening before the app is loaded", flush=True)
time.sleep(0.5)
{rest}
"""
"""Like gunicorn: who listens is not who serves."""


NEVER_LISTENS = python("import time\nprint('thinking', flush=True)\ntime.sleep(600)\n")
EXITS_WITH_0 = python("print('all done')\n")
EXITS_WITH_3 = python("import sys\nprint('cannot find my config')\nsys.exit(3)\n")
EATS_MEMORY = python("hoard = []\nwhile True:\n    hoard.append(b'x' * (16 << 20))\n")
CANNOT_BE_LOADED = python(FORKING.format(rest='sys.exit("no module named shop")'))
NEVER_ACCEPTS = python(FORKING.format(rest="time.sleep(600)"))
ON_LOOPBACK = listening(address="127.0.0.1")
ON_ANOTHER_PORT = listening(port="8080")
