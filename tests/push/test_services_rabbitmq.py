"""RabbitMQ: a TOML and a Dockerfile, through a whole life.

With a password in which every character means something to somebody.
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pika
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


def test_it_has_what_every_datastore_has(rabbit: Database) -> None:
    common.linked_and_promoted(rabbit)
    common.scheduled(rabbit)
    common.stopped_and_started(rabbit)


def test_it_is_backed_up_restored_cloned_and_rotated(rabbit: Database, tmp_path: Path) -> None:
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


def test_no_password_of_it_is_among_the_arguments_of_a_process(rabbit: Database) -> None:
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
def test_a_backup_is_restored_into_a_service_of_another_name(
    server: Server, tmp_path: Path
) -> None:
    def fill(prod: Database) -> None:
        with channel(prod) as open_channel:
            open_channel.queue_declare("moved", durable=True)

    with common.restored_under_another_name(server, "rabbitmq", tmp_path, fill) as here:
        with channel(here) as open_channel:
            open_channel.queue_declare("moved", passive=True)
        assert here.paas("connect", "list_vhosts", "--silent").split() == ["prod"]


def test_it_is_exposed_with_tls_by_the_proxy(rabbit: Database) -> None:
    said = rabbit.paas("expose", "--allow", "127.0.0.0/8")
    port = int(rabbit.fact("exposed").split()[1])
    assert "amqps://" in said
    trusted = ssl.create_default_context(cadata=rabbit.paas("certificate"))
    parameters = pika.URLParameters(rabbit.url)
    parameters.host, parameters.port = "127.0.0.1", port
    parameters.ssl_options = pika.SSLOptions(trusted, "queue.test.example")
    pika.BlockingConnection(parameters).close()
    rabbit.paas("unexpose")


def test_kill_9_and_a_power_failure_lose_nothing_that_was_confirmed(
    rabbit: Database, drive: Disk
) -> None:
    with channel(rabbit) as open_channel:
        open_channel.queue_declare("killed", durable=True)
        quorum = {"x-queue-type": "quorum"}
        open_channel.queue_declare("cut", durable=True, arguments=quorum)
    # Messages are confirmed, queues are not: Mnesia logs them a moment later, and Ra the names of
    # its members. A quorum queue without its name there has no leader, and takes nothing any more.
    sync = "mnesia:sync_log(), lists:foreach(fun dets:sync/1, dets:all())."
    evaluate = ("env", "-u", "RABBITMQ_DEFAULT_PASS", "rabbitmqctl", "eval", sync)
    rabbit.server.paas("containers:exec", rabbit.container(), *evaluate).ok()

    with writing(messages(rabbit, "killed")) as sent:
        eventually(lambda: sent.count > WRITTEN)
        rabbit.kill()
        eventually(lambda: sent.ended)
    eventually(lambda: answers(rabbit))
    assert sent.written <= taken(rabbit, "killed")

    # A classic queue confirms what is written and not yet synced: for this there are quorum queues.
    with writing(messages(rabbit, "cut")) as sent:
        eventually(lambda: sent.count > WRITTEN)
        confirmed = sent.so_far()
        with drive.power_failure(rabbit.server):
            pass
        # RabbitMQ confirms nothing any more, and says nothing either.
        eventually(lambda: sent.ended)
    rabbit.server.up()
    eventually(lambda: answers(rabbit))
    found: set[int] = set()

    def all_there() -> bool:
        # A queue may be without its leader for a moment after a start.
        with contextlib.suppress(pika.exceptions.AMQPError):
            found.update(taken(rabbit, "cut"))
        return confirmed <= found

    eventually(all_there)


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


def answers(rabbit: Database) -> bool:
    try:
        with channel(rabbit) as open_channel:
            return open_channel.is_open
    except pika.exceptions.AMQPError:
        return False
