"""The directories of `RUN --mount=type=cache`: an app's own, kept between its builds.

They lie in the tree that is idmapped for containers, so their files have the container's
ids. A build holds the lock of each directory it uses, shared or alone, so that none is
removed under it.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from paas.host import files
from paas.host.clock import Clock, SystemClock
from paas.host.database import Database
from paas.host.files import FileLock
from paas.host.sizes import tree_size
from paas.model.layout import Layout

DIRECTORY = "caches"
"""Below the tree of layers."""


@dataclass(frozen=True)
class CacheDirectory:
    """One directory; `used_at` is in seconds since the epoch."""

    scope: str
    id: str
    name: str
    used_at: float


class CacheMounts:
    """The cache directories of one engine."""

    def __init__(self, layout: Layout, db: Database, clock: Clock | None = None) -> None:
        self._directory = layout.engine_fs / DIRECTORY
        self._locks = layout.engine / "build-locks"
        self._db = db
        self._clock = clock or SystemClock()

    @contextmanager
    def find(self, scope: str, cache_id: str) -> Iterator[CacheDirectory]:
        """The directory of an id, to be locked next; made when first asked for.

        Whoever removes directories waits until the block is left.
        """
        with FileLock(self._locks / "caches", shared=True):
            yield self._find(scope, cache_id)

    def path(self, cache: CacheDirectory) -> Path:
        """Where it is on disk; it may not exist yet."""
        return self._directory / cache.name

    def lock(self, cache: CacheDirectory, *, shared: bool) -> FileLock:
        """Held while a step uses the directory: alone, or with others."""
        return FileLock(self._locks / f"cache-{cache.name}", shared=shared)

    def create(self, cache: CacheDirectory, *, uid: int, gid: int, mode: int) -> bool:
        """Make the directory unless it is there; says whether it is new. Raises `OSError`."""
        self._directory.mkdir(parents=True, exist_ok=True)
        self._directory.chmod(0o755)
        return files.make_directory(self.path(cache), uid=uid, gid=gid, mode=mode)

    def list(self, scope: str | None = None) -> list[CacheDirectory]:
        """The directories of one owner, or of all."""
        rows = self._db.execute(
            "SELECT * FROM build_caches WHERE ? IS NULL OR scope = ? ORDER BY scope, id",
            (scope, scope),
        )
        return [_cache(row) for row in rows]

    def size(self, cache: CacheDirectory) -> int:
        """Bytes on disk."""
        return tree_size(self.path(cache))

    def prune(self, scope: str | None = None, unused_s: float = 0.0) -> int:
        """Remove what was not used within `unused_s` seconds and is not in use; the bytes."""
        since, freed = self._clock.now() - unused_s, 0
        for cache in self.list(scope):
            if cache.used_at > since:
                continue
            with FileLock(self._locks / "caches"):
                lock = self.lock(cache, shared=False)
                if not lock.try_acquire():
                    continue
                try:
                    freed += self.size(cache)
                    files.remove_tree(self.path(cache))
                    self._db.execute("DELETE FROM build_caches WHERE name = ?", (cache.name,))
                finally:
                    lock.release()
        return freed

    def recover(self) -> None:
        """Remove directories that no row names. No build may be running."""
        known = {cache.name for cache in self.list()}
        for path in list(self._directory.iterdir()) if self._directory.is_dir() else ():
            if path.name not in known:
                files.remove_tree(path)

    def _find(self, scope: str, cache_id: str) -> CacheDirectory:
        now = self._clock.now()
        with self._db.transaction():
            self._db.execute(
                "INSERT OR IGNORE INTO build_caches VALUES (?, ?, ?, ?)",
                (scope, cache_id, secrets.token_hex(8), now),
            )
            self._db.execute(
                "UPDATE build_caches SET used_at = ? WHERE scope = ? AND id = ?",
                (now, scope, cache_id),
            )
            rows = self._db.execute(
                "SELECT * FROM build_caches WHERE scope = ? AND id = ?", (scope, cache_id)
            )
        return _cache(rows[0])


def _cache(row: object) -> CacheDirectory:
    fields = dict(row)  # type: ignore[call-overload]
    return CacheDirectory(**fields)
