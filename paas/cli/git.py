"""What git asks for over ssh (gitprotocol-pack(5), "SSH Transport"), and deploys without it."""

from __future__ import annotations

import json

import click

from paas.cli.access import Access
from paas.cli.command import Command, Names
from paas.cli.options import one_word
from paas.cli.reports import report_options, show_report
from paas.cli.session import Session
from paas.deploy import sshclient
from paas.deploy.archive import KINDS
from paas.errors import PaasError
from paas.model.app import App
from paas.model.buildpacks import GIT_HOSTS
from paas.model.names import shown
from paas.model.processes import UnknownProperty
from paas.model.settings import DEPLOY_BRANCH

FIELDS = ("deploy-branch", "global-deploy-branch", "computed-deploy-branch", "sha")
"""Dokku's; computed is what holds."""

STDIN = "--"

MAX_PACKET = 1000
"""Bytes; what git takes is more than anybody reads."""


def receive_pack(session: Session, app: str) -> int:
    """Serve `git push`; the app is made when there is none of that name."""
    return session.platform.receive(app, session.request, session.caller)


def upload_pack(session: Session, app: str) -> int:
    """Serve `git fetch` and `git clone`."""
    name = session.store.apps.get(app).name
    return session.platform.upload_pack(name, session.request, session.caller)


def error_packet(message: str) -> bytes:
    """The packet by which a server refuses before anything else: `fatal: remote error: …`.

    Without it git guesses that the repository does not exist. Source: gitprotocol-pack(5),
    "pkt-line Format" and error-line.
    """
    line = f"ERR {message}\n".encode("utf-8", "surrogateescape")[:MAX_PACKET]
    return b"%04x" % (len(line) + 4) + line


def from_image(session: Session, app: App, image: str) -> None:
    """Deploy an image of a registry."""
    session.platform.delivery.image(app, image, actor=session.actor, report=session.report)


def load_image(session: Session, app: App, image: str) -> None:
    """Deploy an image from standard input."""
    delivery = session.platform.delivery
    delivery.load(app, image, session.request.stdin, actor=session.actor, report=session.report)


def from_archive(session: Session, app: App, url: str | None, kind: str) -> None:
    """Deploy the files of an archive, from a URL or from standard input."""
    session.platform.delivery.archive(
        app,
        None if url in (None, STDIN, "-") else url,
        kind,
        session.request.stdin,
        actor=session.actor,
        report=session.report,
    )


def sync(
    session: Session, app: App, url: str, ref: str | None, *, build: bool, if_changed: bool
) -> None:
    """Fetch from another server, and deploy it if that is wanted."""
    delivery = session.platform.delivery
    commit = delivery.sync(app, url, ref, report=session.report)
    live = session.store.releases.get(app.id, app.live).commit if app.live else None
    if if_changed and commit == live:
        session.report.detail("It is live already: nothing to deploy")
    elif build or if_changed:
        delivery.deploy(app, commit, actor=session.actor, report=session.report)


def change(session: Session, app: App | None, key: str, value: str | None) -> None:
    """Set the branch that deploys; without a value it is as at first."""
    if key != DEPLOY_BRANCH.name:
        raise UnknownProperty(key, [DEPLOY_BRANCH.name])
    if value is not None:
        DEPLOY_BRANCH.parse(value)
    session.keep(app, key, value, "git:set", key)
    done = f"Setting {key} to {value}" if value is not None else f"Unsetting {key}"
    session.report.step(f"{done} for {app.name if app else 'every app'}")
    if app is None:
        _tell_of_others(session)
    elif value is None:
        branch = session.store.settings.deploy_branch(app.id)
        now = f"It is {branch}, as for every app" if branch else "The next push decides which it is"
        session.report.detail(now)


def _tell_of_others(session: Session) -> None:
    """What every app has is not what the first push of one has set for it."""
    apps, settings = session.store.apps.list(), session.store.settings
    own = sum(settings.get(one.id, DEPLOY_BRANCH.name) is not None for one in apps)
    if own:
        count = f"{own} of {len(apps)} apps"
        session.report.detail(f"{count} have one of their own, and keep it: see git:report")


def report(session: Session, app: App | None, form: str, only: str | None) -> None:
    """Show which branch deploys one app, or all, and the commit that is live."""
    apps = session.apps() if app is None else [app]
    show_report(session, "git", {one.name: _fields(session, one) for one in apps}, form, only)


