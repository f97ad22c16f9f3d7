"""The commands of builds: what pushes said, also to who lost the connection."""

from __future__ import annotations

import click

from paas.cli.access import Access
from paas.cli.command import Command, Names
from paas.cli.options import format_option
from paas.cli.output import columns, moment
from paas.cli.session import Session
from paas.model.app import App
from paas.model.deploy import Deploy, Stage

DEFAULT_COUNT = 20


def listing(session: Session, app: App, num: int, form: str) -> None:
    """Show the deploys of an app, the newest first."""
    found = session.platform.builds.list(app)[:num]
    if form == "json":
        session.output.json([_entry(session, one) for one in found])
        return
    session.report.result(f"{app.name} builds")
    rows = [
        (
            str(one.id),
            one.stage.value,
            f"v{one.release}" if one.release is not None else "-",
            (one.commit or "-")[:8],
            one.actor,
            moment(one.started_at),
            _seconds(one),
            one.error,
        )
        for one in found
    ]
    titles = ("BUILD", "STATUS", "RELEASE", "COMMIT", "BY", "STARTED", "TOOK", "")
    for line in columns([titles, *rows]):
        session.output.line(line)


def output(session: Session, app: App, build: int | None, *, tail: bool) -> int:
    """Show what a build said; with --tail until it has ended, and whether it is live."""
    if tail:
        session.request.channel.end_with_client()
    builds = session.platform.builds
    deploy = builds.find(app, build, with_output=True)
    ended = builds.output(deploy, session.output.foreign, follow=tail)
    session.output.foreign(b"")
    return int(tail and ended.stage is not Stage.LIVE)


def cancel(session: Session, app: App, build: int | None) -> None:
    """End a build that is under way; the release that is live stays."""
    deploy = session.platform.builds.cancel(app, build, session.actor)
    session.store.events.add(session.actor, app.name, "builds:cancel", f"build {deploy.id}")
    session.report.step(f"Canceling build {deploy.id} of {app.name}")


def _entry(session: Session, one: Deploy) -> dict[str, object]:
    return {
        "build": one.id,
        "status": one.stage.value,
        "release": f"v{one.release}" if one.release is not None else None,
        "commit": one.commit,
        "actor": one.actor,
        "started": moment(one.started_at),
        "seconds": None if one.ended_at is None else round(one.ended_at - one.started_at, 3),
        "error": one.error,
        "output": session.platform.builds.kept(one),
    }


def _seconds(one: Deploy) -> str:
    return "-" if one.ended_at is None else f"{one.ended_at - one.started_at:.1f} s"


def _build_argument() -> click.Argument:
    return click.Argument(["build"], metavar="BUILD", required=False, type=click.IntRange(1, 2**62))


COMMANDS = (
    Command(
        "builds:list",
        "Show the builds of an app, the newest first",
        Access.VIEW,
        listing,
        Names.AN_APP,
        options=(
            click.Option(
                ["-n", "--num"],
                type=click.IntRange(1, 1_000_000),
                default=DEFAULT_COUNT,
                metavar="COUNT",
                help=f"How many, {DEFAULT_COUNT} unless given.",
            ),
            format_option(),
        ),
    ),
    Command(
        "builds:output",
        "Show what a build said, the newest unless named",
        Access.VIEW,
        output,
        Names.AN_APP,
        arguments=(_build_argument(),),
        options=(click.Option(["-t", "--tail"], is_flag=True, help="Until it has ended."),),
        description="With --tail it ends with 0 when the build is live, else with 1: "
        "the way back to a push whose connection was lost.",
    ),
    Command(
        "builds:cancel",
        "End a build that is under way",
        Access.DEPLOY,
        cancel,
        Names.AN_APP,
        arguments=(_build_argument(),),
    ),
)
