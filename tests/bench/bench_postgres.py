"""A PostgreSQL service: how soon it answers, what the engine costs it, how dumps stream.

The reference is the same binary with the same options on the same disk, in a chroot of the
host, and asked by the same client there; and for scale the same in docker's containers.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import psycopg

from paas.engine.engine import Engine
from tests.bench.chroot import chroot
from tests.bench.database import CLIENTS, SECONDS, client, compared, in_service, linked
from tests.bench.docker_database import SERVER, docker_database
from tests.bench.dockerd import PROGRAM
from tests.bench.figures import Row, row, seconds
from tests.ports import free_port
from tests.push.processes import children
from tests.push.server import Server

TITLE = "postgres"
CREATES = 5
QUERY_SECONDS = 3.0
SCALE = "20"
HOME = "/var/lib/postgresql"
MEMORY_MB = 512
BENCH = f"pgbench --client={CLIENTS} --jobs=2 --time={SECONDS} --progress=60"
RATE = r"^tps = ([0-9.]+)"
BIG_MIB = 1100
"""Of table, whose dump is more than a command may use of memory (1 GiB)."""
STREAM_SECONDS = 90.0


def measure(server: Server) -> Sequence[Row]:
    """Create services, compare the throughput of one, stream its content out and in."""
    server.paas("postgres:create", "warm", timeout=600).ok()
    created = [first_query(server, f"new{number}") for number in range(CREATES)]
    return [
        row("create to first query, warm", created, target=QUERY_SECONDS),
        *throughput(server),
        *dumps(server),
        *streams(server),
    ]


def first_query(server: Server, name: str) -> float:
    """Seconds from the command to the answer of a first query, by a real client."""
    began = time.perf_counter()
    server.paas("postgres:create", name).ok()
    with psycopg.connect(url(server, name)) as connection:
        connection.execute("SELECT 1")
    taken = time.perf_counter() - began
    server.paas("postgres:destroy", name, "--force").ok()
    return taken


def url(server: Server, name: str) -> str:
    """For who has no resolver of ours."""
    facts = json.loads(server.paas("postgres:info", name, "--format", "json").ok().out)
    found: str = facts["dsn"].replace(facts["hostname"], facts["internal-ip"])
    return found


def throughput(server: Server) -> Iterator[Row]:
    """pgbench's TPC-B and its reads alone, from a linked app and on the host."""
    client(server)
    engine = Engine(server.layout)
    image = engine.images.resolve("paas/postgres:17")
    assert image is not None
    server.paas("postgres:link", "warm", "load", "--no-restart").ok()
    initialise = f"pgbench --initialize --scale={SCALE} --quiet"
    linked(server, f'{initialise} "$DATABASE_URL" 2>&1')
    port = str(free_port())
    data = {
        "PGDATA": "/var/lib/postgresql/data", "POSTGRES_USER": "postgres", "POSTGRES_DB": "db",
        "POSTGRES_PASSWORD": "x", "PAAS_MEMORY_MB": str(MEMORY_MB),
    }  # fmt: skip
    login = {
        "PGHOST": "127.0.0.1", "PGPORT": port, "PGPASSWORD": "x", "PGUSER": "postgres",
        "PGDATABASE": "db",
    }  # fmt: skip
    words, ready = ("paas-postgres", "-p", port), ("pg_isready", "-h", "127.0.0.1", "-p", port)
    with (
        chroot(engine, image, HOME) as host,
        host.serving(words, data, ready),
        ExitStack() as rivals,
    ):
        host.run(*initialise.split(), env=login)
        docker = None
        if PROGRAM is not None:
            folder = Path(rivals.enter_context(tempfile.TemporaryDirectory(dir=server.folder)))
            docker = rivals.enter_context(
                docker_database(folder, host, HOME, words, data, ready, MEMORY_MB)
            )
            docker.run(*initialise.split(), env=login | {"PGHOST": SERVER})

        def beside(command: str) -> str:
            assert docker is not None
            return docker.run(*command.split(), env=login | {"PGHOST": SERVER})

        facts = json.loads(server.paas("postgres:info", "warm", "--format", "json").ok().out)
        local = facts["dsn"].replace(facts["hostname"], "127.0.0.1")
        for what, option in (("pgbench", ""), ("pgbench, reads", " --select-only")):
            yield from compared(
                what,
                lambda o=option: linked(server, f'{BENCH}{o} "$DATABASE_URL"'),  # type: ignore[misc]
                lambda o=option: host.run(*f"{BENCH}{o}".split(), env=login),  # type: ignore[misc]
                RATE,
                (lambda o=option: beside(f"{BENCH}{o}")) if docker else None,  # type: ignore[misc]
                lambda o=option: in_service(server, "postgres", f"{BENCH}{o} '{local}'"),  # type: ignore[misc]
            )