def _fields(session: Session, app: App) -> dict[str, str]:
    settings, releases = session.store.settings, session.store.releases
    live = releases.get(app.id, app.live) if app.live is not None else None
    values = (
        settings.get(app.id, DEPLOY_BRANCH.name),
        settings.get(None, DEPLOY_BRANCH.name),
        settings.deploy_branch(app.id),
        live.commit if live else None,
    )
    return dict(zip(FIELDS, (value or "" for value in values), strict=True))


def allow_host(session: Session, host: str) -> None:
    """Let this server fetch from a host, and learn its ssh keys."""
    name, _, port = host.partition(":")
    if not name or not (port or "22").isdecimal() or name.startswith("-"):
        raise PaasError(f"{shown(host)} is not of the form HOST or HOST:PORT")
    settings = session.store.settings
    with session.store.transaction():
        hosts = [*settings.value(GIT_HOSTS)]
        settings.set(None, GIT_HOSTS.name, json.dumps(sorted({*hosts, name})))
        session.note(None, "git host allowed", name)
    count = sshclient.learn(session.layout, name, int(port or 22))
    session.report.step(f"{name} may be fetched from; {count} ssh keys of it are known")


def public_key(session: Session) -> None:
    """Print the ssh key that this server fetches with; made when it is first asked for."""
    session.output.line(sshclient.make_key(session.layout, f"{session.layout.id}-deploy"))


COMMANDS = (
    Command(
        "git:from-image",
        "Deploy an image of a registry",
        Access.DEPLOY,
        from_image,
        Names.AN_APP,
        arguments=(one_word("image", "IMAGE"),),
    ),
    Command(
        "git:load-image",
        "Deploy an image from standard input",
        Access.DEPLOY,
        load_image,
        Names.AN_APP,
        arguments=(one_word("image", "IMAGE"),),
        description="For example: docker save IMAGE | ssh paas@server git:load-image APP IMAGE",
    ),
    Command(
        "git:from-archive",
        "Deploy the files of an archive",
        Access.DEPLOY,
        from_archive,
        Names.AN_APP,
        arguments=(one_word("url", "URL", required=False),),
        options=(
            click.Option(
                ["--archive-type", "kind"],
                type=click.Choice(KINDS),
                default="tar",
                metavar="TYPE",
                help=f"One of {', '.join(KINDS)}.",
            ),
        ),
        description="Without URL it is read from standard input. At most 1 GiB and 10000 files;"
        " a single directory around everything is left out.",
    ),
    Command(
        "git:sync",
        "Fetch the code of an app from another server",
        Access.DEPLOY,
        sync,
        Names.AN_APP,
        arguments=(one_word("url", "URL"), one_word("ref", "REF", required=False)),
        options=(
            click.Option(["--build"], is_flag=True, help="Deploy it."),
            click.Option(
                ["--build-if-changes", "if_changed"],
                is_flag=True,
                help="Deploy it unless it is live.",
            ),
        ),
    ),
    Command(
        "git:set",
        "Set the branch whose push deploys an app, or all apps",
        Access.DEPLOY,
        change,
        Names.APP_OR_GLOBAL,
        arguments=(one_word("key", "PROPERTY"), one_word("value", "VALUE", required=False)),
        description="PROPERTY is deploy-branch. Without a value an app has the server's again"
        " (--global), and where there is none that of its next push, which is then set for it.",
    ),
    Command(
        "git:report",
        "Show which branch deploys an app, or all, and the commit that is live",
        Access.VIEW,
        report,
        Names.MAYBE_AN_APP,
        options=report_options("git", FIELDS),
    ),
    Command(
        "git:allow-host",
        "Let this server fetch from a host, and learn its ssh keys",
        Access.ADMIN,
        allow_host,
        arguments=(one_word("host", "HOST"),),
        description="Public addresses need it for ssh alone; others are refused without it.",
    ),
    Command(
        "git:public-key",
        "Print the ssh key that this server fetches with",
        Access.ADMIN,
        public_key,
    ),
    Command(
        "git-receive-pack",
        "Receive a git push",
        Access.DEPLOY,
        receive_pack,
        Names.A_NAME,
        verbatim=True,
        hidden=True,
    ),
    Command(
        "git-upload-pack",
        "Serve a git fetch",
        Access.VIEW,
        upload_pack,
        Names.A_NAME,
        verbatim=True,
        hidden=True,
    ),
)

GIT_PROTOCOL = frozenset({"git-receive-pack", "git-upload-pack"})
"""Commands whose standard output is read by git."""
