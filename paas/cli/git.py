"""What git asks for over ssh: gitprotocol-pack(5), "SSH Transport"."""

from __future__ import annotations

from paas.cli.access import Access
from paas.cli.command import Command, Names
from paas.cli.session import Session


def receive_pack(session: Session, app: str) -> int:
    """Serve `git push`; the app is made when there is none of that name."""
    return session.platform.receive(app, session.request, session.caller)


def upload_pack(session: Session, app: str) -> int:
    """Serve `git fetch` and `git clone`."""
    name = session.store.apps.get(app).name
    return session.platform.upload_pack(name, session.request, session.caller)


COMMANDS = (
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
