"""A server with apps, a service and a plugin, asked through the real dispatcher and killed."""

from __future__ import annotations

import hashlib
import io
import re
import sqlite3
import tarfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from paas.daemon.authorized_keys import write_authorized_keys
from paas.daemon.supervisor import Supervisor
from paas.host.files import FileLock
from paas.model.caller import Caller
from paas.model.request import Request
from paas.model.settings import HTTPS_PORT
from paas.program import dispatcher
from paas.proxy.certificates import self_signed
from tests.engine.commands import COMMAND, Case
from tests.engine.world import World
from tests.ports import free_port
from tests.push.sshd import make_key
from tests.unit.cli.caller import Line

PLUGINS = Path(__file__).parents[1] / "fixtures/plugins"

AWAY = re.compile(r"(_at|_id|^id|^at|^since|^time|^moment|^container|^seen|_cursor)$")
"""Columns that differ each time."""

NUMBERED = re.compile(r"\b(service)([:-])[0-9]+(-[0-9]+)?")
"""Owners and volumes of services, which are numbered as they come."""

NOISE = {
    "events", "sqlite_sequence", "config_history", "deploys", "instances", "traffic",
    "traffic_read", "log_releases", "schema_migrations",
}  # fmt: skip
"""Tables of what happened, not of what is wanted."""

ADDRESSES = {"user_ranges", "services", "service_addresses"}
"""Tables of the engine: who has which ids and addresses, not what for."""

ROOT = Caller("root", "root")

Tables = dict[str, list[str]]


def archive(content: str) -> bytes:
    """A tar with one file."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        entry = tarfile.TarInfo("file")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content.encode()))
    return stream.getvalue()


class Shop:
    """Two apps that are served, one that is not, a service of busybox, and plugins."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.dispatcher = dispatcher(world.layout)
        https, self.port = free_port(), free_port()
        world.parts.store.settings.set(None, HTTPS_PORT.name, str(https))
        pair = self_signed(["shop.kill.test"], time.time())
        self.inputs = {
            "KEY": make_key(world.folder / "eve").read_bytes(),
            "PEM": pair.chain + pair.key,
            "OLD": archive("old"),
            "NEW": archive("new"),
        }
        for name in ("shop", "other"):
            app = world.app(name)
            # Also where its next release takes its config from.
            world.parts.store.config.set(app.id, {"VERSION": "1"})
            world.deploy(app, 1)
        world.parts.engine.images.tag("kv:1", world.image)
        world.parts.store.users.add("ann", admin=False)
        write_authorized_keys(world.layout, [])
        for line in (
            "storage:create box",
            "network:create lan",
            "apps:create unused",
            f"cron:add shop @weekly {COMMAND}",
            f"plugin:install {PLUGINS}/kv",
            f"plugin:install {PLUGINS}/headers",
            "plugin:enable kv",
            "kv:create db --image kv:1",
        ):
            self.run(line)

    def run(self, line: str, input: str = "") -> None:
        """Run a command to its end, as root."""
        code, said = self.answer(line, input)
        assert code == 0, f"{line}: {said}"

    def refused(self, line: str) -> str:
        """What a command says that fails."""
        code, said = self.answer(line)
        assert code == 1, f"{line} ended with {code}: {said}"
        return said

    def answer(self, line: str, input: str = "") -> tuple[int, str]:
        """The exit code of a command, and what it says."""
        words = line.format(plugins=PLUGINS, port=self.port).split()
        said, given = self.world.folder / "said", self.world.folder / "given"
        given.write_bytes(self.inputs.get(input, input.encode()))
        with given.open("rb") as stdin, said.open("wb") as output:
            request = Request(
                argv=tuple(words),
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
        return code, said.read_text()

    def forth(self, case: Case) -> None:
        self.run(case.line, case.input)

    def back(self, case: Case) -> None:
        self.run(case.back, case.back_input)

    def state(self) -> Tables:
        """What is wanted, in databases and files, without what differs each time."""
        layout = self.world.layout
        found = {
            f"{path.name} {table}": rows
            for path in (layout.database, layout.engine_database)
            for table, rows in dumped(path).items()
        }
        settings = self.world.parts.engine.registry.settings_file
        binding = layout.proxy / "accounts/external.key"
        found["registries"] = [path.read_text() for path in (settings, binding) if path.exists()]
        volumes = sorted((layout.engine_fs / "volumes").glob("storage.*"))
        found["volumes"] = [f"{path.name} {digest(path)}" for path in volumes]
        found["servers"] = sorted(self.servers())
        return found

    def servers(self) -> list[str]:
        """The services whose server is there although it should not be."""
        parts = self.world.parts
        return [
            one.name
            for one in parts.store.services.list()
            if not one.state.should_run and parts.services.is_up(one)
        ]

    def settled(self, *accepted: Tables) -> Tables:
        """The state, behind the next look of a supervisor unless it is one of these already."""
        if (now := self.state()) in accepted:
            return now
        self.tidied()
        return self.state()

    def tidied(self) -> None:
        """Have a supervisor mend and free what was left."""
        layout = self.world.layout
        supervisor = Supervisor(layout, FileLock(layout.locks / "supervisor", "test"))
        with closing(supervisor._wake):
            supervisor._tidy()


def digest(folder: Path) -> str:
    """Of the files below it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()


def dumped(path: Path) -> Tables:
    engine = "engine" in path.name
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
            if table not in NOISE and not (engine and table in ADDRESSES)
        }


def shown(row: dict[str, Any], apps: dict[Any, str]) -> dict[str, Any]:
    """A row without what differs each time: sealed values have a nonce, ids count on."""
    kept = {name: value for name, value in row.items() if not AWAY.search(name)}
    if "service_id" in row:
        # Where it is exposed: any port that is free.
        kept.pop("port", None)
    if "app_id" in row:
        kept["app_id"] = apps.get(row["app_id"], row["app_id"])
    for name, value in kept.items():
        if isinstance(value, str):
            kept[name] = (
                "sealed" if value.startswith("aes256gcm:") else NUMBERED.sub(r"\1\2N", value)
            )
    return kept


def differing(one: Tables, other: Tables) -> list[str]:
    return [
        f"{table}: {set(one[table]) ^ set(other[table])}"
        for table in one
        if one[table] != other[table]
    ]
