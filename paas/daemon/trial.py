"""An upgrade on its trial: what is needed for the way back, whoever has to go it.

While `ROOT/upgrade/record.json` is there, a new version runs that nobody has approved yet.
Who upgrades holds the lock beside it. A record without a holder is of an upgrade that was
cut short (kill -9, power): what starts next goes back first. Commands that change something
wait for the verdict (`paas.cli.verdict`), and are refused where nobody is left to speak it, so
that the way back loses nothing of theirs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from paas.daemon.versions import Versions
from paas.errors import PaasError
from paas.host.database import copy_database, put_schema_back, schema_of
from paas.host.files import FileLock, remove_tree, sync_filesystem, write_atomic
from paas.model.layout import Layout


class AlreadyUpgrading(PaasError):
    """Somebody else upgrades this PaaS."""


@dataclass(frozen=True)
class Record:
    """Which version was in use, and which is tried."""

    program: str
    old: str
    new: str
    kept: bool = False
    """Whether the databases have been kept; nothing of the new version runs before."""


class Trial:
    """The databases as they were, and how to have them and the old version again."""

    def __init__(self, layout: Layout, observed: Path | None = None) -> None:
        """`observed` is the database of what is, below /run: the network's unless given."""
        self._layout = layout
        self._observed = observed or layout.network_database
        self._folder = layout.upgrade
        self._record = layout.upgrade_record

    @contextmanager
    def held(self, holder: str) -> Iterator[None]:
        """Be the one who upgrades. Raises `AlreadyUpgrading`."""
        lock = self._lock(holder)
        if not lock.try_acquire():
            raise AlreadyUpgrading(
                f"An upgrade is under way: {lock.holder()}", resolution="Wait for its end."
            )
        try:
            yield
        finally:
            lock.release()

    def begin(self, record: Record) -> None:
        """From now on clients wait for paasd, and commands for the verdict."""
        self._folder.mkdir(exist_ok=True)
        self._folder.chmod(0o711)
        write_atomic(self._record, json.dumps(asdict(record)), 0o644)

    def keep(self, record: Record) -> None:
        """Keep the databases as they are now: nobody writes to them."""
        for path in (*self._databases(), self._observed):
            if path.exists():
                copy_database(path, self._kept(path))
        sync_filesystem(self._folder)
        self.begin(replace(record, kept=True))

    @property
    def pending(self) -> bool:
        """Whether a version is on trial."""
        return self._record.exists()

    @property
    def abandoned(self) -> bool:
        """Whether a version is on trial, and nobody is left who would speak the verdict."""
        lock = FileLock(self._layout.upgrade_lock, shared=True)
        if not self.pending or not lock.try_acquire():
            return False
        try:
            # Looked at again: it may have been spoken just now.
            return self.pending
        finally:
            lock.release()

    def end(self) -> None:
        """The verdict is spoken: what is in use stays."""
        self._record.unlink(missing_ok=True)
        remove_tree(self._folder)

    def go_back(self) -> Versions:
        """Have the old version's databases and its program again; no paasd runs.

        A database whose schema is still the old one is left as it is: it has all that
        happened meanwhile. That of what is observed keeps its rows in any case: containers
        that were started meanwhile run on. Being killed in between and beginning again does
        no harm.
        """
        record = self._read()
        for path in self._databases():
            if record.kept and self._has_another_schema(path):
                copy_database(self._kept(path), path)
        if record.kept and self._has_another_schema(self._observed):
            put_schema_back(self._kept(self._observed), self._observed)
        versions = Versions(Path(record.program))
        versions.use(record.old)
        self.end()
        return versions

    def settle(self, stop: Callable[[], None]) -> Path | None:
        """Go back from an upgrade that was cut short; the interpreter to go on with.

        `stop` ends a paasd that may run. None when there is nothing to go back from, or when
        somebody is at it.
        """
        if not self._folder.exists():
            return None
        lock = self._lock(f"going back, process {os.getpid()}")
        if not lock.try_acquire():
            return None
        try:
            if not self.pending:
                self.end()
                return None
            stop()
            return self.go_back().python
        finally:
            lock.release()

    def copies(self) -> Path:
        """A root of its own with copies of the databases and their key, to try a version on."""
        root = self._folder / "rehearsal"
        remove_tree(root)
        (root / "engine").mkdir(mode=0o700, parents=True)
        for path in self._databases():
            copy_database(path, root / path.relative_to(self._layout.root))
        key = self._layout.secret_key
        if key.exists():
            write_atomic(root / key.name, key.read_bytes())
        return root

    def _read(self) -> Record:
        return Record(**json.loads(self._record.read_text()))

    def _databases(self) -> list[Path]:
        paths = (self._layout.database, self._layout.engine_database)
        return [path for path in paths if path.exists()]

    def _has_another_schema(self, path: Path) -> bool:
        """Than the one kept of it; after a reboot there may be none of what is observed."""
        kept = self._kept(path)
        return path.exists() and kept.exists() and schema_of(path) != schema_of(kept)

    def _kept(self, path: Path) -> Path:
        return self._folder / path.name

    def _lock(self, holder: str) -> FileLock:
        return FileLock(self._layout.upgrade_lock, holder)
