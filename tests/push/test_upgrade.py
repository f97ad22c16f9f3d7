"""`paas upgrade`: a worse version is put back, a better one stays, and no app notices either."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas.cli.verdict import TRY_AGAIN
from tests.push import apps
from tests.push.app import App, new_app
from tests.push.outcome import Outcome, eventually
from tests.push.server import CHECKOUT, Server, admin_environment

pytestmark = pytest.mark.turns(2)

PARTS = ("paas", "buildpacks", "plugins", "proxy", "hooks", "pyproject.toml")
MIGRATION = "paas/store/migrations/9999_later.sql"
LATER = (MIGRATION, "", "ALTER TABLE apps ADD COLUMN later TEXT NOT NULL DEFAULT 'x';\n")
OBSERVED = (
    "paas/engine/network/observed/9999_later.sql",
    "",
    "ALTER TABLE leases ADD COLUMN later TEXT NOT NULL DEFAULT 'x';\n",
)
VERSION = ("paas/model/version.py", 'VERSION = "', 'VERSION = "9.')


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One of its own: a failed upgrade must be nobody else's."""
    server = Server.start()
    yield server
    server.destroy()


@pytest.fixture(scope="module")
def served(server: Server) -> Iterator[App]:
    """An app that answers before, while and after."""
    app = new_app(server, "served")
    app.push(apps.plain()).ok()
    yield app


class Guest(threading.Thread):
    """Asks for a page again and again; counts what was no answer."""

    def __init__(self, app: App) -> None:
        super().__init__()
        self._app, self._over = app, threading.Event()
        self.asked = self.failed = 0

    def run(self) -> None:
        while not self._over.is_set():
            try:
                self.failed += self._app.get().status != 200
            except OSError:
                self.failed += 1
            self.asked += 1
            self._over.wait(0.02)

    def __enter__(self) -> Guest:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self.join()


def checkout(server: Server, id: str, *changes: tuple[str, str, str]) -> None:
    """Stage a version that differs from this one: in a file, one text for another."""
    copy = server.folder / f"checkout-{id}"
    copy.mkdir()
    for name in PARTS:
        source = CHECKOUT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, copy / name, symlinks=True, ignore=ignored)
        else:
            shutil.copy(source, copy / name)
    for path, old, new in changes:
        text = (copy / path).read_text() if old else ""
        assert old in text, path
        (copy / path).write_text(text.replace(old, new, 1) if old else new)
    server.lay_out(id, copy)
    (server.program / "staged").unlink(missing_ok=True)
    (server.program / "staged").symlink_to(f"versions/{id}")


def as_before(served: App, before: dict[str, object]) -> None:
    """The old version is in use, the app's instance the same, and everything can be changed."""
    server = served.server
    assert (server.program / "current").resolve().name == "first"
    assert served.server.status(served.name) == before
    assert not (server.layout.root / "upgrade").exists()
    served.ssh("config:set --no-restart {} TOUCHED=yes").ok()
    # Of the machine's own sshd nobody here knows: that of the test has a port of its own.
    said = [line for line in server.paas("doctor").out.splitlines() if " sshd " not in line]
    assert not [line for line in said if line.startswith("FAIL")]


def upgrade(server: Server) -> Outcome:
    return server.paas("upgrade", timeout=200)


def upgrading(server: Server) -> subprocess.Popen[str]:
    """One under way, in a process group of its own."""
    return subprocess.Popen(
        server.command("upgrade"), env=admin_environment(), stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip


def test_without_a_new_version_nothing_happens(server: Server, served: App) -> None:
    assert "No new version" in upgrade(server).failed().err
    missing = server.paas("upgrade", str(server.folder)).failed()
    assert "no checkout of paas" in missing.err
    assert "for root" in served.server.ssh("upgrade").failed().err


def test_a_version_that_cannot_use_the_data_changes_nothing(server: Server, served: App) -> None:
    daemon, before = server.daemon_pid(), server.status(served.name)
    checkout(server, "unreadable", (MIGRATION, "", "ALTER TABLE nowhere ADD COLUMN x TEXT;"))
    refused = upgrade(server).failed()
    assert "nothing was changed" in refused.err
    assert "no such table" in refused.err
    assert server.daemon_pid() == daemon
    as_before(served, before)


def test_a_version_that_does_not_start_is_put_back(server: Server, served: App) -> None:
    before = server.status(served.name)
    dies = (
        "paas/program.py",
        "    master = Master(",
        "    raise SystemExit(9)\n    master = Master(",
    )
    checkout(server, "dead", dies, LATER)
    with Guest(served) as guest:
        undone = upgrade(server).failed()
    assert "is in use again" in undone.err
    assert "exit code 9" in undone.text
    assert (guest.failed, guest.asked > 10) == (0, True)
    as_before(served, before)


def test_a_version_that_serves_less_is_put_back_with_the_data(server: Server, served: App) -> None:
    before = server.status(served.name)
    shuts = ("proxy/site.conf.j2", "server_name", "return 502;\n    server_name")
    checkout(server, "worse", shuts, LATER, OBSERVED)
    undone = upgrade(server).failed()
    assert f"{served.name}.test.example is no longer served" in undone.err
    eventually(lambda: served.serves("hello 1"))
    as_before(served, before)


def test_an_upgrade_that_is_killed_is_taken_back_by_the_next_start(
    server: Server, served: App
) -> None:
    """And by nobody before: what is changed until then is refused, as it would be lost."""
    before = server.status(served.name)
    checks = "        checks: Mapping"
    slow = ("paas/daemon/doctor.py", checks, f"        time.sleep(60)\n{checks}")
    checkout(server, "slow", slow, LATER, VERSION)
    with upgrading(server) as running:
        assert running.stdout is not None
        while "Checking it" not in running.stdout.readline():
            assert running.poll() is None
        eventually(lambda: server.ssh("version").out.startswith("paas 9."))
        os.killpg(running.pid, signal.SIGKILL)
    refused = served.ssh("config:set --no-restart {} LOST=yes")
    assert (refused.code, "sudo paas up" in refused.err) == (TRY_AGAIN, True)
    assert "cut short" in served.push(apps.plain("lost")).failed(128).err
    assert served.name in server.ssh("apps:list").ok().out
    eventually(lambda: server.paas("up", "--no-stack", timeout=100).code == 0)
    as_before(served, before)


def test_a_better_version_stays_and_what_came_meanwhile_is_done(
    server: Server, served: App
) -> None:
    before = server.status(served.name)
    checkout(server, "better", VERSION, LATER)
    said: list[Outcome] = []
    waiting = threading.Thread(
        target=lambda: said.append(served.ssh("config:set --no-restart {} MEANWHILE=yes"))
    )
    told = []
    with Guest(served) as guest, upgrading(server) as running:
        assert running.stdout is not None
        for line in running.stdout:
            told.append(line)
            if "Replacing" in line:
                waiting.start()
        assert running.wait() == 0, told
        waiting.join()
    assert "Upgraded to 9." in told[-1]
    assert (guest.failed, guest.asked > 10) == (0, True)
    said[0].ok()
    assert served.ssh("config:get {} MEANWHILE").ok().out == "yes\n"
    assert server.ssh("version").ok().out.startswith("paas 9.")
    assert server.status(served.name) == before
    assert (server.program / "current").resolve() == Path(server.program / "versions/better")
    served.push(apps.plain("2")).ok()
    assert "is in use already" in upgrade(server).ok().out
