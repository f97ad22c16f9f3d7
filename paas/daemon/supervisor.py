"""The supervisor: compares what should run with what runs, and starts what differs.

It decides and forks; whatever takes long (starting, draining, stopping) is a job in a
child. It learns of exits from the monitors' pidfds, of changes from a datagram that
commands send after their commit, and looks at everything again every ten seconds.
"""

from __future__ import annotations

import os
import select
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from paas.daemon.backoff import Backoff
from paas.daemon.jobs import Jobs
from paas.daemon.services import Services
from paas.deploy.fleet import Member
from paas.deploy.heal import Healing
from paas.deploy.parts import Parts
from paas.errors import PaasError
from paas.host.files import FileLock
from paas.model.app import App
from paas.model.instance import Instance, InstanceState
from paas.model.layout import Layout
from paas.model.report import Silent

TIDY_SECONDS = 10.0
HOUSEKEEPING_SECONDS = 3600.0
PARALLEL_JOBS = 2 * (os.cpu_count() or 1)


@dataclass(frozen=True)
class Heal:
    """The job of filling one place of an app's formation."""

    app_id: int
    release: int
    member: Member


@dataclass(frozen=True)
class Retire:
    """The job of draining and stopping one instance."""

    instance_id: int


def main(layout: Layout) -> None:
    """Supervise until killed; there is never a second one of the same PaaS."""
    lock = FileLock(layout.locks / "supervisor", "supervisor")
    lock.acquire()
    Supervisor(layout, lock).run()


@dataclass(frozen=True)
class Clean:
    """The job of freeing what is no longer needed."""