def dumps(server: Server) -> Iterator[Row]:
    """Export and import through the client, beside the dump tool's own speed."""
    with tempfile.NamedTemporaryFile() as file:
        path = Path(file.name)
        exports = [seconds(lambda: export(server, path)) for _ in range(3)]
        size = path.stat().st_size >> 20
        tool = [seconds(lambda: in_service(server, "postgres", DUMP)) for _ in range(3)]
        # Beside the server, from a file of its own: nothing of ours is between.
        in_service(server, "postgres", f"{DUMP_TO} /var/lib/postgresql/dump")
        restore = [seconds(lambda: in_service(server, "postgres", RESTORE)) for _ in range(3)]
        imports = [seconds(lambda: load(server, path)) for _ in range(3)]
    yield row("pg_dump alone, into nothing", tool)
    yield row(f"postgres:export ({size} MiB)", exports)
    yield row("pg_restore alone, from a file", restore)
    yield row("postgres:import", imports)


DUMP_TO = "exec pg_dump --format=custom --no-acl --no-owner >"
DUMP = f"{DUMP_TO} /dev/null"
RESTORE = (
    'exec pg_restore --dbname="$PGDATABASE" --clean --if-exists --no-acl --no-owner'
    " --single-transaction --exit-on-error /var/lib/postgresql/dump"
)


def export(server: Server, path: Path) -> None:
    with path.open("wb") as out:
        subprocess.run(server.command("postgres:export", "warm"), stdout=out, check=True)


def load(server: Server, path: Path) -> None:
    with path.open("rb") as dump:
        subprocess.run(server.command("postgres:import", "warm"), stdin=dump, check=True)


def streams(server: Server) -> Iterator[Row]:
    """How much memory the PaaS needs while more goes through than it may have."""
    with psycopg.connect(url(server, "warm"), autocommit=True) as connection:
        connection.execute("CREATE TABLE big (b bytea)")
        connection.execute("ALTER TABLE big ALTER b SET STORAGE EXTERNAL")
        connection.execute(
            "INSERT INTO big SELECT (SELECT string_agg(sha512((n * 100000 + m)::text::bytea), '')"
            f" FROM generate_series(1, 16384) m) FROM generate_series(1, {BIG_MIB}) n"
        )
    with tempfile.NamedTemporaryFile(dir=server.folder) as file:
        path = Path(file.name)
        out, most_out = watched(server, lambda: export(server, path))
        size = path.stat().st_size / 2**20
        back, most_back = watched(server, lambda: load(server, path))
    what = f"{size:.0f} MiB that nothing compresses"
    yield row(f"export of {what}", [out], target=STREAM_SECONDS)
    yield row(f"import of {what}", [back], target=STREAM_SECONDS)
    yield row("  export", [size / out], unit="MiB/s")
    yield row("  import", [size / back], unit="MiB/s")
    yield row("  most memory of a process of ours, export", [most_out], unit="MiB")
    yield row("  most memory of a process of ours, import", [most_back], unit="MiB")


def watched(server: Server, action: object) -> tuple[float, float]:
    """The seconds that `action` takes, and the MiB of the largest process of the PaaS meanwhile:
    the command and its client, the runtime, monitors, paasd, the proxy. The datastore's own
    tools are none of it.
    """
    for pid in ours(server):
        forget_peak(pid)
    most, over = [0], threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            most.extend(map(peak, ours(server)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        taken = seconds(action)  # type: ignore[arg-type]
    finally:
        over.set()
        watcher.join()
    return taken, max(most) / 1024


def ours(server: Server) -> set[int]:
    """What names the PaaS's folders, and the commands of its daemon."""
    return {*server.processes(), *children(server.daemon_pid())}


def forget_peak(pid: int) -> None:
    """proc_pid_clear_refs(5): the peak is what it has now."""
    with suppress(FileNotFoundError, ProcessLookupError):
        Path(f"/proc/{pid}/clear_refs").write_text("5")


def peak(pid: int) -> int:
    """KiB that a process had resident at most; 0 for one that is gone."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if "VmHWM" in line), 0)
