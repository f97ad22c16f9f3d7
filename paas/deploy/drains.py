"""Sending the output of an app on: from its log files, which nobody waits for.

An app writes to its log whether or not anybody reads it, so a receiver that is slow or gone
blocks nothing. The files are the buffer: what is rotated away before it was sent is a gap,
which is counted and told. Everything else arrives at least once: the position of each file is
kept on disk, behind what the other side has taken.
"""

from __future__ import annotations

import json
import socket
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from paas.deploy import applogs
from paas.deploy.drain_sinks import DrainRefused, Sink, open_sink
from paas.deploy.running import log_directory
from paas.engine import logcursor
from paas.engine.logcursor import Position
from paas.engine.logs import Line
from paas.errors import PaasError
from paas.host.clock import Clock
from paas.host.files import write_atomic
from paas.model.app import App
from paas.model.drain import DRAIN_HOSTS, DrainUrl
from paas.model.layout import Layout
from paas.model.syslog import Message
from paas.store.drains import Drain
from paas.store.store import Store

IDLE_SECONDS = 0.5
"""Between two looks at logs without news."""

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds until what was not taken is sent again; doubled each time."""

BATCH_LINES = 1000
WRITING_SECONDS = 60.0
"""So long nobody writes a file of a few lines."""

ACTOR = "supervisor"


@dataclass
class Progress:
    """How far a drain is. `positions` are by the name of the log; `error` is what is wrong now,
    since `failing_since` (epoch seconds). `gaps`: how often something was gone before it was
    sent; `refused`: lines that the other side will never take.
    """

    positions: dict[str, Position] = field(default_factory=dict)
    sent: int = 0
    gaps: int = 0
    refused: int = 0
    error: str = ""
    failing_since: float | None = None

    @classmethod
    def load(cls, path: Path) -> Progress:
        """What was kept; a drain without it is at its begin."""
        try:
            kept = json.loads(path.read_bytes())
        except FileNotFoundError:
            return cls()
        kept["positions"] = {
            name: Position(
                inode,
                offset,
                head.encode("latin-1"),
                {stream: text.encode("latin-1") for stream, text in parts.items()},
            )
            for name, (inode, offset, head, parts) in kept["positions"].items()
        }
        return cls(**kept)

    def save(self, path: Path) -> None:
        """Keep it on disk."""
        positions = {
            name: (
                one.inode,
                one.offset,
                one.head.decode("latin-1"),
                {stream: text.decode("latin-1") for stream, text in one.parts.items()},
            )
            for name, one in self.positions.items()
        }
        path.parent.mkdir(mode=0o700, exist_ok=True)
        write_atomic(path, json.dumps({**self.__dict__, "positions": positions}))


@dataclass(frozen=True)
class Drains:
    """Adds, removes and describes drains."""

    layout: Layout
    store: Store
    clock: Clock

    def add(self, app: App, url: DrainUrl, *, actor: str) -> Drain:
        """Send on what the app writes from now on. Raises `DrainTaken`."""
        with self.store.transaction():
            drain = self.store.drains.add(app, url, actor)
            self.store.events.add(actor, app.name, "drain added", f"{drain.id}: {url}")
        return drain

    def remove(self, app: App, word: str, *, actor: str) -> Drain:
        """Send nothing there any more. Raises `DrainUnknown`."""
        with self.store.transaction():
            drain = self.store.drains.get(app, word)
            self.store.drains.remove(drain)
            self.store.events.add(actor, app.name, "drain removed", f"{drain.id}: {drain.url}")
        return drain

    def progress(self, drain: Drain) -> Progress:
        """How far it is."""
        return Progress.load(self._path(drain.id))

    def sweep(self) -> None:
        """Forget how far drains were that are removed."""
        folder = self.layout.root / "drains"
        found = list(folder.iterdir()) if folder.is_dir() else []
        # In this order: one that is added in between has not been found.
        known = {f"{drain}.json" for drain in self.store.drains.ids()}
        for path in found:
            # What begins with a dot is being written, or was when somebody was killed.
            if path.name not in known and not (path.name.startswith(".") and self._is_new(path)):
                path.unlink(missing_ok=True)

    def _is_new(self, path: Path) -> bool:
        try:
            return path.stat().st_mtime > self.clock.now() - WRITING_SECONDS
        except FileNotFoundError:
            return False

    def ship(self, drain_id: str) -> None:
        """Send until the drain is removed. Blocks; for a process of its own."""
        drain = self.store.drains.by_id(drain_id)
        if drain is None:
            return
        sink = open_sink(drain.url, self.store.settings.value(DRAIN_HOSTS))
        Shipper(self, drain, sink, self._path(drain_id)).run()

    def _path(self, drain_id: str) -> Path:
        return self.layout.root / "drains" / f"{drain_id}.json"


class Shipper:
    """Sends the output of one app to one place."""

    def __init__(self, drains: Drains, drain: Drain, sink: Sink, path: Path) -> None:
        self._store, self._clock = drains.store, drains.clock
        self._drain, self._sink, self._path = drain, sink, path
        self._directory = log_directory(drains.layout, drain.app_id)
        instances = drains.store.instances
        self._releases = applogs.Releases(lambda: instances.releases(drain.app_id))
        self._progress = Progress.load(path)
        self._turns: deque[str] = deque()
        self._host = socket.gethostname()

    def run(self) -> None:
        """Until the drain is removed."""
        while (app := self._app()) is not None:
            lines, positions = self._read()
            if lines and not self._deliver(app, lines):
                return
            if positions == self._progress.positions:
                self._clock.sleep(IDLE_SECONDS)
                continue
            self._progress.positions = positions
            self._progress.save(self._path)

    def _app(self) -> App | None:
        """Whose output it is, under its present name; None when there is nothing to do."""
        if self._store.drains.by_id(self._drain.id) is None:
            return None
        return self._store.apps.by_id(self._drain.app_id)

    def _read(self) -> tuple[list[Line], dict[str, Position]]:
        """Some lines that were not sent yet, in the order of time, and where they end."""
        sources = applogs.sources(self._directory, None)
        positions = {k: v for k, v in self._progress.positions.items() if k in sources}
        lines: list[Line] = []
        for name in self._in_turn(sources):
            found = logcursor.read(sources[name], positions.get(name))
            if found.position is not None:
                positions[name] = found.position
            if found.gap:
                self._progress.gaps += 1
                self._tell("drain lost lines", f"what {applogs.name_of(sources[name])} wrote")
            lines += [line for line in found.lines if line.at >= self._drain.created_at * 1e9]
            if len(lines) >= BATCH_LINES:
                break
        return sorted(lines, key=lambda line: line.at), positions

    def _in_turn(self, sources: Mapping[str, Path]) -> Sequence[str]:
        """All of them, another one first each time: one that is loud leaves room for others."""
        self._turns = deque(
            [name for name in self._turns if name in sources]
            + sorted(sources.keys() - set(self._turns))
        )
        self._turns.rotate(-1)
        return list(self._turns)

    def _deliver(self, app: App, lines: Sequence[Line]) -> bool:
        """Send them, again and again if need be; False when the drain is removed meanwhile."""
        messages = [self._message(app, line) for line in lines]
        pause, size = FIRST_PAUSE, len(messages)
        while True:
            try:
                self._send(messages, size)
            except PaasError as error:
                self._failed(error)
            else:
                self._recovered()
                return True
            if not self._rest(pause):
                return False
            # One that is slow takes less in time, and what it took is not sent again.
            pause, size = min(2 * pause, LONGEST_PAUSE), max(1, size // 2)

    def _send(self, messages: list[Message], size: int) -> None:
        """Send so many at once, or less where that is refused. What was taken is taken out."""
        while messages:
            batch = messages[:size]
            try:
                self._sink.send(batch)
                self._progress.sent += len(batch)
                size *= 2
            except DrainRefused:
                if len(batch) > 1:
                    size = len(batch) // 2
                    continue
                # What is never taken must not keep the rest from being.
                self._progress.refused += 1
            del messages[: len(batch)]

    def _message(self, app: App, line: Line) -> Message:
        release = self._releases.of(line)
        return Message(
            at=line.at,
            host=self._host,
            app=app.name,
            process=applogs.name_of(Path(line.source)),
            release="" if release is None else f"v{release}",
            is_error=line.stream == "stderr",
            text=line.text,
        )

    def _rest(self, seconds: float) -> bool:
        """Wait; says whether the drain is still there."""
        until = self._clock.monotonic() + seconds
        while self._clock.monotonic() < until:
            self._clock.sleep(min(IDLE_SECONDS, seconds))
            if self._app() is None:
                return False
        return True

    def _failed(self, error: PaasError) -> None:
        self._progress.error = error.brief
        if self._progress.failing_since is None:
            self._progress.failing_since = self._clock.now()
            self._tell("drain failing", error.brief)
        self._progress.save(self._path)

    def _recovered(self) -> None:
        if self._progress.failing_since is not None:
            self._progress.error, self._progress.failing_since = "", None
            self._tell("drain works again", "")

    def _tell(self, what: str, why: str) -> None:
        app = self._store.apps.by_id(self._drain.app_id)
        detail = f"{self._drain.id}: {self._drain.url}" + (f": {why}" if why else "")
        self._store.events.add(ACTOR, app.name if app else "", what, detail)
