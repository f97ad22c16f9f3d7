"""A service as who operates it sees it, and as the machine's own clients reach it."""

from __future__ import annotations

import contextlib
import json
from urllib.parse import unquote, urlsplit

import psycopg
import pymysql

from paas.store.store import Store
from tests.push.outcome import eventually
from tests.push.server import Server

Rows = list[tuple[object, ...]]

IMAGE_SECONDS = 600.0
"""The first service of a kind makes its image from the distribution's mirror."""

ODD = "-p@ss:w/o?r#d%20 '\"\\$(id)`x` üß木 <>&;|{}[]!*~^,=+_."
"""A password in which every character means something to somebody."""


class Database:
    """A service that this machine's own clients can reach, by its address."""

    def __init__(self, server: Server, plugin: str, name: str) -> None:
        self.server = server
        self.plugin = plugin
        self.name = name

    @classmethod
    def create(
        cls, server: Server, plugin: str, name: str, *options: str, input: bytes = b""
    ) -> Database:
        command = (f"{plugin}:create", name, *options)
        server.paas(*command, input=input, timeout=IMAGE_SECONDS).ok()
        return cls(server, plugin, name)

    def paas(self, verb: str, *words: str, input: bytes = b"") -> str:
        """What `paas PLUGIN:VERB NAME …` says; it must succeed."""
        command = (f"{self.plugin}:{verb}", self.name, *words)
        return self.server.paas(*command, input=input, timeout=IMAGE_SECONDS).ok().out

    def refused(self, verb: str, *words: str, input: bytes = b"", code: int = 1) -> str:
        """What it says when it must fail."""
        command = (f"{self.plugin}:{verb}", self.name, *words)
        return self.server.paas(*command, input=input).failed(code).text

    def destroy(self) -> None:
        """Also one that was killed a moment ago, which the supervisor is starting again."""
        eventually(lambda: self.server.paas(f"{self.plugin}:destroy", self.name, "--force").ok())

    def fact(self, name: str) -> str:
        facts = json.loads(self.paas("info", "--format", "json"))
        value: str = facts[name]
        return value

    @property
    def url(self) -> str:
        """Its URL for who has no resolver of ours: root on the server may reach everything."""
        facts = json.loads(self.paas("info", "--format", "json"))
        url: str = facts["dsn"]
        return url.replace(f"{facts['hostname']}:", f"{facts['internal-ip']}:")

    def query(self, sql: str) -> Rows:
        """Ask a PostgreSQL."""
        with psycopg.connect(self.url, connect_timeout=10) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def mysql(self, **options: object) -> pymysql.Connection:  # type: ignore[type-arg]
        """A connection to a MariaDB."""
        url = urlsplit(self.url)
        given = {
            "host": url.hostname,
            "user": url.username,
            # As bytes: by itself the client knows no more than Latin-1.
            "password": unquote(url.password or "").encode(),
            "database": url.path[1:],
            "autocommit": True,
        }
        return pymysql.connect(**{**given, **options})

    def sql(self, text: str) -> Rows:
        """Ask a MariaDB."""
        with self.mysql() as connection, connection.cursor() as cursor:
            cursor.execute(text)
            return list(cursor.fetchall())

    def backups(self) -> list[dict[str, object]]:
        """The newest first."""
        found: list[dict[str, object]] = json.loads(self.paas("backup:list", "--format", "json"))
        return found

    def container(self) -> str:
        """The id of the container that its server runs in."""
        with contextlib.closing(Store(self.server.layout)) as store:
            return store.services.get(self.plugin, self.name).container or ""

    def crashes(self) -> int:
        """How often its server has ended on its own, as the events tell."""
        with contextlib.closing(Store(self.server.layout)) as store:
            found = store.events.tail(1000)
        name = f"{self.plugin} {self.name}: "
        return sum(one.what == "crashed" and one.detail.startswith(name) for one in found)

    def kill(self) -> None:
        """SIGKILL to its server."""
        self.server.paas("containers:kill", self.container()).ok()
