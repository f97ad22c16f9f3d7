"""The commands of SSH keys: who may push and operate."""

from __future__ import annotations

from pathlib import Path

import click

from paas.cli.access import Access
from paas.cli.command import Command
from paas.cli.options import format_option, one_word
from paas.cli.output import columns
from paas.cli.parsing import Misused
from paas.cli.session import Session
from paas.errors import NotFound
from paas.model.key import InvalidKey, Key, parse_public_key
from paas.model.names import parse_key_name

MAX_KEY_BYTES = 64 * 1024


def add(session: Session, name: str, file: str | None, user: str | None, *, member: bool) -> None:
    """Register a public key, from a file or from standard input."""
    parse_key_name(name)
    whose = parse_key_name(user) if user else name
    public_key = parse_public_key(_read(session, file))
    # Published before the commit: what sshd does not know is not in the table either.
    with session.store.transaction():
        session.store.users.add(whose, admin=not member)
        key = session.store.keys.add(name, public_key, whose)
        session.store.events.add(session.actor, "", "ssh-keys:add", f"{name} {key.fingerprint}")
        session.publish_keys()
    session.output.line(key.fingerprint)


def remove(session: Session, name: str) -> None:
    """Remove a key: it opens nothing from now on."""
    with session.store.transaction():
        session.store.keys.remove(name)
        session.store.events.add(session.actor, "", "ssh-keys:remove", name)
        session.publish_keys()
    session.report.step(f"Removed {name}")


def list_keys(session: Session, form: str) -> None:
    """Print fingerprint and name of every key."""
    found = session.store.keys.list()
    if form == "json":
        fields = ("name", "user", "fingerprint")
        session.output.json([{field: getattr(key, field) for field in fields} for key in found])
        return
    for line in columns([_row(key) for key in found]):
        session.output.line(line)


def _row(key: Key) -> tuple[str, str, str]:
    whose = "" if key.user == key.name else f'USER="{key.user}"'
    return key.fingerprint, f'NAME="{key.name}"', whose


def _read(session: Session, file: str | None) -> str:
    if file is None:
        if session.request.tty is not None:
            session.report.detail("Paste the public key, then press ^D")
        return _text(session.read_input(MAX_KEY_BYTES))
    # Only root may name files of the server: we read them as root.
    if not session.caller.is_root:
        raise Misused(
            "A file cannot be named over ssh",
            resolution="Give the key on standard input: paas ssh-keys:add NAME < key.pub",
        )
    path = session.request.cwd / Path(file)
    try:
        with path.open("rb") as opened:
            return _text(opened.read(MAX_KEY_BYTES))
    except OSError as error:
        raise NotFound(f"{path} cannot be read: {error.strerror}") from None


def _text(data: bytes) -> str:
    if not data.strip():
        raise InvalidKey(
            "There is no key to add",
            resolution="Give it on standard input: paas ssh-keys:add NAME < key.pub",
        )
    return data.decode("utf-8", "replace")


COMMANDS = (
    Command(
        "ssh-keys:add",
        "Register an SSH public key",
        Access.ADMIN,
        add,
        arguments=(one_word("name", "NAME"), one_word("file", "FILE", required=False)),
        options=(
            click.Option(
                ["--user"], metavar="USER", help="Whose key it is; without: of a user called NAME."
            ),
            click.Option(
                ["--member"], is_flag=True, help="A new user who is no admin: see access:add."
            ),
        ),
        description="Reads the key from standard input when no file is named.",
    ),
    Command(
        "ssh-keys:remove",
        "Remove an SSH public key",
        Access.ADMIN,
        remove,
        arguments=(one_word("name", "NAME"),),
    ),
    Command(
        "ssh-keys:list",
        "List SSH public keys",
        Access.ADMIN,
        list_keys,
        options=(format_option(),),
    ),
)
