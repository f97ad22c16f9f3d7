"""A hundred idle instances of one app on a real PaaS: what they and the PaaS itself cost."""

from __future__ import annotations

import io
import os
import signal
import tarfile
import time
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
IDLE_SECONDS = 20.0
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
    time.sleep(2)  # What the start left to do is done by then, and is no part of rest.
    own = list(family(server.daemon_pid()))
    memory = sum(pss(pid) for pid in own if alive(pid)) / MIB
    used = {pid: cpu(pid) for pid in own}
    time.sleep(IDLE_SECONDS)
    share = {pid: 100 * (cpu(pid) - used[pid]) / IDLE_SECONDS for pid in own if alive(pid)}
    monitors = [pss(pid) / MIB for pid in monitored(server) if pid not in before]
    adopted = restart(server)
    server.paas("apps:destroy", APP, "--force", timeout=300).ok()
    return [
        row("ps:scale worker=100", [started], target=15),
        row("conmon, of each", monitors, unit="MiB PSS", target=2.5),
        row("paasd, all processes together", [memory], unit="MiB PSS", target=120),
        row("paasd, all processes together", [sum(share.values())], unit="% cpu", target=1),
        row("paasd killed until all are watched again", [adopted], target=2),
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


def restart(server: Server) -> float:
    """Seconds from the death of all of paasd to a new supervisor that watches each instance."""
    own = list(family(server.daemon_pid()))
    began = time.monotonic()
    for pid in own:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    server.paas("up", "--restart", "paasd")
    eventually(lambda: len(watched(server)) >= INSTANCES)
    return time.monotonic() - began


def watched(server: Server) -> list[str]:
    """The pidfds that the processes of paasd hold: one for each instance."""
    try:
        own = list(family(server.daemon_pid()))
    except OSError:
        return []
    found = []
    for pid in own:
        with suppress(FileNotFoundError, ProcessLookupError):
            for entry in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(FileNotFoundError):
                    found += [pid] if "pidfd" in str(entry.readlink()) else []
    return [str(pid) for pid in found]


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


def cpu(pid: int) -> float:
    """Seconds of processor time that a process has had: proc(5), stat."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()
