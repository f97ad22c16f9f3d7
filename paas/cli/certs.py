"""The commands of certificates: what apps are served with over HTTPS."""

from __future__ import annotations

import time
from collections.abc import Iterable

import click

from paas.cli.access import Access
from paas.cli.command import Command, Names
from paas.cli.options import format_option, one_word, words
from paas.cli.output import moment
from paas.cli.parsing import Misused
from paas.cli.pem import read_pem
from paas.cli.session import Session
from paas.deploy.certificates import Served
from paas.model.app import App
from paas.model.certificate import Certificate
from paas.model.names import parse_domain
from paas.model.settings import HSTS_SECONDS, HTTPS_REDIRECT

DAY_S = 86400


def add(session: Session, app: App, files: tuple[str, ...]) -> None:
    """Serve an app with a certificate."""
    if len(files) not in {0, 2}:
        raise Misused("Give two files, the certificate and its key, or a tar on standard input")
    pem = read_pem(session, files)
    added = session.platform.certificates.add(app, pem, actor=session.actor, report=session.report)
    _tell(session, app, added)


def generate(session: Session, app: App, domains: tuple[str, ...]) -> None:
    """Serve an app with a new self-signed certificate."""
    names = [parse_domain(text) for text in domains]
    made = session.platform.certificates.generate(
        app, names, actor=session.actor, report=session.report
    )
    _tell(session, app, made)


def remove(session: Session, app: App, which: str | None) -> None:
    """Serve an app without a certificate."""
    names = session.platform.certificates.remove(
        app, which, actor=session.actor, report=session.report
    )
    session.report.step(f"Removed the certificate of {app.name} for {', '.join(names)}")


def report(session: Session, app: App | None, form: str) -> None:
    """Print what certificates an app has, or all apps."""
    found = {
        each.name: session.platform.certificates.of(each)
        for each in ([app] if app is not None else session.apps())
    }
    if form == "json":
        session.output.json(
            {name: [_fields(each) for each in served] for name, served in found.items()}
        )
        return
    for name, certificates in found.items():
        session.report.result(f"{name} certificates")
        for each in certificates:
            for line in _lines(each):
                session.output.line(f"       {line}")
        if not certificates:
            session.output.line("       none")


def change(
    session: Session, app: App, https_redirect: str | None, hsts_seconds: str | None
) -> None:
    """Change how an app is served over HTTPS."""
    if https_redirect is None and hsts_seconds is None:
        raise Misused("Give --https-redirect or --hsts-seconds")
    with session.store.transaction():
        for setting, text in ((HTTPS_REDIRECT, https_redirect), (HSTS_SECONDS, hsts_seconds)):
            if text is not None:
                setting.parse(text)
                session.keep(app, setting.name, text, "certs:set", setting.name)
    session.platform.certificates.publish(session.report)


def _tell(session: Session, app: App, certificate: Certificate) -> None:
    session.report.step(
        f"{app.name} is served with the certificate for {', '.join(certificate.names)}"
    )
    session.report.detail(f"until {moment(certificate.not_after)}")


def _days_left(certificate: Certificate) -> int:
    return int((certificate.not_after - time.time()) // DAY_S)


def _fields(served: Served) -> dict[str, object]:
    certificate = served.certificate
    return {
        "fingerprint": certificate.fingerprint,
        "source": certificate.source,
        "names": certificate.names,
        "domains": served.domains,
        "issuer": certificate.issuer,
        "serial": certificate.serial,
        "not_before": moment(certificate.not_before),
        "not_after": moment(certificate.not_after),
        "days_left": _days_left(certificate),
        "self_signed": certificate.self_signed,
    }


def _lines(served: Served) -> Iterable[str]:
    certificate = served.certificate
    left = _days_left(certificate)
    yield f"{'Fingerprint:':<16} {certificate.fingerprint[:16]}"
    yield f"{'Names:':<16} {', '.join(certificate.names)}"
    yield f"{'Serves:':<16} {', '.join(served.domains) or 'nothing'}"
    yield f"{'Source:':<16} {certificate.source}, issued by {certificate.issuer}"
    yield f"{'Valid until:':<16} {moment(certificate.not_after)} " + (
        f"({left} days)" if left >= 0 else "(EXPIRED)"
    )


COMMANDS = (
    Command(
        "certs:add",
        "Serve an app with a certificate",
        Access.DEPLOY,
        add,
        Names.AN_APP,
        arguments=(words("files", "FILE", required=False),),
        description="From two files, or from a tar or PEM text on standard input.",
    ),
    Command(
        "certs:generate",
        "Serve an app with a new self-signed certificate",
        Access.DEPLOY,
        generate,
        Names.AN_APP,
        arguments=(words("domains", "DOMAIN", required=False),),
    ),
    Command(
        "certs:remove",
        "Take certificates from an app",
        Access.DEPLOY,
        remove,
        Names.AN_APP,
        arguments=(one_word("which", "FINGERPRINT|NAME", required=False),),
    ),
    Command(
        "certs:report",
        "Show the certificates of an app, or of all",
        Access.VIEW,
        report,
        Names.MAYBE_AN_APP,
        options=(format_option(),),
    ),
    Command(
        "certs:set",
        "Change how an app is served over HTTPS",
        Access.DEPLOY,
        change,
        Names.AN_APP,
        options=(
            click.Option(["--https-redirect"], metavar="on|off", help=HTTPS_REDIRECT.help),
            click.Option(["--hsts-seconds"], metavar="SECONDS", help=HSTS_SECONDS.help),
        ),
    ),
)
