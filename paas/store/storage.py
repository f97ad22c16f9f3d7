"""The tables of volumes and of what apps have mounted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from paas.errors import NotFound, PaasError
from paas.host.database import Database, Row, Unique
from paas.model.storage import Mounted, Volume


class VolumeUnknown(NotFound):
    """No volume has that name."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"There is no volume {name}", resolution=f"Make it: paas storage:create {name}"
        )


class VolumeTaken(PaasError):
    """A volume has that name already."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There is a volume {name} already")


class VolumeInUse(PaasError):
    """Apps have the volume mounted."""

    def __init__(self, name: str, apps: Sequence[str]) -> None:
        super().__init__(
            f"The volume {name} is mounted in {', '.join(apps)}",
            resolution=f"Unmount it there first: paas storage:list {apps[0]}",
        )


class TargetTaken(PaasError):
    """Something else is mounted there."""

    def __init__(self, target: str) -> None:
        super().__init__(
            f"Something is mounted at {target} already", resolution="Unmount that first."
        )


class MountUnknown(NotFound):
    """The app has nothing of that kind mounted."""

    def __init__(self, mounted: Mounted) -> None:
        super().__init__(f"{mounted.source} is not mounted at {mounted.target}")


class StorageTables:
    """Volumes by name, mounts by app."""

    def __init__(self, db: Database, now: Callable[[], float]) -> None:
        self._db = db
        self._now = now

    def create(self, name: str, size: int | None, quota: int | None = None) -> Volume:
        """Add a volume that should stay below `size` bytes, and has to below `quota`.

        Raises `VolumeTaken`.
        """
        try:
            self._db.execute(
                "INSERT INTO volumes VALUES (?, ?, ?, ?)", (name, size, self._now(), quota)
            )
        except Unique:
            raise VolumeTaken(name) from None
        return self.get(name)

    def get(self, name: str) -> Volume:
        """The volume called `name`. Raises `VolumeUnknown`."""
        rows = self._db.execute("SELECT * FROM volumes WHERE name = ?", (name,))
        if not rows:
            raise VolumeUnknown(name)
        return _volume(rows[0])

    def list(self) -> Sequence[Volume]:
        """All volumes by name."""
        return [_volume(row) for row in self._db.execute("SELECT * FROM volumes ORDER BY name")]

    def change(self, volume: Volume) -> None:
        """Keep another size and quota of a volume. Raises `VolumeUnknown`."""
        self.get(volume.name)
        self._db.execute(
            "UPDATE volumes SET bytes = ?, quota = ? WHERE name = ?",
            (volume.bytes, volume.quota, volume.name),
        )

    def destroy(self, name: str) -> None:
        """Forget a volume that no app has mounted. Raises `VolumeUnknown`, `VolumeInUse`."""
        with self._db.transaction():
            self.get(name)
            apps = self.users(name)
            if apps:
                raise VolumeInUse(name, [app for _, app in apps])
            self._db.execute("DELETE FROM volumes WHERE name = ?", (name,))

    def users(self, name: str) -> Sequence[tuple[int, str]]:
        """Ids and names of the apps that have a volume mounted."""
        rows = self._db.execute(
            "SELECT DISTINCT apps.id, name FROM mounts JOIN apps ON apps.id = app_id"
            " WHERE volume = ? ORDER BY name",
            (name,),
        )
        return [(row["id"], row["name"]) for row in rows]

    def mount(self, app_id: int, mounted: Mounted) -> None:
        """Mount something; again is no error. Raises `VolumeUnknown`, `TargetTaken`."""
        if mounted in self.mounts(app_id):
            return
        if not mounted.is_directory:
            self.get(mounted.source)
        volume, directory = _columns(mounted)
        try:
            self._db.execute(
                "INSERT INTO mounts (app_id, volume, directory, target, process_type, subpath,"
                " read_only) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    app_id, volume, directory, mounted.target, mounted.process_type,
                    mounted.subpath, int(mounted.read_only),
                ),
            )  # fmt: skip
        except Unique:
            raise TargetTaken(mounted.target) from None

    def unmount(self, app_id: int, mounted: Mounted) -> None:
        """Unmount a source from a target, of every process type. Raises `MountUnknown`."""
        removed = self._db.execute(
            "DELETE FROM mounts WHERE app_id = ? AND target = ? AND ifnull(volume, directory) = ?"
            " RETURNING id",
            (app_id, mounted.target, mounted.source),
        )
        if not removed:
            raise MountUnknown(mounted)

    def mounts(self, app_id: int) -> Sequence[Mounted]:
        """All that an app has mounted, by target."""
        rows = self._db.execute(
            "SELECT * FROM mounts WHERE app_id = ? ORDER BY target, process_type", (app_id,)
        )
        return [_mounted(row) for row in rows]


def _columns(mounted: Mounted) -> tuple[str | None, str | None]:
    return (None, mounted.source) if mounted.is_directory else (mounted.source, None)


def _volume(row: Row) -> Volume:
    return Volume(row["name"], row["bytes"], row["created_at"], row["quota"])


def _mounted(row: Row) -> Mounted:
    return Mounted(
        row["volume"] or row["directory"],
        row["target"],
        bool(row["read_only"]),
        row["process_type"],
        row["subpath"],
    )
