"""MariaDB: a TOML and a Dockerfile, through a whole life.

With a password in which every character means something to somebody.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pymysql
import pytest

from tests.push import common
from tests.push.database import ODD, Database
from tests.push.disk import Disk
from tests.push.outcome import eventually
from tests.push.server import Server
from tests.push.writers import Connect, writing

WRITTEN = 200


@pytest.fixture(scope="module")
def server(server_on_drive: Server) -> Server:
    """A PaaS whose disk is its own."""
    return server_on_drive


@pytest.fixture(scope="module")
def maria(server: Server) -> Iterator[Database]:
    maria = Database.create(server, "mariadb", "m", f"--password={ODD}")
    yield maria
    maria.destroy()


def test_it_has_what_every_datastore_has(maria: Database) -> None:
    common.linked_and_promoted(maria)
    common.scheduled(maria)
    common.stopped_and_started(maria)


def test_it_takes_whole_dumps_alone_and_keeps_what_it_has_otherwise(maria: Database) -> None:
    assert maria.paas("connect", input=b"SELECT 40 + 2") == "40 + 2\n42\n"
    maria.sql("CREATE TABLE t AS SELECT 'a\\\\b''c ü' AS text")
    dump = maria.server.paas("mariadb:export", "m").ok().stdout
    maria.sql("DELETE FROM t")
    for wrong in (dump[:-30], b"no dump\n", b"", b"PGDMP"):
        maria.refused("import", input=wrong)
        assert maria.sql("SELECT * FROM t") == []
    maria.paas("import", input=dump)
    assert maria.sql("SELECT * FROM t") == [("a\\b'c ü",)]


def test_it_is_backed_up_restored_cloned_and_rotated(maria: Database, tmp_path: Path) -> None:
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
def test_a_backup_is_restored_into_a_service_of_another_name(
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


def test_it_speaks_tls_with_whom_it_is_exposed_to(maria: Database) -> None:
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


def test_kill_9_and_a_power_failure_lose_nothing_that_was_acknowledged(
    maria: Database, drive: Disk
) -> None:
    for table in ("killed", "cut"):
        maria.sql(f"CREATE TABLE {table} (n int PRIMARY KEY)")
    with writing(rows(maria, "killed")) as commits:
        eventually(lambda: commits.count > WRITTEN)
        maria.kill()
        eventually(lambda: commits.ended)
    eventually(lambda: answers(maria))
    assert commits.written <= {row[0] for row in maria.sql("SELECT n FROM killed")}

    with writing(rows(maria, "cut")) as commits:
        eventually(lambda: commits.count > WRITTEN)
        committed = commits.so_far()
        with drive.power_failure(maria.server):
            eventually(lambda: commits.ended)
    maria.server.up()
    eventually(lambda: answers(maria))
    assert committed <= {row[0] for row in maria.sql("SELECT n FROM cut")}


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


def answers(maria: Database) -> bool:
    try:
        return maria.sql("SELECT 1") == [(1,)]
    except pymysql.Error:
        return False
