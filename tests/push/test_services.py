"""Databases as services: real servers in the engine, real clients, an app that needs both.

One file, so that their images are made once.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pika
import psycopg
import pymysql
import pytest
import redis

from paas.engine.engine import Engine
from paas.host.files import FileLock
from paas.store.store import Store
from tests.push import apps
from tests.push.app import App, new_app
from tests.push.laptop import forwarded
from tests.push.outcome import eventually
from tests.push.server import Server
from tests.push.test_crash import reboot

IMAGE_SECONDS = 600.0
"""The first service of a kind makes its image from the distribution's mirror."""


KILLED_AT = 300
"""Commits before the server is killed; the writer goes on until it notices."""


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
        with contextlib.closing(Store(self.server.layout)) as store:
            return store.services.get(self.plugin, self.name).container or ""


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


COUNT = (
    "python3 manage.py migrate --no-input >&2 && python3 manage.py shell -c '"
    "from django.core.cache import cache; from notes.models import Note;"
    ' cache.set("x", 7); print("notes", Note.objects.count(), "cached", cache.get("x"))\''
    " && test ! -e broken"
)


def test_a_push_is_tested_with_services_of_its_own(notes: App) -> None:
    server = notes.server
    declared = json.loads((apps.APPS / "notes/app.json").read_text())
    addons = ["heroku-postgresql:mini", "heroku-redis:mini"]
    declared["environments"] = {"test": {"scripts": {"test": COUNT}, "addons": addons}}
    notes.ssh("checks:set {} test on").ok()
    kept = notes.get("/notes").text
    before, volumes = server.residue(), service_volumes(server)

    failed = notes.push({"app.json": json.dumps(declared), "broken": ""}).failed()
    # Empty ones, whose tables the migrations of this very push made.
    assert "notes 0 cached 7" in failed.text
    assert "The test command exited with code 1" in failed.text
    server.settles_to(before)
    assert service_volumes(server) == volumes
    notes.repository.git("rm", "-q", "broken").ok()
    assert "notes 0 cached 7" in notes.push({}).ok().text
    assert notes.get("/notes").text == kept
    listed = server.paas("postgres:list").ok().out + server.paas("redis:list").ok().out
    assert "test-" not in listed
    eventually(lambda: service_volumes(server) == volumes)
    notes.ssh("checks:set {} test off").ok()


def service_volumes(server: Server) -> set[str]:
    return {path.name for path in (server.layout.engine_fs / "volumes").glob("service-*")}


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


def test_a_deployer_reaches_a_linked_service_from_a_laptop(notes: App, db: Database) -> None:
    refused = notes.ssh("forward {} nowhere")
    assert (refused.code, "service linked to it" in refused.err) == (20, True)
    parts = urlsplit(notes.ssh("config:get {} DATABASE_URL").ok().out.strip())
    with forwarded(notes, "-L", "0", "DATABASE_URL") as (host, port):
        url = parts._replace(netloc=f"{parts.username}:{parts.password}@{host}:{port}").geturl()
        with psycopg.connect(url, connect_timeout=10) as connection:
            assert connection.execute("SELECT 6 * 7").fetchone() == (42,)
    # Somebody else's is an administrator's to reach, whose key this is.
    assert notes.ssh(f"forward --check {{}} postgres:{db.name}").ok().out == "postgres:db:5432\n"


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


# -- backups, copies, credentials ---------------------------------------------------------------


def backups(database: Database) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(database.paas("backup:list", "--format", "json"))
    return found


def test_a_backup_is_checked_by_restoring_it_and_brings_the_data_back(
    db: Database, tmp_path: Path
) -> None:
    db.query("CREATE TABLE kept AS SELECT generate_series(1, 100) n")
    db.paas("backup", str(tmp_path), "--verify")
    [made] = backups(db)
    assert made["verdict"] == "good"
    assert "rows" in str(made["detail"])
    file = tmp_path / str(made["file"])
    assert made["bytes"] == file.stat().st_size > 0
    db.query("DROP TABLE kept")

    db.paas("restore", "--force")
    assert db.query("SELECT count(*) FROM kept") == [(100,)]

    whole = file.read_bytes()
    file.write_bytes(whole[:-50])
    damaged = db.server.paas("postgres:backup:verify", "db").failed()
    assert "is not what was written" in damaged.text
    assert backups(db)[0]["verdict"] == "bad"
    assert (
        "no backup that could be restored"
        in db.server.paas("postgres:restore", "db", "--force").text
    )
    assert db.query("SELECT count(*) FROM kept") == [(100,)]


