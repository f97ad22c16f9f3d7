"""The directory of one container: the OCI bundle and what the engine knows about it.

    config.json                    what the runtime reads (it holds the environment)
    container.json                 `Record`, written before anything else is made
    live.json                      `Live`, when the runtime has created it
    hosts, resolv.conf, hostname   bound into the container, read-only
    exits/<id>                     the exit code, written by conmon
    restarts.json                  `Restarts`, once it was started again
    health.json                    what its health checks found
    still.json                     who holds it still for a moment, and lets it go on
    stopped, died, again           empty: it was told to end; its end is in the journal; it is
                                   being started again
    conmon.pid, init.pid, attach, ctl, winsz, oom    conmon's

It is on a tmpfs, below a 0700 directory, and gone after a restart of the machine.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from paas.engine.container import Container, ContainerNotFound, Live, Record, Restarts
from paas.engine.policy import RestartPolicy
from paas.host import files
from paas.host.identity import Identity
from paas.model.layout import Layout

BOUND = {"/etc/hosts": "hosts", "/etc/resolv.conf": "resolv.conf", "/etc/hostname": "hostname"}


class Bundle:
    """One container's directory, which may be absent or half-made."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.id = path.name

    @property
    def exits(self) -> Path:
        return self.path / "exits"

    @property
    def init_pid_file(self) -> Path:
        return self.path / "init.pid"

    @property
    def monitor_pid_file(self) -> Path:
        return self.path / "conmon.pid"

    @property
    def control(self) -> Path:
        """conmon's control fifo."""
        return self.path / "ctl"

    @property
    def attachment(self) -> Path:
        """conmon's socket for who attaches."""
        return self.path / "attach"

    def bound_files(self) -> dict[str, Path]:
        """Paths in the container and the files that are bound there."""
        return {target: self.path / name for target, name in BOUND.items()}

    def create(self, record: Record) -> None:
        """Make the directory. Raises `FileExistsError` for a container that is there."""
        self.path.mkdir(mode=0o700)
        self.exits.mkdir(mode=0o700)
        self._write("container.json", asdict(record))

    def write_config(self, document: Mapping[str, Any]) -> None:
        self._write("config.json", document)

    def config(self) -> dict[str, Any]:
        """The OCI configuration; empty before it is written."""
        return self._read("config.json") or {}

    def write_bound(self, *, hostname: str, address: str | None, resolver: str) -> None:
        """The files about names; in place, since they may be bound already."""
        names = f"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n{address or '127.0.1.1'}"
        texts = {
            "hosts": f"{names}\t{hostname}\n",
            "resolv.conf": resolver,
            "hostname": f"{hostname}\n",
        }
        for name, text in texts.items():
            path = self.path / name
            path.write_text(text)
            path.chmod(0o644)

    def record(self) -> Record | None:
        """What was decided; None for a directory that was only just made."""
        document = self._read("container.json")
        if document is None:
            return None
        return Record(**{**document, "keeper": Identity(**document["keeper"])})

    def known_record(self) -> Record:
        """`record`. Raises `ContainerNotFound` for a directory without one."""
        record = self.record()
        if record is None:
            raise ContainerNotFound(self.id)
        return record

    def write_live(self, live: Live) -> None:
        self._write("live.json", asdict(live))

    def live(self) -> Live | None:
        document = self._read("live.json")
        if document is None:
            return None
        init, monitor = _identity(document["init"]), _identity(document["monitor"])
        return replace(Live(**document), init=init, monitor=monitor) if init else None

    def write_restarts(self, restarts: Restarts) -> None:
        self._write("restarts.json", asdict(restarts))

    def restarts(self) -> Restarts:
        """How often it was started again, and by whom last."""
        document = self._read("restarts.json")
        if document is None:
            return Restarts()
        return Restarts(**{**document, "keeper": _identity(document["keeper"])})

    def write_health(self, document: Mapping[str, Any]) -> None:
        self._write("health.json", document)

    def health(self) -> dict[str, Any] | None:
        """What was kept of its health checks; None before the first."""
        return self._read("health.json")

    def write_holder(self, holder: Identity | None) -> None:
        """Who holds it still and will let it go on; None for nobody any more."""
        if holder is None:
            (self.path / "still.json").unlink(missing_ok=True)
        else:
            self._write("still.json", asdict(holder))

    def holder(self) -> Identity | None:
        return _identity(self._read("still.json"))

    def mark(self, name: str) -> bool:
        """Leave a mark; whether it was not there before, which one caller alone hears."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            os.close(os.open(self.path / name, flags, 0o600))
        except FileExistsError:
            return False
        return True

    def unmark(self, name: str) -> None:
        (self.path / name).unlink(missing_ok=True)

    def marked(self, name: str) -> bool:
        return (self.path / name).exists()

    def forget_run(self) -> None:
        """Forget all of the run that ended; not that it was told to, until it runs again."""
        (self.exits / self.id).unlink(missing_ok=True)
        for name in ("live.json", "health.json", "died", "again", "oom", "attach", "ctl"):
            (self.path / name).unlink(missing_ok=True)

    def ended_at(self) -> float | None:
        """When conmon wrote the exit code (epoch seconds)."""
        try:
            return (self.exits / self.id).stat().st_mtime
        except FileNotFoundError:
            return None

    def exit_code(self) -> int | None:
        """What conmon wrote when the container ended, if it has."""
        try:
            text = (self.exits / self.id).read_text()
        except FileNotFoundError:
            return None
        # conmon writes beside and renames, so a file is whole.
        return int(text)

    def container(self) -> Container | None:
        """The container as its users see it; None while it is only just begun."""
        record, live = self.record(), self.live()
        if record is None:
            return None
        address = live.address if live else None
        return Container(
            id=record.id,
            image=record.image,
            owner=record.owner,
            labels=record.labels,
            hostname=record.hostname,
            created_at=record.created_at,
            log=Path(record.log) if record.log else None,
            keeper=record.keeper,
            pid=live.init.pid if live else 0,
            address=IPv4Address(address) if address else None,
            restarts=RestartPolicy.parse(record.restart).restarts,
            stop_timeout=record.stop_timeout,
        )

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep others who remove this container out, by an flock on its directory."""
        try:
            directory = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            # Who came first is done, or died before there was one: harmless to do again.
            yield
            return
        try:
            fcntl.flock(directory, fcntl.LOCK_EX)
            yield
        finally:
            os.close(directory)

    def remove(self) -> None:
        files.remove_tree(self.path)

    def _write(self, name: str, document: Mapping[str, Any]) -> None:
        self._replace(self.path / name, json.dumps(document))

    def _read(self, name: str) -> dict[str, Any] | None:
        with suppress(FileNotFoundError):
            document: dict[str, Any] = json.loads((self.path / name).read_text())
            return document
        return None

    @staticmethod
    def _replace(path: Path, text: str) -> None:
        """Whole or not at all for other processes; never synced, a power cut clears /run."""
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        beside.replace(path)


class Bundles:
    """The bundles of one engine."""

    def __init__(self, layout: Layout) -> None:
        self._run = layout.run
        self._containers = layout.containers

    def of(self, container_id: str) -> Bundle:
        return Bundle(self._containers / container_id)

    def prepare(self) -> None:
        self._run.mkdir(mode=0o711, parents=True, exist_ok=True)
        self._containers.mkdir(mode=0o700, exist_ok=True)

    def __iter__(self) -> Iterator[Bundle]:
        if self._containers.is_dir():
            for path in sorted(self._containers.iterdir()):
                yield Bundle(path)


def _identity(document: Mapping[str, int] | None) -> Identity | None:
    return Identity(**document) if document else None
