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
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from functools import partial

from paas.daemon.cron_watch import CronWatch
from paas.daemon.duties import BackUp, Clean, Heal, HealService, Probe, Renew, Retire, Tidy
from paas.daemon.guard import Guard
from paas.daemon.instance_watch import InstanceWatch, reason
from paas.daemon.jobs import Jobs
from paas.daemon.keeping import Keeping
from paas.daemon.plugin_watch import TELLS, PluginWatch
from paas.daemon.retiring import Retiring
from paas.daemon.senders import Senders
from paas.daemon.service_watch import ServiceWatch
from paas.daemon.tidying import steps
from paas.deploy.fleet import Member, place_of
from paas.deploy.heal import Healing
from paas.deploy.parts import Parts
from paas.deploy.probe import Prober
from paas.engine.backoff import Backoff
from paas.engine.container import ContainerNotFound, Status
from paas.errors import PaasError
from paas.host.files import FileLock, forget_unfinished
from paas.model.app import App
from paas.model.backup import Schedule
from paas.model.instance import Instance
from paas.model.layout import Layout
from paas.model.service import Service

TIDY_SECONDS = 10.0
REST_SECONDS = 1.0
"""Behind a look of which something failed."""

HOUSEKEEPING_SECONDS = 3600.0
HEALS = 8 * (os.cpu_count() or 1)
"""Instances that are started at once, and as many servers of services."""

RETIRES = 64
UPKEEPS = 2
KEPT = 16
"""Containers that are started again or probed at once."""

SCHEDULED = 8
"""Cron runs that are begun or ended at once; how many go on is their tasks' matter."""

SENDERS = 256
"""Drains and webhooks, each by a process of its own: one that hangs holds up no other."""

PROBES = 512
"""Apps whose instances are asked again and again, each by a process of its own."""

RENEWALS = 4
"""Certificates that are asked for at once: an authority that hangs holds up no more."""


def main(layout: Layout) -> None:
    """Supervise until killed; there is never a second one of the same PaaS."""
    lock = FileLock(layout.locks / "supervisor", "supervisor")
    lock.acquire()
    Supervisor(layout, lock).run()