def test_a_backup_whose_target_is_down_is_recorded_as_bad(db: Database, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused = db.server.paas("postgres:backup", "db", str(tmp_path / "file/below")).failed()
    assert "Backups cannot be kept in" in refused.text
    assert backups(db)[0]["verdict"] == "bad"
    db.paas("backup:auth", "key", "r", "http://127.0.0.1:1", input=b"secret")
    refused = db.server.paas("postgres:backup", "db", "s3://bucket/x").failed()
    assert "bucket cannot be reached" in refused.text
    assert backups(db)[0]["verdict"] == "bad"


def test_the_supervisor_makes_the_backups_that_are_due(cache: Database, tmp_path: Path) -> None:
    client = redis.Redis.from_url(cache.url)
    client.set("a", 1)
    cache.paas("backup:schedule", "0 3 * * *", str(tmp_path), "--keep", "1")
    store = Store(cache.server.layout)
    [schedule] = store.backups.schedules()
    for number in (1, 2):
        store.backups.schedule(replace(schedule, next_at=0.0))
        eventually(lambda n=number: good(cache) >= n and due_later(store), within=60)
    eventually(lambda: len(list(tmp_path.iterdir())) == 1, within=30)
    store.close()
    cache.paas("backup:unschedule")


def good(database: Database) -> int:
    """The number of the newest backup that was checked."""
    verdicts = [one for one in backups(database) if one["verdict"] == "good"]
    numbers = sorted(int(str(one["id"])) for one in verdicts)
    return len(numbers) and numbers[-1]


def due_later(store: Store) -> bool:
    return all(one.next_at > 0 for one in store.backups.schedules())


def test_a_clone_holds_the_same_and_goes_its_own_way(cache: Database) -> None:
    client = redis.Redis.from_url(cache.url)
    client.set("colour", "green")
    cache.paas("clone", "twin")
    twin = Database(cache.server, "redis", "twin")
    other = redis.Redis.from_url(twin.url)
    assert other.get("colour") == b"green"
    other.set("colour", "red")
    assert client.get("colour") == b"green"
    assert twin.url.rpartition("@")[0] != cache.url.rpartition("@")[0]
    twin.paas("destroy", "--force")


def test_a_rotated_password_reaches_the_app_without_a_failed_request(notes: App) -> None:
    before = notes.ssh("config:get {} DATABASE_URL").ok().out
    stop, failed, seen = threading.Event(), [], []

    def visit() -> None:
        while not stop.is_set():
            status = notes.get("/notes").status
            seen.append(status)
            if status != 200:
                failed.append(status)

    visitor = threading.Thread(target=visit)
    visitor.start()
    try:
        notes.server.paas("postgres:rotate", notes.name).ok()
    finally:
        stop.set()
        visitor.join()
    assert notes.ssh("config:get {} DATABASE_URL").ok().out != before
    assert seen
    assert failed == []
    now = notes.ssh("config:get {} DATABASE_URL").ok().out
    notes.ssh("rollback {}").ok()
    assert notes.ssh("config:get {} DATABASE_URL").ok().out == now
    assert notes.get("/notes").status == 200


# -- faults -------------------------------------------------------------------------------------


def test_kill_9_under_write_load_loses_no_acknowledged_commit(db: Database) -> None:
    db.query("CREATE TABLE log (n int)")
    engine, container = Engine(db.server.layout), db.container()
    acknowledged: list[int] = []
    with psycopg.connect(db.url, autocommit=True) as connection, pytest.raises(psycopg.Error):
        for number in range(100_000):
            connection.execute("INSERT INTO log VALUES (%s)", (number,))
            acknowledged.append(number)
            if number == KILLED_AT:
                engine.containers.kill(container)
    assert acknowledged
    eventually(lambda: answers(db), within=40)
    kept = {row[0] for row in db.query("SELECT n FROM log")}
    assert set(acknowledged) <= kept
    assert int(db.fact("restarts")) >= 1


def answers(database: Database) -> bool:
    try:
        return database.query("SELECT 1") == [(1,)]
    except psycopg.Error:
        return False


def test_data_of_another_version_is_refused_and_left_alone(db: Database) -> None:
    volume = db.server.layout.engine_fs / "volumes" / db.fact("volume")
    db.paas("stop")
    version = volume / "data/PG_VERSION"
    version.write_text("13\n")
    refused = db.server.paas("postgres:start", "db").failed()
    assert "was written by Postgres 13, and 17 cannot read it" in refused.text
    version.write_text("17\n")
    db.paas("start")
    assert db.query("SELECT 1") == [(1,)]


def test_a_service_that_is_being_backed_up_is_not_destroyed(db: Database) -> None:
    path = db.server.layout.locks / f"service-{db.fact('id')}.copy"
    with FileLock(path, "being backed up by ann"):
        refused = db.server.paas("postgres:destroy", "db", "--force").failed()
    assert "is busy: being backed up by ann" in refused.text
    assert db.query("SELECT 1") == [(1,)]


def test_one_that_cannot_start_says_why_and_leaves_nothing(server: Server, db: Database) -> None:
    refused = server.paas("postgres:create", "bad", "--config-options", "-c nonsense=1").failed()
    assert 'unrecognized configuration parameter "nonsense"' in refused.text
    assert "bad" not in server.paas("postgres:list").ok().out.split()
    server.paas("postgres:create", "old", "--version", "9.6").failed()
    assert "old" not in server.paas("postgres:list").ok().out.split()


# -- the others, each a TOML and a Dockerfile ---------------------------------------------------


@pytest.fixture
def made(server: Server, request: pytest.FixtureRequest) -> Iterator[Database]:
    """A service of the plugin that the test names."""
    plugin = request.param
    server.paas(f"{plugin}:create", "x", timeout=IMAGE_SECONDS).ok()
    yield Database(server, plugin, "x")
    server.paas(f"{plugin}:destroy", "x", "--force").ok()


@pytest.mark.timeout(0)
@pytest.mark.parametrize("made", ["mariadb"], indirect=True)
def test_mariadb_by_its_client(made: Database) -> None:
    def query(sql: str) -> tuple[tuple[object, ...], ...]:
        url = urlsplit(made.url)
        with pymysql.connect(
            host=url.hostname, user=url.username, password=url.password, database="x"
        ) as connection:
            cursor = connection.cursor()
            cursor.execute(sql)
            connection.commit()
            return cursor.fetchall()

    query("CREATE TABLE t AS SELECT 'a\\\\b''c' AS text")
    dump = made.server.paas("mariadb:export", "x").ok().stdout
    query("DELETE FROM t")
    made.server.paas("mariadb:import", "x", input=dump[:-30]).failed()
    assert query("SELECT * FROM t") == ()
    made.paas("import", input=dump)
    made.paas("rotate")
    assert query("SELECT * FROM t") == (("a\\b'c",),)
    made.paas("backup", "--verify")
    assert backups(made)[0]["verdict"] == "good"


@pytest.mark.timeout(0)
@pytest.mark.parametrize("made", ["rabbitmq"], indirect=True)
def test_rabbitmq_by_its_client(made: Database) -> None:
    connection = pika.BlockingConnection(pika.URLParameters(made.url))
    channel = connection.channel()
    channel.queue_declare("jobs", durable=True)
    lasting = pika.BasicProperties(delivery_mode=2)
    channel.basic_publish("", "jobs", b"one", lasting)
    connection.close()
    made.paas("restart")
    connection = pika.BlockingConnection(pika.URLParameters(made.url))
    _, _, body = connection.channel().basic_get("jobs", auto_ack=True)
    connection.close()
    assert body == b"one"
    assert b'"jobs"' in made.server.paas("rabbitmq:export", "x").ok().stdout


@pytest.mark.timeout(0)
@pytest.mark.parametrize("made", ["memcached"], indirect=True)
def test_memcached_by_its_protocol(made: Database) -> None:
    said = made.paas("connect", input=b"set a 0 0 1\r\n5\r\nget a\r\n")
    assert said.splitlines()[:3] == ["STORED", "VALUE a 0 1", "5"]
    assert "has nothing to export" in made.server.paas("memcached:export", "x").failed().text
