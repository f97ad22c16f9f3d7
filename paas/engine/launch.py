"""Has a container's first process created under a monitor, and lets it run: once, and again."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from paas.engine import monitor
from paas.engine.bundle import Bundle
from paas.engine.bundler import Bundler
from paas.engine.container import ContainerNotFound, Live, Restarts
from paas.engine.runtime import invoke
from paas.host.clock import Clock
from paas.host.identity import Identity

OUTPUT = (1, 2)
ALL = (0, 1, 2)


class Launcher:
    """The way from a bundle to a running process."""

    def __init__(self, bundler: Bundler, clock: Clock) -> None:
        self._bundler = bundler
        self._clock = clock

    def create(self, bundle: Bundle) -> None:
        """Have the runtime create the process, which then waits for `run`.

        Raises `RuntimeFailed`, `MonitorFailed`.
        """
        record = bundle.known_record()
        group = self._bundler.cgroups.monitor(bundle.id)
        creation = monitor.begin(bundle, self._bundler.runtime, record, group)
        try:
            address = self._bundler.give_address(record, bundle)
        except BaseException:
            creation.abandon()
            raise
        init, watcher = creation.wait()
        self._bundler.wire(record, init.pid)
        self._bundler.keep_memory(bundle.id)
        if not record.terminal:
            give_streams(init, bundle, ALL if record.stdin else OUTPUT)
        bundle.write_live(Live(init, watcher, str(address) if address else None))

    def create_again(self, bundle: Bundle, restarts: Restarts) -> None:
        """The same for one that has ended, whose end is in the journal."""
        again = replace(restarts, count=restarts.count + 1, keeper=Identity.current())
        bundle.write_restarts(again)
        self._bundler.end_run(bundle)
        bundle.unmark("stopped")
        bundle.mark("again")
        try:
            self.create(bundle)
        except BaseException:
            # What was made of it goes; what it wrote stays, for another start.
            self._bundler.end_run(bundle)
            bundle.write_restarts(replace(again, keeper=None))
            raise

    def run(self, bundle: Bundle) -> None:
        """Let the created process run. Raises `RuntimeFailed`."""
        live = bundle.live()
        if live is None:
            raise ContainerNotFound(bundle.id)
        bundle.write_live(replace(live, started_at=self._clock.now()))
        invoke(self._bundler.runtime, "start", bundle.id)
        bundle.unmark("again")
        self._bundler.events.add("start", bundle.id)


def give_streams(init: Identity, bundle: Bundle, streams: Sequence[int] = OUTPUT) -> None:
    """Make the container's user the owner of its output pipes.

    Programs that open /dev/stdout or /dev/stderr by name (the official nginx and httpd
    images) are refused otherwise.
    """
    document = bundle.config()
    user, ids = document["process"]["user"], document["linux"]["uidMappings"][0]
    for stream in streams:
        path = f"/proc/{init.pid}/fd/{stream}"
        os.chown(path, ids["hostID"] + user["uid"], ids["hostID"] + user["gid"])


def is_abandoned(bundle: Bundle) -> bool:
    """Whether nobody will ever make more of it: half-made, or a one-off without its caller."""
    record = bundle.record()
    if record is None:
        return True
    live = bundle.live()
    monitored = live is not None and live.monitor is not None
    return not monitored and not bundle.restarts().count and record.keeper.wait(0)


def is_cut_short(bundle: Bundle) -> bool:
    """Whether its restart failed, or was killed, before it ran: what it wrote is there, and it
    can start again."""
    restarts = bundle.restarts()
    if not restarts.count or (restarts.keeper is not None and not restarts.keeper.wait(0)):
        return False
    unfinished = bundle.live() is None or bundle.marked("again")
    # Not of somebody's who has begun since: he says so there before he changes anything.
    return unfinished and bundle.restarts() == restarts
