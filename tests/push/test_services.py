"""Databases as services: real servers in the engine, real clients, an app that needs both.

One file, so that their images are made once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import psycopg
import pytest

from tests.push import apps
from tests.push.app import App, new_app
from tests.push.outcome import eventually
from tests.push.server import Server
from tests.push.test_crash import reboot

IMAGE_SECONDS = 600.0
"""The first service of a kind makes its image from the distribution's mirror."""


class Database:
    """A service that this machine's own clients can reach, by its address."""

    def __init__(self, server: Server, plugin: str, name: str) -> None:
        self.server = server
        self.plugin = plugin
        self.name = name

    def paas(self, verb: str, *words: str, input: bytes = b"") -> str:
        """What `paas PLUGIN:VERB NAME …` says; it must succeed."""
        command = (f"{self.plugin}:{verb}", self.name, *words)
        return self.server.paas(*command, input=input).ok().out

    def fact(self, name: str) -> str:
        facts = json.loads(self.paas("info", "--format", "json"))
        value: str = facts[name]
        return value

    @property
    def url(self) -> str:
        """Its URL for who has no resolver of ours: root on the server may reach everything."""
        return self.fact("dsn").replace(f"{self.fact('hostname')}:", f"{self.fact('internal-ip')}:")

    def query(self, sql: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.url, connect_timeout=10) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def container(self) -> str:
        """The id of the container that its server runs in."""
        found = list(self.server.layout.logs.glob(f"services/{self.fact('id')}/*.log"))
        newest = max(found, key=lambda path: path.stat().st_mtime)
        return newest.name.split(".")[2]


@pytest.fixture(scope="module")
def db(server: Server) -> Iterator[Database]:
    """One PostgreSQL of the module's own."""
    server.paas("postgres:create", "db", timeout=IMAGE_SECONDS).ok()
    yield Database(server, "postgres", "db")
    server.paas("postgres:destroy", "db", "--force").ok()


@pytest.fixture(scope="module")
def cache(server: Server) -> Iterator[Database]:
    """One Redis of the module's own."""
    server.paas("redis:create", "cache", timeout=IMAGE_SECONDS).ok()
    yield Database(server, "redis", "cache")
    server.paas("redis:destroy", "cache", "--force").ok()


@pytest.fixture(scope="module")
def notes(server: Server, db: Database, cache: Database) -> Iterator[App]:
    """The app that declares its databases in app.json, deployed once."""
    app = new_app(server, "notes")
    said = app.push(apps.fixture("notes")).ok()
    assert "DATABASE_URL" in said.text
    assert "Applying notes.0002_stars... OK" in said.text
    yield app
    server.paas("apps:destroy", app.name, "--force").ok()
    for plugin in ("postgres", "redis"):
        server.paas(f"{plugin}:destroy", app.name, "--force").ok()


def write(app: App, text: str) -> None:
    assert app.get(f"/keep?text={text}").text == "kept\n"


def test_an_app_with_addons_keeps_its_data_through_deploys_and_a_reboot(notes: App) -> None:
    write(notes, "before")
    notes.push({"VERSION.txt": "2"}).ok()
    assert notes.get("/notes").text == "before\n"
    write(notes, "between")

    reboot(notes.server)
    notes.server.up()

    eventually(lambda: notes.get("/notes").text == "before\nbetween\n", within=40)
    assert int(notes.get("/readers").text) >= 2
    # Once live, what app.json declares is not made again.
    assert notes.ssh("postgres:app-links {}").ok().out == f"{notes.name}\n"


def test_only_linked_apps_reach_a_service(notes: App, db: Database) -> None:
    reach = (
        "run {} python3 -c \"import socket; socket.create_connection(('HOST', 5432), 3)\"".replace(
            "HOST", db.fact("hostname")
        )
    )
    assert "Connection refused" in notes.ssh(reach).text
    db.paas("link", notes.name, "--no-restart")
    notes.ssh(reach).ok()
    db.paas("unlink", notes.name, "--no-restart")
    assert "Connection refused" in notes.ssh(reach).text


def test_a_second_link_has_a_name_of_its_own_and_unlink_takes_exactly_that(
    notes: App, db: Database
) -> None:
    before = notes.ssh("config:export {} --format json").ok().out
    said = db.paas("link", notes.name, "--no-restart", "--querystring", "pool=5")
    assert "POSTGRES_DB_URL" in said
    value = notes.ssh("config:get {} POSTGRES_DB_URL").ok().out.strip()
    assert value == db.fact("dsn") + "?pool=5"
    again = notes.server.paas("postgres:link", "db", notes.name)
    assert "Already linked as POSTGRES_DB_URL" in again.text

    db.paas("promote", notes.name, "--no-restart")
    assert notes.ssh("config:get {} DATABASE_URL").ok().out.strip() == value
    own = f"POSTGRES_{notes.name.upper()}_URL"
    assert f"@postgres-{notes.name}.internal" in notes.ssh(f"config:get {{}} {own}").ok().out

    refused = notes.server.paas("postgres:destroy", "db", "--force")
    assert refused.code == 1
    assert f"It is linked to {notes.name}" in refused.text
    db.paas("unlink", notes.name, "--no-restart")
    notes.server.paas("postgres:promote", notes.name, notes.name, "--no-restart").ok()
    notes.ssh(f"config:unset {{}} --no-restart {own}").ok()
    assert notes.ssh("config:export {} --format json").ok().out == before


def test_a_dump_goes_out_and_in_unharmed_and_half_of_one_changes_nothing(db: Database) -> None:
    db.query("CREATE TABLE blobs AS SELECT n, decode(md5(n::text), 'hex') b"
             " FROM generate_series(1, 20000) n")  # fmt: skip
    ssh = db.server.ssh
    count = "SELECT count(*), md5(string_agg(b, '' ORDER BY n)) FROM blobs"
    was = db.query(count)
    dump = ssh("postgres:export db").ok().stdout
    assert dump.startswith(b"PGDMP")
    db.query("DELETE FROM blobs WHERE n > 10")
    few = db.query(count)

    for wrong in (dump[: len(dump) // 2], b"no dump at all\n", b""):
        assert ssh("postgres:import db", input=wrong).code != 0
        assert db.query(count) == few
    ssh("postgres:import db", input=dump).ok()
    assert db.query(count) == was


def test_several_databases_and_extensions(db: Database) -> None:
    assert db.paas("databases", "second").split() == ["db", "postgres", "second"]
    assert "pgcrypto" in db.paas("extensions", "pgcrypto")
    words = ("postgres:connect", "--database", "second", "db", "--", "-At")
    said = db.server.paas(*words, input=b"SELECT current_database()").ok()
    assert said.out == "second\n"


@pytest.mark.parametrize("password", ["p@ss:w/o?r#d%20", "'\"\\$(id)`x`", "ü ß 木"])
def test_a_password_may_hold_anything(server: Server, password: str) -> None:
    server.paas("postgres:create", "odd", "--password", password).ok()
    try:
        assert Database(server, "postgres", "odd").query("SELECT 1") == [(1,)]
    finally:
        server.paas("postgres:destroy", "odd", "--force").ok()


def test_two_services_of_one_name(db: Database) -> None:
    again = db.server.paas("postgres:create", "db")
    assert again.code == 1
    assert "postgres service db already exists" in again.text
    assert db.query("SELECT 1") == [(1,)]
