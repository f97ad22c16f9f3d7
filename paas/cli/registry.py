"""The commands of registries: logins, mirrors, plain HTTP, private authorities."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from paas.cli.access import Access
from paas.cli.command import Command
from paas.cli.options import format_option, one_word
from paas.cli.output import columns
from paas.cli.parsing import Misused
from paas.cli.session import Session
from paas.engine import registries
from paas.engine.registries import RegistrySettings, checked_authority
from paas.engine.registry import Registry

MOST_PASSWORD = 64 * 1024
"""Bytes; some registries have whole key files for passwords."""

MOST_PEM = 1024 * 1024


def login(session: Session, registry: str, username: str) -> None:
    """Keep a login, if the registry takes it; the password comes on standard input."""
    if session.request.tty is not None:
        raise Misused(
            "The password comes on standard input: "
            f"paas registry:login {registry} {username} < password"
        )
    password = session.read_input(MOST_PASSWORD).decode("utf-8", "surrogateescape").rstrip("\r\n")
    _engine(session).login(registry, username, password)
    session.note(None, "registry:login", f"{registry} {username}")
    session.report.step(f"Logged in to {registry} as {username}")


def logout(session: Session, registry: str) -> None:
    """Forget a login."""
    _engine(session).logout(registry)
    session.note(None, "registry:logout", registry)
    session.report.step(f"Logged out of {registry}")


def list_registries(session: Session, form: str) -> None:
    """Print every registry that something is set for."""
    rows = _known(_engine(session))
    if form == "json":
        session.output.json(rows)
        return
    session.report.result("registries")
    table = [("REGISTRY", "LOGIN", "MIRRORS", "TLS")]
    for row in rows:
        trust = "off" if row["plain_http"] else "own authority" if row["authority"] else "on"
        mirrors = ", ".join(row["mirrors"])
        table.append((row["registry"], row["username"] or "", mirrors, trust))
    for line in columns(table):
        session.output.line(line)


def change(
    session: Session,
    registry: str,
    mirror: tuple[str, ...],
    plain_http: str | None,
    authority: str | None,
) -> None:
    """Change how a registry is reached."""
    engine = _engine(session)
    settings = engine.settings()
    if not mirror and plain_http is None and authority is None:
        raise Misused("Give --mirror, --plain-http or --authority")
    if mirror:
        settings = _with_mirrors(settings, registry, mirror)
    if plain_http is not None:
        others = tuple(host for host in settings.plain_http if host != registry)
        settings = replace(
            settings, plain_http=(*others, registry) if plain_http == "on" else others
        )
    if authority is not None:
        settings = _with_authority(session, settings, registry, authority)
    registries.save(engine.settings_file, settings)
    session.note(None, "registry:set", registry)
    session.report.step(f"{registry} is set")


def _with_mirrors(
    settings: RegistrySettings, registry: str, mirror: tuple[str, ...]
) -> RegistrySettings:
    mirrors = {name: hosts for name, hosts in settings.mirrors.items() if name != registry}
    if mirror != ("none",):
        mirrors[registry] = mirror
    return replace(settings, mirrors=mirrors)


def _with_authority(
    session: Session, settings: RegistrySettings, registry: str, authority: str
) -> RegistrySettings:
    known = {name: pem for name, pem in settings.authorities.items() if name != registry}
    if authority == "-":
        pem = session.read_input(MOST_PEM).decode("ascii", "replace")
        known[registry] = checked_authority(pem)
    elif authority != "none":
        raise Misused("--authority takes - (the certificate is on standard input) or none")
    return replace(settings, authorities=known)


def _known(engine: Registry) -> list[dict[str, Any]]:
    settings = engine.settings()
    logins = {one.registry: one.username for one in engine.logins()}
    names = {*settings.mirrors, *settings.plain_http, *settings.authorities, *logins}
    return [
        {
            "registry": name,
            "username": logins.get(name),
            "mirrors": list(settings.mirrors.get(name, ())),
            "plain_http": name in settings.plain_http,
            "authority": name in settings.authorities,
        }
        for name in sorted(names)
    ]


def _engine(session: Session) -> Registry:
    return session.platform.images.engine.registry


COMMANDS = (
    Command(
        "registry:login",
        "Log in to a registry; the password comes on standard input",
        Access.ADMIN,
        login,
        arguments=(one_word("registry", "REGISTRY"), one_word("username", "USERNAME")),
        description="The registry is asked before the login is kept.",
    ),
    Command(
        "registry:logout",
        "Forget the login of a registry",
        Access.ADMIN,
        logout,
        arguments=(one_word("registry", "REGISTRY"),),
    ),
    Command(
        "registry:list",
        "List the registries that something is set for",
        Access.ADMIN,
        list_registries,
        options=(format_option(),),
    ),
    Command(
        "registry:set",
        "Change how a registry is reached",
        Access.ADMIN,
        change,
        arguments=(one_word("registry", "REGISTRY"),),
        options=(
            click.Option(
                ["--mirror"],
                multiple=True,
                metavar="ADDRESS",
                help="Asked before it, in order; `none` takes all mirrors away.",
            ),
            click.Option(
                ["--plain-http"],
                type=click.Choice(["on", "off"]),
                metavar="on|off",
                help="Speak to it without TLS.",
            ),
            click.Option(
                ["--authority"],
                metavar="-",
                help="Trust the certificate (PEM) on standard input for it; `none` ends that.",
            ),
        ),
        description="Docker Hub is docker.io, the registry of names that have none.",
    ),
)
