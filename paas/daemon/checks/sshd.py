"""Whether the machine's sshd answers, and lets in whoever has a key of ours (sshd_config(5))."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from paas.daemon.checks.check import Unwell
from paas.daemon.systemd import BOOTED
from paas.host.processes import ProgramMissing, run

ANSWER_S = 3.0

SEPARATION = Path("/run/sshd")
"""Without it sshd does not even read its configuration. Ubuntu's, which systemd starts with the
first connection, makes it only then."""

CROWD = 100
"""Logins at once that a team of people and machines may come to."""


def check(user: str) -> str:
    """Ask sshd what it would do with the login user, and whether it listens."""
    SEPARATION.mkdir(mode=0o755, exist_ok=True)
    try:
        done = run(["sshd", "-T", "-C", f"user={user},host=localhost,addr=127.0.0.1"], check=False)
    except ProgramMissing as error:
        raise Unwell("not installed", "apt-get install openssh-server") from error
    if done.code != 0:
        raise Unwell(done.stderr.decode(errors="replace").strip(), "Mend /etc/ssh/sshd_config.")
    options = sshd_options(done.text)
    problem = keys_refused(options, user)
    if problem is not None:
        raise Unwell(*problem)
    port = int(options.get("port", ["22"])[0])
    if not greets(port):
        remedy = "systemctl start ssh" if BOOTED.is_dir() else "/usr/sbin/sshd"
        raise Unwell(f"nobody answers on port {port}", f"Start it: {remedy}")
    return f"answers on port {port} and takes keys of {user}{few_at_once(options)}"


def sshd_options(text: str) -> dict[str, list[str]]:
    """What `sshd -T` prints: option to its values, in order."""
    options: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        options.setdefault(name.lower(), []).append(value)
    return options


def keys_refused(options: Mapping[str, Iterable[str]], user: str) -> tuple[str, str] | None:
    """Why sshd would admit nobody as `user`, and the remedy; None when it would."""
    config = "in /etc/ssh/sshd_config, then: systemctl reload ssh"
    if list(options.get("pubkeyauthentication", ["yes"])) != ["yes"]:
        return "PubkeyAuthentication is off", f"Switch it on {config}"
    files = " ".join(options.get("authorizedkeysfile", [])).split()
    if files and not any(name.endswith(".ssh/authorized_keys") for name in files):
        return (
            f"it does not read .ssh/authorized_keys, but {' '.join(files)}",
            f"Add .ssh/authorized_keys to AuthorizedKeysFile {config}",
        )
    if user in options.get("denyusers", []):
        return f"DenyUsers names {user}", f"Take it out {config}"
    allowed = list(options.get("allowusers", []))
    if allowed and user not in allowed and "*" not in allowed:
        return f"AllowUsers does not name {user}", f"Add it {config}"
    return None


def few_at_once(options: Mapping[str, Iterable[str]]) -> str:
    """What to know where a crowd would be refused: `MaxStartups` is start:rate:full."""
    start = " ".join(options.get("maxstartups", [])).partition(":")[0]
    if not start.isdecimal() or int(start) >= CROWD:
        return ""
    return f"; refuses some of more than {start} logins at once (MaxStartups)"


def greets(port: int) -> bool:
    """Whether an SSH server says its first line (RFC 4253, section 4.2)."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), ANSWER_S) as connection:
        connection.settimeout(ANSWER_S)
        return connection.recv(64).startswith(b"SSH-2.0-")
    return False
