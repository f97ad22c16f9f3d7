"""The commands of the server itself: up, down, upgrade, doctor, report, version."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import click

from paas.cli.access import Access
from paas.cli.command import Command
from paas.cli.options import format_option, one_word
from paas.cli.session import Session
from paas.model.report import Report
from paas.model.settings import (
    ALLOW_FIREWALL,
    DOMAIN,
    HTTP_ADDRESS,
    HTTP_PORT,
    HTTPS_PORT,
    Setting,
)
from paas.model.version import VERSION


class Check(Protocol):
    """One line of the doctor's."""

    @property
    def name(self) -> str:
        """What was looked at."""

    @property
    def ok(self) -> bool:
        """Whether it is as it should be."""

    @property
    def text(self) -> str:
        """What was found."""

    @property
    def remedy(self) -> str:
        """What to do when it is not, or where that may not be what was meant."""


class Doctor(Protocol):
    """Looks whether all is well: `paas.daemon.doctor`."""

    def examine(self) -> Iterator[Check]:
        """Every check, as it is done."""


class Server(Protocol):
    """What runs the processes of the server: `paas.daemon.services`."""

    @property
    def names(self) -> Sequence[str]:
        """The services, in the order they start."""

    def prepare(self, report: Report) -> None:
        """Make users and directories."""

    def up(self, names: Iterable[str], report: Report) -> None:
        """Start what does not run."""

    def restart(self, name: str) -> None:
        """Stop and start one service."""

    def down(self, names: Iterable[str], report: Report) -> None:
        """Stop services."""

    def vanish(self) -> None:
        """Leave nothing in the kernel; everything is stopped."""

    def purge(self) -> None:
        """Remove everything, data included."""

    def start(self, name: str) -> None:
        """Start one service as its systemd unit does."""

    def stop(self, name: str) -> None:
        """Stop one service as its systemd unit does."""

    def open_firewall(self, report: Report) -> None:
        """Have the host's firewall pass what instances send out."""

    def close_firewall(self, report: Report) -> None:
        """Take that back."""

    def ensure_stack(self, report: Report) -> None:
        """Make the base images that builds stand on."""

    def publish(self, report: Report) -> None:
        """Have the proxy serve what the settings say."""

    def facts(self) -> Iterable[tuple[str, str]]:
        """Label and value: what this server is."""


class Upgrade(Protocol):
    """Replaces the program by a newer one: `paas.daemon.upgrade`."""

    def run(self, checkout: Path | None, report: Report) -> None:
        """Take over what is in a checkout, or go back to what is in use."""


OpenServer = Callable[[Session], Server]
OpenDoctor = Callable[[Session], Doctor]
OpenUpgrade = Callable[[Session], Upgrade]


class Commands:
    """The functions behind the commands, over what is made of a session."""

    def __init__(
        self, open_server: OpenServer, open_doctor: OpenDoctor, open_upgrade: OpenUpgrade
    ) -> None:
        self._open = open_server
        self._open_doctor = open_doctor
        self._open_upgrade = open_upgrade

    def up(  # noqa: PLR0913 (one per option)
        self,
        session: Session,
        *,
        http_port: int | None,
        https_port: int | None,
        http_address: str | None,
        domain: str | None,
        only: str | None,
        restart: str | None,
        unit: str | None,
        stack: bool,
        allow_firewall: bool | None,
    ) -> None:
        """Start what does not run, with the settings that were given."""
        server = self._open(session)
        if unit is not None:
            server.start(unit)
            return
        if restart is not None:
            server.restart(restart)
            return
        server.prepare(session.report)
        _keep(session, HTTP_PORT, http_port)
        _keep(session, HTTPS_PORT, https_port)
        _keep(session, HTTP_ADDRESS, http_address)
        _keep(session, DOMAIN, domain)
        if allow_firewall is not None:
            _keep(session, ALLOW_FIREWALL, "on" if allow_firewall else "off")
        server.up([only] if only else server.names, session.report)
        if only is None:
            if session.store.settings.value(ALLOW_FIREWALL):
                server.open_firewall(session.report)
            elif allow_firewall is not None:
                server.close_firewall(session.report)
            server.publish(session.report)
            if stack:
                server.ensure_stack(session.report)

    def down(self, session: Session, *, only: str | None, unit: str | None, purge: bool) -> None:
        """Stop everything, or one service; with `purge` remove everything too."""
        if purge:
            what = f"This command will remove {session.layout.root}: apps, databases, volumes, all."
            session.confirm(str(session.layout.root), what)
        server = self._open(session)
        if unit is not None:
            server.stop(unit)
            return
        server.down([only] if only and not purge else server.names, session.report)
        if purge:
            session.report.step(f"Removing {session.layout.root}")
            session.store.close()
            server.purge()
        elif only is None:
            server.vanish()

    def upgrade(self, session: Session, *, directory: str | None) -> None:
        """Replace the program by the one in a checkout, if that then serves as well."""
        checkout = None if directory is None else session.request.cwd / directory
        self._open_upgrade(session).run(checkout, session.report)

    def doctor(self, session: Session, *, form: str) -> int:
        """Print a line per check; 1 when one of them fails, which no warning does."""
        if form == "json":
            checks = list(self._open_doctor(session).examine())
            fields = ("name", "ok", "text", "remedy")
            session.output.json([{name: getattr(one, name) for name in fields} for one in checks])
            return 0 if all(check.ok for check in checks) else 1
        well = True
        for check in self._open_doctor(session).examine():
            word = "FAIL" if not check.ok else "warn" if check.remedy else "ok"
            session.output.line(f"{word:<4}  {check.name:<14} {check.text}")
            if check.remedy:
                session.output.line(f"      {'':<14} {check.remedy}")
            well = well and check.ok
        return 0 if well else 1

    def report(self, session: Session, *, form: str) -> None:
        """Print what this server is."""
        facts = list(self._open(session).facts())
        if form == "json":
            session.output.json({label.lower().replace(" ", "-"): value for label, value in facts})
            return
        session.report.result("server information")
        for label, value in facts:
            session.report.detail(f"{label + ':':<24} {value}")


