"""The apps table."""

from __future__ import annotations

from collections.abc import Callable

from paas.errors import NotFound, PaasError
from paas.host.database import Database, Row, Unique
from paas.model.app import App


class AppNotFound(NotFound):
    """No app has that name (exit code 20)."""

    def __init__(self, name: str) -> None:
        shown = name if name.isprintable() else ascii(name)
        super().__init__(f"App {shown} does not exist")
        self.name = name


class NameTaken(PaasError):
    """Another app has that name."""

    def __init__(self, name: str) -> None:
        super().__init__("Name is already taken", resolution=f"Choose another name than {name}.")
        self.name = name


class Apps:
    """Creates, finds, renames and destroys apps."""

    def __init__(self, db: Database, now: Callable[[], float]) -> None:
        self._db = db
        self._now = now

    def create(self, name: str) -> App:
        """Add an app. `name` is a parsed one. Raises `NameTaken`."""
        try:
            self._db.insert(
                "INSERT INTO apps (name, created_at) VALUES (?, ?)", (name, self._now())
            )
        except Unique:
            raise NameTaken(name) from None
        return self.get(name)

    def get(self, name: str) -> App:
        """The app called `name`. Raises `AppNotFound`."""
        app = self.find(name)
        if app is None:
            raise AppNotFound(name)
        return app

    def find(self, name: str) -> App | None:
        """The app called `name`, if there is one."""
        rows = self._db.execute("SELECT * FROM apps WHERE name = ?", (name,))
        return _app(rows[0]) if rows else None

    def by_id(self, app_id: int) -> App | None:
        """The app with that id, if it still exists."""
        rows = self._db.execute("SELECT * FROM apps WHERE id = ?", (app_id,))
        return _app(rows[0]) if rows else None

    def current(self, app: App) -> App:
        """The app as it is now, whatever it is called. Raises `AppNotFound`."""
        found = self.by_id(app.id)
        if found is None:
            raise AppNotFound(app.name)
        return found

    def list(self) -> list[App]:
        """All apps by name."""
        return [_app(row) for row in self._db.execute("SELECT * FROM apps ORDER BY name")]

    def rename(self, app: App, new: str) -> App:
        """Give an app another name; its id stays. Raises `AppNotFound`, `NameTaken`."""
        self.current(app)
        try:
            self._db.execute("UPDATE apps SET name = ? WHERE id = ?", (new, app.id))
        except Unique:
            raise NameTaken(new) from None
        return self.get(new)

    def destroy(self, app: App) -> None:
        """Forget an app and all that belongs to it, but no other that has its name by now.

        Raises `AppNotFound`.
        """
        self.current(app)
        self._db.execute("DELETE FROM apps WHERE id = ?", (app.id,))

    def set_live(self, app_id: int, release_number: int | None) -> None:
        """Make an existing release the live one: the commit point of a deploy."""
        self._db.execute("UPDATE apps SET live = ? WHERE id = ?", (release_number, app_id))

    def set_stopped(self, app_id: int, stopped: bool) -> None:  # noqa: FBT001 - a column
        """Say whether the app should run at all."""
        self._db.execute("UPDATE apps SET stopped = ? WHERE id = ?", (int(stopped), app_id))


def _app(row: Row) -> App:
    return App(
        id=row["id"],
        name=row["name"],
        created_at=row["created_at"],
        live=row["live"],
        stopped=bool(row["stopped"]),
    )
