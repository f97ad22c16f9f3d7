"""SIGKILL before any effect of any command that changes state: it has happened, or it has not.

One harness over the real dispatcher: a command is run to its end once, then killed before its
first effect, before its second, and so on. Afterwards both databases are what they were before
the command or what they are behind it, and nothing keeps the next one from running.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from paas.daemon.authorized_keys import write_authorized_keys
from paas.daemon.supervisor import Supervisor
from paas.host.files import FileLock
from paas.model.caller import Caller
from paas.model.request import Request
from paas.program import dispatcher
from tests.engine.world import World
from tests.killing import counted_effects, killed_before
from tests.push.sshd import make_key
from tests.unit.cli.caller import Line

AWAY = re.compile(r"(_at|^id|^at|^since|^container|^time|^moment)$")
"""Columns that differ each time."""

NOISE = {
    "events", "sqlite_sequence", "config_history", "deploys", "instances", "traffic",
    "traffic_read", "log_releases", "schema_migrations",
}  # fmt: skip
"""Tables of what happened, not of what is wanted."""

ROOT = Caller("root", "root")


@dataclass(frozen=True)
class Case:
    """A command, what takes it back, what it reads, and every how many effects it is killed."""

    line: str
    back: str
    input: str = ""
    every: int = 1


CASES = [
    Case("apps:create fresh", "apps:destroy fresh --force"),
    Case("apps:lock shop --reason busy", "apps:unlock shop"),
    Case("config:set shop --no-restart A=1 B=2", "config:unset shop --no-restart A B"),
    Case("config:set --global --no-restart A=1 B=2", "config:clear --global --no-restart"),
    Case("config:import shop --no-restart -", "config:unset shop --no-restart X Y", "X=1\nY=2\n"),
    Case("ps:set shop stop-timeout-seconds 5", "ps:set shop stop-timeout-seconds"),
    Case("checks:set shop boot-seconds 9", "checks:set shop boot-seconds"),
    Case("checks:disable shop", "checks:enable shop"),
    Case("checks:skip shop", "checks:enable shop"),
    Case("resource:limit --no-restart --memory 64m shop", "resource:limit-clear --no-restart shop"),
    Case(
        "resource:reserve --no-restart --memory 9m shop", "resource:reserve-clear --no-restart shop"
    ),
    Case("logs:set shop retain-count 7", "logs:set shop retain-count"),
    Case("releases:retain shop 9", "releases:retain shop 10"),
    Case("builder:set shop build-dir sub", "builder:set shop build-dir"),
    Case("buildpacks:add shop python", "buildpacks:clear shop"),
    Case("buildpacks:set shop node", "buildpacks:clear shop"),
    Case("buildpacks:add shop static", "buildpacks:remove shop static"),
    Case(
        "domains:add shop a.example b.example", "domains:remove shop a.example b.example", every=8
    ),
    Case(
        "redirects:add shop old.example https://new.example",
        "redirects:remove shop old.example",
        every=20,
    ),
    Case("proxy:set shop max-body 5m", "proxy:set shop max-body", every=20),
    Case("maintenance:on shop", "maintenance:off shop", every=20),
    Case("network:create net", "network:destroy net --force"),
    Case("network:link shop other", "network:unlink shop other", every=3),
    Case("storage:create data", "storage:destroy data --force"),
    Case("storage:mount shop box:/data", "storage:unmount shop box:/data"),
    Case("ssh-keys:add eve", "ssh-keys:remove eve", "KEY"),
    Case("access:add shop ann viewer", "access:remove shop ann"),
]


class Shop:
    """A server with two apps that are served, asked through the real dispatcher."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.dispatcher = dispatcher(world.layout)
        self.key = make_key(world.folder / "eve").read_text()
        for name in ("shop", "other"):
            world.deploy(world.app(name), 1)
        for line in ("storage:create box", "apps:create unused"):
            self.run(line)
        world.parts.store.users.add("ann", admin=False)
        write_authorized_keys(world.layout, [])

    def run(self, line: str, input: str = "") -> None:
        """Run a command to its end, as root."""
        text = self.key if input == "KEY" else input
        said = self.world.folder / "said"
        given = self.world.folder / "given"
        given.write_text(text)
        with given.open("rb") as stdin, said.open("wb") as output:
            request = Request(
                argv=tuple(line.split()),
                env={},
                cwd=Path("/"),
                caller=ROOT,
                stdin=stdin.fileno(),
                stdout=output.fileno(),
                stderr=output.fileno(),
                tty=None,
                channel=Line(),
            )
            code = self.dispatcher.handle(request)
        assert code == 0, f"{line}: {said.read_text()}"

    def state(self) -> dict[str, list[str]]:
        """What is wanted, in both databases, without what differs each time."""
        layout = self.world.layout
        return {
            f"{path.name} {table}": rows
            for path in (layout.database, layout.engine_database)
            for table, rows in dumped(path).items()
        }

    def tidied(self) -> None:
        """Have a supervisor mend and free what was left."""
        layout = self.world.layout
        lock = FileLock(layout.locks / "supervisor", "test")
        supervisor = Supervisor(layout, lock)
        with closing(supervisor._wake):
            supervisor._tidy()


