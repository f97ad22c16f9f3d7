"""The settings table: an app's own value, else the server's, else the default."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TypeVar

from paas.host.database import Database
from paas.model.settings import DEPLOY_BRANCH, Setting

T = TypeVar("T")


@dataclass(frozen=True)
class Snapshot:
    """All settings as they were at one moment: for whoever needs many."""

    _texts: Mapping[tuple[int | None, str], str]

    def value(self, setting: Setting[T], app_id: int | None = None) -> T:
        """The value in effect, parsed."""
        for scope in (app_id, None) if setting.app and app_id is not None else (None,):
            text = self._texts.get((scope, setting.name))
            if text is not None:
                return setting.parse(text)
        return setting.default


class Settings:
    """Reads and writes settings. A scope is an app's id, or None for the server."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def value(self, setting: Setting[T], app_id: int | None = None) -> T:
        """The value in effect, parsed."""
        for scope in (app_id, None) if setting.app and app_id is not None else (None,):
            text = self.get(scope, setting.name)
            if text is not None:
                return setting.parse(text)
        return setting.default

    def snapshot(self) -> Snapshot:
        """All of them, read at once."""
        rows = self._db.execute("SELECT app_id, name, value FROM settings")
        return Snapshot({(row["app_id"], row["name"]): row["value"] for row in rows})

    def effective(self, name: str, app_id: int | None) -> str | None:
        """The text that counts: the app's own, else the server's."""
        own = self.get(app_id, name)
        return own if own is not None or app_id is None else self.get(None, name)

    def deploy_branch(self, app_id: int) -> str | None:
        """The branch whose push deploys an app; None: the one that is pushed first.

        As it was set, and not parsed: one from before may be called as none can be today.
        """
        return self.effective(DEPLOY_BRANCH.name, app_id)

    def adopt_branch(self, app_id: int, branch: str) -> None:
        """Have an app deploy from the branch of its first push, unless one was set."""
        with self._db.transaction():
            if self.deploy_branch(app_id) is None:
                self.set(app_id, DEPLOY_BRANCH.name, branch)

    def get(self, scope: int | None, name: str) -> str | None:
        """The text that was set in exactly this scope."""
        rows = self._db.execute(
            "SELECT value FROM settings WHERE app_id IS ? AND name = ?", (scope, name)
        )
        return str(rows[0]["value"]) if rows else None

    def copy(self, app_id: int, to: int, without: Collection[str]) -> None:
        """Give what was set for an app to a new one, but for some names."""
        rows = self._db.execute("SELECT name, value FROM settings WHERE app_id = ?", (app_id,))
        for row in rows:
            if row["name"] not in without:
                self.set(to, row["name"], row["value"])

    def forget(self, name: str) -> None:
        """Remove what was set under a name, of the server and of every app."""
        self._db.execute("DELETE FROM settings WHERE name = ?", (name,))

    def set(self, scope: int | None, name: str, value: str | None) -> None:
        """Set the text, which is a parsed one; None removes it."""
        with self._db.transaction():
            self._db.execute("DELETE FROM settings WHERE app_id IS ? AND name = ?", (scope, name))
            if value is not None:
                self._db.execute(
                    "INSERT INTO settings (app_id, name, value) VALUES (?, ?, ?)",
                    (scope, name, value),
                )
