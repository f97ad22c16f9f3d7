"""The commands of automatic certificates, from Let's Encrypt or any ACME authority."""

from __future__ import annotations

import re
from pathlib import Path

import click

from paas.cli.access import Access
from paas.cli.command import Command, Names
from paas.cli.options import format_option, one_word
from paas.cli.output import columns, moment
from paas.cli.parsing import Misused
from paas.cli.session import Session
from paas.deploy.letsencrypt import Status
from paas.errors import PaasError
from paas.model.app import App
from paas.model.letsencrypt import FILES, PREFIX, SETTINGS
from paas.model.names import shown

BINDING_KEY = "eab-key"
KEYS = sorted([BINDING_KEY, *(each.name.removeprefix(PREFIX) for each in SETTINGS)])

REASONS = {
    "unspecified": 0,
    "keyCompromise": 1,
    "affiliationChanged": 3,
    "superseded": 4,
    "cessationOfOperation": 5,
}
"""Those that a subscriber may give (RFC 5280, section 5.3.1)."""

MAX_SECRET = 4096
"""Bytes of standard input."""


def change(session: Session, app: App | None, key: str, value: str | None) -> None:
    """Change whom certificates come from and how; without a value as at first."""
    if key == BINDING_KEY:
        _keep_binding_key(session, app, value)
        return
    setting = next((each for each in SETTINGS if each.name == f"{PREFIX}{key}"), None)
    if setting is None:
        raise Misused(f"{shown(key)} is not one of {', '.join(KEYS)}")
    if app is not None and not setting.app:
        raise Misused(f"{key} is the server's: letsencrypt:set --global {key}")
    if setting.name in FILES and not session.caller.is_root:
        raise Misused("A file of the server can be named by root alone")
    parsed = None if value is None else setting.text(value)
    if setting.name in FILES and parsed is not None and not Path(parsed).is_file():
        raise Misused(f"There is no file {shown(parsed)} on the server")
    session.keep(app, setting.name, parsed, "letsencrypt:set", key)
    done = f"Setting {key} to {parsed}" if value is not None else f"Unsetting {key}"
    session.report.step(f"{done} for {app.name if app else 'all apps'}")


def _keep_binding_key(session: Session, app: App | None, value: str | None) -> None:
    if app is not None:
        raise Misused(f"{BINDING_KEY} is the server's: letsencrypt:set --global {BINDING_KEY}")
    if value not in {None, "-"}:
        raise Misused(f"A secret is read from standard input: {BINDING_KEY} -")
    secret = None
    if value == "-":
        secret = session.read_input(MAX_SECRET).decode("ascii", "replace").strip()
        if not re.fullmatch(r"[A-Za-z0-9_-]{16,}={0,2}", secret):
            raise Misused("That is not a base64url key, as authorities hand them out")
    session.platform.letsencrypt.authorities.keep_binding_key(secret)
    session.note(None, "letsencrypt:set", BINDING_KEY)
    session.report.step("The key of the external account is " + ("kept" if secret else "forgotten"))


def revoke(session: Session, app: App, reason: str) -> None:
    """Have the certificates of an app declared invalid."""
    code = REASONS[reason]
    session.confirm(app.name, f"No browser will trust the certificates of {app.name} any more.")
    session.platform.letsencrypt.revoke(app, code, actor=session.actor, report=session.report)
    session.report.step(f"The certificates of {app.name} are revoked, and letsencrypt is disabled")


def roll_over(session: Session) -> None:
    """Give our account with the authority a new key."""
    session.platform.letsencrypt.roll_over(actor=session.actor)
    session.report.step("The account has a new key")


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
    seen = {app.id for app in session.apps()}
    statuses = [each for each in session.platform.letsencrypt.statuses() if each.app.id in seen]
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
        f"renewed from {moment(status.renew_at)}" if status.renew_at else "",
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
        "renew_at": moment(status.renew_at) if status.renew_at else None,
        "failures": status.renewal.failures,
        "error": status.renewal.error,
    }


COMMANDS = (
    Command(
        "letsencrypt:set",
        "Set whom certificates come from, and how",
        Access.ADMIN,
        change,
        Names.APP_OR_GLOBAL,
        arguments=(one_word("key", "KEY"), one_word("value", "VALUE", required=False)),
        description="With an e-mail address you agree to the authority's terms of service. KEY is "
        + "; ".join(f"{each.name.removeprefix(PREFIX)} ({each.help})" for each in SETTINGS)
        + f"; {BINDING_KEY} (the secret of the external account; VALUE is -).",
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
    Command(
        "letsencrypt:revoke",
        "Have the certificates of an app declared invalid, and disable it",
        Access.DEPLOY,
        revoke,
        Names.AN_APP,
        options=(
            click.Option(
                ["--reason"],
                type=click.Choice(list(REASONS)),
                default="unspecified",
                metavar="REASON",
                help=f"One of {', '.join(REASONS)}.",
            ),
        ),
    ),
    Command(
        "letsencrypt:account-rollover",
        "Give our account with the authority a new key",
        Access.ADMIN,
        roll_over,
    ),
)
