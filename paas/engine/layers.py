"""Layers: unpacked directories that overlayfs stacks.

A layer is written as the upper directory of some overlay (or unpacked into one) below
`tmp/`, and then renamed to its place below `l/`: no copy, no tar, no digest. Both are in
the one tree that is idmapped for containers; on disk, ids start at 0.
"""

from __future__ import annotations

import os
import secrets
import stat
import string
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NewType

from paas.engine.fingerprint import measure
from paas.errors import PaasError
from paas.host import files, syscalls
from paas.host.clock import Clock, SystemClock
from paas.host.database import Database
from paas.host.disk import Disk
from paas.model.layout import Layout

LayerId = NewType("LayerId", str)
"""The name of a directory below `l/`: short, because the lower directories of an overlay
must be named in one 4 KiB page, and Docker allows 128 of them."""

EMPTY = LayerId("0")
"""A layer without content: an overlay needs a lower directory, `FROM scratch` has none."""

_DIGITS = string.digits + string.ascii_lowercase
_NAME_LENGTH = 6


class LayerMissing(PaasError):
    """A layer that a row names is not on disk: the store was damaged from outside."""


class Layers:
    """The layers of one engine."""

    def __init__(
        self,
        layout: Layout,
        db: Database,
        clock: Clock | None = None,
        disk: Disk | None = None,
    ) -> None:
        """`disk` is asked for room by whoever is about to make large layers."""
        self.disk = disk or Disk(layout.engine)
        self._fs = layout.engine_fs
        self._locks = layout.engine / "layers.lock"
        self._db = db
        self._clock = clock or SystemClock()

    def prepare(self) -> None:
        """Make the directories of the tree; again is harmless."""
        # 0700 above it: files setuid root lie in here as they are in their images.
        self._fs.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._fs.parent.chmod(0o700)
        # The names below are resolved by containers' uids through the idmapped mount.
        for directory in (self._fs, *(self._fs / name for name in ("l", "tmp", "u", f"l/{EMPTY}"))):
            directory.mkdir(exist_ok=True)
            directory.chmod(0o755)

    def lease(self) -> files.FileLock:
        """Held (shared) by whoever makes layers until an image names them.

        The collector takes the same lock alone, so it never sees a layer that is on its
        way into an image.
        """
        return files.FileLock(self._locks, shared=True)

    def sweep_lock(self) -> files.FileLock:
        """The lock of `lease`, alone: held while what nothing names is removed."""
        return files.FileLock(self._locks, "collecting layers")

    def sweep(self) -> None:
        """Remove directories without a row, and uppers. The caller holds `sweep_lock`."""
        self._db.execute(
            "DELETE FROM blobs WHERE diff_id NOT IN"
            " (SELECT diff_id FROM layers WHERE diff_id IS NOT NULL)"
        )
        known = {*self.list(), EMPTY}
        for place, kept in (("l", known), ("tmp", set[str]())):
            directory = self._fs / place
            for path in directory.iterdir() if directory.is_dir() else ():
                if path.name not in kept:
                    files.remove_tree(path)

    def new_upper(self, below: LayerId | None = None) -> Path:
        """An empty directory to write a layer into, with a place for overlay's work.

        Its own mode and owner become those of the root directory: 0755 and root, or what
        the layer `below` has.
        """
        self.prepare()
        upper = self._fs / "tmp" / secrets.token_hex(8) / "upper"
        upper.mkdir(parents=True)
        self.imitate_root(upper, below)
        return upper

    def imitate_root(self, upper: Path, below: LayerId | None) -> None:
        """Give `upper` the mode and owner of a layer's root, or 0755 and root.

        The root directory of an overlay has those of its upper directory.
        """
        upper.chmod(0o755)
        if below is not None:
            status = self.path(below).stat()
            os.chown(upper, status.st_uid, status.st_gid)
            upper.chmod(stat.S_IMODE(status.st_mode))

    def abandon(self, upper: Path) -> None:
        """Remove an upper directory that does not become a layer; again is harmless."""
        files.remove_tree(upper.parent)

    def commit(self, upper: Path, *, diff_id: str | None = None) -> LayerId:
        """Make an upper directory (no longer mounted) a layer.

        It is whole on disk before anything names it. `diff_id` is `sha256:…` of its
        uncompressed tar, if that is known.
        """
        if upper.parent.parent != self._fs / "tmp":
            raise ValueError(f"{upper} was not made by new_upper")
        layer = self._move_into_place(upper)
        files.sync_filesystem(self._fs)
        measured = measure(self._fs / "l" / layer)
        self._db.execute(
            "INSERT INTO layers (layer, diff_id, bytes, created_at, fingerprint)"
            " VALUES (?, ?, ?, ?, ?)",
            (layer, diff_id, measured.bytes, self._clock.now(), measured.fingerprint),
        )
        self.abandon(upper)
        return layer

    def path(self, layer: LayerId) -> Path:
        """Where a layer's files are. Raises `LayerMissing`."""
        path = self._fs / "l" / layer
        if not path.is_dir():
            raise LayerMissing(
                f"Layer {layer} is missing from {path.parent}",
                resolution="`paas images:verify --repair` pulls again what can be.",
            )
        return path

    def stack(self, layers: Sequence[LayerId]) -> list[LayerId]:
        """The layers as overlayfs takes them: the highest first, each once, not none.

        overlayfs refuses a directory twice. The lower of two occurrences adds nothing:
        all of it is in the upper one too. Raises `LayerMissing`.
        """
        unique = list(dict.fromkeys(reversed(layers))) or [EMPTY]
        for layer in unique:
            self.path(layer)
        return unique

    def list(self) -> list[LayerId]:
        """Every layer that has a row."""
        return [LayerId(row["layer"]) for row in self._db.execute("SELECT layer FROM layers")]

    def size(self, layer: LayerId) -> int:
        """Bytes on disk."""
        rows = self._db.execute("SELECT bytes FROM layers WHERE layer = ?", (layer,))
        return int(rows[0]["bytes"]) if rows else 0

    def diff_id(self, layer: LayerId) -> str | None:
        """`sha256:…` of the layer's tar, if it is known."""
        rows = self._db.execute("SELECT diff_id FROM layers WHERE layer = ?", (layer,))
        return rows[0]["diff_id"] if rows else None

    def set_diff_id(self, layer: LayerId, diff_id: str) -> None:
        """Remember the sha256 of the layer's tar, `sha256:…`."""
        self._db.execute("UPDATE layers SET diff_id = ? WHERE layer = ?", (diff_id, layer))

    def find(self, diff_id: str) -> LayerId | None:
        """A layer with this content, if one is here."""
        rows = self._db.execute(
            "SELECT layer FROM layers WHERE diff_id = ? AND NOT damaged", (diff_id,)
        )
        return next((LayerId(row["layer"]) for row in rows if self._exists(row["layer"])), None)

    def damage(self, layer: LayerId) -> str | None:
        """What is wrong with a layer's files, in a few words; None when nothing is."""
        path = self._fs / "l" / layer
        if not path.is_dir():
            return "its directory is missing"
        rows = self._db.execute("SELECT fingerprint FROM layers WHERE layer = ?", (layer,))
        known = rows[0]["fingerprint"] if rows else None
        if known is not None and measure(path).fingerprint != known:
            return "files are missing or were changed"
        return None

    def condemn(self, layer: LayerId) -> None:
        """Use a damaged layer for nothing new: neither for pulled images nor for builds."""
        with self._db.transaction():
            self._db.execute("UPDATE layers SET damaged = 1 WHERE layer = ?", (layer,))
            self._db.execute("DELETE FROM build_steps WHERE layer = ?", (layer,))

    def is_sound(self, layer: LayerId) -> bool:
        """Whether a layer is on disk and was not condemned; its files are not looked at."""
        rows = self._db.execute("SELECT damaged FROM layers WHERE layer = ?", (layer,))
        return bool(rows) and not rows[0]["damaged"] and self._exists(layer)

    def remember_blob(self, digest: str, size: int, diff_id: str) -> None:
        """Record that a registry's compressed blob (of `size` bytes) has that content.

        Both digests were taken of the bytes: what is here is not downloaded again.
        """
        self._db.execute("INSERT OR REPLACE INTO blobs VALUES (?, ?, ?)", (digest, diff_id, size))

    def known_blobs(self) -> dict[str, int]:
        """Digest and compressed size of every blob whose content is here as a layer."""
        rows = self._db.execute(
            "SELECT digest, blobs.bytes, layer FROM blobs JOIN layers USING (diff_id)"
            " WHERE NOT damaged"
        )
        return {row["digest"]: row["bytes"] for row in rows if self._exists(row["layer"])}

    def remove(self, layer: LayerId) -> None:
        """Forget a layer and remove its files.

        Raises `paas.host.database.Unique` while an image is made of it.
        """
        self._db.execute("DELETE FROM layers WHERE layer = ?", (layer,))
        files.remove_tree(self._fs / "l" / layer)

    def _exists(self, layer: str) -> bool:
        return (self._fs / "l" / layer).is_dir()

    def _move_into_place(self, upper: Path) -> LayerId:
        while True:
            layer = LayerId("".join(secrets.choice(_DIGITS) for _ in range(_NAME_LENGTH)))
            with suppress(FileExistsError):
                syscalls.renameat2(upper, self._fs / "l" / layer, syscalls.RENAME_NOREPLACE)
                return layer
