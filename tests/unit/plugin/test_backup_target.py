"""A folder as a target of backups."""

from __future__ import annotations

import os
import time
from pathlib import Path

from paas.plugin.backup_target import ABANDONED_SECONDS, Folder


def test_what_a_killed_backup_left_goes_and_nothing_else(tmp_path: Path) -> None:
    kept = ["postgres-db-1.dump", ".mine", ".postgres-other-1.dump.7", "postgres-db-1.dump.7"]
    abandoned, written = ".postgres-db-20260101T000000.000000Z.dump.7", ".postgres-db-2.dump.8"
    for name in (*kept, abandoned, written):
        (tmp_path / name).touch()
        long_ago = time.time() - ABANDONED_SECONDS - 60
        os.utime(tmp_path / name, (long_ago, long_ago))
    # It is being copied, here or by another server.
    (tmp_path / written).write_bytes(b"more")
    Folder(tmp_path).sweep("postgres-db-")
    assert {path.name for path in tmp_path.iterdir()} == {*kept, written}
    Folder(tmp_path / "absent").sweep("postgres-db-")
