"""Who may ask: users, each with any number of keys, and their roles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from paas.errors import NotFound
from paas.host.database import Database, Row
from paas.model.role import Role


@dataclass(frozen=True)
class User:
    """Somebody with keys. An admin has every role for every app."""

    name: str
    admin: bool
    created_at: float


class UserNotFound(NotFound):
    """Nobody has that name."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"User {name} does not exist",
            resolution=f"Let them in first: ssh-keys:add {name} --member < key.pub",
        )


class Users:
    """Adds users, finds them, and says what they may."""

    def __init__(self, db: Database, now: Callable[[], float]) -> None:
        self._db = db
        self._now = now

    def add(self, name: str, *, admin: bool) -> User:
        """Make a user; one who is there stays as they are."""
        self._db.execute(
            "INSERT INTO users (name, admin, created_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            (name, int(admin), self._now()),
        )
        return self.get(name)

    def get(self, name: str) -> User:
        """The user called `name`. Raises `UserNotFound`."""
        user = self.find(name)
        if user is None:
            raise UserNotFound(name)
        return user

    def find(self, name: str) -> User | None:
        """The user called `name`, if there is one."""
        rows = self._db.execute("SELECT * FROM users WHERE name = ?", (name,))
        return _user(rows[0]) if rows else None

    def list(self) -> list[User]:
        """Everybody, by name."""
        return [_user(row) for row in self._db.execute("SELECT * FROM users ORDER BY name")]

    def set_admin(self, name: str, *, admin: bool) -> None:
        """Raises `UserNotFound`."""
        self.get(name)
        self._db.execute("UPDATE users SET admin = ? WHERE name = ?", (int(admin), name))

    def remove(self, name: str) -> None:
        """Forget a user with all keys and roles. Raises `UserNotFound`."""
        self.get(name)
        self._db.execute("DELETE FROM users WHERE name = ?", (name,))

    # -- roles ---------------------------------------------------------------------------------

    def give(self, name: str, app_id: int, role: Role) -> None:
        """Give a user a role in an app, instead of the one they had. Raises `UserNotFound`."""
        self.get(name)
        self._db.execute(
            "INSERT INTO roles (app_id, user, role) VALUES (?, ?, ?)"
            " ON CONFLICT (app_id, user) DO UPDATE SET role = excluded.role",
            (app_id, name, str(role)),
        )

    def take(self, name: str, app_id: int) -> bool:
        """Take a user's role in an app; says whether there was one."""
        taken = self._db.execute(
            "DELETE FROM roles WHERE app_id = ? AND user = ? RETURNING user", (app_id, name)
        )
        return bool(taken)

    def role(self, name: str, app_id: int) -> Role | None:
        """A user's role in an app."""
        rows = self._db.execute(
            "SELECT role FROM roles WHERE app_id = ? AND user = ?", (app_id, name)
        )
        return Role(rows[0]["role"]) if rows else None

    def of_app(self, app_id: int) -> dict[str, Role]:
        """Who has which role in an app."""
        rows = self._db.execute(
            "SELECT user, role FROM roles WHERE app_id = ? ORDER BY user", (app_id,)
        )
        return {row["user"]: Role(row["role"]) for row in rows}

    def apps_of(self, name: str) -> dict[int, Role]:
        """A user's roles, by the id of the app."""
        rows = self._db.execute("SELECT app_id, role FROM roles WHERE user = ?", (name,))
        return {row["app_id"]: Role(row["role"]) for row in rows}


def _user(row: Row) -> User:
    return User(row["name"], bool(row["admin"]), row["created_at"])
