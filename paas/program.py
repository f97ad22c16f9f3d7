"""The composition root: the parts, put together, as `python -m paas` starts them.

    python -m paas [--root DIR] paasd|holder|up|down|doctor|upgrade|rehearse …

What a user types goes through the thin client (`paas.daemon.client`) to a running paasd;
only what starts, ends or examines the server itself is run in this process.
"""

from __future__ import annotations

import importlib
import importlib.resources
import os
import pkgutil
import pwd
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import paas
from paas.cli.dispatch import Dispatcher
from paas.cli.errors import Errors
from paas.cli.plugin_commands import plugin_commands
from paas.cli.server import server_commands
from paas.cli.session import Session
from paas.cli.table import commands
from paas.daemon import client, door, supervisor
from paas.daemon.authorized_keys import mend_authorized_keys, write_authorized_keys
from paas.daemon.channel import ClientChannel
from paas.daemon.doctor import Doctor
from paas.daemon.master import Master
from paas.daemon.peer import Admission
from paas.daemon.rehearsal import rehearse
from paas.daemon.resident import Resident
from paas.daemon.services import Services
from paas.daemon.trial import Trial
from paas.daemon.upgrade import Upgrade
from paas.daemon.whereabouts import Whereabouts
from paas.deploy.api import Platform
from paas.deploy.parts import Parts
from paas.engine import holder
from paas.errors import PaasError
from paas.host import sockets
from paas.host.commandgroups import CommandGroups
from paas.host.content import content
from paas.host.terminal import is_terminal, window_size
from paas.model.caller import Caller
from paas.model.layout import DEFAULT_ROOT, Layout
from paas.model.report import Silent
from paas.model.request import Request
from paas.proxy.render import warm
from paas.store.store import Store

HERE = ("up", "down", "doctor", "upgrade")
"""Commands that work without a paasd."""


def main(argv: Sequence[str]) -> int:
    """Run what `argv` says; returns the exit code."""
    root, words = (argv[1], argv[2:]) if argv[:1] == ["--root"] and argv[1:] else (None, argv)
    layout = Layout.at(root or os.environ.get("PAAS_ROOT") or DEFAULT_ROOT)
    match words[:1]:
        case ["paasd"]:
            return serve(layout, argv)
        case ["up"] if "--unit" not in words and os.geteuid() == 0:
            services = Services(Parts(layout))
            settle_upgrade(layout, argv, lambda: services.down(["paasd"], Silent()))
            return run_here(layout, words)
        case ["holder"]:
            holder.hold(layout)
            return 0
        case ["rehearse"]:
            return rehearse_upgrade(layout)
        case [name] if name in HERE:
            return run_here(layout, words)
    return client.main(list(argv))


def settle_upgrade(layout: Layout, argv: Sequence[str], stop: Callable[[], None]) -> None:
    """Before anything is started: where an upgrade was cut short, be the old version instead."""
    python = Trial(layout).settle(stop)
    if python is not None:
        log(" !     An upgrade was cut short: going on with the version before it")
        os.execv(python, [str(python), "-I", "-m", "paas", *argv])  # noqa: S606


def rehearse_upgrade(layout: Layout) -> int:
    """Whether this version can use the databases at `layout`, which are copies."""
    try:
        import_everything()
        rehearse(layout)
    except PaasError as error:
        log(str(error))
        return error.code
    return 0


def serve(layout: Layout, argv: Sequence[str]) -> int:
    """Be paasd until SIGTERM."""
    try:
        lock = door.take_lock(layout)
    except PaasError as error:
        log(str(error))
        return error.code
    settle_upgrade(layout, argv, lambda: None)  # no other paasd runs: the lock is ours
    Whereabouts(layout).entered()
    # Open before the slow part: who comes during a restart waits in the socket's queue.
    listener = door.open_door(layout, lock)
    import_everything()
    warm(content("proxy"))
    master = Master(
        listener,
        lock,
        admission=Admission.of(layout),
        cells=CommandGroups.of(layout),
        handler=dispatcher(layout).handle,
        residents=[Resident("supervisor", lambda: supervise(layout))],
        log=log,
    )
    master.run(lambda: sockets.notify("READY=1", os.environ.get("NOTIFY_SOCKET")))
    return 0


def supervise(layout: Layout) -> None:
    """The supervisor's process. First the keys: an upgrade may have moved what they start."""
    with closing(Store(layout)) as store:
        mend_authorized_keys(layout, store)
    supervisor.main(layout)


def run_here(layout: Layout, words: Sequence[str]) -> int:
    """Run a command of root's in this process, with nobody at the other end of its channel."""
    if os.geteuid() != 0:
        log(f" !     `{words[0]}` is for root: sudo paas {words[0]}")
        return 1
    ours, theirs = socket.socketpair()
    with ours, theirs:
        request = Request(
            argv=tuple(words),
            env={name: os.environ[name] for name in ("TERM", "LANG") if name in os.environ},
            cwd=Path.cwd(),
            caller=Caller("root", pwd.getpwuid(0).pw_name),
            stdin=0,
            stdout=1,
            stderr=2,
            tty=window_size(1) if is_terminal(0, 1) else None,
            channel=ClientChannel(ours, sockets.Receiver(ours)),
        )
        return dispatcher(layout).handle(request)


def dispatcher(layout: Layout) -> Dispatcher:
    """The commands over the real platform."""
    errors = Errors(layout.logs / "bugs")
    return Dispatcher(
        layout=layout,
        table=commands(server_commands(open_server, open_doctor, open_upgrade)),
        errors=errors,
        open_platform=lambda store: Platform(layout, store, errors.tell),
        publish_keys=lambda store: write_authorized_keys(layout, store.keys.list()),
        more=lambda store, table: plugin_commands(layout, store, table.nouns()),
    )


def open_server(session: Session) -> Services:
    """The server's processes, as a command of this session sees them."""
    return Services(Parts(session.layout, session.store))


def open_upgrade(session: Session) -> Upgrade:
    """What replaces this program by a newer one."""
    return Upgrade(Parts(session.layout, session.store))


def open_doctor(session: Session) -> Doctor:
    """Who looks whether all is well."""
    return Doctor(Parts(session.layout, session.store))


def import_everything() -> None:
    """Load every module, so that no child has to: a fork then costs milliseconds."""
    for module in pkgutil.walk_packages(paas.__path__, "paas."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    importlib.resources.files(paas)  # loads half of what it needs when it is first asked


def log(line: str) -> None:
    """To standard error: the journal, or the file that the administrator gave instead."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
