"""A caller of commands: real descriptors, a real store, and a platform that records."""
# ruff: noqa: A002, ARG002  the words of the protocols it records

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paas.cli.command import Table
from paas.cli.dispatch import Dispatcher
from paas.cli.errors import Errors
from paas.cli.platform import Platform, ProcessStatus
from paas.cli.server import server_commands
from paas.cli.table import commands
from paas.deploy.applogs import Wanted
from paas.deploy.tryout import Tryout
from paas.host.terminal import Terminal
from paas.model.app import App
from paas.model.caller import Caller
from paas.model.key import parse_public_key
from paas.model.layout import Layout
from paas.model.report import Report
from paas.model.request import Request, TerminalSize
from paas.store.store import Store

ROOT = Caller("root", "root")
KEY = Caller("key", "ann")


class Line:
    """A channel whose client stays."""

    def __init__(self) -> None:
        self.ends_with_client = False

    @property
    def closed(self) -> bool:
        return False

    def fileno(self) -> int:
        return -1

    def on_close(self, callback: Callable[[], None]) -> None:
        return

    def end_with_client(self) -> None:
        self.ends_with_client = True

    def on_resize(self, callback: Callable[[], None]) -> None:
        return

    def set_raw(self, *, on: bool) -> None:
        return


@dataclass(frozen=True)
class Status:
    """An instance, as the real platform describes one."""

    process_type: str
    index: int
    state: str = "up"
    container: str = "c0ffee"
    release: int = 3
    since: float = 0.0
    restarts: int = 0
    address: str = "10.200.0.2"


@dataclass
class Recorder:
    """The platform as far as parsing is concerned: what was asked of it, in order."""

    asked: list[tuple[Any, ...]] = field(default_factory=list)
    raises: BaseException | None = None
    statuses: Sequence[ProcessStatus] = ()
    code: int = 0
    output: bytes = b""
    certificates: Any = None
    engine: Any = None
    letsencrypt: Any = None
    delivery: Any = None
    stacks: Any = None
    services: Any = None
    service_links: Any = None
    service_talk: Any = None
    service_copies: Any = None
    service_backups: Any = None
    service_exposures: Any = None
    images: Any = None
    plugins: Any = None
    plugin_commands: Any = None
    router: Any = None
    oneoffs: Any = None
    builds: Any = None
    cron: Any = None
    cron_runs: Any = None
    forwarding: Any = None
    drains: Any = None
    notifier: Any = None
    instances: Any = None
    storage: Any = None
    networks: Any = None

    def wake(self) -> None:
        self._record("wake")

    def usage(self) -> Any:
        return ()

    def space(self) -> Any:
        return None

    @property
    def edge(self) -> Any:
        """Records what is asked of it among the rest, by its method's name."""
        return RecordedEdge(self)

    def _record(self, *what: Any) -> None:
        self.asked.append(what)
        if self.raises is not None:
            raise self.raises

    def apply_config(
        self,
        app: App,
        set: Mapping[str, str],
        unset: Iterable[str],
        *,
        actor: str,
        report: Report,
        restart: bool,
    ) -> int | None:
        self._record("apply_config", app.name, dict(set), list(unset), actor, restart)
        return None

    def scale(
        self,
        app: App,
        quantities: Mapping[str, int],
        *,
        actor: str,
        report: Report,
        restart: bool,
    ) -> int | None:
        self._record("scale", app.name, dict(quantities), actor, restart)
        return None

    def limit(
        self,
        app: App,
        values: Mapping[tuple[str, str], str | None],
        *,
        actor: str,
        report: Report,
        restart: bool,
    ) -> int | None:
        self._record("limit", app.name, dict(values), actor, restart)
        return None

    def rebuild(self, app: App, *, actor: str, report: Report) -> int:
        self._record("rebuild", app.name, actor)
        return 1

    def inspect(self, app: App) -> Sequence[Mapping[str, object]]:
        self._record("inspect", app.name)
        return [{"id": "c0ffee"}]

    def check(self, app: App, process: str | None, *, report: Report) -> int:
        self._record("check", app.name, process)
        return self.code

    def restart(self, app: App, process: str | None, *, actor: str, report: Report) -> None:
        self._record("restart", app.name, process, actor)

    def stop(self, app: App, process: str | None, *, actor: str, report: Report) -> None:
        self._record("stop", app.name, process, actor)

    def start(self, app: App, process: str | None, *, actor: str, report: Report) -> None:
        self._record("start", app.name, process, actor)

    def rollback(self, app: App, number: int | None, *, actor: str, report: Report) -> int | None:
        self._record("rollback", app.name, number, actor)
        return None

    def run(
        self,
        app: App,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        terminal: Terminal,
        ttl_s: float | None,
    ) -> int:
        limited = () if ttl_s is None else (ttl_s,)
        self._record("run", app.name, tuple(argv), dict(env), terminal.isatty, *limited)
        return self.code

    def run_detached(
        self, app: App, argv: Sequence[str], *, env: Mapping[str, str], ttl_s: float
    ) -> str:
        self._record("run_detached", app.name, tuple(argv), dict(env), ttl_s)
        return "run.c0de"

    def logs(self, app: App, wanted: Wanted, out: Callable[[bytes], None]) -> None:
        out(self.output)
        self._record("logs", app.name, wanted)

    def destroy(self, app: App, *, actor: str, report: Report) -> None:
        self._record("destroy", app.name, actor)

    def build_directory(self, tryout: Tryout, report: Report) -> str:
        self._record("build", tryout)
        return "sha256:c0ffee"

    def purge_cache(self, app: App, *, actor: str, report: Report) -> int:
        self._record("purge_cache", app.name, actor)
        return 3 << 20

    def rename(self, app: App, new: str, *, actor: str, report: Report) -> None:
        self._record("rename", app.name, new, actor)

    def clone(self, app: App, new: str, caller: Caller, *, deploy: bool, report: Report) -> None:
        self._record("clone", app.name, new, caller.name, deploy)

    def receive(self, app_name: str, request: Request, caller: Caller) -> int:
        self._record("receive", app_name, caller.name)
        return self.code

    def upload_pack(self, app_name: str, request: Request, caller: Caller) -> int:
        self._record("upload_pack", app_name, caller.name)
        return self.code

    def processes(self, app: App) -> Sequence[ProcessStatus]:
        self._record("processes", app.name)
        return self.statuses


