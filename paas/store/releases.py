"""The releases table: immutable, numbered from 1 for each app."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict

from paas.errors import NotFound
from paas.host.database import Database, Row
from paas.host.secrets import Vault
from paas.model.cron import CronTask
from paas.model.env import Secret, revealed, secrets
from paas.model.health import Healthcheck, parse_healthcheck
from paas.model.limits import Limits
from paas.model.release import Release


class ReleaseNotFound(NotFound):
    """The app has no release of that number, or no longer."""

    def __init__(self, number: int) -> None:
        super().__init__(
            f"Release v{number} does not exist",
            resolution="See the releases command for those that can be used.",
        )


class Releases:
    """Adds, finds and prunes releases."""

    def __init__(self, db: Database, vault: Vault, now: Callable[[], float]) -> None:
        self._db = db
        self._vault = vault
        self._now = now

    def add(  # noqa: PLR0913 - a release is all of these, by name
        self,
        app_id: int,
        *,
        image: str,
        commit: str | None,
        config: Mapping[str, Secret],
        processes: Mapping[str, str | None],
        formation: Mapping[str, int],
        health: Mapping[str, tuple[Healthcheck, ...]],
        reason: str,
        actor: str,
        limits: Mapping[str, Limits] | None = None,
        inherited: Iterable[str] = (),
        snippet: str = "",
        cron: Sequence[CronTask] = (),
        created_at: float | None = None,
    ) -> Release:
        """Record a release under the app's next number, which is never used again."""
        with self._db.transaction():
            [row] = self._db.execute(
                "UPDATE apps SET last_release = last_release + 1 WHERE id = ?"
                " RETURNING last_release",
                (app_id,),
            )
            number = int(row["last_release"])
            self._db.execute(
                "INSERT INTO releases (app_id, number, image, revision, config, processes,"
                " formation, health, reason, actor, created_at, inherited, limits,"
                " snippet, cron) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    app_id,
                    number,
                    image,
                    commit,
                    self._vault.seal(json.dumps(revealed(config)), place(app_id, number)),
                    json.dumps(dict(processes)),
                    json.dumps(dict(formation)),
                    json.dumps({name: [c.to_json() for c in cs] for name, cs in health.items()}),
                    reason,
                    actor,
                    self._now() if created_at is None else created_at,
                    json.dumps(sorted(inherited)),
                    json.dumps({name: asdict(each) for name, each in (limits or {}).items()}),
                    snippet,
                    json.dumps([task.to_json() for task in cron]),
                ),
            )
        return self.get(app_id, number)

    def get(self, app_id: int, number: int) -> Release:
        """One release. Raises `ReleaseNotFound`."""
        rows = self._db.execute(
            "SELECT * FROM releases WHERE app_id = ? AND number = ?", (app_id, number)
        )
        if not rows:
            raise ReleaseNotFound(number)
        return self._release(rows[0])

    def list(self, app_id: int) -> list[Release]:
        """All releases of an app, the newest first."""
        rows = self._db.execute(
            "SELECT * FROM releases WHERE app_id = ? ORDER BY number DESC", (app_id,)
        )
        return [self._release(row) for row in rows]

    def counts(self) -> Mapping[int, int]:
        """How many releases each app has, by its id."""
        rows = self._db.execute("SELECT app_id, count(*) AS number FROM releases GROUP BY app_id")
        return {row["app_id"]: row["number"] for row in rows}

    def latest(self, app_id: int) -> Release | None:
        """The release with the highest number, live or not."""
        rows = self._db.execute(
            "SELECT * FROM releases WHERE app_id = ? ORDER BY number DESC LIMIT 1", (app_id,)
        )
        return self._release(rows[0]) if rows else None

    def snippet(self, app_id: int, number: int) -> str:
        """A release's part of the proxy: without unsealing all the rest of it."""
        rows = self._db.execute(
            "SELECT snippet FROM releases WHERE app_id = ? AND number = ?", (app_id, number)
        )
        return str(rows[0]["snippet"]) if rows else ""

    def needing(self) -> Sequence[tuple[str, str, int]]:
        """Image, app and number of every release: without unsealing what else they hold."""
        rows = self._db.execute(
            "SELECT image, apps.name AS app, number FROM releases JOIN apps ON apps.id = app_id"
            " ORDER BY app_id, number DESC"
        )
        return [(row["image"], row["app"], row["number"]) for row in rows]

    def images(self) -> set[str]:
        """Every image some release needs: what garbage collection must leave."""
        return {row["image"] for row in self._db.execute("SELECT DISTINCT image FROM releases")}

    def keep(self, app_id: int, count: int) -> None:
        """Drop all but the newest `count` releases, the live one, and those still run."""
        self._db.execute(
            "DELETE FROM releases WHERE app_id = :app"
            " AND number NOT IN (SELECT number FROM releases WHERE app_id = :app"
            "                    ORDER BY number DESC LIMIT :count)"
            " AND number NOT IN (SELECT live FROM apps WHERE id = :app AND live IS NOT NULL)"
            " AND number NOT IN (SELECT release FROM instances WHERE app_id = :app)",
            {"app": app_id, "count": count},
        )

    def _release(self, row: Row) -> Release:
        sealed_for = place(row["app_id"], row["number"])
        return Release(
            app_id=row["app_id"],
            number=row["number"],
            image=row["image"],
            commit=row["revision"],
            config=secrets(json.loads(self._vault.open(row["config"], sealed_for))),
            processes=json.loads(row["processes"]),
            formation=json.loads(row["formation"]),
            health={
                name: tuple(parse_healthcheck(check, name) for check in checks)
                for name, checks in json.loads(row["health"]).items()
            },
            reason=row["reason"],
            actor=row["actor"],
            created_at=row["created_at"],
            limits={name: Limits(**each) for name, each in json.loads(row["limits"]).items()},
            inherited=frozenset(json.loads(row["inherited"])),
            snippet=row["snippet"],
            cron=tuple(CronTask.from_json(each) for each in json.loads(row["cron"])),
        )


def place(app_id: int, number: int) -> str:
    """What the config of a release is sealed for."""
    return f"release/{app_id}/{number}"
