"""PostgreSQL and Redis as services: real servers, real clients, an app that needs both.

One file, so that their images are made once, on a disk of its own, which can be full and
lose its power.
"""

from __future__ import annotations

import contextlib
import json
import os
import pty
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
import redis

from paas.engine.build.context import DirectoryContext
from paas.engine.engine import Engine
from paas.engine.healthcheck import Condition, Health
from paas.host.cgroups import Cgroups
from paas.host.disk import RESERVE
from paas.model.report import Silent
from paas.store.store import Store
from tests.engine.distribution import distribution
from tests.push import apps, common
from tests.push.app import App, new_app
from tests.push.database import ODD, Database
from tests.push.disk import Disk
from tests.push.laptop import forwarded
from tests.push.outcome import eventually
from tests.push.repository import heard
from tests.push.server import Page, Server, admin_environment
from tests.push.writers import Connect, writing
from tests.s3 import KEY, SECRET, ObjectStorage, object_storage

pytestmark = pytest.mark.turns(2)

MIB = 1 << 20

WRITTEN = 300
"""Acknowledged writes before the server is killed; the writers go on until they notice."""


@pytest.fixture(scope="module")
def server(server_on_drive: Server) -> Server:
    """A PaaS whose disk is its own."""
    return server_on_drive


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStorage]:
    """Buckets, by a real server that speaks S3."""
    with object_storage(tmp_path_factory.mktemp("s3")) as storage:
        yield storage


@pytest.fixture(scope="module")
def db(server: Server) -> Iterator[Database]:
    """One PostgreSQL of the module's own."""
    server.paas("postgres:create", "db", "--password=two\nlines").failed()
    db = Database.create(server, "postgres", "db", "--password=-", input=f"{ODD}\n".encode())
    yield db
    db.destroy()


@pytest.fixture(scope="module")
def cache(server: Server) -> Iterator[Database]:
    """One Redis of the module's own."""
    options = ("--config-options", "--appendfsync always", "--memory", "100m")
    cache = Database.create(server, "redis", "cache", f"--password={ODD}", *options)
    yield cache
    cache.destroy()


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


def test_when_the_power_fails_the_app_and_every_acknowledged_commit_come_back(
    notes: App, db: Database, cache: Database, drive: Disk
) -> None:
    """An app with add-ons writes, is deployed again, and the server's disk loses its power."""
    write(notes, "before")
    notes.push({"VERSION.txt": "2"}).ok()
    assert notes.get("/notes").text == "before\n"
    write(notes, "between")
    synced(Database(notes.server, "redis", notes.name))
    db.query("CREATE TABLE power (n int PRIMARY KEY)")
    with writing(rows(db, "power")) as commits, writing(keys(cache)) as sets:
        eventually(lambda: commits.count > WRITTEN and sets.count > WRITTEN)
        # What proves that the disk forgets: this was written, and not synced.
        (drive.mounted / "unsynced").write_bytes(b"x" * 4096)
        committed, kept = commits.so_far(), sets.so_far()
        with drive.power_failure(notes.server):
            eventually(lambda: commits.ended and sets.ended)
    notes.server.up()

    eventually(lambda: answers(db))
    assert committed <= {row[0] for row in db.query("SELECT n FROM power")}
    eventually(lambda: asked(cache, "PING"))
    assert kept <= members(cache, "power")
    eventually(lambda: notes.get("/notes").text == "before\nbetween\n")
    assert int(notes.get("/readers").text) >= 2
    # Once live, what app.json declares is not made again.
    assert notes.ssh("postgres:app-links {}").ok().out == f"{notes.name}\n"
    lost = drive.mounted / "unsynced"
    assert not lost.exists() or lost.read_bytes() == b""


def synced(database: Database) -> None:
    """What a Redis was told so far is on its disk: by itself it sees to that once a second."""
    with (
        redis.Redis.from_url(database.url, socket_timeout=60) as client,
        client.pipeline(transaction=False) as pipe,
    ):
        pipe.set("synced", 1)
        pipe.execute_command("WAITAOF", 1, 0, 10_000)
        assert pipe.execute() == [True, [1, 0]]


def rows(database: Database, table: str) -> Connect:
    """Writes numbers into a table, each a transaction."""

    @contextlib.contextmanager
    def connect() -> Iterator[Callable[[int], object]]:
        with contextlib.closing(psycopg.connect(database.url, autocommit=True)) as connection:
            yield lambda number: connection.execute(f"INSERT INTO {table} VALUES ({number})")

    return connect


def keys(database: Database) -> Connect:
    """Writes numbers into a set."""

    @contextlib.contextmanager
    def connect() -> Iterator[Callable[[int], object]]:
        with redis.Redis.from_url(database.url, retry=None, socket_timeout=10) as client:
            yield lambda number: client.sadd("power", number)

    return connect


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
    assert "Connection refused" in notes.ssh(reach(db)).text
    db.paas("link", notes.name, "--no-restart")
    notes.ssh(reach(db)).ok()
    db.paas("unlink", notes.name, "--no-restart")
    assert "Connection refused" in notes.ssh(reach(db)).text


