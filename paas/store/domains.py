"""The domains table: each name leads to one app, whether it serves there or redirects.

A name is a host, or a host and a path (`paas.model.route`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from paas.errors import NotFound, PaasError
from paas.host.database import Database, Unique
from paas.model.route import Redirect, Route, parse_route


class DomainTaken(PaasError):
    """The domain leads to another app already."""

    def __init__(self, name: str, owner: str) -> None:
        super().__init__(
            f"Domain {name} belongs to app {owner}",
            resolution=f"Remove it there first: domains:remove {owner} {name}",
        )


class Redirects(PaasError):
    """The app redirects the name, and cannot serve it too; or the other way round."""


class DomainNotFound(NotFound):
    """The app has no such domain."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Domain {name} does not belong to this app")


class Domains:
    """Adds, removes and lists domains."""

    def __init__(self, db: Database, now: Callable[[], float]) -> None:
        self._db = db
        self._now = now

    def add(self, app_id: int, name: str) -> None:
        """Lead a domain to an app; again is no error. Raises `DomainTaken`, `Redirects`."""
        self._add(app_id, name, "", 0)

    def redirect(self, app_id: int, redirect: Redirect) -> None:
        """Have an app redirect a name; again replaces. Raises `DomainTaken`, `Redirects`."""
        name = str(redirect.source)
        with self._db.transaction():
            self._db.execute(
                "DELETE FROM domains WHERE app_id = ? AND name = ? AND target != ''",
                (app_id, name),
            )
            self._add(app_id, name, redirect.target, redirect.code)

    def _add(self, app_id: int, name: str, target: str, code: int) -> None:
        with self._db.transaction():
            owner = self._owner(name)
            if owner is not None and owner[0] == app_id:
                if bool(owner[2]) != bool(target):
                    raise Redirects(
                        f"App {owner[1]} {'redirects' if owner[2] else 'serves'} {name} already",
                        resolution=f"End that first: "
                        f"{'redirects' if owner[2] else 'domains'}:remove {owner[1]} {name}",
                    )
                return
            try:
                self._db.execute(
                    "INSERT INTO domains (name, app_id, created_at, target, code)"
                    " VALUES (?, ?, ?, ?, ?)",
                    (name, app_id, self._now(), target, code),
                )
            except Unique:
                if owner is None:
                    raise
                raise DomainTaken(name, owner[1]) from None

    def remove(self, app_id: int, name: str, *, redirect: bool = False) -> None:
        """Take a domain, or a redirect, from an app. Raises `DomainNotFound`."""
        removed = self._db.execute(
            "DELETE FROM domains WHERE app_id = ? AND name = ? AND (target != '') = ?"
            " RETURNING name",
            (app_id, name, int(redirect)),
        )
        if not removed:
            raise DomainNotFound(name)

    def clear(self, app_id: int) -> None:
        """Take all domains from an app; its redirects stay."""
        self._db.execute("DELETE FROM domains WHERE app_id = ? AND target = ''", (app_id,))

    def list(self, app_id: int) -> list[str]:
        """The domains that an app serves in the order they were added."""
        rows = self._db.execute(
            "SELECT name FROM domains WHERE app_id = ? AND target = '' ORDER BY created_at, rowid",
            (app_id,),
        )
        return [row["name"] for row in rows]

    def redirects(self, app_id: int) -> Sequence[Redirect]:
        """What an app redirects."""
        rows = self._db.execute(
            "SELECT * FROM domains WHERE app_id = ? AND target != '' ORDER BY name", (app_id,)
        )
        return [Redirect(parse_route(row["name"]), row["target"], row["code"]) for row in rows]

    def routes(self) -> Sequence[tuple[int, Route]]:
        """Everything that is served, with the id of its app, in the order it was added."""
        rows = self._db.execute(
            "SELECT name, app_id FROM domains WHERE target = '' ORDER BY created_at, rowid"
        )
        return [(row["app_id"], parse_route(row["name"])) for row in rows]

    def all_redirects(self) -> Mapping[int, Sequence[Redirect]]:
        """The redirects of every app that has some, by its id."""
        found: dict[int, list[Redirect]] = {}
        for row in self._db.execute("SELECT * FROM domains WHERE target != '' ORDER BY name"):
            redirect = Redirect(parse_route(row["name"]), row["target"], row["code"])
            found.setdefault(row["app_id"], []).append(redirect)
        return found

    def all(self) -> dict[str, int]:
        """Every name and the id of its app, by name."""
        rows = self._db.execute("SELECT name, app_id FROM domains ORDER BY name")
        return {row["name"]: row["app_id"] for row in rows}

    def _owner(self, name: str) -> tuple[int, str, str] | None:
        rows = self._db.execute(
            "SELECT apps.id, apps.name, target FROM domains JOIN apps ON apps.id = app_id"
            " WHERE domains.name = ?",
            (name,),
        )
        return (rows[0]["id"], rows[0]["name"], rows[0]["target"]) if rows else None
