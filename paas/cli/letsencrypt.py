"""The commands of automatic certificates, from Let's Encrypt or any ACME authority."""

from __future__ import annotations

from pathlib import Path

import click

from paas.cli.access import Access
from paas.cli.command import Command, Names
from paas.cli.options import format_option
from paas.cli.output import columns, moment
from paas.cli.parsing import Misused
from paas.cli.session import Session
from paas.deploy.letsencrypt import Status
from paas.errors import PaasError
from paas.model.app import App
from paas.model.settings import (
    LETSENCRYPT_EMAIL,
    LETSENCRYPT_SERVER,
    LETSENCRYPT_TRUST,
)


def change(session: Session, email: str | None, server: str | None, trust: str | None) -> None:
    """Change whom all apps have their certificates from."""
    if email is None and server is None and trust is None:
        raise Misused("Give --email or --server")
    if trust and not session.caller.is_root:
        # We read it as root.
        raise Misused("A file of the server can be named by root alone")
    if trust and not (Path(trust).is_absolute() and Path(trust).is_file()):
        raise Misused("--trust takes the absolute path of a file on the server")
    for setting, text in (
        (LETSENCRYPT_EMAIL, email),
        (LETSENCRYPT_SERVER, server),
        (LETSENCRYPT_TRUST, trust),
    ):
        if text is not None:
            session.store.settings.set(None, setting.name, setting.parse(text))


def enable(session: Session, app: App) -> None:
    """Have a certificate for all domains of an app, and keep it valid."""
    session.platform.letsencrypt.enable(app, actor=session.actor, report=session.report)
    session.report.step(f"letsencrypt is enabled for {app.name}")


def disable(session: Session, app: App) -> None:
    """Take the automatic certificate from an app."""
    session.platform.letsencrypt.disable(app, actor=session.actor, report=session.report)
    session.report.step(f"letsencrypt is disabled for {app.name}")


def list_apps(session: Session, form: str) -> None:
    """Print the apps for which it is enabled."""
    statuses = session.platform.letsencrypt.statuses()
    if form == "json":
        session.output.json([_fields(each) for each in statuses])
        return
    session.report.result("letsencrypt apps")
    for line in columns([_row(each) for each in statuses]) if statuses else ():
        session.output.line(line)


def renew(session: Session, app: App | None) -> int:
    """Renew what is due now instead of when the supervisor comes to it."""
    letsencrypt = session.platform.letsencrypt
    failures = 0
    for each in [app] if app is not None else [one.app for one in letsencrypt.statuses()]:
        try:
            renewed = letsencrypt.renew(each, actor=session.actor, report=session.report)
        except PaasError as error:
            # One that fails keeps no other from its turn.
            failures += 1
            session.report.warn(f"{each.name}: {error}")
        else:
            session.report.step(f"{each.name} {'is renewed' if renewed else 'is not due yet'}")
    return 1 if failures else 0


def _row(status: Status) -> tuple[str, str, str, str]:
    certificate = status.certificate
    return (
        status.app.name,
        f"until {moment(certificate.not_after)}" if certificate else "no certificate",
        f"renewed from {moment(certificate.renew_at)}" if certificate else "",
        f"failed {status.renewal.failures} times: {status.renewal.error}"
        if status.renewal.failures
        else "",
    )


def _fields(status: Status) -> dict[str, object]:
    certificate = status.certificate
    return {
        "app": status.app.name,
        "names": certificate.names if certificate else (),
        "not_after": moment(certificate.not_after) if certificate else None,
        "renew_at": moment(certificate.renew_at) if certificate else None,
        "failures": status.renewal.failures,
        "error": status.renewal.error,
    }


COMMANDS = (
    Command(
        "letsencrypt:set",
        "Set whom certificates come from",
        Access.ADMIN,
        change,
        options=(
            click.Option(["--email"], metavar="ADDRESS", help=LETSENCRYPT_EMAIL.help),
            click.Option(["--server"], metavar="URL", help=LETSENCRYPT_SERVER.help),
            click.Option(["--trust"], metavar="FILE", help=LETSENCRYPT_TRUST.help),
        ),
        description="With an e-mail address you agree to the authority's terms of service.",
    ),
    Command(
        "letsencrypt:enable",
        "Have a certificate for an app, and keep it valid",
        Access.DEPLOY,
        enable,
        Names.AN_APP,
    ),
    Command(
        "letsencrypt:disable",
        "Take the automatic certificate from an app",
        Access.DEPLOY,
        disable,
        Names.AN_APP,
    ),
    Command(
        "letsencrypt:list",
        "List the apps with automatic certificates",
        Access.VIEW,
        list_apps,
        options=(format_option(),),
    ),
    Command(
        "letsencrypt:auto-renew",
        "Renew the certificates that are due, of an app or of all",
        Access.DEPLOY,
        renew,
        Names.MAYBE_AN_APP,
    ),
)