def reach(database: Database) -> str:
    """What an app runs to see whether it reaches a PostgreSQL."""
    address = f"('{database.fact('hostname')}', 5432)"
    return f'run {{}} python3 -c "import socket; socket.create_connection({address}, 3)"'


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
    options = ("--alias", "gis", "--scheme", "postgis", "--database", "maps")
    assert "as GIS_URL" in db.paas("link", notes.name, "--no-restart", *options)
    gis = notes.ssh("config:get {} GIS_URL").ok().out.strip()
    assert gis == "postgis" + db.fact("dsn").removeprefix("postgres").removesuffix("db") + "maps"
    assert db.paas("links") == f"{notes.name}\n"
    db.paas("linked", notes.name)
    db.paas("unlink", notes.name, "--no-restart")
    db.refused("linked", notes.name)
    # Dokku's way to the same.
    notes.ssh("config:set {} --no-restart POSTGRES_DATABASE_SCHEME=postgis").ok()
    db.paas("link", notes.name, "--no-restart", "--alias", "gis")
    assert notes.ssh("config:get {} GIS_URL").ok().out.startswith("postgis://")
    db.paas("unlink", notes.name, "--no-restart")
    notes.ssh("config:unset {} --no-restart POSTGRES_DATABASE_SCHEME").ok()
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
    assert json.loads(db.paas("databases", "--format", "json")) == ["db", "postgres", "second"]
    db.refused("databases", "second")
    listed = db.paas("extensions", "pgcrypto", "--format", "json")
    assert [one["name"] for one in json.loads(listed)] == ["pgcrypto", "plpgsql"]
    assert "pgcrypto  1." in db.paas("extensions")
    words = ("postgres:connect", "--database", "second", "db", "--", "-At")
    said = db.server.paas(*words, input=b"SELECT current_database()").ok()
    assert said.out == "second\n"


def test_the_client_gets_a_terminal(db: Database, cache: Database) -> None:
    typed(db, b"db=#", b"SELECT 40 + 2;", b"42", b"\\q")
    typed(cache, b"127.0.0.1:6379>", b"ECHO PONG", b'"PONG"', b"quit")


def typed(database: Database, prompt: bytes, question: bytes, answer: bytes, end: bytes) -> None:
    """Connect on a terminal as a person does, who types at the prompt and reads the answer."""
    master, slave = pty.openpty()
    command = database.server.command(f"{database.plugin}:connect", database.name)
    environment = admin_environment({"TERM": "xterm", "PAGER": "cat"})
    process = subprocess.Popen(
        command, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
    )
    os.close(slave)
    try:
        # Each line at its prompt: what is typed while a terminal is made raw is lost.
        read_until(master, prompt)
        os.write(master, question + b"\r")
        read_until(master, answer, prompt)
        os.write(master, end + b"\r")
        with contextlib.suppress(OSError):  # EIO: nobody has the other end any more
            while os.read(master, 4096):
                continue
        assert process.wait(30) == 0
    finally:
        os.close(master)
        process.kill()


def read_until(terminal: int, *texts: bytes) -> None:
    """Read until all of `texts` have come, one behind the other."""
    seen = b""
    for text in texts:
        while text not in seen:
            seen += os.read(terminal, 4096)
        seen = seen.partition(text)[2]


def test_two_services_of_one_name(db: Database) -> None:
    again = db.server.paas("postgres:create", "db")
    assert again.code == 1
    assert "postgres service db already exists" in again.text
    assert db.query("SELECT 1") == [(1,)]


# -- backups, copies, credentials ---------------------------------------------------------------


def test_a_backup_is_checked_by_restoring_it_and_brings_the_data_back(
    db: Database, tmp_path: Path
) -> None:
    db.query("CREATE TABLE kept AS SELECT generate_series(1, 100) n")
    db.paas("backup", str(tmp_path), "--verify")
    [made] = db.backups()
    assert made["verdict"] == "good"
    assert "rows" in str(made["detail"])
    file = tmp_path / str(made["file"])
    assert made["bytes"] == file.stat().st_size > 0
    db.query("DROP TABLE kept")
    leaked = db.url
    db.paas("rotate")

    db.paas("restore", "--force")
    assert db.query("SELECT count(*) FROM kept") == [(100,)]
    # A backup brings back no password.
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(leaked)

    whole = file.read_bytes()
    file.write_bytes(whole[:-50])
    damaged = db.server.paas("postgres:backup:verify", "db").failed()
    assert "is not what was written" in damaged.text
    assert db.backups()[0]["verdict"] == "bad"
    assert (
        "no backup that could be restored"
        in db.server.paas("postgres:restore", "db", "--force").text
    )
    assert db.query("SELECT count(*) FROM kept") == [(100,)]


def test_a_postgres_backup_is_restored_into_a_service_of_another_name(
    server: Server, tmp_path: Path
) -> None:
    with common.restored_under_another_name(
        server, "postgres", tmp_path, lambda prod: prod.query("CREATE TABLE moved AS SELECT 7 AS n")
    ) as here:
        assert here.query("SELECT n FROM moved") == [(7,)]
        assert here.paas("databases").split() == ["postgres", "prod"]
        # Of several others nobody knows which one is meant.
        (tmp_path / "two").mkdir()
        here.paas("databases", "more")
        here.paas("backup", str(tmp_path / "two"))
        [file] = (tmp_path / "two").iterdir()
        third = Database.create(server, "postgres", "third")
        third.query("CREATE TABLE kept ()")
        third.paas("backup:adopt", str(file))
        assert "It has: more, prod" in third.refused("restore", "--force")
        assert third.query("SELECT count(*) FROM kept") == [(0,)]
        third.destroy()