class Supervisor:
    """The loop and what it remembers between two looks."""

    def __init__(self, layout: Layout, lock: FileLock) -> None:
        self._layout = layout
        self._parts = Parts(layout)
        self._healing = Healing(self._parts.pipeline)
        self._clock = self._parts.clock
        self._backoff = Backoff()
        self._heals = Jobs(PARALLEL_JOBS, lock.release_after_fork)
        self._chores = Jobs(8 * PARALLEL_JOBS, lock.release_after_fork)
        self._exits: dict[str, int] = {}
        self._tidied = 0.0
        self._cleaned = self._clock.monotonic()
        self._wake = self._listen()

    def run(self) -> None:
        """Settle what an earlier life left, then look again for ever."""
        self._settle()
        while True:
            self._look()
            self._wait()

    def _listen(self) -> socket.socket:
        path = self._layout.supervisor_socket
        path.unlink(missing_ok=True)
        wake = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        wake.bind(str(path))
        path.chmod(0o600)
        return wake

    def _settle(self) -> None:
        parts = self._parts
        parts.engine.network.ensure()
        parts.engine.recover()
        for deploy in parts.attempts.abandoned():
            self._event(deploy.app_id, "deploy abandoned", f"deploy {deploy.id}: {deploy.error}")
        self._healing.forget_lost()
        self._publish()
        self._tidy()

    def _publish(self) -> None:
        """Write maps and proxy from the database: rolls a killed deploy forward."""
        self._parts.router.switch(self._parts.store.apps.list())
        self._parts.router.publish(Silent())

    def _tidy(self) -> None:
        parts = self._parts
        parts.engine.network.ensure()
        for deploy in parts.attempts.abandoned():
            self._event(deploy.app_id, "deploy abandoned", f"deploy {deploy.id}: {deploy.error}")
            self._publish()
        self._healing.reap()
        Services(parts).mend()
        self._tidied = self._clock.monotonic()
        if self._tidied - self._cleaned >= HOUSEKEEPING_SECONDS:
            self._cleaned = self._tidied
            self._chores.start(Clean(), self._clean)

    def _clean(self) -> None:
        self._parts.proxy.rotate_logs([app.name for app in self._parts.store.apps.list()])
        freed = self._parts.housekeeping.run()
        if freed is not None and freed.layers:
            mib = freed.bytes >> 20
            self._event(0, "freed", f"{len(freed.layers)} layers, {mib} MiB")

    def _look(self) -> None:
        apps = {app.id: app for app in self._parts.store.apps.list()}
        instances = self._parts.store.instances.list()
        self._watch(instances)
        for instance in instances:
            if instance.state is InstanceState.RETIRING:
                self._retire(instance)
        for app in apps.values():
            for member in self._healing.missing(app):
                self._heal(app, member)

    def _watch(self, instances: Sequence[Instance]) -> None:
        """Hold one pidfd for every live instance's monitor."""
        live = {one.container: one for one in instances if one.state.can_serve}
        for container in self._exits.keys() - live.keys():
            os.close(self._exits.pop(container))
        for container, instance in live.items():
            if container not in self._exits:
                try:
                    self._exits[container] = self._parts.engine.containers.watch(container)
                except PaasError:
                    self._ended(instance)

    def _retire(self, instance: Instance) -> None:
        self._chores.start(Retire(instance.id), lambda: self._healing.retire(instance))

    def _heal(self, app: App, member: Member) -> None:
        place = Heal(app.id, app.live or 0, member)
        if self._backoff.due(place) <= self._clock.monotonic():
            self._heals.start(place, lambda: self._heal_now(app, member))

    def _heal_now(self, app: App, member: Member) -> None:
        try:
            self._healing.heal(app, member)
        except PaasError as error:
            self._event(app.id, "start failed", f"{member}: {error.brief}")
            raise

    def _ended(self, instance: Instance) -> None:
        """An instance's container has ended on its own."""
        app = self._healing.crashed(instance)
        if app is None:
            return
        member = Member(instance.process_type, instance.index)
        wait = self._backoff.failed(Heal(app.id, app.live or 0, member), self._clock.monotonic())
        status = self._parts.engine.containers.status(instance.container)
        reason = "out of memory" if status.oom_killed else f"exit code {status.exit_code}"
        self._event(app.id, "crashed", f"{member}: {reason}; starts again in {wait:g} s")

    def _wait(self) -> None:
        poller = select.poll()
        poller.register(self._wake, select.POLLIN)
        watched = {pidfd: container for container, pidfd in self._exits.items()}
        for descriptor in (*watched, *self._heals.descriptors, *self._chores.descriptors):
            poller.register(descriptor, select.POLLIN)
        for descriptor, _ in poller.poll(self._patience_ms()):
            if descriptor in watched:
                self._exited(watched[descriptor])
        with suppress(BlockingIOError):
            while self._wake.recv(1):
                continue
        self._collect()
        if self._clock.monotonic() - self._tidied >= TIDY_SECONDS:
            self._tidy()

    def _patience_ms(self) -> float:
        now = self._clock.monotonic()
        due = [
            self._backoff.due(Heal(app.id, app.live or 0, member))
            for app in self._parts.store.apps.list()
            for member in self._healing.missing(app)
        ]
        next_due = min((when for when in due if when > now), default=now + TIDY_SECONDS)
        return 1000 * max(0.0, min(next_due, self._tidied + TIDY_SECONDS) - now)

    def _exited(self, container: str) -> None:
        os.close(self._exits.pop(container))
        instance = self._parts.store.instances.by_container(container)
        if instance is not None and instance.state.can_serve:
            self._ended(instance)

    def _collect(self) -> None:
        now = self._clock.monotonic()
        for place, code in self._heals.finished():
            if code == 0:
                self._backoff.started(place, now)
            else:
                self._backoff.failed(place, now)
        for _ in self._chores.finished():
            continue

    def _event(self, app_id: int, what: str, detail: str) -> None:
        app = self._parts.store.apps.by_id(app_id)
        name = app.name if app is not None else ""
        self._parts.store.events.add("supervisor", name, what, detail)
        sys.stderr.write(f"{name}: {what}: {detail}\n")
        sys.stderr.flush()
