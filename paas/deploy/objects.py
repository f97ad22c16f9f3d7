"""Keeping the objects of a push for as long as its deploy needs them.

git moves a push out of quarantine only after the hook, and deletes it when the
connection dies. Hard links make the deploy independent of both.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from paas.deploy.tree import Objects, PushRefused


def keep_objects(quarantine: Path, objects: Objects, destination: Path) -> Objects:
    """Link every object file of `quarantine` below `destination`.

    Links share the files' inodes, so nothing is copied and nothing is written to the
    repository. The quarantine is the git user's: what is linked is looked at afterwards,
    where he cannot change it any more, and of his directories none is kept but those that
    hold objects (`info/alternates` would name others). Raises `PushRefused` for what is no
    file of his, OSError (EXDEV when they are on different file systems).
    """
    owner = quarantine.lstat()
    destination.mkdir(mode=0o700, parents=True)
    # fwalk follows no link, not even one that takes a directory's place meanwhile.
    for folder, directories, files, descriptor in os.fwalk(quarantine):
        directories[:] = [name for name in directories if name != "info"]
        target = destination / Path(folder).relative_to(quarantine)
        target.mkdir(mode=0o700, exist_ok=True)
        for name in files:
            os.link(name, target / name, src_dir_fd=descriptor, follow_symlinks=False)
            status = (target / name).lstat()
            if not stat.S_ISREG(status.st_mode) or status.st_uid != owner.st_uid:
                raise PushRefused(f"{name} among the pushed objects is no file of git's")
        give(target, owner.st_gid)
    return Objects(destination, objects.repository, objects.reading)


def give(directory: Path, group: int) -> None:
    """Let the git user look into a directory, whose owner stays root."""
    os.chown(directory, -1, group)
    directory.chmod(0o750)