def test_a_backup_whose_target_is_down_is_recorded_as_bad(
    db: Database, tmp_path: Path, storage: ObjectStorage
) -> None:
    (tmp_path / "file").touch()
    assert "Backups cannot be kept in" in db.refused("backup", str(tmp_path / "file/below"))
    assert db.backups()[0]["verdict"] == "bad"
    for secret, endpoint, why in (
        (SECRET, "http://127.0.0.1:1", "cannot be reached"),
        ("wrong", storage.endpoint, "answers 403"),
        (SECRET, storage.endpoint, "answers 404"),
    ):
        db.paas("backup:auth", KEY, "us-east-1", endpoint, input=secret.encode())
        assert why in db.refused("backup", "s3://absent/x")
        assert db.backups()[0]["verdict"] == "bad"
    refused = db.refused("restore", "999", "--force", code=20)
    assert "has no backup 999" in refused


def test_the_supervisor_makes_the_backups_that_are_due_in_a_bucket(
    cache: Database, storage: ObjectStorage
) -> None:
    """Checked each, kept by count; and one command brings the data back from there."""
    kept = storage.make_bucket("nightly") / "cache"
    client = redis.Redis.from_url(cache.url)
    client.set("a", 1)
    cache.paas("backup:auth", KEY, "us-east-1", storage.endpoint, input=SECRET.encode())
    cache.paas("backup:schedule", "0 3 * * *", "s3://nightly/cache", "--keep", "1")
    assert "0 3 * * *  s3://nightly/cache  keep 1" in cache.paas("backup:schedule")
    store = Store(cache.server.layout)
    [schedule] = store.backups.schedules()
    for _ in range(2):
        before = good(cache)
        store.backups.schedule(replace(schedule, next_at=0.0))
        eventually(lambda b=before: good(cache) > b and due_later(store))
    store.close()
    eventually(lambda: len(cache.backups()) == 1)
    assert len(list(kept.iterdir())) == 1
    cache.paas("backup:unschedule")
    [newest] = cache.backups()
    assert newest["bytes"] == (kept / str(newest["file"])).stat().st_size
    assert float(str(newest["seconds"])) > 0
    client.delete("a")
    cache.paas("restore", "--force")
    assert redis.Redis.from_url(cache.url).get("a") == b"1"
    # As on another server, which has never heard of it.
    file = f"s3://nightly/cache/{newest['file']}"
    assert "unchecked" in cache.paas("backup:adopt", file)
    cache.paas("backup:verify")
    assert cache.backups()[0]["verdict"] == "good"
    assert "answers 404" in cache.refused("backup:adopt", "s3://nightly/cache/absent")
    by_key = cache.server.ssh("redis:backup:adopt cache /etc/shadow")
    assert "by root on the server alone" in by_key.failed().text


def good(database: Database) -> int:
    """The number of the newest backup that was checked."""
    verdicts = [one for one in database.backups() if one["verdict"] == "good"]
    numbers = sorted(int(str(one["id"])) for one in verdicts)
    return len(numbers) and numbers[-1]


def due_later(store: Store) -> bool:
    return all(one.next_at > 0 for one in store.backups.schedules())


@pytest.mark.parametrize("command", [("backup:verify",), ("restore", "--force")])
def test_a_backup_whose_target_is_down_stays_what_it_was(
    cache: Database, storage: ObjectStorage, command: tuple[str, ...]
) -> None:
    """A closed port says nothing of what is behind it."""
    bucket = f"down-{command[0].replace(':', '-')}"
    storage.make_bucket(bucket)
    cache.paas("backup:auth", KEY, "us-east-1", storage.endpoint, input=SECRET.encode())
    cache.paas("backup", f"s3://{bucket}", "--verify")
    cache.paas("backup:auth", KEY, "us-east-1", "http://127.0.0.1:1", input=SECRET.encode())
    assert "cannot be reached" in cache.refused(*command)
    assert cache.backups()[0]["verdict"] == "good"
    cache.paas("backup:auth", KEY, "us-east-1", storage.endpoint, input=SECRET.encode())
    cache.paas(*command)


def test_a_clone_is_one_moment_of_a_database_that_is_written_to(db: Database) -> None:
    db.query("CREATE TABLE accounts AS SELECT n, 0 AS balance FROM generate_series(0, 9) n")
    db.query("CREATE TABLE ledger (account int, amount int)")
    with writing(transfers(db)) as transferring:
        eventually(lambda: transferring.count > WRITTEN)
        db.paas("clone", "copy")
    assert transferring.error is None
    copy = Database(db.server, "postgres", "copy")
    [(total,)] = copy.query("SELECT sum(balance) FROM accounts")
    assert total == 0
    assert copy.query("SELECT n FROM accounts WHERE balance <> coalesce("
                      "(SELECT sum(amount) FROM ledger WHERE account = n), 0)") == []  # fmt: skip
    [(entries,)] = copy.query("SELECT count(*) FROM ledger")
    assert 2 * WRITTEN <= int(str(entries)) <= 2 * transferring.count + 2
    assert copy.url.rpartition("@")[0] != db.url.rpartition("@")[0]
    copy.destroy()


