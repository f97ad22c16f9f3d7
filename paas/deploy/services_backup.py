"""Backups: made, kept, checked by restoring, restored, and made again by themselves."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from paas.deploy.services_candidate import Candidates
from paas.deploy.services_copy import ServiceCopies, summary
from paas.errors import PaasError
from paas.host.clock import Clock
from paas.model.backup import Backup, Schedule, Verdict
from paas.model.report import Report, Silent
from paas.model.schedule import next_after
from paas.model.service import Service
from paas.plugin.backup_target import Target, open_target, parse_target

CHUNK = 1 << 20
DAY_SECONDS = 86400.0


class BackupDamaged(PaasError):
    """What is kept is not what was written."""


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

        Raises what dumping and storing raise; the row then says BAD, and why.
        """
        services = self.copies.services
        services.check_keeps_data(service, "back up")
        target = parse_target(target, self.default_folder)
        with services.copying(service, f"being backed up by {actor}"):
            current = services.existing(service)
            name = self._name(current)
            backup = services.store.backups.begin(current, target, name, scheduled=scheduled)
            try:
                self._make(current, backup, report, verify=verify)
            except BaseException as error:
                why = error.brief if isinstance(error, PaasError) else type(error).__name__
                services.store.backups.judge(backup, Verdict.BAD, why)
                raise
            services.store.events.add(actor, "", f"{service.plugin}:backup", service.name)
        return services.store.backups.get(service, backup.id)

    def _make(self, service: Service, backup: Backup, report: Report, *, verify: bool) -> None:
        backups = self.copies.services.store.backups
        with self.copies.spool() as dump:
            report.step(f"Copying {service.name}")
            self._candidates.dump(service, self.copies.talk.container(service), dump)
            size, digest = os.fstat(dump).st_size, _sha256(dump)
            report.step(f"Storing {size} bytes in {backup.target}")
            self._target(service, backup.target).store(backup.file, dump, size, digest)
            backups.made(backup, size, digest)
            verdict, detail = Verdict.UNCHECKED, ""
            if verify:
                report.step("Restoring it into a server of its own, to check it")
                verdict, detail = Verdict.GOOD, self._restorable(service, dump)
                report.detail(f"Restored: {detail}")
        backups.judge(backup, verdict, detail)

    def verify(self, service: Service, number: int | None, *, report: Report) -> Backup:
        """Restore a kept backup into a server of its own and record what came of it.

        Raises what loading raises; the row then says BAD.
        """
        services = self.copies.services
        services.check_keeps_data(service, "check")
        backup = services.store.backups.get(service, number)
        with services.copying(service, "checking a backup"), self.copies.spool() as dump:
            try:
                report.step(f"Fetching backup {backup.id} from {backup.target}")
                self._fetch(service, backup, dump)
                report.step("Restoring it into a server of its own")
                detail = self._restorable(self._as_was(service, backup, report), dump)
            except PaasError as error:
                services.store.backups.judge(backup, Verdict.BAD, error.brief)
                raise
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
        """The service in the version that the backup is of: a dump loads there for certain."""
        services = self.copies.services
        known = services.manifest(service).major(backup.version)
        # The name of an image need not say which it was.
        if backup.version == service.version or not known:
            return service
        plugin = services.catalog.get(service.plugin)
        image = services.images.get(plugin, backup.version, "", report)
        return replace(service, image=image.id, version=backup.version)

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
        return f"{service.plugin}-{service.name}-{moment:%Y%m%dT%H%M%S.%fZ}.dump"

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
        at once. Raises what `backup` raises.
        """
        services = self.copies.services
        now = self.clock.now()
        services.store.backups.schedule(replace(schedule, next_at=next_after(schedule.cron, now)))
        service = services.store.services.by_id(schedule.service_id)
        if service is None or service.container is None:
            return None
        backup = self.backup(
            service,
            schedule.target,
            verify=schedule.verify,
            actor="the schedule",
            report=Silent(),
            scheduled=True,
        )
        self.prune(service, schedule)
        return backup

    def prune(self, service: Service, schedule: Schedule) -> list[Backup]:
        """Forget scheduled backups beyond count and age; never the newest that can be restored."""
        backups = self.copies.services.store.backups
        made = [one for one in backups.of(service) if one.scheduled]
        gone = superfluous(made, schedule, self.clock.now())
        for backup in gone:
            self._target(service, backup.target).remove(backup.file)
            backups.forget(backup)
        return gone


def superfluous(made: Sequence[Backup], schedule: Schedule, now: float) -> list[Backup]:
    """Those of the scheduled backups, the newest first, that are to be forgotten."""
    ended = [one for one in made if one.verdict is not Verdict.RUNNING]
    usable = [one for one in ended if one.verdict.can_restore]
    kept = {one.id for one in _kept(usable, schedule, now)} | {one.id for one in usable[:1]}
    oldest = min((one.started_at for one in usable if one.id in kept), default=0.0)
    # A failed one is kept as long as what it failed beside.
    return [
        one
        for one in ended
        if one.id not in kept and (one.verdict.can_restore or one.started_at < oldest)
    ]


def _kept(usable: Sequence[Backup], schedule: Schedule, now: float) -> Iterable[Backup]:
    counted = usable[: schedule.keep_count] if schedule.keep_count else usable
    if not schedule.keep_days:
        return counted
    since = now - schedule.keep_days * DAY_SECONDS
    return [one for one in counted if one.started_at >= since]


def _sha256(descriptor: int) -> str:
    digest, offset = hashlib.sha256(), 0
    while data := os.pread(descriptor, CHUNK, offset):
        digest.update(data)
        offset += len(data)
    return digest.hexdigest()
