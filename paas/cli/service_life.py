"""create, destroy, list, exists, info, report, start, stop, restart, pause, set."""

from __future__ import annotations

import shlex
import unicodedata
from collections.abc import Iterator
from dataclasses import asdict

import click

from paas.cli.access import Access
from paas.cli.command import Command
from paas.cli.options import format_option, one_word
from paas.cli.output import moment
from paas.cli.parsing import Misused
from paas.cli.service_commands import ServiceCommands, show
from paas.cli.session import Session
from paas.cli.size import size
from paas.deploy.services import Wish
from paas.model.env import parse_value
from paas.model.limits import MIB
from paas.model.names import parse_config_key, shown
from paas.model.processes import parse_cpu_weight, parse_memory
from paas.model.service import CPU_WEIGHT, Service

FACTS = (
    *("cpu-weight", "dsn", "exposed", "hostname", "id", "image", "internal-ip", "kept"),
    *("links", "memory", "restarts", "status", "version", "volume"),
)
"""What `info` can be asked for alone."""

SETTABLE = ("memory", "cpu-weight", "config-options", "custom-env")


class Life:
    """The commands of one datastore's life, as functions."""

    def __init__(self, service: ServiceCommands) -> None:
        self._of = service

    def create(
        self,
        session: Session,
        service: str,
        version: str | None,
        image: str | None,
        memory: str | None,
        password: str | None,
        config_options: str | None,
        custom_env: tuple[str, ...],
    ) -> None:
        """Make a service and say how to reach it."""
        wish = Wish(
            version=version or "",
            image=image or "",
            memory=parse_memory(memory) if memory else 0,
            password=_password(session, password),
            options=tuple(shlex.split(config_options or "")),
            environment=tuple(map(_pair, custom_env)),
        )
        session.report.step(f"Creating {self._of.noun} service {service}")
        made = session.platform.services.create(
            self._of.noun, service, wish, actor=session.actor, report=session.report
        )
        session.report.result(f"{self._of.manifest.title} container created: {service}")
        self._show(session, made)

    def destroy(self, session: Session, service: str) -> None:
        """End a service and its data, after its name was typed."""
        found = self._of.find(session, service)
        session.confirm(
            service,
            f"This command will destroy the {self._of.noun} service {service} and its data.",
        )
        session.report.step(f"Deleting {service}")
        session.platform.services.destroy(found, actor=session.actor, report=session.report)
        session.report.result(f"{self._of.manifest.title} container deleted: {service}")

    def list(self, session: Session, form: str) -> None:
        """Print the names of this datastore's services."""
        services = session.store.services.list(self._of.noun)
        if form == "json":
            session.output.json([one.name for one in services])
            return
        session.report.result(f"{self._of.manifest.title} services")
        for one in services:
            session.output.line(one.name)

    def exists(self, session: Session, service: str) -> None:
        """End with 0 when the service exists, with 20 when it does not."""
        self._of.find(session, service)

    def info(self, session: Session, service: str, form: str, **wanted: bool) -> None:
        """Print all facts of a service, or one."""
        found = self._of.find(session, service)
        names = [name.replace("_", "-") for name, given in wanted.items() if given]
        if form == "json":
            session.output.json(self._json(session, found))
        elif names:
            session.output.line(self._text(session, found)[names[0]])
        else:
            self._show(session, found)

    def report(self, session: Session, service: str | None, form: str) -> None:
        """Print the facts of one service, or of all."""
        every = session.store.services.list(self._of.noun)
        services = every if service is None else [self._of.find(session, service)]
        if form == "json":
            facts = {one.name: self._json(session, one) for one in services}
            session.output.json(facts if service is None else facts[service])
            return
        for one in services:
            self._show(session, one)

    def _show(self, session: Session, service: Service) -> None:
        facts = self._text(session, service)
        rows = [(name.capitalize().replace("-", " "), value) for name, value in facts.items()]
        show(session, f"{service.name} {self._of.noun} service information", rows)
        if facts["kept"] != "-":
            command = f"paas {self._of.noun}:prune {service.name}"
            session.report.detail(f"What is kept is its old data. To remove it: {command}")

    def _text(self, session: Session, service: Service) -> dict[str, str]:
        kept = session.platform.service_copies.kept.of(service)
        told = ", ".join(f"{one.volume} ({size(one.bytes)})" for one in kept)
        return dict(sorted({**self._facts(session, service), "kept": told or "-"}.items()))

    def _json(self, session: Session, service: Service) -> dict[str, object]:
        kept = [asdict(one) for one in session.platform.service_copies.kept.of(service)]
        return dict(sorted({**self._facts(session, service), "kept": kept}.items()))

    def _facts(self, session: Session, service: Service) -> dict[str, str]:
        platform = session.platform
        apps = platform.service_links.apps_of(service)
        return {
            "cpu-weight": str(service.cpu_weight),
            "dsn": platform.service_links.url(service),
            "exposed": str(platform.service_exposures.of(service) or "-"),
            "hostname": f"{service.hostname}.internal",
            "id": str(service.id),
            "image": service.reference or service.image,
            "internal-ip": platform.services.router.address(service),
            "links": " ".join(app.name for app in apps) or "-",
            "memory": f"{service.memory // MIB}m",
            "restarts": str(service.restarts),
            "since": moment(service.created_at),
            "status": platform.services.status(service),
            "version": service.version,
            "volume": service.volume or "-",
        }

    def start(self, session: Session, service: str) -> None:
        """Start a service that was stopped."""
        session.report.step(f"Starting {service}")
        session.platform.services.start(self._of.find(session, service), actor=session.actor)

    def stop(self, session: Session, service: str) -> None:
        """Stop a service until it is started."""
        session.report.step(f"Stopping {service}")
        session.platform.services.stop(self._of.find(session, service), actor=session.actor)

    def pause(self, session: Session, service: str) -> None:
        """The same under the name that Dokku has for keeping everything."""
        found = self._of.find(session, service)
        session.report.step(f"Pausing {service}")
        session.platform.services.stop(found, actor=session.actor, paused=True)

    def restart(self, session: Session, service: str) -> None:
        """Stop and start a service."""
        session.report.step(f"Restarting {service}")
        session.platform.services.restart(self._of.find(session, service), actor=session.actor)

    def set(self, session: Session, service: str, key: str, value: str | None) -> None:
        """Change what the next start of a service is made with."""
        found = self._of.find(session, service)
        services = session.store.services
        with session.store.transaction():
            match key:
                case "memory":
                    bytes_ = parse_memory(value) if value else self._of.manifest.memory
                    services.set_memory(found.id, bytes_)
                case "cpu-weight":
                    weight = parse_cpu_weight(value) if value else CPU_WEIGHT
                    services.set_cpu_weight(found.id, weight)
                case "config-options":
                    services.set_options(found.id, shlex.split(value or ""))
                case "custom-env":
                    pairs = dict(_pair(word) for word in shlex.split(value or ""))
                    services.set_environment(found, pairs)
                case _:
                    raise Misused(
                        f"{shown(key)} cannot be set",
                        resolution=f"There are {', '.join(SETTABLE)}.",
                    )
            session.note(None, f"{self._of.noun}:set", f"{service} {key}")
        session.report.step(f"Set {key} of {service}; {self._of.noun}:restart takes it up")