def transfers(database: Database) -> Connect:
    """Moves money between ten accounts, each time in one transaction."""

    @contextlib.contextmanager
    def connect() -> Iterator[Callable[[int], object]]:
        with contextlib.closing(psycopg.connect(database.url)) as connection:
            yield lambda number: transfer(connection, number)

    return connect


def transfer(connection: psycopg.Connection, amount: int) -> None:
    accounts = ((amount % 10, -amount), ((amount + 1) % 10, amount))
    with connection.transaction():
        for account, change in accounts:
            connection.execute(
                "UPDATE accounts SET balance = balance + %s WHERE n = %s", (change, account)
            )
            connection.execute("INSERT INTO ledger VALUES (%s, %s)", (account, change))


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


def test_a_request_that_the_old_instance_still_answers_outlives_a_rotation(notes: App) -> None:
    rotation = notes.server.command("postgres:rotate", notes.name)
    with (
        held(notes) as (holder, answers),
        subprocess.Popen(
            rotation, env=admin_environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as rotating,
    ):
        heard(rotating, b"Waiting for 1 old instance to finish")
        holder.execute("SELECT pg_advisory_unlock(7)")
        rotating.communicate()
    assert [answer.text for answer in answers] == ["let go\n"]
    assert rotating.returncode == 0


def test_a_request_that_the_old_instance_still_answers_outlives_an_unlink(
    notes: App, db: Database
) -> None:
    db.paas("link", notes.name, "--alias", "other")
    with held(notes) as (holder, answers):
        db.paas("unlink", notes.name)
        holder.execute("SELECT pg_advisory_unlock(7)")
    assert [answer.text for answer in answers] == ["let go\n"]
    # What is left of it ends with the instance that was told of it.
    assert "OTHER_URL" not in notes.ssh("config:show {}").ok().out
    eventually(lambda: "Connection refused" in notes.ssh(reach(db)).text)


@contextlib.contextmanager
def held(app: App) -> Iterator[tuple[psycopg.Connection, list[Page]]]:
    """A visitor waits for a lock that the connection has, in the app's first database."""
    database, answers = Database(app.server, "postgres", app.name), list[Page]()
    visitor = threading.Thread(target=lambda: answers.append(app.get("/held")))
    with psycopg.connect(database.url, autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(7)")
        visitor.start()
        eventually(lambda: holder.execute(WAITING_FOR_A_LOCK).fetchone() == (1,))
        yield holder, answers
        visitor.join()


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


WAITING_FOR_A_LOCK = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"


# -- faults -------------------------------------------------------------------------------------


def test_kill_9_under_write_load_loses_no_acknowledged_commit(
    db: Database, cache: Database
) -> None:
    db.query("CREATE TABLE log (n int)")
    redis.Redis.from_url(cache.url).delete("power")
    for database, writes in ((db, rows(db, "log")), (cache, keys(cache))):
        restarts, crashes = int(database.fact("restarts")), database.crashes()
        with writing(writes) as writer:
            eventually(lambda w=writer: w.count > WRITTEN)
            database.kill()
            eventually(lambda w=writer: w.ended)
        eventually(lambda d=database, r=restarts: int(d.fact("restarts")) > r)
        if database is db:
            kept = {row[0] for row in db.query("SELECT n FROM log")}
        else:
            kept = eventually(lambda: members(cache, "power"))
        assert writer.written <= kept
        # Once, however often the supervisor looked while it was being started again.
        assert database.crashes() == crashes + 1


def asked(database: Database, *command: str) -> Any:
    """The answer to a command, or OSError while the server takes none (see `eventually`)."""
    try:
        return redis.Redis.from_url(database.url).execute_command(*command)
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise OSError(str(error)) from error


def members(database: Database, key: str) -> set[int]:
    """The numbers in a set, or OSError."""
    return set(map(int, asked(database, "SMEMBERS", key)))


def test_a_log_that_ends_in_zeros_after_a_power_failure_is_cut_there(cache: Database) -> None:
    """ext4 may keep the new length of a file and lose what was appended: not its bytes."""
    client = redis.Redis.from_url(cache.url)
    client.set("binary", b"ends in zeros\0\0")
    volume = cache.server.layout.engine_fs / "volumes" / cache.fact("volume")
    log = max((volume / "appendonlydir").glob("*.incr.aof"), key=lambda path: path.stat().st_mtime)
    cache.paas("stop")
    for torn in (b"*3\r\n$3\r\nSET\r\n$1\r\na", b""):
        with log.open("ab") as file:
            file.write(torn + bytes(70_000))
        cache.paas("start")
        assert client.get("binary") == b"ends in zeros\0\0"
        assert "Cut 70000 zeros off the end" in cache.server.paas("redis:logs", "cache").ok().text
        cache.paas("stop")
    cache.paas("start")


def test_a_server_that_hangs_is_noticed_and_started_again(cache: Database) -> None:
    redis.Redis.from_url(cache.url).set("lasting", 1)
    restarts, container = int(cache.fact("restarts")), cache.container()
    cache.paas("enter", "sh", "-c", "kill -STOP $(pidof redis-server)")
    probes = Engine(cache.server.layout).probes
    # What the supervisor does by itself every twenty seconds.
    eventually(lambda: is_unhealthy(probes.probe(container)))
    eventually(lambda: int(cache.fact("restarts")) > restarts)
    eventually(lambda: asked(cache, "GET", "lasting") == b"1")
    assert f"unhealthy redis {cache.name}" in " ".join(cache.server.paas("events").out.split())


def is_unhealthy(health: Health | None) -> bool:
    return health is not None and health.condition is Condition.UNHEALTHY


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


def test_a_service_that_is_being_backed_up_is_not_destroyed(db: Database, tmp_path: Path) -> None:
    db.query("CREATE TABLE held (n int)")
    backing = db.server.command("postgres:backup", "db", str(tmp_path))
    with psycopg.connect(db.url) as connection:
        # The dump waits for it: the backup is under way for as long as we like.
        connection.execute("LOCK TABLE held")
        backup = subprocess.Popen(backing, env=admin_environment(), stdout=subprocess.DEVNULL)
        eventually(lambda: any(each["verdict"] == "running" for each in db.backups()))
        assert "is busy: being backed up by root" in db.refused("destroy", "--force")
    assert backup.wait(60) == 0
    assert db.backups()[0]["verdict"] == "unchecked"


def test_a_full_disk_refuses_writes_and_loses_none_that_it_took(
    db: Database, cache: Database, drive: Disk
) -> None:
    db.query("CREATE TABLE filling (n int, filler text)")
    dumps = dumps_on_their_way(db.server)
    with drive.full(left=24 * MIB):
        with writing(fillers(db)) as writer:
            eventually(lambda: writer.ended)
        assert "No space left on device" in str(writer.error)
        db.server.paas("postgres:backup", "db").failed()
    eventually(lambda: answers(db))
    assert writer.written <= {row[0] for row in db.query("SELECT n FROM filling")}
    db.query("INSERT INTO filling VALUES (-1, '')")
    eventually(lambda: asked(cache, "SET", "after", "1"))
    assert dumps_on_their_way(db.server) == dumps


def test_a_push_to_a_full_disk_is_refused_and_leaves_nothing(
    notes: App, app: App, drive: Disk
) -> None:
    """Before anything is sent, in the middle of what is sent, and in the middle of a build."""
    before, served = notes.server.residue(), notes.get("/notes").text
    commit = notes.repository.head()
    notes.repository.commit({"VERSION.txt": "full"})
    with drive.full(left=RESERVE // 2):
        refused = notes.repository.push().failed(128)
        assert " !     There is no room for a push: " in refused.text
        assert "fatal: remote error: There is no room for a push" in refused.text
    with drive.full(left=RESERVE + 48 * MIB):
        notes.repository.commit({"random": os.urandom(64 * MIB)})
        refused = notes.repository.push().failed()
        assert "fatal: pack exceeds maximum allowed size" in refused.text
        filling = {"Dockerfile": f"{apps.STACK}RUN head -c 300M /dev/zero >/big\nCMD true\n"}
        refused = app.push(filling).failed()
        assert "RUN head -c 300M /dev/zero >/big: out of disk, a build must leave" in refused.text
    notes.server.settles_to(before)
    assert notes.get("/notes").text == served
    notes.repository.git("reset", "-q", "--hard", commit).ok()
    assert "Released" in notes.push({"VERSION.txt": "room"}).ok().text
    assert notes.get("/notes").text == served


def dumps_on_their_way(server: Server) -> set[Path]:
    """What is in the folders that dumps pass or stay in."""
    return {path for name in ("spool", "backups") for path in (server.layout.root / name).glob("*")}


def fillers(database: Database) -> Connect:
    """Writes a number and a lot beside it, each a transaction."""

    @contextlib.contextmanager
    def connect() -> Iterator[Callable[[int], object]]:
        with contextlib.closing(psycopg.connect(database.url, autocommit=True)) as connection:
            # Without compression: the disk is to be full soon.
            connection.execute("ALTER TABLE filling ALTER filler SET STORAGE EXTERNAL")
            yield lambda number: connection.execute(
                "INSERT INTO filling VALUES (%s, %s)", (number, "x" * 200_000)
            )

    return connect


def test_one_that_cannot_start_says_why_and_leaves_nothing(server: Server, db: Database) -> None:
    refused = server.paas("postgres:create", "bad", "--config-options", "-c nonsense=1").failed()
    assert 'unrecognized configuration parameter "nonsense"' in refused.text
    assert "bad" not in server.paas("postgres:list").ok().out.split()
    server.paas("postgres:create", "old", "--version", "9.6").failed()
    assert "old" not in server.paas("postgres:list").ok().out.split()


# -- life ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("datastore", ["db", "cache"])
def test_each_has_what_every_datastore_has(datastore: str, request: pytest.FixtureRequest) -> None:
    database = request.getfixturevalue(datastore)
    common.linked_and_promoted(database)
    common.scheduled(database)
    common.stopped_and_started(database)


def test_what_is_paused_stays_so_and_comes_back_as_it_was(cache: Database) -> None:
    client = redis.Redis.from_url(cache.url, retry=None)
    client.set("lasting", 1)
    address = cache.fact("internal-ip")
    cache.paas("pause")
    assert cache.paas("info", "--status") == "paused\n"
    with pytest.raises(redis.ConnectionError, match="refused"):
        client.ping()
    assert "is not running" in cache.refused("connect", "PING")
    cache.paas("start")
    assert (cache.fact("status"), cache.fact("internal-ip")) == ("running", address)
    assert client.get("lasting") == b"1"


def test_its_limits_are_those_that_were_asked_for_or_its_plugin_s(
    db: Database, cache: Database
) -> None:
    assert limits_of(db) == (512 * MIB, 4096)
    assert limits_of(cache) == (100 * MIB, 4096)
    # The kernel holds them: what is too large ends alone, and the server lives on.
    container, greedy = cache.container(), ("perl", "-e", "$x = 'x' x 300_000_000")
    cache.server.paas("redis:enter", "cache", "--", *greedy).failed(137)
    assert (asked(cache, "PING"), cache.container()) == (True, container)
    cache.paas("set", "memory", "120m")
    cache.paas("restart")
    assert limits_of(cache) == (120 * MIB, 4096)
    report = json.loads(cache.server.paas("redis:report", "--format", "json").ok().out)
    assert report["cache"]["memory"] == "120m"
    assert "from 1 to 10000" in cache.refused("set", "cpu-weight", "much")
    assert "Ready to accept connections" in cache.paas("logs", "--num", "50")
    assert cache.paas("enter", "id", "-un").strip() == "root"
    assert "cache" in cache.server.paas("redis:list").ok().out.split()
    cache.paas("exists")
    Database(cache.server, "redis", "absent").refused("exists", code=20)


def test_it_weighs_ten_times_what_an_app_does_unless_it_is_said_otherwise(cache: Database) -> None:
    assert (cpu_weight_of(cache), cache.fact("cpu-weight")) == (1000, "1000")
    cache.paas("set", "cpu-weight", "50")
    cache.paas("restart")
    assert (cpu_weight_of(cache), cache.fact("cpu-weight")) == (50, "50")
    cache.paas("clone", "light")
    assert cpu_weight_of(Database(cache.server, "redis", "light")) == 50
    cache.server.paas("redis:destroy", "light", "--force").ok()
    cache.paas("set", "cpu-weight")
    cache.paas("restart")
    assert cpu_weight_of(cache) == 1000


def cpu_weight_of(database: Database) -> int:
    """As the kernel has it: 1024 shares of version 1 are a weight of 100."""
    groups = Cgroups.detect(database.server.layout)
    place = groups.place("cpu", database.container())
    assert place is not None
    if groups.version == 2:
        return int((place / "cpu.weight").read_text())
    return int((place / "cpu.shares").read_text()) * 100 // 1024


def limits_of(database: Database) -> tuple[int, int]:
    """Bytes of memory, and processes: as its control groups have them."""
    command = ("containers:stats", database.container(), "--no-stream", "--format", "json")
    [line] = database.server.paas(*command).ok().out.splitlines()
    found = json.loads(line)
    return found["memory_limit_bytes"], found["pids_limit"]


REBUILT = "paas/rebuilt:latest"


def rebuilt(
    server: Server, folder: Path, line: str, *, tag: str = REBUILT, base: str = "paas/postgres:17"
) -> str:
    """Give the name another image of PostgreSQL, with this line more; the image's id."""
    (folder / "Dockerfile").write_text(f"FROM {base}\n{line}\n")
    context = DirectoryContext(folder, Silent())
    return Engine(server.layout).builder.build(context, tag=tag, report=Silent()).id


OFFICIAL = """\
#!/bin/sh
# As the official image: the database is made where PGDATA is, which may be a volume.
set -eu
if [ "$(id -u)" = 0 ]; then
    mkdir -p "$PGDATA"
    chown postgres "$PGDATA"
    chmod 700 "$PGDATA"
    exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    echo "$POSTGRES_PASSWORD" > /tmp/password
    initdb --username="$POSTGRES_USER" --pwfile=/tmp/password \\
        --auth-local=trust --auth-host=scram-sha-256
    echo 'host all all all scram-sha-256' >> "$PGDATA/pg_hba.conf"
    echo "CREATE DATABASE \\"$POSTGRES_DB\\"" | postgres --single postgres
fi
exec postgres -c listen_addresses='*' "$@"
"""


@pytest.mark.usefixtures("db")
def test_the_data_of_an_official_image_is_in_the_service_s_volume_or_it_is_refused(
    server: Server, tmp_path: Path
) -> None:
    (tmp_path / "official").write_text(OFFICIAL)
    copied = "COPY --chmod=755 official /usr/local/bin/"
    rebuilt(
        server, tmp_path, f'{copied}\nVOLUME /var/lib/postgresql/data\nCMD ["official"]',
        tag="paas/official:17",
    )  # fmt: skip
    official = Database.create(server, "postgres", "official", "--image", "paas/official:17")
    official.query("CREATE TABLE t AS SELECT generate_series(1, 5000) n")
    official.paas("restart")
    assert official.query("SELECT count(*) FROM t") == [(5000,)]
    official.kill()
    eventually(lambda: answers(official))
    assert official.query("SELECT count(*) FROM t") == [(5000,)]

    elsewhere = "mkdir /elsewhere; PGDATA=/elsewhere/data exec paas-postgres"
    rebuilt(server, tmp_path, f"CMD {json.dumps(['sh', '-c', elsewhere])}", tag="paas/elsewhere:17")
    before, volumes = server.residue(), service_volumes(server)
    refused = server.paas("postgres:create", "lost", "--image", "paas/elsewhere:17").failed().text
    assert "paas/elsewhere:17 keeps its data outside of /var/lib/postgresql" in refused
    assert "lost" not in server.paas("postgres:list").ok().out.split()
    server.settles_to(before)
    assert service_volumes(server) == volumes
    # Nor is a database moved to it.
    refused = official.refused("upgrade", "--image", "paas/elsewhere:17")
    assert "keeps its data outside of" in refused
    assert service_volumes(server) == volumes
    assert official.query("SELECT count(*) FROM t") == [(5000,)]
    official.destroy()


@pytest.mark.usefixtures("db")
def test_a_newer_image_of_the_same_version_takes_over_the_data_in_place(
    server: Server, tmp_path: Path
) -> None:
    first = rebuilt(server, tmp_path, "RUN echo 1 > /etc/rebuilt")
    minor = Database.create(server, "postgres", "minor", "--image", REBUILT)
    # Which one it is its name does not say, and its data does.
    assert minor.fact("version") == "17"
    minor.query("CREATE TABLE t AS SELECT generate_series(1, 5000) n")
    running, volume = minor.container(), minor.fact("volume")
    began = minor.query("SELECT pg_postmaster_start_time()")

    rebuilt(server, tmp_path, 'CMD ["sh", "-c", "echo no such luck; exit 3"]')
    refused = minor.refused("upgrade")
    assert "ended with exit code 3" in refused
    assert "no such luck" in refused
    assert image_of(minor) == first
    assert minor.query("SELECT count(*) FROM t") == [(5000,)]

    # As the official image it makes its database whatever it is told.
    foreign = 'CMD ["env", "-u", "PAAS_EMPTY", "paas-postgres"]'
    second = rebuilt(server, tmp_path, f"RUN echo 2 > /etc/rebuilt\n{foreign}")
    minor.paas("upgrade")
    assert (image_of(minor), minor.fact("volume")) == (second, volume)
    assert minor.container() != running
    assert minor.paas("enter", "cat", "/etc/rebuilt") == "2\n"
    assert minor.query("SELECT count(*) FROM t") == [(5000,)]
    assert minor.query("SELECT pg_postmaster_start_time()") > began
    minor.paas("clone", "minor2")
    copy = Database(server, "postgres", "minor2")
    assert copy.query("SELECT count(*) FROM t") == [(5000,)]
    copy.destroy()
    assert Engine(server.layout).images.resolve(first) is not None
    server.paas("images:prune").ok()
    assert Engine(server.layout).images.resolve(first) is None
    minor.destroy()


def image_of(database: Database) -> str:
    """The id of the image that it runs."""
    with contextlib.closing(Store(database.server.layout)) as store:
        return store.services.get(database.plugin, database.name).image


@pytest.mark.usefixtures("cache")
def test_an_image_of_another_maker_is_taken_by_its_name(server: Server, tmp_path: Path) -> None:
    stack = server.paas("redis:create", "other", "--image", "paas/stack:debian-13").failed()
    assert "paas/stack:debian-13 has no redis-server, redis-cli, redis-check-rdb" in stack.text
    assert "other" not in server.paas("redis:list").ok().out.split()
    with foreign_redis(server, tmp_path) as image:
        other = Database.create(server, "redis", "other", "--image", image, f"--password={ODD}")
    assert other.fact("image") == image
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(other.fact("internal-ip")).ping()
    asked(other, "SET", "a", "1")
    restarts = int(other.fact("restarts"))
    other.kill()
    eventually(lambda: int(other.fact("restarts")) > restarts)
    assert asked(other, "GET", "a") == b"1"
    other.paas("rotate")
    dump = server.paas("redis:export", "other").ok().stdout
    asked(other, "SET", "a", "2")
    for wrong in (dump[:-9], b"no dump at all"):
        assert "The dump cannot be used" in other.refused("import", input=wrong)
        assert asked(other, "GET", "a") == b"2"
    other.paas("import", input=dump)
    assert asked(other, "GET", "a") == b"1"
    # Whose files they are is seen as soon as they are to be written to.
    asked(other, "BGREWRITEAOF")
    other.paas("backup", str(tmp_path), "--verify")
    assert other.backups()[0]["verdict"] == "good"
    # To another maker's by a dump: who knows where that one looks for its data.
    volume = other.fact("volume")
    said = other.paas("upgrade", "--image", "paas/redis:8")
    assert f"The data of Redis latest is kept in {volume}" in said
    assert asked(other, "GET", "a") == b"1"
    other.destroy()


ENTRYPOINT = """\
#!/bin/sh
# As images of Valkey have it: the server as its own user, anything else as it is.
if [ "$1" = redis-server ] && [ "$(id -u)" = 0 ]; then
    exec setpriv --reuid=valkey --regid=valkey --init-groups "$@"
fi
exec "$@"
"""


@contextlib.contextmanager
def foreign_redis(server: Server, folder: Path) -> Iterator[str]:
    """The name of an image in a registry, by umoci: Redis as Debian has it, nothing of ours, and
    the one user that Valkey's have.
    """
    archive, layout, renamed = folder / "redis.tar", f"{folder}/layout", "paas/renamed:8"
    rename = "RUN sed -i s/^redis:/valkey:/ /etc/passwd /etc/group /etc/shadow"
    rebuilt(server, folder, rename, tag=renamed, base="paas/redis:8")
    engine = Engine(server.layout)
    ours = engine.images.resolve(renamed)
    assert ours is not None
    engine.registry.save(ours, renamed, archive, Silent(), oci=True)
    entrypoint = folder / "docker-entrypoint.sh"
    entrypoint.write_text(ENTRYPOINT)
    entrypoint.chmod(0o755)
    image = ("--image", f"{layout}:redis")
    with distribution(folder / "registry") as registry:
        name = f"{registry.address}/redis:latest"
        for argv in (
            ["skopeo", "copy", "-q", f"oci-archive:{archive}", f"oci:{layout}:redis"],
            ["umoci", "insert", *image, "--whiteout", "/usr/local/bin/paas-redis"],
            ["umoci", "insert", *image, str(entrypoint), "/usr/local/bin/docker-entrypoint.sh"],
            ["umoci", "config", *image, "--clear=config.cmd", "--config.cmd=redis-server",
             "--config.entrypoint=docker-entrypoint.sh", "--config.workingdir=/data"],
            ["skopeo", "copy", "-q", "--dest-tls-verify=false", f"oci:{layout}:redis",
             f"docker://{name}"],
        ):  # fmt: skip
            subprocess.run(argv, check=True, capture_output=True)
        server.paas("registry:set", registry.address, "--plain-http", "on").ok()
        yield name
        server.paas("registry:set", registry.address, "--plain-http", "off").ok()


def test_another_major_version_gets_a_new_volume_and_the_old_one_is_kept(server: Server) -> None:
    old = Database.create(server, "postgres", "old", "--version", "15")
    old.query("CREATE TABLE t AS SELECT generate_series(1, 5000) n")
    dsn, volume, address = old.fact("dsn"), old.fact("volume"), old.fact("internal-ip")
    # No PostgreSQL at all: nothing is given up for it.
    old.refused("upgrade", "--image", "paas/redis:8", "--version", "17")
    assert old.query("SHOW server_version_num")[0][0] < "160000"

    said = old.paas("upgrade", "--version", "17")
    assert "Verified: 1 tables, 5000 rows" in said
    assert f"The data of Postgres 15 is kept in {volume}" in said
    assert (old.fact("dsn"), old.fact("internal-ip")) == (dsn, address)
    assert old.fact("volume") != volume
    assert (server.layout.engine_fs / "volumes" / volume / "data/PG_VERSION").read_text() == "15\n"
    assert old.query("SHOW server_version_num")[0][0] >= "170000"
    assert old.query("SELECT count(*) FROM t") == [(5000,)]
    old.destroy()


# -- from outside -------------------------------------------------------------------------------


def test_an_exposed_database_speaks_tls_and_only_with_whom_it_may(
    db: Database, notes: App, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = db.refused("expose", str(taken.getsockname()[1]))
        assert "is in use by a program of this server" in refused
    assert "is where apps are served" in db.refused("expose", "80")
    assert db.fact("exposed") == "-"
    said = db.paas("expose")
    port = db.fact("exposed").split()[1]
    assert f"@test.example:{port}/db?sslmode=require" in said
    pem = tmp_path / "db.pem"
    pem.write_text(db.paas("certificate"))
    outside = db.fact("dsn").replace("@postgres-db.internal:5432", f"@test.example:{port}")
    checked = f"{outside}?hostaddr=127.0.0.1&sslmode=verify-full&sslrootcert={pem}"
    with psycopg.connect(checked) as connection:
        row = connection.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        assert row.fetchone() == (True,)
    with pytest.raises(psycopg.OperationalError, match="no encryption"):
        psycopg.connect(f"{outside}?hostaddr=127.0.0.1&sslmode=disable")
    assert "leads to postgres-db" in notes.ssh(f"ports:add {{}} tcp:{port}:5000").failed().text

    db.paas("expose", "--no-tls", "--allow", "127.0.0.1")
    assert db.fact("exposed") == f"port {port} (without TLS) for 127.0.0.1"
    with psycopg.connect(f"{outside}?hostaddr=127.0.0.1&sslmode=disable") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)

    db.paas("expose", "--allow", "203.0.113.0/24")
    assert db.fact("exposed") == f"port {port} (TLS) for 203.0.113.0/24"
    with pytest.raises(psycopg.OperationalError, match="closed"):
        psycopg.connect(f"{outside}?hostaddr=127.0.0.1")
    db.paas("unexpose")
    eventually(lambda: refuses(int(port)))
    assert "is not exposed" in db.refused("unexpose")


def test_where_the_server_speaks_no_tls_the_proxy_does(cache: Database) -> None:
    cache.paas("expose", "--allow", "127.0.0.1")
    port = int(cache.fact("exposed").split()[1])
    trusted = ssl.create_default_context(cadata=cache.paas("certificate"))
    with (
        socket.create_connection(("127.0.0.1", port)) as plain,
        trusted.wrap_socket(plain, server_hostname="shop.test.example") as secure,
    ):
        secure.sendall(b"PING\r\n")
        assert secure.recv(100).startswith(b"-NOAUTH")
    with socket.create_connection(("127.0.0.1", port)) as plain:
        plain.sendall(b"PING\r\n")
        assert b"NOAUTH" not in plain.recv(100)
    cache.paas("unexpose")


def refuses(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) != 0
