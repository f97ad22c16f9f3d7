"""A PostgreSQL service: how soon it answers, and what the engine costs it.

The reference is the same binary with the same options on the same disk: the image's root
filesystem as a plain chroot of the host, without namespaces, limits or a network of ours.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg

from paas.engine.engine import Engine
from paas.engine.mounting import detach
from paas.host.files import remove_tree
from tests.bench.figures import Row, row, seconds
from tests.push.server import Server
from tests.push.sshd import free_port

TITLE = "postgres"
ROUNDS = 5
CREATES = 5
QUERY_SECONDS = 3.0
SHARE = 0.95
BENCH = ("pgbench", "--client=8", "--jobs=2", "--time=6", "--progress=60")
SCALE = "20"
MEMORY_MB = 512
PATH = "/usr/lib/postgresql/17/bin:/usr/local/bin:/usr/bin:/bin"


def measure(server: Server) -> Sequence[Row]:
    """Create services, then compare the throughput of one with the same server outside."""
    server.paas("postgres:create", "warm", timeout=600).ok()
    created = [first_query(server, f"new{number}") for number in range(CREATES)]
    server.paas("postgres:enter", "warm", "--", *loopback("pgbench", "--initialize", SCALE)).ok()
    with outside(server) as reference:
        reference("pgbench", "--initialize", f"--scale={SCALE}", "--quiet")
        inside_tps, outside_tps = [], []
        for _ in range(ROUNDS):
            outside_tps.append(rate(reference(*BENCH)))
            said = server.paas("postgres:enter", "warm", "--", *loopback(*BENCH)).ok()
            inside_tps.append(rate(said.out))
    shares = [ours / theirs for ours, theirs in zip(inside_tps, outside_tps, strict=True)]
    return [
        row("create to first query, warm", created, target=QUERY_SECONDS),
        row("pgbench, the same binary in a chroot", outside_tps, unit="tps"),
        row("pgbench, in our engine", inside_tps, unit="tps"),
        row(f"share of it (at least {SHARE})", shares, unit="of 1"),
        *dumps(server),
    ]


def loopback(program: str, *words: str) -> list[str]:
    """A client in the service's container, by TCP as an app would."""
    if words == ("--initialize", SCALE):
        words = ("--initialize", f"--scale={SCALE}", "--quiet")
    script = 'PGPASSWORD="$POSTGRES_PASSWORD" PGHOST=127.0.0.1 exec "$@"'
    return ["bash", "-c", script, "bench", program, *words]


def first_query(server: Server, name: str) -> float:
    """Seconds from the command to the answer of a first query, by a real client."""
    began = time.perf_counter()
    server.paas("postgres:create", name).ok()
    facts = json.loads(server.paas("postgres:info", name, "--format", "json").ok().out)
    url = facts["dsn"].replace(facts["hostname"], facts["internal-ip"])
    with psycopg.connect(url) as connection:
        connection.execute("SELECT 1")
    taken = time.perf_counter() - began
    server.paas("postgres:destroy", name, "--force").ok()
    return taken


def rate(output: str) -> float:
    """Transactions per second, as pgbench says them."""
    found = re.search(r"^tps = ([0-9.]+)", output, re.MULTILINE)
    assert found, output
    return float(found[1])


def dumps(server: Server) -> Iterator[Row]:
    """Export and import through the client, beside the dump tool's own speed."""
    with tempfile.NamedTemporaryFile() as file:
        exports = [seconds(lambda: export(server, Path(file.name))) for _ in range(3)]
        size = Path(file.name).stat().st_size
        script = "exec pg_dump --format=custom --no-acl --no-owner > /dev/null"
        words = ("postgres:enter", "warm", "--", "bash", "-c", script)
        tool = [seconds(lambda: server.paas(*words).ok()) for _ in range(3)]
        imports = [seconds(lambda: load(server, Path(file.name))) for _ in range(2)]
    yield row("pg_dump alone, into nothing", tool)
    yield row(f"postgres:export ({size >> 20} MiB)", exports)
    yield row("postgres:import", imports)


def export(server: Server, path: Path) -> None:
    with path.open("wb") as out:
        subprocess.run(server.command("postgres:export", "warm"), stdout=out, check=True)


def load(server: Server, path: Path) -> None:
    with path.open("rb") as dump:
        subprocess.run(server.command("postgres:import", "warm"), stdin=dump, check=True)


@contextmanager
def outside(server: Server) -> Iterator[Callable[..., str]]:
    """The image as a chroot with a server of its own; gives what runs a client in it."""
    engine = Engine(server.layout)
    image = engine.images.resolve("paas/postgres:17")
    assert image is not None
    folder = Path(tempfile.mkdtemp(dir=server.layout.engine_fs, prefix="bench"))
    root, upper, port = folder / "root", folder / "upper", free_port()
    for path in (root, upper):
        path.mkdir()
    engine.rootfs.overlay(image.layers, upper, root)
    data = "/var/lib/postgresql/data"
    real = folder / "data"
    real.mkdir()
    (root / "var/lib/postgresql").mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "--bind", real, root / "var/lib/postgresql"], check=True)
    subprocess.run(["mount", "--bind", "/dev", root / "dev"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", root / "dev/shm"], check=True)

    def run(*words: str) -> str:
        done = subprocess.run(
            ["/usr/sbin/chroot", str(root), *words],
            env={"PATH": PATH, "PGHOST": "127.0.0.1", "PGPORT": str(port), "PGPASSWORD": "x",
                 "PGUSER": "postgres", "PGDATABASE": "db"},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout

    process = subprocess.Popen(
        ["/usr/sbin/chroot", str(root), "/usr/local/bin/paas-postgres", "-p", str(port)],
        env={"PATH": PATH, "PGDATA": data, "POSTGRES_USER": "postgres", "POSTGRES_DB": "db",
             "POSTGRES_PASSWORD": "x", "PAAS_MEMORY_MB": str(MEMORY_MB)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        while subprocess.run(
            ["/usr/sbin/chroot", str(root), "pg_isready", "-h", "127.0.0.1", "-p", str(port)],
            env={"PATH": PATH}, stdout=subprocess.DEVNULL, check=False,
        ).returncode:  # fmt: skip
            time.sleep(0.1)
        yield run
    finally:
        process.terminate()
        process.wait()
        for point in (root / "dev/shm", root / "dev", root / "var/lib/postgresql", root):
            detach(point)
        remove_tree(folder)
