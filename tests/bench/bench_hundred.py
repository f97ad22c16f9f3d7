"""A hundred idle instances of one app on a real PaaS: what they and the PaaS itself cost."""

from __future__ import annotations

import io
import os
import signal
import tarfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from tests.bench.bench_engine import pss
from tests.bench.figures import Row, row, seconds
from tests.push.outcome import eventually
from tests.push.server import Server

TITLE = "a hundred idle instances of an app"
APP = "hundred"
INSTANCES = 100
IDLE_SECONDS = 60.0
"""Six times all that the supervisor does by itself."""
MIB = 1 << 20
TICKS = os.sysconf("SC_CLK_TCK")

DOCKERFILE = b'FROM scratch\nCOPY bin /bin\nCMD ["/bin/busybox", "sleep", "100000"]\n'
PROCFILE = b"worker: exec /bin/busybox sleep 100000\n"


def measure(server: Server) -> Sequence[Row]:
    """Start them by one command, look at who uses what, and restart paasd."""
    if server.sshd is None:
        raise RuntimeError("it has no sshd")
    server.paas("apps:create", APP).ok()
    server.paas("git:from-archive", APP, "--archive-type", "tar", input=archive()).ok()
    before = monitored(server)
    scale = ("ps:scale", APP, f"worker={INSTANCES}")
    started = seconds(lambda: server.paas(*scale, timeout=300).ok())
    eventually(lambda: len(watched(server)) >= INSTANCES)
    # What the start left to do is no part of rest.
    own = eventually(lambda: at_rest(server))
    memory = sum(map(pss, own)) / MIB
    used = {pid: cpu(pid) for pid in own if alive(pid)}
    time.sleep(IDLE_SECONDS)
    # Without those that were about to end: a command's, and who made them.
    now = {pid: cpu(pid) for pid in own if alive(pid)}
    shares = [
        100 * sum(now[pid][kind] - used[pid][kind] for pid in now if pid in used) / IDLE_SECONDS
        for kind in range(2)
    ]
    monitors = [pss(pid) / MIB for pid in monitored(server) if pid not in before]
    all_of_it, adopted = restart(server)
    server.paas("apps:destroy", APP, "--force", timeout=300).ok()
    return [
        row("ps:scale worker=100", [started], target=15),
        row("conmon, of each", monitors, unit="MiB PSS", target=2.5),
        row("paasd, all processes together", [memory], unit="MiB PSS", target=120),
        row("paasd, all processes together", [shares[0]], unit="% cpu", target=1),
        row("the jobs they make", [shares[1]], unit="% cpu"),
        row("paasd killed until all are watched again", [all_of_it]),
        row("of it, from its process on", [adopted], target=2),
    ]


def archive() -> bytes:
    """The app as a tar: one static program."""
    files = {
        "Dockerfile": DOCKERFILE,
        "Procfile": PROCFILE,
        "bin/busybox": Path("/usr/bin/busybox").read_bytes(),
    }
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))
        link = tarfile.TarInfo("bin/sh")
        link.type, link.linkname = tarfile.SYMTYPE, "busybox"
        tar.addfile(link)
    return stream.getvalue()


def restart(server: Server) -> tuple[float, float]:
    """Seconds to a new supervisor that watches each instance: from the death of all of paasd,
    and from the start of the new one's process, as a unit of systemd starts it.
    """
    own = list(family(server.daemon_pid()))
    began = time.clock_gettime(time.CLOCK_BOOTTIME)
    for pid in own:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    server.paas("up", "--restart", "paasd")
    eventually(lambda: len(watched(server)) >= INSTANCES)
    ended = time.clock_gettime(time.CLOCK_BOOTTIME)
    return ended - began, ended - started_at(server.daemon_pid())


def watched(server: Server) -> list[int]:
    """Who of paasd's processes holds a pidfd, once for each: one for each instance."""
    try:
        own = list(family(server.daemon_pid()))
    except OSError:
        return []
    found: list[int] = []
    for pid in own:
        with suppress(FileNotFoundError, ProcessLookupError):
            for entry in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(FileNotFoundError):
                    found += [pid] if "pidfd" in str(entry.readlink()) else []
    return found


def at_rest(server: Server) -> list[int]:
    """The processes of paasd when the one that watches the instances has no job in a child."""
    [(supervisor, _)] = Counter(watched(server)).most_common(1)
    own = list(family(server.daemon_pid()))
    jobs = [pid for pid in family(supervisor) if pid != supervisor]
    # One that ended in between is among the first alone.
    return [] if jobs else [pid for pid in own if alive(pid)]


def family(pid: int) -> Iterator[int]:
    """A process and all that descend from it."""
    yield pid
    with suppress(FileNotFoundError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(FileNotFoundError):
                for child in (task / "children").read_text().split():
                    yield from family(int(child))


def monitored(server: Server) -> set[int]:
    """The monitors of the instances of this PaaS."""
    lines = server.processes()
    return {pid for pid, line in lines.items() if line.startswith(("conmon ", "/usr/bin/conmon "))}


def cpu(pid: int) -> tuple[float, float]:
    """Seconds of processor time that a process has had, and its children that have ended:
    proc_pid_stat(5).
    """
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own, children = (int(fields[at]) + int(fields[at + 1]) for at in (11, 13))
    return own / TICKS, children / TICKS


def started_at(pid: int) -> float:
    """Seconds after the machine's start at which a process was made: proc(5), stat."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[19]) / TICKS


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()
