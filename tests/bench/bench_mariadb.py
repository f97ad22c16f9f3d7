"""A MariaDB service under sysbench, from a linked app and beside the same binary on the host."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from paas.engine.build.context import DirectoryContext
from paas.engine.engine import Engine
from paas.model.report import Silent
from tests.bench.chroot import chroot
from tests.bench.database import CLIENTS, SECONDS, client, compared, in_service, linked
from tests.bench.figures import Row
from tests.ports import free_port
from tests.push.server import Server

TITLE = "mariadb"
MEMORY_MB = 512
SIZE = "--tables=4 --table-size=50000"
WITH_CLIENT = "bench/mariadb:11.8"
"""The server's image, with sysbench beside the server."""
DOCKERFILE = """\
FROM paas/mariadb:11.8
RUN apt-get -qq update && apt-get -qq install -y --no-install-recommends sysbench > /dev/null
"""
RATE = r"transactions:\s+[0-9]+\s+\(([0-9.]+) per sec"


def sysbench(script: str, verb: str, login: str) -> str:
    """A command line of sysbench."""
    more = f"--threads={CLIENTS} --time={SECONDS}" if verb == "run" else ""
    return f"sysbench {script} --db-driver=mysql {login} {SIZE} {more} {verb}"


LOGIN = (
    "--mysql-user=${u%%:*} --mysql-password=${p%%@*} --mysql-host=${h%%:*} --mysql-port=3306"
    " --mysql-db=${h##*/}"
)


BESIDE = (
    "--mysql-user=$MARIADB_USER --mysql-password=$MARIADB_PASSWORD --mysql-host=127.0.0.1"
    " --mysql-port=3306 --mysql-db=$MARIADB_DATABASE"
)


def with_client(engine: Engine) -> None:
    """Make the image that has both."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "Dockerfile").write_text(DOCKERFILE)
        context = DirectoryContext(Path(folder), Silent())
        engine.builder.build(context, tag=WITH_CLIENT, report=Silent())


def measure(server: Server) -> Sequence[Row]:
    """Reads and writes, as sysbench mixes them."""
    server.paas("mariadb:create", "first", timeout=600).ok()
    app = client(server)
    engine = Engine(server.layout)
    with_client(engine)
    server.paas("mariadb:create", "warm", "--image", WITH_CLIENT).ok()
    server.paas("mariadb:destroy", "first", "--force").ok()
    server.paas("mariadb:link", "warm", "load", "--no-restart", "--alias", "maria").ok()
    image = engine.images.resolve("paas/mariadb:11.8")
    assert image is not None

    def ours(script: str, verb: str) -> str:
        line = sysbench(script, verb, LOGIN)
        return linked(server, f"u=${{MARIA_URL#mysql://}} p=${{u#*:}} h=${{p#*@}}; {line}")

    port = free_port()
    data = {
        "MARIADB_USER": "mariadb", "MARIADB_PASSWORD": "x", "MARIADB_DATABASE": "db",
        "PAAS_MEMORY_MB": str(MEMORY_MB),
    }  # fmt: skip
    login = (
        f"--mysql-host=127.0.0.1 --mysql-port={port} --mysql-user=mariadb --mysql-password=x"
        " --mysql-db=db"
    )
    with (
        chroot(engine, image, "/var/lib/mysql") as host,
        chroot(engine, app) as asking,
        host.serving(
            ("paas-mariadb", f"--port={port}"), data, ("mariadb-admin", "--silent", "ping")
        ),
    ):
        ours("oltp_read_write", "prepare")
        asking.run(*sysbench("oltp_read_write", "prepare", login).split())
        rows: list[Row] = []
        for script in ("oltp_read_write", "oltp_read_only"):
            rows += compared(
                f"sysbench {script}",
                lambda s=script: ours(s, "run"),  # type: ignore[misc]
                lambda s=script: asking.run(*sysbench(s, "run", login).split()),  # type: ignore[misc]
                RATE,
                alike=lambda s=script: in_service(server, "mariadb", sysbench(s, "run", BESIDE)),  # type: ignore[misc]
            )
        return rows
