"""What has to be there before anything of a PaaS starts: its users and directories."""

from __future__ import annotations

import grp
import os
import pwd
from dataclasses import dataclass
from pathlib import Path

from paas.daemon.owners import settle_owners
from paas.host.processes import run
from paas.model.layout import Layout

NOLOGIN = "/usr/sbin/nologin"


@dataclass(frozen=True)
class Account:
    """A system user with a group of its own."""

    name: str
    home: Path
    shell: str
    comment: str

    def ensure(self) -> None:
        """Make it if it is missing."""
        try:
            pwd.getpwnam(self.name)
        except KeyError:
            run(self._argv())

    def remove(self) -> None:
        """Delete it; a user who is not there is fine."""
        try:
            pwd.getpwnam(self.name)
        except KeyError:
            return
        run(["userdel", "--force", self.name])

    def _argv(self) -> list[str | Path]:
        # "*" fits no password, but is not the "!" of a locked account: without PAM, sshd
        # admits nobody to a locked one, key or not (sshd(8), "LOGIN PROCESS").
        return [
            "useradd", "--system", "--user-group", "--no-create-home", "--password", "*",
            "--home-dir", self.home, "--shell", self.shell, "--comment", self.comment, self.name,
        ]  # fmt: skip


def accounts(layout: Layout) -> tuple[Account, ...]:
    """The users of one PaaS. Only the first logs in, to its forced command."""
    nowhere = Path("/nonexistent")
    return (
        Account(layout.user, layout.ssh, "/bin/sh", "Deploys to paas over ssh"),
        Account(layout.git_user, nowhere, NOLOGIN, "Receives git packs for paas"),
        Account(layout.web_user, nowhere, NOLOGIN, "Dashboard of paas"),
    )


def directories(layout: Layout) -> tuple[tuple[Path, int], ...]:
    """Directory and mode, all of them root's, parents first.

    0711 where another user must pass: sshd to the keys, git to its repositories, nginx to
    its pages and logs.
    """
    return (
        (layout.root, 0o711),
        (layout.engine, 0o700),
        (layout.repos, 0o711),
        (layout.deploys, 0o711),
        (layout.locks, 0o700),
        (layout.logs, 0o711),
        (layout.logs / "apps", 0o700),
        (layout.logs / "services", 0o700),
        (layout.ssh, 0o755),
        (layout.run, 0o711),
    )


def prepare(layout: Layout) -> None:
    """Make users and directories; harmless when they are there."""
    for account in accounts(layout):
        account.ensure()
    for path, mode in directories(layout):
        path.mkdir(parents=True, exist_ok=True)
        os.chown(path, 0, 0)
        path.chmod(mode)
    settle_owners(layout)
    link_keys(layout)


def link_keys(layout: Layout) -> None:
    """Let any sshd find the keys: it looks for `.ssh/authorized_keys` in the home directory.

    A link instead of a line in sshd_config, which belongs to the administrator.
    """
    link = layout.ssh / ".ssh"
    if not link.is_symlink():
        link.symlink_to(".")


def clear(layout: Layout) -> None:
    """Delete the users and what they may have left in /etc/group."""
    for account in accounts(layout):
        account.remove()
        try:
            grp.getgrnam(account.name)
        except KeyError:
            continue
        run(["groupdel", account.name])
