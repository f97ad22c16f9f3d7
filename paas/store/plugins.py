"""The plugins table: what was installed, which version of it is used, what it was granted."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from paas.errors import NotFound, PaasError
from paas.host.database import Database, Row, Unique
from paas.host.secrets import Vault
from paas.model.env import Secret
from paas.model.plugin import InstalledPlugin

MAX_ERROR = 1000


class PluginNotFound(NotFound):
    """No plugin of that name is installed."""

    def __init__(self, name: str) -> None:
        shown = name if name.isprintable() else ascii(name)
        super().__init__(
            f"There is no plugin {shown[:80]}", resolution="See what there is: paas plugin:list"
        )


class PluginExists(PaasError):
    """A plugin of that name is installed."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"The plugin {name} is installed already",
            resolution=f"Bring it up to date: paas plugin:update {name}",
        )


class Plugins:
    """Reads and writes plugins and their settings, whose values are sealed."""

    def __init__(self, db: Database, vault: Vault, now: Callable[[], float]) -> None:
        self._db = db
        self._vault = vault
        self._now = now

    def add(self, name: str, source: str, ref: str, version: str, actor: str) -> InstalledPlugin:
        """Add one, disabled. Raises `PluginExists`."""
        try:
            self._db.execute(
                "INSERT INTO plugins (name, source, ref, latest, installed_at, actor)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (name, source, ref, version, self._now(), actor),
            )
        except Unique:
            raise PluginExists(name) from None
        return self.get(name)

    def find(self, name: str) -> InstalledPlugin | None:
        """The plugin of that name, if it is installed."""
        rows = self._db.execute("SELECT * FROM plugins WHERE name = ?", (name,))
        return _plugin(rows[0]) if rows else None

    def get(self, name: str) -> InstalledPlugin:
        """The plugin of that name. Raises `PluginNotFound`."""
        found = self.find(name)
        if found is None:
            raise PluginNotFound(name)
        return found

    def enabled(self) -> list[InstalledPlugin]:
        """Those that are used, by name."""
        rows = self._db.execute("SELECT * FROM plugins WHERE active <> '' ORDER BY name")
        return [_plugin(row) for row in rows]

    def list(self) -> list[InstalledPlugin]:
        """All that are installed, by name."""
        return [_plugin(row) for row in self._db.execute("SELECT * FROM plugins ORDER BY name")]

    def behind(self, event: int) -> Sequence[str]:
        """The names of enabled ones that were not told of all events up to that one."""
        rows = self._db.execute(
            "SELECT name FROM plugins WHERE active <> '' AND seen < ? ORDER BY name", (event,)
        )
        return [str(row["name"]) for row in rows]

    def images(self) -> set[str]:
        """The images that the programs of enabled ones run in."""
        return {one.image for one in self.enabled() if one.image}

    def set_latest(self, name: str, version: str, ref: str) -> None:
        """Say which version was fetched last, and by which ref."""
        self._db.execute(
            "UPDATE plugins SET latest = ?, ref = ? WHERE name = ?", (version, ref, name)
        )

    def enable(self, name: str, version: str, image: str, granted: Sequence[str]) -> None:
        """Use a version, with what it was granted; it is told of no event before now."""
        self._db.execute(
            "UPDATE plugins SET active = :version, image = :image, granted = :granted, error = '',"
            " seen = CASE WHEN active = '' THEN (SELECT ifnull(max(id), 0) FROM events)"
            " ELSE seen END WHERE name = :name",
            {"version": version, "image": image, "granted": json.dumps(granted), "name": name},
        )

    def disable(self, name: str) -> None:
        """No longer use it; what was set for it stays."""
        self._db.execute(
            "UPDATE plugins SET active = '', image = '', granted = '[]' WHERE name = ?", (name,)
        )

    def remove(self, name: str) -> None:
        """Forget it, with its settings."""
        self._db.execute("DELETE FROM plugins WHERE name = ?", (name,))

    def set_seen(self, name: str, event: int) -> None:
        """Say which event it was told of last."""
        self._db.execute("UPDATE plugins SET seen = ? WHERE name = ?", (event, name))

    def set_error(self, name: str, error: str) -> None:
        """Say how its last run failed; empty when it did not."""
        self._db.execute(
            "UPDATE plugins SET error = :error, error_at = :at"
            " WHERE name = :name AND (:error <> '' OR error <> '')",
            {"error": error[:MAX_ERROR], "at": self._now() if error else 0.0, "name": name},
        )

    def settings(self, name: str) -> dict[str, Secret]:
        """What was set for its programs. Raises `KeyLost`, `Tampered`."""
        rows = self._db.execute(
            "SELECT name, value FROM plugin_settings WHERE plugin = ? ORDER BY name", (name,)
        )
        return {
            row["name"]: Secret(self._vault.open(row["value"], _place(name, row["name"])))
            for row in rows
        }

    def configure(self, name: str, values: Mapping[str, Secret | None]) -> None:
        """Set values for its programs; None unsets."""
        with self._db.transaction():
            for key, value in values.items():
                self._db.execute(
                    "DELETE FROM plugin_settings WHERE plugin = ? AND name = ?", (name, key)
                )
                if value is not None:
                    sealed = self._vault.seal(value.reveal(), _place(name, key))
                    self._db.execute(
                        "INSERT INTO plugin_settings VALUES (?, ?, ?)", (name, key, sealed)
                    )


def _place(name: str, key: str) -> str:
    """What a value is sealed for."""
    return f"plugin/{name}/{key}"


def _plugin(row: Row) -> InstalledPlugin:
    return InstalledPlugin(
        name=row["name"],
        source=row["source"],
        ref=row["ref"],
        latest=row["latest"],
        active=row["active"],
        granted=tuple(json.loads(row["granted"])),
        image=row["image"],
        seen=row["seen"],
        error=row["error"],
        error_at=row["error_at"],
        installed_at=row["installed_at"],
        actor=row["actor"],
    )