class Supervisor:
    """The loop and what it remembers between two looks."""

    def __init__(self, layout: Layout, lock: FileLock) -> None:
        self._layout = layout
        self._parts = Parts(layout)
        self._healing = Healing(self._parts.pipeline)
        self._clock = self._parts.clock
        self._backoff = Backoff()
        self._guard = Guard(log)
        self._heals = Jobs(HEALS, lock.release_after_fork)
        self._service_heals = Jobs(HEALS, lock.release_after_fork)
        self._retires = Jobs(RETIRES, lock.release_after_fork)
        self._upkeep = Jobs(UPKEEPS, lock.release_after_fork)
        self._renewals = Jobs(RENEWALS, lock.release_after_fork)
        self._kept = Jobs(KEPT, lock.release_after_fork)
        self._scheduled = Jobs(SCHEDULED, lock.release_after_fork)
        self._senders = Jobs(SENDERS, lock.release_after_fork)
        self._tells = Jobs(TELLS, lock.release_after_fork)
        self._watches = (
            Keeping(self._parts.engine, self._kept),
            CronWatch(self._parts, self._scheduled),
            Senders(self._parts, self._senders),
            PluginWatch(self._parts.telling, self._tells, self._clock),
        )
        self._probes = Jobs(PROBES, lock.release_after_fork)
        self._prober = Prober(self._parts.pipeline)
        self._live = InstanceWatch(self._parts.engine.containers)
        self._retiring = Retiring(self._clock)
        self._servers = ServiceWatch(self._parts)
        self._tidied = self._cleaned = self._clock.monotonic()
        self._due: list[float] = []
        self._wake = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    def run(self) -> None:
        """Settle what an earlier life left, then look again for ever."""
        self._settle()
        self._listen()
        while True:
            self._look()
            self._wait()

    @property
    def _pools(self) -> tuple[Jobs, ...]:
        return (
            self._heals,
            self._service_heals,
            self._retires,
            self._upkeep,
            self._renewals,
            self._probes,
            self._kept,
            self._scheduled,
            self._senders,
            self._tells,
        )

    def _listen(self) -> None:
        """From now on it can be woken; before, the first look sees what there is."""
        path = self._layout.supervisor_socket
        path.unlink(missing_ok=True)
        self._wake.bind(str(path))
        path.chmod(0o600)

    def _settle(self) -> None:
        """What has to be before anything is started: the network, and no ghosts."""
        parts, layout = self._parts, self._layout
        forget_unfinished(layout.root, layout.engine, layout.ssh, layout.run)
        parts.engine.network.ensure()
        parts.engine.recover()
        self._guard.tries("instances that are gone", self._healing.forget_lost)
        # Before what ends holds its place: some may not run beside what takes it.
        self._guard.tries("what killed deploys left", self._healing.reap)
        parts.router.switch(parts.store.apps.list())
        self._tidy_up()

    # -- jobs of their own -------------------------------------------------------------------

    def _tidy_up(self) -> None:
        self._tidied = self._clock.monotonic()
        self._upkeep.start(Tidy(), self._tidy)

    def _tidy(self) -> None:
        """Each of the steps; one that fails keeps none of the others from its turn, and all come
        again in a while.
        """
        found = steps(self._parts, self._healing, self._settle_abandoned)
        self._guard.tries("tidying", *found)

    def _settle_abandoned(self) -> None:
        for deploy in self._parts.attempts.abandoned():
            self._event(deploy.app_id, "deploy abandoned", f"deploy {deploy.id}: {deploy.error}")

    def _clean(self) -> None:
        self._parts.metrics.prune()
        self._parts.storage.warn()
        freed = self._parts.housekeeping.run()
        if freed is not None and freed.layers:
            mib = freed.bytes >> 20
            self._event(0, "freed", f"{len(freed.layers)} layers, {mib} MiB")

    def _heal(self, app: App, member: Member) -> None:
        try:
            self._healing.heal(app, member)
        except PaasError as error:
            self._event(app.id, "start failed", f"{member}: {error.brief}")
            raise

    def _retire(self, instance: Instance) -> None:
        self._healing.retire(instance)
        app = self._parts.store.apps.by_id(instance.app_id)
        if app is not None:
            self._parts.service_care.close(app)

    def _heal_service(self, service: Service) -> None:
        try:
            self._parts.service_care.heal(service)
        except PaasError as error:
            self._event(0, "start failed", f"{service.plugin} {service.name}: {error.brief}")
            raise

    def _back_up(self, schedule: Schedule) -> None:
        try:
            self._parts.service_backups.run_due(schedule)
        except PaasError as error:
            self._event(0, "backup failed", f"service {schedule.service_id}: {error.brief}")
            raise

    def _awaits_service(self, app: App) -> bool:
        """Whether a service that the app is linked to is being started: it comes first."""
        links = self._parts.store.links.of_app(app.id)
        return any(HealService(link.service_id) in self._service_heals for link in links)

    # -- the loop ----------------------------------------------------------------------------

    def _look(self) -> None:
        """Start the jobs that what runs and what should run differ by, those that are due."""
        self._due = []
        self._guard.tries("instances", self._look_at_instances)
        self._guard.tries("services", self._look_at_servers)
        self._guard.tries("apps", self._look_at_apps)
        for watch in self._watches:
            if self._guard.tries(type(watch).__name__, watch.look):
                self._due += watch.due
        self._look_at_clock(self._clock.monotonic())

    def _look_at_instances(self) -> None:
        instances = self._parts.store.instances.list()
        for gone in self._live.look(instances):
            self._guard.tries(f"the end of {gone.container}", partial(self._ended, gone))
        old, later = self._retiring.due(instances)
        self._due += later
        for instance in old:
            self._start(self._retires, Retire(instance.id), partial(self._retire, instance))

    def _look_at_servers(self) -> None:
        for service in self._servers.look():
            heal_service = partial(self._heal_service, service)
            self._start(self._service_heals, HealService(service.id), heal_service)

    def _look_at_apps(self) -> None:
        apps = [app for app in self._parts.store.apps.list() if not self._awaits_service(app)]
        self._fill(apps)
        for app in apps:
            if self._prober.concerns(app):
                probe = Probe(app.id, app.live or 0)
                self._start(self._probes, probe, partial(self._prober.run, app))

    def _fill(self, apps: Sequence[App]) -> None:
        """Start what apps lack. None takes all the room, not even one that lacks more than that."""
        lacking = [(app, members) for app in apps if (members := self._healing.missing(app))]
        share = max(2, HEALS // (len(lacking) + 1))
        for app, members in lacking:
            begun = sum(isinstance(key, Heal) and key.app_id == app.id for key in self._heals)
            for member in members:
                if begun < share:
                    place = Heal(app.id, app.live or 0, member)
                    begun += self._start(self._heals, place, partial(self._heal, app, member))

    def _look_at_clock(self, now: float) -> None:
        """Start the jobs whose time has come."""
        if now - self._tidied >= TIDY_SECONDS:
            expiry, letsencrypt = self._parts.expiry, self._parts.letsencrypt
            self._guard.tries(
                "what is due", expiry.warn, letsencrypt.adopt, self._renew, self._begin_backups
            )
            # Last: a job closes the databases, and what is asked behind it opens them again.
            self._tidy_up()
        if now - self._cleaned >= HOUSEKEEPING_SECONDS:
            self._cleaned = now
            self._upkeep.start(Clean(), self._clean)

    def _renew(self) -> None:
        for app in self._parts.letsencrypt.due():
            renew = partial(self._parts.letsencrypt.renew_due, app)
            self._start(self._renewals, Renew(app.id), renew)

    def _begin_backups(self) -> None:
        for schedule in self._parts.service_backups.due():
            back_up = partial(self._back_up, schedule)
            self._start(self._renewals, BackUp(schedule.service_id), back_up)

    def _start(self, jobs: Jobs, key: Hashable, work: Callable[[], object]) -> bool:
        due = self._backoff.due(key)
        if due > self._clock.monotonic():
            self._due.append(due)
            return False
        # Without room, or while it runs already: the end of a job brings the next look.
        return jobs.start(key, work)

    def _ended(self, instance: Instance) -> None:
        """An instance's container has ended on its own."""
        status = self._status(instance.container)
        crash = self._healing.crashed(instance, status.exit_code if status else None)
        if crash is None:
            return
        app, member = crash.app, place_of(instance)
        then = "stays ended, by its restart policy"
        if crash.restarts:
            place = Heal(app.id, app.live or 0, member)
            wait = self._backoff.failed(place, self._clock.monotonic())
            then = f"starts again in {wait:g} s"
        self._event(app.id, "crashed", f"{member}: {reason(status)}; {then}")

    def _status(self, container: str) -> Status | None:
        try:
            return self._parts.engine.containers.settle(container)
        except ContainerNotFound:
            return None

    def _wait(self) -> None:
        if self._guard.failed:
            # What failed is there again at once: not as often as a processor can.
            self._guard.failed = False
            self._clock.sleep(REST_SECONDS)
        poller = select.poll()
        poller.register(self._wake, select.POLLIN)
        jobs = [job for pool in self._pools for job in pool.descriptors]
        ours = [
            one for each in (*self._watches, self._servers, self._live) for one in each.descriptors
        ]
        for descriptor in (*jobs, *ours):
            poller.register(descriptor, select.POLLIN)
        ready = [descriptor for descriptor, _ in poller.poll(self._patience_ms())]
        # First who started, then who ended: an instance may crash behind its start.
        self._collect()
        for container in self._live.ended(ready):
            self._guard.tries(f"the end of {container}", partial(self._exited, container))
        self._guard.tries("services that ended", partial(self._servers_ended, ready))
        with suppress(BlockingIOError):
            while self._wake.recv(1):
                continue

    def _servers_ended(self, ready: Sequence[int]) -> None:
        for service in self._servers.ended(ready):
            ended = partial(self._server_ended, service)
            self._guard.tries(f"the end of {service.plugin} {service.name}", ended)

    def _server_ended(self, service: Service) -> None:
        wait = self._backoff.failed(HealService(service.id), self._clock.monotonic())
        why = reason(self._status(service.container or ""))
        what = f"{service.plugin} {service.name}: {why}; starts again in {wait:g} s"
        self._event(0, "crashed", what)

    def _patience_ms(self) -> float:
        next_due = min(self._due, default=self._tidied + TIDY_SECONDS)
        until = min(next_due, self._tidied + TIDY_SECONDS)
        return 1000 * max(0.0, until - self._clock.monotonic())

    def _exited(self, container: str) -> None:
        instance = self._parts.store.instances.by_container(container)
        if instance is not None and instance.state.can_serve:
            self._ended(instance)

    def _collect(self) -> None:
        now = self._clock.monotonic()
        for key, code in [ended for pool in self._pools for ended in pool.finished()]:
            if any(watch.finished(key, code) for watch in self._watches):
                continue
            if code != 0:
                self._backoff.failed(key, now)
            elif isinstance(key, (Heal, HealService)):
                self._backoff.started(key, now)
            else:
                self._backoff.forget(key)

    def _event(self, app_id: int, what: str, detail: str) -> None:
        app = self._parts.store.apps.by_id(app_id)
        name = app.name if app is not None else ""
        log(f"{name}: {what}: {detail}")
        self._parts.store.events.add("supervisor", name, what, detail)


def log(line: str) -> None:
    """To paasd's log."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()
