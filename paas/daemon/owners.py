"""Whose the data are on this machine: users have other numbers on another one.

Below these places nobody but root and the git user ever has a file. Whatever belongs to
somebody else was the git user's where the data come from.
"""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from paas.host.files import open_directory
from paas.host.walk import Walk
from paas.model.layout import Layout

PLACES = ("repos/*/*", "repos/*", "buildpacks/*", "deploys/*/*", "git/*")
"""What is looked at; all below what is found to be somebody else's is."""


def settle_owners(layout: Layout) -> None:
    """Give the git user what is the git user's; cheap where it is already.

    What is looked at is given last: killed half-way, the next call ends it.
    """
    user = pwd.getpwnam(layout.git_user)
    owners = _Owners(user.pw_uid, user.pw_gid)
    for path, status in _foreign(layout, owners):
        parent = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if stat.S_ISDIR(status.st_mode):
                for place, name, found in Walk(open_directory(parent, path.name)):
                    owners.give(place, name, found)
            owners.give(parent, path.name, status)
        finally:
            os.close(parent)


def _foreign(layout: Layout, owners: _Owners) -> Iterator[tuple[Path, os.stat_result]]:
    for pattern in PLACES:
        for path in layout.root.glob(pattern):
            # Where the server runs already, deploys end meanwhile.
            with suppress(FileNotFoundError):
                status = path.lstat()
                if not owners.belongs(status):
                    yield path, status


class _Owners:
    """The git user here, in place of whoever is neither root nor that."""

    def __init__(self, uid: int, gid: int) -> None:
        self._uid, self._gid = uid, gid

    def belongs(self, status: os.stat_result) -> bool:
        """Whether nobody else has any of it."""
        return self._wanted(status) == (status.st_uid, status.st_gid)

    def give(self, parent: int, name: str, status: os.stat_result) -> None:
        if not self.belongs(status):
            wanted = self._wanted(status)
            os.chown(name, *wanted, dir_fd=parent, follow_symlinks=False)

    def _wanted(self, status: os.stat_result) -> tuple[int, int]:
        return (
            status.st_uid if status.st_uid == 0 else self._uid,
            status.st_gid if status.st_gid == 0 else self._gid,
        )
