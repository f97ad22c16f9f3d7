"""One nginx: tested, started, reloaded, stopped; nothing of apps.

A reload is over when the new workers answer and the old ones have stopped accepting, not
when the signal is sent (https://nginx.org/en/docs/control.html, "Changing Configuration").
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import socket
from collections.abc import Callable
from pathlib import Path

from paas.errors import PaasError
from paas.host.files import write_atomic
from paas.host.identity import open_pid
from paas.host.processes import run
from paas.host.waiting import wait_until
from paas.proxy import program, workers
from paas.proxy.program import Builds
from paas.proxy.workers import QUIT_S, accepts, children

START_S = 30.0
RELOAD_S = 30.0
DELETED = " (deleted)"


class NginxFailed(PaasError):
    """nginx did not do what it was told."""


class Nginx:
    """The nginx that runs with one main file, prefix and run directory."""

    def __init__(self, main_file: Path, *, prefix: Path, run_directory: Path, logs: Path) -> None:
        self._main_file = main_file
        self._prefix = prefix
        self._pid_file = run_directory / "nginx.pid"
        self._old_pid_file = run_directory / "nginx.pid.oldbin"
        self._control = run_directory / "control.sock"
        self._builds = Builds(run_directory / "build")
        self._error_log = logs / "error.log"

    def test(self, main_file: Path) -> str | None:
        """Why nginx would not take the configuration at `main_file`; None when it would."""
        done = run(self._argv(main_file, "-q", "-t"), check=False, timeout=START_S)
        if done.code == 0:
            return None
        text = done.stderr.decode("utf-8", "replace")
        return _first_reason(text).replace(f"{main_file.parent}/", "")

    def has_http3(self) -> bool:
        """Whether the installed nginx was built with HTTP/3 (1.25 or newer)."""
        return "http_v3_module" in self._builds.of(program.installed())

    def version(self) -> tuple[int, ...]:
        """That of the nginx that is to read a configuration: `(1, 22, 1)`.

        Of the running one, while another is installed that has not taken over yet: what an older
        one understands a newer one does too.
        """
        master = self.running()
        outdated = master is not None and self.outdated()
        return program.version_of(
            self._builds.of(f"/proc/{master}/exe" if outdated else program.installed())
        )

    def running(self) -> int | None:
        """The master's pid.

        Its title carries our main file, so neither a pid used again nor another nginx can
        be taken for it.
        """
        pid = _read(self._pid_file)
        if pid is None:
            return self._lost()
        return pid if self._is_ours(pid) else None

    def _predecessor(self) -> int | None:
        """The master that the running one was started by to take over, until it has ended."""
        pid = _read(self._old_pid_file)
        return pid if pid is not None and self._is_ours(pid) else None

    def _lost(self) -> int | None:
        """A master without its pid file, which is made again.

        systemd removes that of a unit whose start took too long, and then starts it again.
        """
        # Of two masters, during a change of the program, each moves its own file.
        if self._old_pid_file.exists():
            return None
        pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
        found = next(filter(self._is_ours, pids), None)
        if found is not None:
            write_atomic(self._pid_file, f"{found}\n", mode=0o644)
        return found

    def _is_ours(self, pid: int) -> bool:
        try:
            title = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            return False
        return title.startswith(b"nginx: master") and os.fsencode(self._main_file) in title

    def generation(self) -> str | None:
        """The generation that a worker says it runs; None when none answers."""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(1)
                connection.connect(str(self._control))
                connection.sendall(b"GET /generation HTTP/1.0\r\n\r\n")
                answer = b"".join(iter(lambda: connection.recv(4096), b""))
        except OSError:
            return None
        head, _, body = answer.partition(b"\r\n\r\n")
        return body.decode("ascii", "replace") if b" 200 " in head else None

    def start(self, generation: str) -> None:
        """Start with the main file and wait until workers answer. Raises `NginxFailed`."""
        self.end_orphans()
        # A killed master leaves its socket file behind, and nginx does not bind over it.
        self._control.unlink(missing_ok=True)
        done = run(self._argv(self._main_file), check=False, timeout=START_S)
        if done.code != 0:
            raise NginxFailed(
                "nginx does not start",
                [_first_reason(done.stderr.decode("utf-8", "replace"))],
                "If the address is in use, stop what listens there (see it with: ss -ltnp), "
                "or give another port: paas up --http-port PORT",
            )
        self._await(lambda: self.generation() == generation, START_S, "no worker answers")

    def reload(self, generation: str) -> None:
        """Take up the main file; returns when only the new workers accept connections.

        Raises `NginxFailed` when nginx is not running or keeps its old configuration.
        """
        master = self.running()
        if master is None:
            raise NginxFailed("nginx is not running", resolution="Start it: paas up")
        old, logged = children(master), self._logged()
        os.kill(master, signal.SIGHUP)
        self._await(
            lambda: (
                (self.generation() == generation and not any(map(accepts, old)))
                or self._has_given_up(master, logged)
            ),
            RELOAD_S,
            "it still runs its old configuration",
        )
        if self._has_given_up(master, logged):
            raise NginxFailed(
                "nginx keeps its old configuration",
                self._emergencies(master, logged)[:1],
                "If an address is in use, see by whom: ss -ltnp",
            )

    def _has_given_up(self, master: int, logged: int) -> bool:
        """Whether a reload has failed. An address in use is tried for some seconds."""
        emergencies = self._emergencies(master, logged)
        return any(not line.startswith("bind() to ") for line in emergencies)

    def _emergencies(self, master: int, logged: int) -> list[str]:
        """What the master has cried since its error log was `logged` bytes long."""
        try:
            with self._error_log.open(encoding="utf-8", errors="replace") as log:
                log.seek(logged)
                return re.findall(rf"\[emerg\] {master}#\d+: (.*)", log.read())
        except FileNotFoundError:
            return []

    def _logged(self) -> int:
        """The length of the error log, which its reader may have removed."""
        return self._error_log.stat().st_size if self._error_log.exists() else 0

    def outdated(self) -> bool:
        """Whether the program or a library that runs is not the installed one any more."""
        master = self.running()
        try:
            return master is not None and (
                not Path(f"/proc/{master}/exe").samefile(program.installed())
                or runs_replaced(master)
            )
        except (FileNotFoundError, ProcessLookupError):
            # Removed without anything in its place, or between two steps of a package manager.
            return False

    def half_upgraded(self) -> bool:
        """Whether two masters serve, as an `upgrade` leaves them that was killed or took too
        long: a reload is told to one of them alone."""
        old = self._predecessor()
        try:
            return old is not None and any(map(accepts, children(old)))
        except (FileNotFoundError, ProcessLookupError):
            return False

    def upgrade(self) -> None:
        """Let the installed program take over the sockets of the running one.

        What was begun comes to its end. Raises `NginxFailed`, and then the old one serves on
        (https://nginx.org/en/docs/control.html, "Upgrading Executable on the Fly").
        """
        old = self._predecessor() if self.half_upgraded() else self._start_successor()
        successor = self.running()
        if old is None or successor is None:
            return  # one of them has ended by itself
        workers = children(old)
        self._await(
            lambda: any(map(accepts, children(successor))),
            START_S,
            "no worker of the new program runs",
        )
        os.kill(old, signal.SIGQUIT)
        self._await(
            lambda: self.generation() is not None and not any(map(accepts, workers)),
            RELOAD_S,
            "the old program's workers still accept",
        )

    def _start_successor(self) -> int:
        """Have the master start the installed program beside itself; its own pid."""
        master = self.running()
        if master is None:
            raise NginxFailed("nginx is not running", resolution="Start it: paas up")
        os.kill(master, signal.SIGUSR2)
        self._await(
            lambda: self.running() not in (None, master), START_S, "the new program does not run"
        )
        return master

    def reopen_logs(self) -> None:
        """Have the log files opened anew, after they were renamed."""
        master = self.running()
        if master is not None:
            os.kill(master, signal.SIGUSR1)

    def stop(self) -> None:
        """Stop gracefully, after `QUIT_S` at once; workers of a killed master too."""
        # The old one first: it would take the place of one that ends before it.
        masters = [pid for pid in (self._predecessor(), self.running()) if pid is not None]
        for master in masters:
            _end(master)
        if not masters:
            self.end_orphans()

    def end_orphans(self) -> None:
        """Have the workers of a killed master let go of the ports; they finish their requests."""
        workers.end_orphans(self._error_log)

    def _argv(self, main_file: Path, *options: str) -> list[str | Path]:
        # -e: Debian's nginx would write what comes before the configuration to its own log.
        log = "stderr" if options else self._error_log
        # By its whole path: that is what a running one starts its successor by.
        return [program.installed(), "-p", self._prefix, "-c", main_file, "-e", log, *options]

    def _await(self, look: Callable[[], bool], seconds: float, otherwise: str) -> None:
        if not wait_until(look, seconds):
            raise NginxFailed(
                f"nginx was told, but after {seconds:g} s {otherwise}",
                self._error_log.read_text("utf-8", "replace").splitlines()[-5:],
                f"Its log is {self._error_log}.",
            )


def _read(pid_file: Path) -> int | None:
    try:
        return int(pid_file.read_text())
    except (FileNotFoundError, ValueError):
        return None


def _end(master: int) -> None:
    pidfd = open_pid(master)
    if pidfd is None:
        return
    with contextlib.suppress(ProcessLookupError):
        try:
            for number, seconds in ((signal.SIGQUIT, QUIT_S), (signal.SIGTERM, QUIT_S)):
                signal.pidfd_send_signal(pidfd, number)
                if select.select([pidfd], [], [], seconds)[0]:
                    return
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        finally:
            os.close(pidfd)


def runs_replaced(pid: int) -> bool:
    """Whether it runs code of a file, such as a library, that another has replaced (proc(5)).

    Raises `FileNotFoundError` or `ProcessLookupError` when there is no such process.
    """
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    mapped = [line.split(maxsplit=5) for line in lines if line.endswith(DELETED)]
    # What nginx shares between its workers is a "/dev/zero (deleted)", but no code.
    code = [name for _, permissions, _, _, _, name in mapped if "x" in permissions]
    return any(Path(name.removesuffix(DELETED)).exists() for name in code)


def _first_reason(text: str) -> str:
    """The first emergency in nginx's output, without its prefix; else all of it."""
    found = re.search(r"\[emerg\] (?:\d+#\d+: )?(.*)", text)
    return found[1] if found else text.strip()
