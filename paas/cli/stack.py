"""The commands of the stack: the system that buildpack apps are built and run on."""

from __future__ import annotations

import click

from paas.cli.access import Access
from paas.cli.command import Command, Names
from paas.cli.options import format_option, one_word
from paas.cli.output import columns
from paas.cli.session import Session
from paas.engine.pulledstacks import Source
from paas.model.app import App


def show(session: Session, form: str) -> None:
    """List the stacks, when each was made, and the apps on it."""
    found = session.platform.stacks.list()
    if form == "json":
        session.output.json([{**vars(each)} for each in found])
        return
    session.report.result("Stacks")
    rows = [
        (
            each.name,
            each.suite,
            each.version,
            each.made or "(made when first needed)",
            f"{len(each.apps)} apps",
            f"to rebuild: {', '.join(each.behind)}" if each.behind else "",
            f"from {each.image}" if each.image else "",
        )
        for each in found
    ]
    for line in columns(rows):
        session.output.line(line)


def update(session: Session, stack: str | None) -> None:
    """Make or pull a stack as it is today, or all that are in use."""
    session.platform.stacks.update(stack, session.report)
    session.report.detail("Apps keep theirs until they are rebuilt: paas ps:rebuild --all")


def pull(session: Session, stack: str, image: str, build: str | None) -> None:
    """Make images of a registry a stack, or pull it again from another."""
    session.platform.stacks.pull(stack, Source(image, build or image), session.report)
    session.note(None, "stack:pull", f"{stack} {image}")
    session.report.detail(f"Apps choose it: paas stack:set APP {stack}")


def remove(session: Session, stack: str) -> None:
    """Take a pulled stack away."""
    session.platform.stacks.remove(stack)
    session.note(None, "stack:remove", stack)
    session.report.step(f"{stack} is removed")


def choose(session: Session, app: App, stack: str) -> None:
    """Build an app on a stack, from its next build on."""
    with session.store.transaction():
        session.platform.stacks.choose(app, stack)
        session.note(app, "stack:set", stack)
    session.report.step(f"{app.name} is built on {stack} from its next build on")


COMMANDS = (
    Command(
        "stack:list",
        "List the stacks and the apps on them",
        Access.VIEW,
        show,
        options=(format_option(),),
    ),
    Command(
        "stack:pull",
        "Make images of a registry a stack, such as Heroku's",
        Access.ADMIN,
        pull,
        arguments=(one_word("stack", "STACK"), one_word("image", "IMAGE")),
        options=(
            click.Option(
                ["--build"],
                metavar="IMAGE",
                help="What apps are built in, where that is another: heroku/heroku:24-build.",
            ),
        ),
        description="STACK is also what buildpacks find in $STACK: heroku-24 heroku/heroku:24."
        " stack:update pulls it again.",
    ),
    Command(
        "stack:remove",
        "Take away a stack that was pulled",
        Access.ADMIN,
        remove,
        arguments=(one_word("stack", "STACK"),),
    ),
    Command(
        "stack:update",
        "Make a stack with the packages of today",
        Access.ADMIN,
        update,
        arguments=(one_word("stack", "STACK", required=False),),
        description="Without STACK, all that are in use; one that was pulled is pulled again."
        " Apps keep theirs until they are rebuilt.",
    ),
    Command(
        "stack:set",
        "Choose the stack that an app is built on",
        Access.DEPLOY,
        choose,
        Names.AN_APP,
        arguments=(one_word("stack", "STACK"),),
    ),
)
