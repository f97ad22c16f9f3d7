"""The layer cache: what a step made, found again by what it was made of.

A key is the sha256 of the layers below and everything a step may look at. Layers are
never changed, and their names never used again, so a list of names stands for the files.
Shared by all apps of the server; survives restarts; a row goes when its layer goes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from paas.engine.layers import LayerId, LayerMissing, Layers
from paas.host.clock import Clock, SystemClock
from paas.host.database import Database
from paas.host.files import FileLock
from paas.model.layout import Layout

Input = str | int | bool | None | Sequence["Input"] | Mapping[str, "Input"]

DAY = 86400.0
LOCK_DIGITS = 3
"""Hex digits of a key that name its lock: 4096 files, never more, whatever is built."""


@dataclass(frozen=True)
class Made:
    """What a step made; `layer` is None when it changed no file."""

    layer: LayerId | None
    created_at: float


def step_key(kind: str, below: Sequence[LayerId], **inputs: Input) -> str:
    """The key of a step on top of the layers `below`."""
    document = json.dumps([kind, list(below), inputs], sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(document.encode()).hexdigest()


class Cache:
    """The steps of one engine."""

    def __init__(
        self, layout: Layout, db: Database, layers: Layers, clock: Clock | None = None
    ) -> None:
        self._locks = layout.engine / "build-locks"
        self._db = db
        self._layers = layers
        self._clock = clock or SystemClock()

    def find(self, key: str) -> Made | None:
        """What the step of that key made, if all of it is still here."""
        rows = self._db.execute(
            "SELECT layer, created_at, used_at FROM build_steps WHERE key = ?", (key,)
        )
        if not rows:
            return None
        row = rows[0]
        if row["layer"] is not None and not self._is_here(LayerId(row["layer"])):
            self._db.execute("DELETE FROM build_steps WHERE key = ?", (key,))
            return None
        now = self._clock.now()
        # Each write is an fsync; a build that finds all of its steps makes none.
        if now - row["used_at"] > DAY:
            self._db.execute("UPDATE build_steps SET used_at = ? WHERE key = ?", (now, key))
        layer = None if row["layer"] is None else LayerId(row["layer"])
        return Made(layer, row["created_at"])

    def keep(self, key: str, step: str, made: Made) -> None:
        """Remember what a step made; the later of two is kept."""
        self._db.execute(
            "INSERT OR REPLACE INTO build_steps VALUES (?, ?, ?, ?, ?)",
            (key, made.layer, step, made.created_at, self._clock.now()),
        )

    def layers(self, unused_s: float) -> set[LayerId]:
        """The layers of steps that were used within the last `unused_s` seconds.

        What a collector keeps for later builds; the rows of what it removes go with it.
        """
        since = self._clock.now() - unused_s
        rows = self._db.execute(
            "SELECT layer FROM build_steps WHERE layer IS NOT NULL AND used_at > ?", (since,)
        )
        return {LayerId(row["layer"]) for row in rows}

    def prune(self, unused_s: float) -> None:
        """Forget steps without a layer that were not used within `unused_s` seconds."""
        since = self._clock.now() - unused_s
        self._db.execute("DELETE FROM build_steps WHERE layer IS NULL AND used_at < ?", (since,))

    def now(self) -> float:
        """Seconds since the epoch, of what is made now."""
        return self._clock.now()

    @contextmanager
    def making(
        self, key: str, take: Callable[[FileLock], object] = FileLock.acquire
    ) -> Iterator[None]:
        """Held while a step is made: who comes second waits, and then finds it.

        `take` takes a lock that somebody may have. Two other steps may share a lock by chance and
        wait for nothing; as nobody holds one and wants another, nobody waits forever.
        """
        lock = FileLock(self._locks / key[:LOCK_DIGITS])
        take(lock)
        try:
            yield
        finally:
            lock.release()

    def _is_here(self, layer: LayerId) -> bool:
        try:
            self._layers.path(layer)
        except LayerMissing:
            return False
        return True
