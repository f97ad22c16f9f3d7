"""The tables of backups: those that were made, and when more are to be made."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from paas.errors import NotFound
from paas.host.database import Database, Row
from paas.host.secrets import Vault
from paas.model.backup import Backup, Schedule, Verdict
from paas.model.env import Secret, secrets
from paas.model.service import Service


class BackupNotFound(NotFound):
    """The service has no backup of that number."""

    def __init__(self, service: Service, number: int | None) -> None:
        which = f"backup {number}" if number is not None else "backup that could be restored"
        super().__init__(
            f"{service.plugin} service {service.name} has no {which}",
            resolution=f"paas {service.plugin}:backup:list {service.name} lists what there is.",
        )


class Backups:
    """Records backups, their verdicts, and schedules."""

    def __init__(self, db: Database, vault: Vault, now: Callable[[], float]) -> None:
        self._db = db
        self._vault = vault
        self._now = now

    def begin(self, service: Service, target: str, file: str, *, scheduled: bool) -> Backup:
        """Record a backup that is being made."""
        number = self._db.insert(
            "INSERT INTO backups (plugin, service, version, target, file, verdict, started_at,"
            " scheduled, service_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                service.plugin,
                service.name,
                service.version,
                target,
                file,
                Verdict.RUNNING.value,
                self._now(),
                int(scheduled),
                service.id,
            ),
        )
        return self._where("id = ?", number)[0]

    def made(self, backup: Backup, size: int, sha256: str) -> None:
        """Record that a backup is where it should be."""
        self._db.execute(
            "UPDATE backups SET bytes = ?, sha256 = ? WHERE id = ?", (size, sha256, backup.id)
        )

    def judge(self, backup: Backup, verdict: Verdict, detail: str) -> None:
        """Record what is known of a backup now, and how long that took since its begin."""
        seconds = self._now() - backup.started_at
        if backup.verdict is not Verdict.RUNNING:
            seconds = backup.seconds
        self._db.execute(
            "UPDATE backups SET verdict = ?, detail = ?, seconds = ?, proven = max(proven, ?)"
            " WHERE id = ?",
            (verdict.value, detail, seconds, int(verdict is Verdict.GOOD), backup.id),
        )

    def of(self, service: Service) -> Sequence[Backup]:
        """The backups under a service's name, the newest first: also those of one that had it."""
        return self._where("plugin = ? AND service = ?", service.plugin, service.name)

    def scheduled(self, service: Service) -> Sequence[Backup]:
        """Those that its own schedules made, the newest first."""
        return self._where("service_id = ? AND scheduled = 1", service.id)

    def get(self, service: Service, number: int | None) -> Backup:
        """One backup, by its number or the newest that can be restored.

        Raises `BackupNotFound`.
        """
        for backup in self.of(service):
            if backup.id == number or (number is None and backup.verdict.can_restore):
                return backup
        raise BackupNotFound(service, number)

    def running(self) -> Sequence[Backup]:
        """Those that are being made, or whose maker was killed."""
        return self._where("verdict = ?", Verdict.RUNNING.value)

    def forget(self, backup: Backup) -> None:
        """Drop a backup whose file is gone."""
        self._db.execute("DELETE FROM backups WHERE id = ?", (backup.id,))

    # -- schedules -------------------------------------------------------------------------

    def schedule(self, schedule: Schedule) -> None:
        """Back up a service from time to time, instead of what was scheduled before."""
        self._db.execute(
            "INSERT OR REPLACE INTO backup_schedules"
            " (service_id, cron, target, keep_count, keep_days, verify, next_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                schedule.service_id,
                schedule.cron,
                schedule.target,
                schedule.keep_count,
                schedule.keep_days,
                int(schedule.verify),
                schedule.next_at,
            ),
        )

    def put_off(self, schedule: Schedule, next_at: float) -> bool:
        """Set the next time of a schedule, unless it was changed since it was read; whether."""
        rows = self._db.execute(
            "UPDATE backup_schedules SET next_at = ? WHERE service_id = ? AND next_at = ?"
            " RETURNING next_at",
            (next_at, schedule.service_id, schedule.next_at),
        )
        return bool(rows)

    def unschedule(self, service_id: int) -> None:
        """Back up a service no more by itself."""
        self._db.execute("DELETE FROM backup_schedules WHERE service_id = ?", (service_id,))

    def schedules(self) -> Sequence[Schedule]:
        """All schedules."""
        rows = self._db.execute("SELECT * FROM backup_schedules ORDER BY service_id")
        return [_schedule(row) for row in rows]

    def schedule_of(self, service_id: int) -> Schedule | None:
        """When a service is backed up by itself, if it is."""
        return next((one for one in self.schedules() if one.service_id == service_id), None)

    # -- the keys of buckets ---------------------------------------------------------------

    def credentials(self, service: Service) -> dict[str, Secret]:
        """`key`, `secret`, `region` and `endpoint` of its bucket; empty when none were set."""
        rows = self._db.execute(
            "SELECT sealed FROM backup_credentials WHERE service_id = ?", (service.id,)
        )
        if not rows:
            return {}
        return secrets(json.loads(self._vault.open(rows[0]["sealed"], _place(service.id))))

    def set_credentials(self, service: Service, credentials: Mapping[str, str]) -> None:
        """Remember them, sealed; empty forgets."""
        if not credentials:
            self._db.execute("DELETE FROM backup_credentials WHERE service_id = ?", (service.id,))
            return
        sealed = self._vault.seal(json.dumps(dict(credentials)), _place(service.id))
        self._db.execute(
            "INSERT OR REPLACE INTO backup_credentials (service_id, sealed) VALUES (?, ?)",
            (service.id, sealed),
        )

    # -- candidates ------------------------------------------------------------------------

    def add_candidate(self, volume: str, service_id: int) -> None:
        """Record a volume that is nobody's data yet."""
        self._db.execute(
            "INSERT INTO service_candidates (volume, service_id) VALUES (?, ?)",
            (volume, service_id),
        )

    def candidates(self) -> Sequence[tuple[str, int]]:
        """Volumes of candidates and the services they are for."""
        rows = self._db.execute("SELECT * FROM service_candidates ORDER BY volume")
        return [(row["volume"], row["service_id"]) for row in rows]

    def drop_candidate(self, volume: str) -> None:
        """The volume is a service's, or gone."""
        self._db.execute("DELETE FROM service_candidates WHERE volume = ?", (volume,))

    def _where(self, condition: str, *values: str | int) -> Sequence[Backup]:
        # `condition` is one of the literals above.
        rows = self._db.execute(
            f"SELECT * FROM backups WHERE {condition} ORDER BY id DESC",  # noqa: S608
            values,
        )
        return [_backup(row) for row in rows]


def _place(service_id: int) -> str:
    """What the key of a service's bucket is sealed for."""
    return f"backup credentials {service_id}"


def _backup(row: Row) -> Backup:
    return Backup(
        id=row["id"],
        plugin=row["plugin"],
        service=row["service"],
        version=row["version"],
        target=row["target"],
        file=row["file"],
        verdict=Verdict(row["verdict"]),
        detail=row["detail"],
        bytes=row["bytes"],
        sha256=row["sha256"],
        seconds=row["seconds"],
        started_at=row["started_at"],
        scheduled=bool(row["scheduled"]),
        service_id=row["service_id"],
        proven=bool(row["proven"]),
    )


def _schedule(row: Row) -> Schedule:
    return Schedule(
        row["service_id"],
        row["cron"],
        row["target"],
        row["keep_count"],
        row["keep_days"],
        bool(row["verify"]),
        row["next_at"],
    )
