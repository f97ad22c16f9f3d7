"""What a layer's files look like from outside, in one number.

Names, kinds, modes, owners, sizes and times: what is lost to a crash, a full disk or a
stray `rm` changes it, and it costs no more than adding up the sizes, which is done anyway.
Bytes that rot in place do not: those are for the file system to notice.
"""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Measured:
    """Bytes on disk (a hard-linked file counted once), and `sha256:…` of what is there."""

    bytes: int
    fingerprint: str


def measure(path: Path) -> Measured:
    """Look at all that is below a directory; its own name, time and owner do not count."""
    seen: set[int] = set()
    total = 0
    lines = []
    root = os.fsencode(path)
    pending = [root]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                lines.append(_line(entry.path[len(root) :], status))
                if status.st_ino not in seen:
                    total += status.st_blocks * 512
                if status.st_nlink > 1:
                    seen.add(status.st_ino)
    digest = hashlib.sha256()
    for line in sorted(lines):
        digest.update(line)
    return Measured(total, f"sha256:{digest.hexdigest()}")


def _line(name: bytes, status: os.stat_result) -> bytes:
    mode = status.st_mode
    # The size of a directory depends on the file system and on its past.
    size = 0 if stat.S_ISDIR(mode) else status.st_size
    fields = (mode, status.st_uid, status.st_gid, size, status.st_mtime_ns)
    return b"%s\0%d %d %d %d %d\n" % (name, *fields)
