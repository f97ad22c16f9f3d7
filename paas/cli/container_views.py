"""Looking at containers: what runs, what it uses, says, did and changed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime

from paas.cli.output import columns, moment
from paas.cli.parsing import Misused
from paas.cli.session import Session
from paas.engine import logs as engine_logs
from paas.engine.container import Container, State
from paas.engine.engine import Engine
from paas.engine.stats import Stats, cpu_percent

SHORT = 12
"""Digits of an id in tables; more than enough to tell containers apart."""

SAMPLE_SECONDS = 1.0
"""Between two looks at counters."""

MIB = 1 << 20


def list_(session: Session, form: str, *, all: bool) -> None:  # noqa: A002  docker's word
    """Show what runs; with `all` also what has ended."""
    engine = session.platform.engine
    found = []
    for container in engine.containers.list():
        status = engine.containers.status(container.id)
        if all or not status.state.has_ended:
            found.append((container, status))
    if form == "json":
        session.output.json([_entry(one, status.state) for one, status in found])
        return
    rows = [("CONTAINER", "NAME", "IMAGE", "STATE", "CREATED", "ADDRESS")]
    for one, status in found:
        rows.append(
            (one.id[:SHORT], one.hostname, one.image.removeprefix("sha256:")[:SHORT],
             status.state.value, moment(one.created_at), str(one.address or "-"))
        )  # fmt: skip
    _table(session, rows)


def inspect(session: Session, container: str) -> None:
    """All that is known of one, as JSON; values of its environment are not shown."""
    engine = session.platform.engine
    session.output.json(engine.observer.inspect(engine.observer.find(container)))


def stats(session: Session, names: tuple[str, ...], form: str, *, no_stream: bool) -> None:
    """Show what containers use, once a second."""
    engine = session.platform.engine
    session.request.channel.end_with_client()
    before: dict[str, tuple[float, Stats]] = {}
    while True:
        now = _sample(engine, names)
        if before:
            _show_stats(session, engine, before, now, form)
            if no_stream:
                return
        before = now
        time.sleep(SAMPLE_SECONDS)


def top(session: Session, container: str, form: str) -> None:
    """Show the processes of one."""
    engine = session.platform.engine
    processes = engine.observer.top(engine.observer.find(container))
    if form == "json":
        session.output.json([vars(process) for process in processes])
        return
    rows = [("PID", "INNER", "UID", "STATE", "CPU", "MEMORY", "COMMAND")]
    for one in processes:
        uid = "-" if one.inner_uid is None else str(one.inner_uid)
        rows.append(
            (str(one.pid), str(one.inner_pid), uid, one.state, f"{one.cpu_seconds:.2f}s",
             _mib(one.memory_bytes), one.command)
        )  # fmt: skip
    _table(session, rows)


def events(session: Session, num: int, form: str, *, tail: bool) -> None:
    """Show what happened to containers, and go on when asked to."""
    journal = session.platform.engine.events
    coming = iter(journal.follow()) if tail else iter(())
    if tail:
        session.request.channel.end_with_client()
    for source in (journal.read(num), coming):
        for event in source:
            if form == "json":
                session.output.json(event.to_json())
                continue
            said = " ".join(f"{key}={value}" for key, value in event.attributes.items())
            stamp = datetime.fromtimestamp(event.at, UTC).isoformat(timespec="milliseconds")
            session.output.line(f"{stamp} {event.action} {event.container} {said}".rstrip())


def logs(session: Session, container: str, num: int, *, tail: bool) -> None:
    """Show the last lines of one, and go on when asked to."""
    engine = session.platform.engine
    path = engine.containers.get(engine.observer.find(container)).log
    if path is None:
        raise Misused("That container's output is not kept: it is a one-off's")
    if not tail:
        for line in engine_logs.last(path, num):
            session.output.line(line.text)
        return
    session.request.channel.end_with_client()
    for line in engine_logs.follow(lambda: {"": path}, num):
        session.output.line(line.text)


def diff(session: Session, container: str, form: str) -> None:
    """Show what one changed in its files."""
    engine = session.platform.engine
    changes = engine.commits.diff(engine.observer.find(container))
    if form == "json":
        session.output.json([{"path": one.path, "kind": one.kind.value} for one in changes])
        return
    for one in changes:
        # A name may have been made to look like more than one.
        shown = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in one.path)
        session.output.line(f"{one.kind.value} {shown}")


def _entry(one: Container, state: State) -> dict[str, object]:
    return {
        "id": one.id,
        "name": one.hostname,
        "image": one.image,
        "state": state.value,
        "owner": one.owner,
        "labels": dict(one.labels),
        "created": one.created_at,
        "address": str(one.address) if one.address else None,
        "pid": one.pid,
    }


def _sample(engine: Engine, names: Sequence[str]) -> dict[str, tuple[float, Stats]]:
    wanted = [engine.observer.find(name) for name in names]
    if not wanted:
        wanted = [one.id for one in engine.containers.list() if one.pid]
    return {one: (time.monotonic(), engine.observer.stats(one)) for one in wanted}


def _show_stats(
    session: Session,
    engine: Engine,
    before: dict[str, tuple[float, Stats]],
    now: dict[str, tuple[float, Stats]],
    form: str,
) -> None:
    hostnames = {one.id: one.hostname for one in engine.containers.list()}
    rows = [("CONTAINER", "NAME", "CPU", "MEMORY / LIMIT", "NET I/O", "BLOCK I/O", "PIDS")]
    for one in sorted(now.keys() & before.keys() & hostnames.keys()):
        (then, old), (at, new) = before[one], now[one]
        cpu = cpu_percent(old, new, at - then)
        if form == "json":
            entry = {"id": one, "name": hostnames[one], "cpu_percent": cpu, **new.to_json()}
            session.output.json(entry)
            continue
        rows.append(
            (one[:SHORT], hostnames[one], "-" if cpu is None else f"{cpu:.2f}%",
             f"{_mib(new.memory_bytes)} / {_mib(new.memory_limit_bytes)}",
             f"{_mib(new.network_received_bytes)} / {_mib(new.network_sent_bytes)}",
             f"{_mib(new.io_read_bytes)} / {_mib(new.io_write_bytes)}",
             "-" if new.pids is None else str(new.pids))
        )  # fmt: skip
    if form != "json":
        _table(session, rows)


def _table(session: Session, rows: Sequence[Sequence[str]]) -> None:
    for line in columns(rows):
        session.output.line(line)


def _mib(value: int | None) -> str:
    return "-" if value is None else f"{value / MIB:.1f}MiB"
