"""Backups: made, kept, checked by restoring, restored, and made again by themselves."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from paas.deploy.services_candidate import Candidates, DumpRefused
from paas.deploy.services_copy import ServiceCopies, summary
from paas.errors import PaasError
from paas.host.clock import Clock
from paas.host.waiting import wait_until
from paas.model.backup import Backup, Schedule, Verdict
from paas.model.report import Report, Silent
from paas.model.schedule import next_after
from paas.model.service import Service
from paas.plugin.backup_target import Target, open_target, parse_target

CHUNK = 1 << 20
DAY_SECONDS = 86400.0

AWAY_SECONDS = 300.0
"""That a due backup waits for a server which is being started again."""
AWAY_STEP_S = 0.1

SCHEDULE = "the schedule"
"""Who acts when nobody is there."""


class BackupDamaged(PaasError):
    """What is kept is not what was written."""


class NotChecked(PaasError):
    """A backup is made and stored, and whether it can be restored is not known."""

    def __init__(self, backup: Backup, reason: PaasError) -> None:
        super().__init__(
            f"Backup {backup.id} of {backup.service} is made, but could not be checked",
            [reason.brief, *reason.details],
            f"Check it later: paas {backup.plugin}:backup:verify {backup.service} {backup.id}",
        )


@dataclass(frozen=True)
class ServiceBackups:
    """Backups of services. Every one is a row: also those that failed say why."""

    copies: ServiceCopies
    clock: Clock

    @property
    def default_folder(self) -> Path:
        """Where backups are kept unless a target is named."""
        return self.copies.services.layout.root / "backups"

    def backup(
        self,
        service: Service,
        target: str,
        *,
        verify: bool,
        actor: str,
        report: Report,
        scheduled: bool = False,
    ) -> Backup:
        """Copy all that a service holds, while it serves on, and check it when asked to.

        Raises what dumping and storing raise, and `DumpRefused` of its check; the row then
        says BAD, and why. Raises `NotChecked` when it is stored and the check cannot be made.
        """
        services = self.copies.services
        services.check_keeps_data(service, "back up")
        target = parse_target(target, self.default_folder)
        with services.copying(service, f"being backed up by {actor}"):
            current = services.existing(service)
            name = self._name(current)
            backup = services.store.backups.begin(current, target, name, scheduled=scheduled)
            try:
                with self.copies.spool() as dump:
                    self._make(current, backup, dump, actor, report)
                    if verify:
                        self._check(current, backup, dump, report)
            except BaseException as error:
                if services.store.backups.get(service, backup.id).verdict is Verdict.RUNNING:
                    why = error.brief if isinstance(error, PaasError) else type(error).__name__
                    services.store.backups.judge(backup, Verdict.BAD, why)
                raise
        return services.store.backups.get(service, backup.id)

    def _make(
        self, service: Service, backup: Backup, dump: int, actor: str, report: Report
    ) -> None:
        store = self.copies.services.store
        report.step(f"Copying {service.name}")
        self._candidates.dump(service, self.copies.talk.container(service), dump)
        size, digest = os.fstat(dump).st_size, _sha256(dump)
        report.step(f"Storing {size} bytes in {backup.target}")
        target = self._target(service, backup.target)
        target.store(backup.file, dump, size, digest)
        # From here on it is one: killed while it is checked, it is unchecked.
        with store.transaction():
            store.backups.made(backup, size, digest)
            store.backups.judge(backup, Verdict.UNCHECKED, "")
            store.events.add(actor, "", f"{service.plugin}:backup", service.name)
        try:
            target.sweep(_series(service))
        except PaasError as error:
            # A key need not be allowed to list.
            report.detail(f"What killed backups left there cannot be looked for: {error.brief}")

    def _check(self, service: Service, backup: Backup, dump: int, report: Report) -> None:
        backups = self.copies.services.store.backups
        report.step("Restoring it into a server of its own, to check it")
        try:
            with self._blamed(backup):
                detail = self._restorable(service, dump)
        except DumpRefused:
            raise
        except PaasError as error:
            backups.judge(backup, Verdict.UNCHECKED, f"could not be checked: {error.brief}")
            raise NotChecked(backup, error) from error
        report.detail(f"Restored: {detail}")
        backups.judge(backup, Verdict.GOOD, detail)

    @contextmanager
    def _blamed(self, backup: Backup) -> Iterator[None]:
        """A backup is BAD by what it holds alone, whatever else keeps it from being looked at."""
        try:
            yield
        except (BackupDamaged, DumpRefused) as error:
            self.copies.services.store.backups.judge(backup, Verdict.BAD, error.brief)
            raise

    def verify(self, service: Service, number: int | None, *, report: Report) -> Backup:
        """Restore a kept backup into a server of its own and record what came of it.

        Raises `BackupDamaged` or `DumpRefused`; the row then says BAD. Of what else keeps it
        from being checked it says nothing, and stays as it was.
        """
        services = self.copies.services
        services.check_keeps_data(service, "check")
        backup = services.store.backups.get(service, number)
        with services.copying(service, "checking a backup"), self.copies.spool() as dump:
            report.step(f"Fetching backup {backup.id} from {backup.target}")
            with self._blamed(backup):
                self._fetch(service, backup, dump)
            server = self._as_was(service, backup, report)
            report.step("Restoring it into a server of its own")
            # What another version refuses can be as good as it was.
            with self._blamed(backup) if self._are_alike(server, backup) else nullcontext():
                detail = self._restorable(server, dump)
            services.store.backups.judge(backup, Verdict.GOOD, detail)
        return services.store.backups.get(service, backup.id)

    def restore(
        self, service: Service, number: int | None, *, actor: str, report: Report
    ) -> Backup:
        """Give a service the content of one of its backups; what it held stays in a volume."""
        self.copies.services.check_keeps_data(service, "restore")
        backup = self.copies.services.store.backups.get(service, number)
        with self.copies.spool() as dump:
            report.step(f"Fetching backup {backup.id} from {backup.target}")
            self._fetch(service, backup, dump)
            self.copies.replace_content(service, dump, actor=actor, report=report, why="restored")
        return backup

    def adopt(self, service: Service, source: str, *, actor: str, report: Report) -> Backup:
        """Record a file that another server's `backup` made as a backup of a service.

        Raises `TargetUnusable`, and what fetching raises. Nobody has checked it.
        """
        services = self.copies.services
        services.check_keeps_data(service, "restore")
        place, _, name = source.rpartition("/")
        target = parse_target(place or ("/" if source.startswith("/") else source), Path())
        store = services.store
        with (
            services.copying(service, f"adopting a backup for {actor}"),
            self.copies.spool() as dump,
        ):
            report.step(f"Fetching {source}")
            self._target(service, target).fetch(name, dump)
            size, digest = os.fstat(dump).st_size, _sha256(dump)
            with store.transaction():
                backup = store.backups.begin(service, target, name, scheduled=False)
                store.backups.made(backup, size, digest)
                store.backups.judge(backup, Verdict.UNCHECKED, "made elsewhere")
                store.events.add(actor, "", f"{service.plugin}:backup:adopt", service.name)
        return store.backups.get(service, backup.id)

    def _as_was(self, service: Service, backup: Backup, report: Report) -> Service:
        """The service in the version that the backup is of: a dump loads there for certain.

        With an image that was named, or a version that the plugin does not make any more, as
        it is now.
        """
        services = self.copies.services
        plugin = services.catalog.get(service.plugin)
        ours = backup.version in plugin.manifest.versions and plugin.has_dockerfile
        if service.reference or backup.version == service.version or not ours:
            return service
        image = services.images.get(plugin, backup.version, "", report)
        return replace(service, image=image.id, version=backup.version)

    def _are_alike(self, server: Service, backup: Backup) -> bool:
        """Whether a server is of the version whose dump the backup is, as far as is known."""
        major = self.copies.services.manifest(server).major
        return bool(major(backup.version)) and major(backup.version) == major(server.version)

    def _restorable(self, service: Service, dump: int) -> str:
        with self._candidates.loaded(service, dump) as candidate:
            return summary(candidate.count)

    def _fetch(self, service: Service, backup: Backup, dump: int) -> None:
        self._target(service, backup.target).fetch(backup.file, dump)
        if _sha256(dump) != backup.sha256:
            raise BackupDamaged(
                f"Backup {backup.id} of {service.name} is not what was written",
                [f"{backup.target}/{backup.file}: its sha256 differs"],
                "Restore another one.",
            )

    def _target(self, service: Service, target: str) -> Target:
        return open_target(target, self.copies.services.store.backups.credentials(service))

    @property
    def _candidates(self) -> Candidates:
        return self.copies.candidates

    def _name(self, service: Service) -> str:
        moment = datetime.fromtimestamp(self.clock.now(), UTC)
        return f"{_series(service)}{moment:%Y%m%dT%H%M%S.%fZ}.dump"

    # -- by themselves ---------------------------------------------------------------------

    def schedule(
        self,
        service: Service,
        cron: str,
        target: str,
        keep: tuple[int, int],
        *,
        verify: bool,
        actor: str,
    ) -> Schedule:
        """Back up a service by a cron expression. `keep` is a count and days; 0 is all.

        Raises `InvalidCron`, `TargetUnusable`.
        """
        self.copies.services.check_keeps_data(service, "back up")
        place = parse_target(target, self.default_folder)
        backups = self.copies.services.store.backups
        open_target(place, backups.credentials(service))
        next_at = next_after(cron, self.clock.now())
        made = Schedule(service.id, cron, place, keep[0], keep[1], verify, next_at)
        store = self.copies.services.store
        with store.transaction():
            backups.schedule(made)
            what = f"{service.plugin}:backup:schedule"
            store.events.add(actor, "", what, f"{service.name} {cron} {place}")
        return made

    def due(self) -> list[Schedule]:
        """The schedules whose time has come."""
        now = self.clock.now()
        schedules = self.copies.services.store.backups.schedules()
        return [schedule for schedule in schedules if schedule.next_at <= now]

    def run_due(self, schedule: Schedule) -> Backup | None:
        """Make the backup that is due, then forget those beyond what is kept.

        The next time is set first: one that fails, or kills its process, is not repeated
        at once. A schedule that was changed meanwhile is due when it says so itself. Raises what
        `backup` raises. Old ones that cannot be removed are an event.
        """
        services = self.copies.services
        backups = services.store.backups
        if not backups.put_off(schedule, next_after(schedule.cron, self.clock.now())):
            return None
        service = services.store.services.by_id(schedule.service_id)
        if service is None or not service.state.should_run:
            return None
        # A restart or an upgrade takes its server away for a while.
        wait_until(lambda: services.is_up(services.existing(service)), AWAY_SECONDS, AWAY_STEP_S)
        current = backups.schedule_of(service.id)
        if current is None:
            return None
        try:
            return self.backup(
                service,
                current.target,
                verify=current.verify,
                actor=SCHEDULE,
                report=Silent(),
                scheduled=True,
            )
        finally:
            # What is kept may have been changed while it was made.
            now = backups.schedule_of(service.id)
            # One that could not be stored takes nobody's place.
            if now is not None and any(one.sha256 for one in backups.scheduled(service)[:1]):
                self.prune(service, now)

    def prune(self, service: Service, schedule: Schedule) -> list[Backup]:
        """Forget scheduled backups beyond count and age; never the newest that can be restored.

        Those in a target that fails stay for the next time, and an event says so.
        """
        store = self.copies.services.store
        gone, failed = [], set()
        for backup in superfluous(store.backups.scheduled(service), schedule, self.clock.now()):
            if backup.target in failed:
                continue
            try:
                self._target(service, backup.target).remove(backup.file)
            except PaasError as error:
                failed.add(backup.target)
                detail = f"{service.plugin} {service.name} in {backup.target}: {error.brief}"
                store.events.add(SCHEDULE, "", "backups not removed", detail)
                continue
            store.backups.forget(backup)
            gone.append(backup)
        return gone


def superfluous(made: Sequence[Backup], schedule: Schedule, now: float) -> list[Backup]:
    """Those of the scheduled backups, the newest first, that are to be forgotten.

    Count and age are those of the ones that can be restored. One that could be once and then
    was found bad goes when it would have gone in any case, and what never was good counts by
    itself: neither takes the place of a good one.
    """
    ended = [one for one in made if one.verdict is not Verdict.RUNNING]
    usable = [one for one in ended if one.verdict.can_restore]
    once = [one for one in ended if one.verdict.can_restore or one.proven]
    never = [one for one in ended if not one.verdict.can_restore and not one.proven]
    kept = {*usable[:1], *once[:1]}
    for kind in (usable, once, never):
        kept.update(_kept(kind, schedule, now))
    return [one for one in ended if one not in kept]


def _kept(those: Sequence[Backup], schedule: Schedule, now: float) -> Sequence[Backup]:
    counted = those[: schedule.keep_count] if schedule.keep_count else those
    if not schedule.keep_days:
        return counted
    since = now - schedule.keep_days * DAY_SECONDS
    return [one for one in counted if one.started_at >= since]


def _series(service: Service) -> str:
    """How the names of all its backups begin."""
    return f"{service.plugin}-{service.name}-"


def _sha256(descriptor: int) -> str:
    digest, offset = hashlib.sha256(), 0
    while data := os.pread(descriptor, CHUNK, offset):
        digest.update(data)
        offset += len(data)
    return digest.hexdigest()