@dataclass(frozen=True)
class RecordedEdge:
    """How apps are reached, as far as parsing is concerned."""

    recorder: Recorder

    def __getattr__(self, name: str) -> Callable[..., None]:
        def record(*words: Any, actor: str, report: Report, **more: Any) -> None:
            named = [word.name if isinstance(word, App) else word for word in words]
            self.recorder._record(name, *named, *more.values(), actor)

        return record


def every_command() -> Table:
    """The table, whose commands of the server find no server."""

    def nothing(_: object) -> Any:
        raise AssertionError("a unit test was about to manage this server")

    return commands(server_commands(nothing, nothing, nothing))


if TYPE_CHECKING:
    from paas.deploy import api

    def real_platform(layout: Layout, store: Store, errors: Errors) -> Platform:
        """For mypy: the real one can be called as the recording one is."""
        return api.Platform(layout, store, errors.tell)


@dataclass(frozen=True)
class Said:
    """What came of a command."""

    code: int
    stdout: bytes
    err: str

    @property
    def out(self) -> str:
        return self.stdout.decode()

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


class Paas:
    """Commands on a PaaS of its own, whose apps run nowhere."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.layout = Layout.at(folder / "root")
        self.store = Store(self.layout)
        self.let_in(KEY.name, admin=True)
        self.platform = Recorder()
        self.channel = Line()
        self.published: list[list[str]] = []
        self.table: Table = every_command()

    def __call__(
        self,
        *argv: str,
        caller: Caller = KEY,
        input: bytes = b"",
        tty: TerminalSize | None = None,
        env: Mapping[str, str] | None = None,
        stdout: int | None = None,
    ) -> Said:
        """Run one command, with files as its descriptors."""
        paths = [self.folder / name for name in ("stdin", "stdout", "stderr")]
        paths[0].write_bytes(input)
        flags = (os.O_RDONLY, *[os.O_RDWR | os.O_CREAT | os.O_TRUNC] * 2)
        opened = [os.open(path, flag, 0o600) for path, flag in zip(paths, flags, strict=True)]
        request = Request(
            argv=argv,
            env=env or {},
            cwd=self.folder,
            caller=caller,
            stdin=opened[0],
            stdout=opened[1] if stdout is None else stdout,
            stderr=opened[2],
            tty=tty,
            channel=self.channel,
        )
        try:
            code = self.dispatcher().handle(request)
        finally:
            for descriptor in opened:
                os.close(descriptor)
        return Said(code, paths[1].read_bytes(), paths[2].read_text(errors="replace"))

    def let_in(self, name: str, *, admin: bool) -> Caller:
        """A user with one key, both called `name`."""
        body = base64.b64encode(b"\0\0\0\x0bssh-ed25519" + name.encode()).decode()
        self.store.users.add(name, admin=admin)
        self.store.keys.add(name, parse_public_key(f"ssh-ed25519 {body}"))
        return Caller("key", name)

    def dispatcher(self) -> Dispatcher:
        return Dispatcher(
            layout=self.layout,
            table=self.table,
            errors=Errors(self.layout.logs / "bugs"),
            open_platform=lambda _: self.platform,
            publish_keys=lambda store: self.published.append([k.name for k in store.keys.list()]),
        )