def _password(session: Session, given: str | None) -> str | None:
    if not given:
        return None
    if given == "-":
        given = session.read_input(4096).decode("utf-8", "replace").rstrip("\r\n")
    # Servers are told of it in lines of files and of SQL.
    if not given or any(unicodedata.category(letter) == "Cc" for letter in given):
        raise Misused("A password cannot be empty, nor hold control characters or line breaks")
    return parse_value("password", given)


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise Misused(f"{shown(text)} is not of the form KEY=VALUE")
    return parse_config_key(key), parse_value(key, value)


def life(of: ServiceCommands) -> Iterator[Command]:
    """The commands of one datastore's life."""
    do = Life(of)
    title = of.manifest.title
    yield of.command(
        "create",
        f"Create a {title} service",
        Access.DEPLOY,
        do.create,
        options=_wishes(of),
        description=f"{of.manifest.description}.",
    )
    yield of.command(
        "destroy",
        f"Delete a {title} service and its data",
        Access.OWN,
        do.destroy,
        description="Asks for its name on a terminal; --force does not ask. Not while linked.",
    )
    yield Command(
        f"{of.noun}:list",
        f"List the {title} services",
        Access.DEPLOY,
        do.list,
        options=(format_option(),),
    )
    yield of.command("exists", f"Check if a {title} service exists", Access.DEPLOY, do.exists)
    yield of.command(
        "info",
        f"Show what a {title} service is, or one fact of it",
        Access.DEPLOY,
        do.info,
        options=(format_option(), *map(_flag, FACTS)),
        description="The DSN holds the password.",
    )
    yield Command(
        f"{of.noun}:report",
        f"Show what one {title} service is, or all",
        Access.DEPLOY,
        do.report,
        arguments=(one_word("service", "<service>", required=False),),
        options=(format_option(),),
    )
    for verb, run in (("start", do.start), ("stop", do.stop), ("restart", do.restart)):
        yield of.command(verb, f"{verb.capitalize()} a {title} service", Access.DEPLOY, run)
    yield of.command("pause", f"Stop a {title} service, keeping it", Access.DEPLOY, do.pause)
    yield of.command(
        "set",
        f"Set or reset a property of a {title} service",
        Access.DEPLOY,
        do.set,
        arguments=(one_word("key", "KEY"), one_word("value", "VALUE", required=False)),
        description=f"Properties: {', '.join(SETTABLE)}. The next restart takes them up.",
    )


def _flag(name: str) -> click.Option:
    return click.Option([f"--{name}", name.replace("-", "_")], is_flag=True, help="This alone.")


def _wishes(of: ServiceCommands) -> tuple[click.Option, ...]:
    versions = ", ".join(of.manifest.versions)
    return (
        click.Option(
            ["-I", "--image-version", "--version", "version"],
            metavar="VERSION",
            help=f"One of {versions}; with --image, what it is.",
        ),
        click.Option(["-i", "--image"], metavar="IMAGE", help="Another image, by its name."),
        click.Option(
            ["-m", "--memory"],
            metavar="AMOUNT",
            help=f"Like 512m or 2g; {of.manifest.memory // MIB}m unless given.",
        ),
        click.Option(
            ["-p", "--password"],
            metavar="PASSWORD",
            help="Instead of a random one; - reads it from standard input.",
        ),
        click.Option(
            ["-c", "--config-options"], metavar="WORDS", help="Further words of its command."
        ),
        click.Option(
            ["-C", "--custom-env"],
            metavar="KEY=VALUE",
            multiple=True,
            help="A further variable of its server.",
        ),
    )
