"""Keeping the objects of a push for as long as its deploy needs them.

git moves a push out of quarantine only after the hook, and deletes it when the
connection dies. Hard links make the deploy independent of both.
"""

from __future__ import annotations

import os
from pathlib import Path

from paas.deploy.tree import Objects


def keep_objects(quarantine: Path, repository: Path, destination: Path) -> Objects:
    """Link every object file of `quarantine` below `destination`.

    Links share the files' inodes, so nothing is copied and nothing is written to the
    repository. Raises OSError (EXDEV when they are on different file systems).
    """
    destination.mkdir(mode=0o700, parents=True)
    for directory, _, files in os.walk(quarantine):
        target = destination / Path(directory).relative_to(quarantine)
        target.mkdir(mode=0o700, exist_ok=True)
        for name in files:
            os.link(Path(directory, name), target / name, follow_symlinks=False)
    (destination / "pack").mkdir(mode=0o700, exist_ok=True)
    return Objects(destination, repository / "objects")