def dumped(path: Path) -> dict[str, list[str]]:
    with closing(sqlite3.connect(path)) as database:
        database.row_factory = sqlite3.Row
        tables = [
            row[0]
            for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        names: dict[Any, str] = {}
        if "apps" in tables:
            names = dict(database.execute("SELECT id, name FROM apps").fetchall())
        return {
            table: sorted(
                str(shown(dict(row), names)) for row in database.execute(f"SELECT * FROM {table}")
            )
            for table in tables
            if table not in NOISE
        }


def shown(row: dict[str, Any], apps: dict[Any, str]) -> dict[str, Any]:
    """A row without what differs each time: sealed values have a nonce, ids count on."""
    kept = {name: value for name, value in row.items() if not AWAY.search(name)}
    for name, value in kept.items():
        if name == "app_id":
            kept[name] = apps.get(value, value)
        elif isinstance(value, str) and value.startswith("aes256gcm:"):
            kept[name] = "sealed"
    return kept


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    world = World()
    try:
        world.prepare()
        yield Shop(world)
    finally:
        world.destroy()


def differing(one: dict[str, list[str]], other: dict[str, list[str]]) -> list[str]:
    return [
        f"{table}: {set(one[table]) ^ set(other[table])}"
        for table in one
        if one[table] != other[table]
    ]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.line)
def test_a_command_killed_before_any_effect_has_happened_or_not(shop: Shop, case: Case) -> None:
    def run() -> None:
        shop.run(case.line, case.input)

    shop.run(case.line, case.input)
    shop.run(case.back)
    before = shop.state()
    effects = counted_effects(run)
    after = shop.state()
    assert before != after, "it changes nothing"
    shop.run(case.back)
    assert differing(shop.state(), before) == []
    for effect in range(0, effects, case.every):
        killed_before(effect, run)
        now = shop.state()
        if now != before:
            assert differing(now, after) == [], f"killed before effect {effect} of {effects}"
            shop.run(case.back)
    run()
    assert differing(shop.state(), after) == []
    shop.run(case.back)


def test_afterwards_all_is_served_and_nothing_is_left(shop: Shop) -> None:
    """What the killed ones left on the machine goes with the next look of the supervisor."""
    keys = shop.world.layout.ssh / "authorized_keys"
    keys.write_text(f"published, and killed before the commit: {shop.key}")
    shop.tidied()
    for name in ("shop", "other"):
        assert shop.world.version(shop.world.parts.store.apps.get(name)) == 1
    assert shop.world.strays() == []
    assert shop.key not in keys.read_text()