def version(session: Session) -> None:
    """Print the version."""
    session.output.line(f"paas {VERSION}")


def server_commands(
    open_server: OpenServer, open_doctor: OpenDoctor, open_upgrade: OpenUpgrade
) -> tuple[Command, ...]:
    """The commands, over what the three make of a session."""
    run = Commands(open_server, open_doctor, open_upgrade)
    return (
        Command(
            "up",
            "Start the server's processes that do not run",
            Access.ROOT,
            run.up,
            options=(
                click.Option(["--http-port"], type=click.IntRange(1, 65535), metavar="PORT"),
                click.Option(["--https-port"], type=click.IntRange(1, 65535), metavar="PORT"),
                click.Option(["--http-address"], metavar="ADDRESS"),
                click.Option(["--domain"], metavar="DOMAIN"),
                _service("--only", help="Start this service alone."),
                _service("--restart", help="Restart this service; instances keep running."),
                _service("--unit", hidden=True),
                click.Option(["--stack/--no-stack"], default=True, help="Make the stack too."),
                click.Option(
                    ["--allow-firewall/--no-allow-firewall"],
                    default=None,
                    help="Let the host's firewall pass what instances send out.",
                ),
            ),
            description="Settings given here are kept.",
        ),
        Command(
            "down",
            "Stop the server's processes and all instances",
            Access.ROOT,
            run.down,
            options=(
                _service("--only", help="Stop this service alone."),
                _service("--unit", hidden=True),
                click.Option(["--purge"], is_flag=True, help="Remove everything, data included."),
            ),
        ),
        Command(
            "upgrade",
            "Replace this program by a newer one, which has to prove itself",
            Access.ROOT,
            run.upgrade,
            arguments=(one_word("directory", "DIR", required=False),),
            description="DIR is a checkout of the newer version; without it, what install.sh"
            " --stage has built. It is tried on copies of the databases first. If it then does"
            " not serve all that was served before, the old one is put back, with its data."
            " No app is restarted; commands and pushes that come meanwhile wait.",
        ),
        Command(
            "doctor",
            "Check what the server needs",
            Access.ADMIN,
            run.doctor,
            options=(format_option(),),
        ),
        Command(
            "report", "Describe this server", Access.VIEW, run.report, options=(format_option(),)
        ),
        Command("version", "Print the version", Access.PUBLIC, version),
    )


def _keep(
    session: Session,
    setting: Setting[int] | Setting[str] | Setting[bool],
    value: int | str | None,
) -> None:
    """Store a server setting that was given. Raises what its parser raises."""
    if value is not None:
        session.store.settings.set(None, setting.name, setting.text(str(value)))


def _service(flag: str, *, help: str = "", hidden: bool = False) -> click.Option:  # noqa: A002
    """An option that takes one of the services."""
    names = click.Choice(["network", "instances", "proxy", "paasd"])
    return click.Option([flag], type=names, metavar="SERVICE", help=help, hidden=hidden)
