"""The deploys table: each attempt to make a release live, by its stage."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

from paas.host.database import Database, Row
from paas.model.deploy import Deploy, Stage


class Deploys:
    """Starts, advances and finishes deploys."""

    def __init__(self, db: Database, now: Callable[[], float]) -> None:
        self._db = db
        self._now = now

    def start(self, app_id: int, commit: str | None, actor: str) -> Deploy:
        """Record a deploy at `Stage.RECEIVED`."""
        deploy_id = self._db.insert(
            "INSERT INTO deploys (app_id, stage, revision, actor, started_at)"
            " VALUES (?, ?, ?, ?, ?)",
            (app_id, Stage.RECEIVED.value, commit, actor, self._now()),
        )
        return self.get(deploy_id)

    def get(self, deploy_id: int) -> Deploy:
        """One deploy by the id that `start` gave."""
        [row] = self._db.execute("SELECT * FROM deploys WHERE id = ?", (deploy_id,))
        return _deploy(row)

    def hold(self, deploy_id: int, process_types: Iterable[str]) -> None:
        """Record that the deploy stops the old instances of these types before it starts new
        ones: until it ends nobody else starts any.
        """
        self._db.execute(
            "UPDATE deploys SET held = ? WHERE id = ?",
            (json.dumps(sorted(process_types)), deploy_id),
        )

    def held(self, app_id: int) -> set[str]:
        """The process types of an app that a deploy under way holds."""
        rows = self._db.execute(
            "SELECT held FROM deploys WHERE app_id = ? AND ended_at IS NULL", (app_id,)
        )
        return {kind for row in rows for kind in json.loads(row["held"])}

    def advance(self, deploy_id: int, stage: Stage) -> None:
        """Go on to a later stage; `LIVE` ends the deploy.

        Going back, or on from an end, is a bug of the caller and raises `ValueError`.
        """
        with self._db.transaction():
            now = self.get(deploy_id).stage
            if not now.can_advance(stage):
                raise ValueError(f"deploy {deploy_id} cannot go from {now} to {stage}")
            self._db.execute(
                "UPDATE deploys SET stage = ?, ended_at = ? WHERE id = ?",
                (stage.value, self._now() if stage.finished else None, deploy_id),
            )

    def set_release(self, deploy_id: int, number: int) -> None:
        """Name the release that the deploy made."""
        self._db.execute("UPDATE deploys SET release = ? WHERE id = ?", (number, deploy_id))

    def finish(self, deploy_id: int, status: Stage, error: str = "") -> None:
        """End a deploy: with `LIVE`, `FAILED`, `SUPERSEDED` or `ABANDONED`."""
        with self._db.transaction():
            self.advance(deploy_id, status)
            self._db.execute("UPDATE deploys SET error = ? WHERE id = ?", (error, deploy_id))

    def unfinished(self) -> list[Deploy]:
        """Deploys that go on, or whose process died, the oldest first."""
        rows = self._db.execute("SELECT * FROM deploys WHERE ended_at IS NULL ORDER BY id")
        return [_deploy(row) for row in rows]

    def ids(self) -> set[int]:
        """The ids of all deploys of all apps."""
        return {row["id"] for row in self._db.execute("SELECT id FROM deploys")}

    def list(self, app_id: int) -> list[Deploy]:
        """All deploys of an app, the newest first."""
        rows = self._db.execute(
            "SELECT * FROM deploys WHERE app_id = ? ORDER BY id DESC", (app_id,)
        )
        return [_deploy(row) for row in rows]


def _deploy(row: Row) -> Deploy:
    return Deploy(
        id=row["id"],
        app_id=row["app_id"],
        stage=Stage(row["stage"]),
        commit=row["revision"],
        actor=row["actor"],
        release=row["release"],
        error=row["error"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
    )
