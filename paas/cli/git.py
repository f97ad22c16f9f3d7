"""What git asks for over ssh: gitprotocol-pack(5), "SSH Transport"."""

from __future__ import annotations

from paas.cli.access import Access
from paas.cli.command import Command, Names
from paas.cli.session import Session

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
    line = f"ERR {message}\n".encode()[:MAX_PACKET]
    return b"%04x" % (len(line) + 4) + line


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

GIT_PROTOCOL = frozenset(command.name for command in COMMANDS)
"""Commands whose standard output is read by git."""
