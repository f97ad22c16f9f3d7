"""MariaDB, RabbitMQ and memcached: each a TOML and a Dockerfile, each through a whole life.

With a password in which every character means something to somebody.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import pika
import pymysql
import pytest

from tests.push import common
from tests.push.database import ODD, Database
from tests.push.disk import Disk
from tests.push.outcome import eventually
from tests.push.processes import command_lines
from tests.push.server import Server
from tests.push.writers import Connect, writing

WRITTEN = 200
LASTING = pika.BasicProperties(delivery_mode=2)


@pytest.fixture(scope="module")
def server(server_on_drive: Server) -> Server:
    """A PaaS whose disk is its own."""
    return server_on_drive


@pytest.fixture(scope="module")
def maria(server: Server) -> Iterator[Database]:
    maria = Database.create(server, "mariadb", "m", f"--password={ODD}")
    yield maria
    maria.destroy()


@pytest.fixture(scope="module")
def rabbit(server: Server) -> Iterator[Database]:
    rabbit = Database.create(server, "rabbitmq", "r", f"--password={ODD}")
    yield rabbit
    rabbit.destroy()


@contextlib.contextmanager
def channel(database: Database) -> Iterator[pika.adapters.blocking_connection.BlockingChannel]:
    parameters = pika.URLParameters(database.url)
    # A server without power does not say that it has gone.
    parameters.heartbeat = 4
    connection = pika.BlockingConnection(parameters)
    try:
        yield connection.channel()
    finally:
        with contextlib.suppress(pika.exceptions.AMQPError):
            connection.close()


@pytest.mark.parametrize("datastore", ["maria", "rabbit"])
def test_each_has_what_every_datastore_has(datastore: str, request: pytest.FixtureRequest) -> None:
    database = request.getfixturevalue(datastore)
    common.linked_and_promoted(database)
    common.scheduled(database)
    common.stopped_and_started(database)


# -- MariaDB --------------------------------------------------------------------------------------


def test_mariadb_takes_whole_dumps_alone_and_keeps_what_it_has_otherwise(maria: Database) -> None:
    assert maria.paas("connect", input=b"SELECT 40 + 2") == "40 + 2\n42\n"
    maria.sql("CREATE TABLE t AS SELECT 'a\\\\b''c ü' AS text")
    dump = maria.server.paas("mariadb:export", "m").ok().stdout
    maria.sql("DELETE FROM t")
    for wrong in (dump[:-30], b"no dump\n", b"", b"PGDMP"):
        maria.refused("import", input=wrong)
        assert maria.sql("SELECT * FROM t") == []
    maria.paas("import", input=dump)
    assert maria.sql("SELECT * FROM t") == [("a\\b'c ü",)]


def test_mariadb_is_backed_up_restored_cloned_and_rotated(maria: Database, tmp_path: Path) -> None:
    maria.sql("CREATE TABLE kept AS SELECT seq FROM seq_1_to_500")
    maria.sql("CREATE VIEW defined AS SELECT 1 AS one")
    maria.sql("CREATE USER ann IDENTIFIED BY 'ann''s'")
    maria.sql("GRANT SELECT ON m.* TO ann")
    maria.paas("backup", str(tmp_path), "--verify")
    [made] = maria.backups()
    assert made["verdict"] == "good"
    assert "500 rows" in str(made["detail"]) or "501 rows" in str(made["detail"])
    maria.sql("DROP TABLE kept")
    maria.paas("rotate")
    first_is_refused(maria)
    # What the first user defined is still of use.
    assert maria.sql("SELECT count(*) FROM defined") == [(1,)]
    maria.paas("restore", "--force")
    assert maria.sql("SELECT count(*) FROM kept") == [(500,)]
    assert maria.sql("SELECT count(*) FROM defined") == [(1,)]
    first_is_refused(maria)
    maria.mysql(user="ann", password=b"ann's").close()
    maria.paas("clone", "twin")
    twin = Database(maria.server, "mariadb", "twin")
    assert twin.sql("SELECT count(*) FROM kept") == [(500,)]
    # Of another name: by a dump, as between major versions.
    assert "Verified: " in twin.paas("upgrade", "--image", "paas/mariadb:11.8")
    assert twin.sql("SELECT count(*) FROM kept") == [(500,)]
    twin.destroy()


@pytest.mark.timeout(600)
def test_a_mariadb_backup_is_restored_into_a_service_of_another_name(
    server: Server, tmp_path: Path
) -> None:
    with common.restored_under_another_name(
        server, "mariadb", tmp_path, lambda prod: prod.sql("CREATE TABLE moved AS SELECT 7 AS n")
    ) as here:
        assert here.sql("SELECT n FROM moved") == [(7,)]
        assert ("here",) not in here.sql("SHOW DATABASES")


def first_is_refused(maria: Database) -> None:
    with pytest.raises(pymysql.OperationalError, match=r"Access denied"):
        maria.mysql(user="mariadb", password=ODD.encode())


def test_mariadb_speaks_tls_with_whom_it_is_exposed_to(maria: Database) -> None:
    maria.paas("expose", "--allow", "127.0.0.1")
    port = int(maria.fact("exposed").split()[1])
    trusted = ssl.create_default_context(cadata=maria.paas("certificate"))
    trusted.check_hostname = False
    outside = {"host": "127.0.0.1", "port": port}
    with maria.mysql(**outside, ssl=trusted) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW STATUS LIKE 'Ssl_version'")
        assert cursor.fetchone() == ("Ssl_version", "TLSv1.3")
    with pytest.raises(pymysql.OperationalError, match="Access denied"):
        maria.mysql(**outside, ssl_disabled=True)
    maria.paas("rotate")
    maria.mysql(**outside, ssl=trusted).close()
    with pytest.raises(pymysql.OperationalError, match="Access denied"):
        maria.mysql(**outside, ssl_disabled=True)
    maria.paas("unexpose")
    maria.paas("restart")


# -- RabbitMQ -------------------------------------------------------------------------------------


def test_rabbitmq_is_backed_up_restored_cloned_and_rotated(
    rabbit: Database, tmp_path: Path
) -> None:
    with channel(rabbit) as open_channel:
        open_channel.queue_declare("jobs", durable=True)
        open_channel.basic_publish("", "jobs", b"one", LASTING)
    assert "jobs\t1" in rabbit.paas("connect", "list_queues", "--vhost", "r", "--silent")
    assert b'"jobs"' in rabbit.server.paas("rabbitmq:export", "r").ok().stdout
    for wrong in (b"no dump", b""):
        assert rabbit.server.paas("rabbitmq:import", "r", input=wrong).code != 0
    rabbit.paas("backup", str(tmp_path), "--verify")
    assert rabbit.backups()[0]["verdict"] == "good"
    rabbit.paas("rotate")
    rabbit.paas("clone", "twin")
    twin = Database(rabbit.server, "rabbitmq", "twin")
    with channel(twin) as open_channel:
        assert open_channel.queue_declare("jobs", passive=True).method.message_count == 0
        open_channel.basic_publish("", "jobs", b"2", LASTING)
    # Of another name, and in place all the same: messages are in no dump.
    twin.paas("upgrade", "--image", "paas/rabbitmq:4.0")
    assert taken(twin, "jobs") == {2}
    twin.destroy()
    with channel(rabbit) as open_channel:
        _, _, body = open_channel.basic_get("jobs", auto_ack=True)
    assert body == b"one"


def test_no_password_of_rabbitmq_is_among_the_arguments_of_a_process(rabbit: Database) -> None:
    with command_lines() as seen:
        rabbit.paas("rotate")
    # The container's are seen.
    assert any(b"rabbitmqctl" in line for line in seen)
    password = unquote(urlsplit(rabbit.url).password or "").encode()
    assert password
    assert [line for line in seen if password in line] == []
    with channel(rabbit) as open_channel:
        assert open_channel.is_open


@pytest.mark.timeout(600)
def test_a_rabbitmq_backup_is_restored_into_a_service_of_another_name(
    server: Server, tmp_path: Path
) -> None:
    def fill(prod: Database) -> None:
        with channel(prod) as open_channel:
            open_channel.queue_declare("moved", durable=True)

    with common.restored_under_another_name(server, "rabbitmq", tmp_path, fill) as here:
        with channel(here) as open_channel:
            open_channel.queue_declare("moved", passive=True)
        assert here.paas("connect", "list_vhosts", "--silent").split() == ["prod"]


def test_rabbitmq_is_exposed_with_tls_by_the_proxy(rabbit: Database) -> None:
    said = rabbit.paas("expose", "--allow", "127.0.0.0/8")
    port = int(rabbit.fact("exposed").split()[1])
    assert "amqps://" in said
    trusted = ssl.create_default_context(cadata=rabbit.paas("certificate"))
    parameters = pika.URLParameters(rabbit.url)
    parameters.host, parameters.port = "127.0.0.1", port
    parameters.ssl_options = pika.SSLOptions(trusted, "queue.test.example")
    pika.BlockingConnection(parameters).close()
    rabbit.paas("unexpose")


# -- faults ---------------------------------------------------------------------------------------


def rows(database: Database, table: str) -> Connect:
    """Writes numbers into a table, each a transaction."""

    @contextlib.contextmanager
    def connect() -> Iterator[Callable[[int], object]]:
        connection = database.mysql(read_timeout=20)
        try:
            cursor = connection.cursor()
            yield lambda number: cursor.execute(f"INSERT INTO {table} VALUES ({number})")
        finally:
            if connection.open:
                connection.close()

    return connect


def messages(database: Database, queue: str) -> Connect:
    """Publishes numbers that are to last, each confirmed, to a queue that is there."""

    @contextlib.contextmanager
    def connect() -> Iterator[Callable[[int], object]]:
        with channel(database) as open_channel:
            open_channel.confirm_delivery()
            yield lambda number: open_channel.basic_publish("", queue, b"%d" % number, LASTING)

    return connect


def taken(database: Database, queue: str) -> set[int]:
    """Every number in a queue."""
    found = set()
    with channel(database) as open_channel:
        while (body := open_channel.basic_get(queue, auto_ack=True)[2]) is not None:
            found.add(int(body))
    return found


def test_kill_9_and_a_power_failure_lose_nothing_that_was_acknowledged(
    maria: Database, rabbit: Database, drive: Disk
) -> None:
    server = maria.server
    for table in ("killed", "cut"):
        maria.sql(f"CREATE TABLE {table} (n int PRIMARY KEY)")
    with channel(rabbit) as open_channel:
        open_channel.queue_declare("killed", durable=True)
        quorum = {"x-queue-type": "quorum"}
        open_channel.queue_declare("cut", durable=True, arguments=quorum)
    # Messages are confirmed, queues are not: Mnesia logs them a moment later, and Ra the names of
    # its members. A quorum queue without its name there has no leader, and takes nothing any more.
    sync = "mnesia:sync_log(), lists:foreach(fun dets:sync/1, dets:all())."
    evaluate = ("env", "-u", "RABBITMQ_DEFAULT_PASS", "rabbitmqctl", "eval", sync)
    server.paas("containers:exec", rabbit.container(), *evaluate).ok()

    with writing(rows(maria, "killed")) as commits, writing(messages(rabbit, "killed")) as sent:
        eventually(lambda: commits.count > WRITTEN and sent.count > WRITTEN)
        maria.kill()
        rabbit.kill()
        eventually(lambda: commits.ended and sent.ended)
    eventually(lambda: answers(maria) and answers(rabbit))
    assert commits.written <= {row[0] for row in maria.sql("SELECT n FROM killed")}
    assert sent.written <= taken(rabbit, "killed")

    # A classic queue confirms what is written and not yet synced: for this there are quorum queues.
    with writing(rows(maria, "cut")) as commits, writing(messages(rabbit, "cut")) as sent:
        eventually(lambda: commits.count > WRITTEN and sent.count > WRITTEN)
        committed, confirmed = commits.so_far(), sent.so_far()
        with drive.power_failure(server):
            eventually(lambda: commits.ended)
        # RabbitMQ confirms nothing any more, and says nothing either.
        eventually(lambda: sent.ended)
    server.up()
    eventually(lambda: answers(maria) and answers(rabbit))
    assert committed <= {row[0] for row in maria.sql("SELECT n FROM cut")}
    assert confirmed <= eventually(lambda: taken(rabbit, "cut"))


def answers(database: Database) -> bool:
    try:
        if database.plugin == "mariadb":
            return database.sql("SELECT 1") == [(1,)]
        with channel(database) as open_channel:
            return open_channel.is_open
    except (pymysql.Error, pika.exceptions.AMQPError):
        return False


@pytest.mark.usefixtures("maria")
def test_an_image_keeps_nothing_of_what_apt_needed_to_make_it(server: Server) -> None:
    layers = list((server.layout.engine_fs / "l").iterdir())
    assert any((layer / "usr/sbin/mariadbd").exists() for layer in layers)
    caches = [path for layer in layers for path in (layer / "var/cache/apt").rglob("*")]
    # Its lock stays, an empty file.
    assert [path for path in caches if path.is_file() and path.stat().st_size] == []


# -- memcached ------------------------------------------------------------------------------------


def test_memcached_keeps_nothing_and_says_so(server: Server) -> None:
    cache = Database.create(server, "memcached", "x")
    common.linked_and_promoted(cache)
    common.stopped_and_started(cache)
    said = cache.paas("connect", input=b"set a 0 0 1\r\n5\r\nget a\r\n")
    assert said.splitlines()[:3] == ["STORED", "VALUE a 0 1", "5"]
    for verb, words, what in (
        ("export", (), "export"),
        ("import", (), "import"),
        ("clone", ("y",), "clone"),
        ("backup", (), "back up"),
        ("backup:schedule", ("@daily",), "back up"),
        ("restore", ("--force",), "restore"),
        ("backup:verify", (), "check"),
    ):
        assert f"Memcached has nothing to {what}" in cache.refused(verb, *words)
    assert cache.backups() == []
    assert "asks nobody for a password" in cache.refused("expose")
    cache.paas("expose", "--allow", "127.0.0.1")
    trusted = ssl.create_default_context(cadata=cache.paas("certificate"))
    with (
        socket.create_connection(("127.0.0.1", int(cache.fact("exposed").split()[1]))) as plain,
        trusted.wrap_socket(plain, server_hostname="cache.test.example") as secure,
    ):
        secure.sendall(b"version\r\n")
        assert secure.recv(100).startswith(b"VERSION 1.6")
    cache.paas("unexpose")
    before = cache.container()
    cache.paas("upgrade")
    assert cache.container() != before
    assert cache.fact("status") == "running"
    assert quote(cache.fact("dsn"), safe="/:") == "memcached://memcached-x.internal:11211"
    cache.destroy()
