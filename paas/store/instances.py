"""The instances table: which containers belong to which process type of which release."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence

from paas.host.database import Database, Row
from paas.model.instance import Instance, InstanceState


class Instances:
    """Adds, finds and removes instances."""

    def __init__(self, db: Database, now: Callable[[], float]) -> None:
        self._db = db
        self._now = now

    def add(  # noqa: PLR0913 - an instance is all of these, by name
        self,
        app_id: int,
        *,
        release: int,
        process_type: str,
        index: int,
        container: str,
        address: str,
        port: int,
        deploy: int | None,
        restarts: int = 0,
    ) -> Instance:
        """Record an instance as STARTING. `container` is unique."""
        self._db.insert(
            "INSERT INTO instances (app_id, release, process_type, number, container, address,"
            " port, state, deploy, created_at, restarts)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                app_id,
                release,
                process_type,
                index,
                container,
                address,
                port,
                InstanceState.STARTING.value,
                deploy,
                self._now(),
                restarts,
            ),
        )
        self._log_release(app_id, container, release)
        [instance] = self._where("container = ?", container)
        return instance

    def _log_release(self, app_id: int, container: str, release: int) -> None:
        self._db.execute(
            "INSERT INTO log_releases (container, app_id, release, since) VALUES (?, ?, ?, ?)",
            (container, app_id, release, self._now()),
        )

    def releases(self, app_id: int) -> dict[str, list[tuple[float, int]]]:
        """By container, also of those that are gone: since when it was of which release."""
        found: dict[str, list[tuple[float, int]]] = {}
        rows = self._db.execute(
            "SELECT * FROM log_releases WHERE app_id = ? ORDER BY rowid", (app_id,)
        )
        for row in rows:
            found.setdefault(row["container"], []).append((row["since"], row["release"]))
        return found

    def forget_releases(self, app_id: int, kept: Iterable[str]) -> None:
        """Keep only what is known of these containers, whose output still is there."""
        self._db.execute(
            "DELETE FROM log_releases WHERE app_id = ?"
            " AND container NOT IN (SELECT value FROM json_each(?))",
            (app_id, json.dumps(list(kept))),
        )

    def list(self, app_id: int | None = None) -> Sequence[Instance]:
        """Instances of one app, or of all, by app, type and number."""
        return self._where("1") if app_id is None else self._where("app_id = ?", app_id)

    def of_deploy(self, deploy_id: int) -> Sequence[Instance]:
        """Instances that a deploy made."""
        return self._where("deploy = ?", deploy_id)

    def by_container(self, container: str) -> Instance | None:
        """The instance that a container is, if it is one."""
        found = self._where("container = ?", container)
        return found[0] if found else None

    def set_state(self, instance_id: int, state: InstanceState) -> None:
        """Record what became of an instance."""
        self._db.execute("UPDATE instances SET state = ? WHERE id = ?", (state.value, instance_id))

    def set_ready(self, instance_id: int, *, ready: bool) -> None:
        """Record whether an instance may be sent requests."""
        self._db.execute("UPDATE instances SET ready = ? WHERE id = ?", (int(ready), instance_id))

    def set_release(self, instance_id: int, release: int) -> None:
        """Record that an instance serves a newer release, which runs it the same way."""
        [instance] = self._where("id = ?", instance_id)
        self._db.execute("UPDATE instances SET release = ? WHERE id = ?", (release, instance_id))
        if instance.release != release:
            self._log_release(instance.app_id, instance.container, release)

    def set_address(self, instance_id: int, address: str) -> None:
        """Record the address of a container that was made anew."""
        self._db.execute("UPDATE instances SET address = ? WHERE id = ?", (address, instance_id))

    def remove(self, instance_id: int) -> None:
        """Forget an instance; one that is gone is no error."""
        self._db.execute("DELETE FROM instances WHERE id = ?", (instance_id,))

    def _where(self, condition: str, *values: str | int) -> Sequence[Instance]:
        # `condition` is one of the literals above.
        rows = self._db.execute(
            f"SELECT * FROM instances WHERE {condition}"  # noqa: S608
            " ORDER BY app_id, process_type, number, id",
            values,
        )
        return [_instance(row) for row in rows]


def _instance(row: Row) -> Instance:
    return Instance(
        id=row["id"],
        app_id=row["app_id"],
        release=row["release"],
        process_type=row["process_type"],
        index=row["number"],
        container=row["container"],
        address=row["address"],
        port=row["port"],
        state=InstanceState(row["state"]),
        deploy=row["deploy"],
        created_at=row["created_at"],
        restarts=row["restarts"],
        ready=bool(row["ready"]),
    )
