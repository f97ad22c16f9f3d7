"""The file that lets SSH keys in: each to the thin client, and to nothing else.

Source: sshd(8), "AUTHORIZED_KEYS FILE FORMAT". `restrict` turns off everything there is
(forwarding, agent, X11, ~/.ssh/rc) and what later versions add; `pty` is wanted for `run`.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from pathlib import Path

from paas.host.files import write_atomic
from paas.model.key import Key
from paas.model.layout import Layout
from paas.store.store import Store

CLIENT = Path(__file__).with_name("client.py")
HEADER = "# Written by paas: changed by `paas ssh-keys:add` and `ssh-keys:remove`, not by hand.\n"

_LINE = re.compile(r"[\w@.+/=-]+ [A-Za-z0-9+/=]+")


def write_authorized_keys(layout: Layout, keys: Iterable[Key]) -> None:
    """Let exactly these keys in. Root's file, which sshd reads on each login."""
    write_atomic(layout.ssh / "authorized_keys", _text(layout, keys), mode=0o644)


def mend_authorized_keys(layout: Layout, store: Store) -> None:
    """Let the keys of the table in where the file says something else: a command was killed
    beside its commit, or an upgrade moved what keys start.
    """
    if _is_right(layout, store):
        return
    # A command that is not killed may be there as well, and its file is right in a moment.
    with store.transaction():
        if not _is_right(layout, store):
            write_authorized_keys(layout, store.keys.list())


def _is_right(layout: Layout, store: Store) -> bool:
    wanted, path = _text(layout, store.keys.list()), layout.ssh / "authorized_keys"
    return path.exists() and path.read_text() == wanted


def _text(layout: Layout, keys: Iterable[Key]) -> str:
    return HEADER + "".join(f"{authorized_line(layout, key)}\n" for key in keys)


def authorized_line(layout: Layout, key: Key) -> str:
    """The line of one key.

    Raises `ValueError` for what is not one word of type and one of base64: a second line
    in it would be somebody's key without a forced command.
    """
    if not _LINE.fullmatch(key.public_key):
        raise ValueError(f"key {key.name!r} cannot be a line of authorized_keys")
    argv = ["/usr/bin/python3", "-I", "-S", str(CLIENT)]
    argv += ["--root", str(layout.root), "--key", key.name]
    # Run by /bin/sh, the login user's shell: with exec, or ^C kills the shell that waits, and
    # ssh reports that instead of the command's code. Then quoted once more, for sshd.
    command = f"exec {shlex.join(argv)}"
    if not command.isprintable():
        raise ValueError(f"the name of key {key.name!r} cannot be in authorized_keys")
    quoted = command.replace('"', '\\"')
    return f'restrict,pty,command="{quoted}" {key.public_key}'
