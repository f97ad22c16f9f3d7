"""A dockerd in network and mount namespaces of its own: it changes nothing on the host.

test.sh only unpacks its packages: one that is installed would be started at the next boot,
and then set up the host's firewall.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

START_SECONDS = 30.0
UNPACKED = Path(os.environ.get("PAAS_TEST_CACHE", "/var/cache/paas-test"), "docker")
SEARCH = ":".join(
    f"{root}/usr/{name}" for root in (UNPACKED, "") for name in ("sbin", "bin", "libexec/docker")
)
PROGRAM = shutil.which("dockerd", path=SEARCH)
"""None where the distribution has none."""

CLIENT = shutil.which("docker", path=SEARCH) or "docker"
PLUGINS = UNPACKED / "usr/libexec/docker/cli-plugins"


@dataclass(frozen=True)
class Docker:
    """The client's side of one daemon."""

    socket: Path
    pid: int

    def run(self, *args: str, cwd: Path | None = None) -> str:
        """One docker command; its output. Fails with what docker said."""
        home = str(self.socket.parent)
        if PLUGINS.is_dir():
            # `docker build` is a plugin in newer versions.
            plugins = self.socket.parent / ".docker/cli-plugins"
            plugins.parent.mkdir(exist_ok=True)
            if not plugins.exists():
                plugins.symlink_to(PLUGINS)
        done = subprocess.run(
            [CLIENT, "-H", f"unix://{self.socket}", *args],
            cwd=cwd, capture_output=True, text=True, check=False,
            env={"PATH": f"{SEARCH}:{os.environ['PATH']}", "HOME": home, "DOCKER_BUILDKIT": "1"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def inside(self, *argv: str) -> list[str]:
        """The argv that runs a program where published ports can be reached."""
        return ["nsenter", "--target", str(self.pid), "--net", "--", *argv]


@contextmanager
def dockerd(folder: Path) -> Iterator[Docker]:
    """Run one below `folder`, and take its containers and mounts away at the end."""
    log = (folder / "dockerd.log").open("wb")
    script = "ip link set lo up && exec dockerd " + " ".join(
        (f"-H unix://{folder}/s", f"--data-root {folder}/data", f"--exec-root {folder}/exec",
         f"--pidfile {folder}/pid", "--storage-driver overlay2")
    )  # fmt: skip
    process = subprocess.Popen(
        ["unshare", "--net", "--mount", "sh", "-c", script],
        env={"PATH": f"{SEARCH}:{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    try:
        _wait(folder / "s", process, folder / "dockerd.log")
        yield Docker(folder / "s", process.pid)
    finally:
        process.terminate()
        process.wait()
        log.close()


def _wait(socket: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not socket.exists():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, f"dockerd does not start: {log.read_text()}"
        time.sleep(0.05)
