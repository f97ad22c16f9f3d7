"""Programs that fetch what somebody named: with the network of a container, not the host's.

`FROM`, `ADD` and git take addresses from whoever may push. Fetched from the host's network
they would reach what only the host may: cloud metadata, its LAN, its own services. In a
network namespace with an address of the instances' the same policy decides as for them,
whatever a name resolves to and wherever a server redirects.
"""

from __future__ import annotations

import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from paas.engine.bundler import Wiring
from paas.engine.pump import Flow, Pump, Receiver
from paas.host import processes, syscalls
from paas.host.disk import LOOK_SECONDS
from paas.host.processes import Completed, Process, ProcessFailed, ProcessTimedOut
from paas.model.layout import Layout

OWNER = "fetch"
"""Of their addresses; nothing is linked to it."""

_READY = b"ready\n"

# The first line says that the namespaces are there; then it waits to be wired.
_SCRIPT = """\
mount --bind "$1" /etc/resolv.conf || exit 125
shift
echo ready
read -r go || exit 125
exec "$@" < /dev/null
"""


class Outside:
    """Runs programs that may reach what containers may."""

    def __init__(self, layout: Layout, network: Wiring) -> None:
        self._directory = layout.run / "build"
        self._network = network

    def run(
        self,
        argv: Sequence[str | Path],
        *,
        timeout_s: float,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        check: bool = True,
        progress: Callable[[], None] = lambda: None,
    ) -> Completed:
        """Run a program to its end, without input; `progress` is called every `LOOK_SECONDS`.

        What `progress` raises ends the program, and all that it started.
        Raises `ProcessFailed`, `ProcessTimedOut`, `ProgramMissing`.
        """
        words = tuple(str(word) for word in argv)
        processes.locate(words[0])
        name = f"fetch-{secrets.token_hex(8)}"
        with ExitStack() as undo:
            resolver = undo.enter_context(self._resolver(name))
            unshare = ["unshare", "--net", "--mount", "--propagation", "private", "--"]
            full = [*unshare, "sh", "-c", _SCRIPT, "sh", str(resolver), *words]
            ended = self._run(undo, name, full, timeout_s, env, cwd, progress)
        if ended is None:
            raise ProcessTimedOut(words, timeout_s)
        completed = Completed(words, ended.code, ended.stdout, ended.stderr)
        if check and completed.code != 0:
            raise ProcessFailed(completed)
        return completed

    def _run(
        self,
        undo: ExitStack,
        name: str,
        full: Sequence[str],
        timeout_s: float,
        env: Mapping[str, str] | None,
        cwd: Path | None,
        progress: Callable[[], None],
    ) -> Completed | None:
        """None for one that was killed because it took too long."""
        go_read, go_write = os.pipe2(os.O_CLOEXEC)
        undo.callback(os.close, go_write)
        out_read, out_write = os.pipe2(os.O_CLOEXEC)
        err_read, err_write = os.pipe2(os.O_CLOEXEC)
        stdout, stderr = bytearray(), bytearray()
        flows = [
            Flow(source, Receiver(kept.extend), essential=True, close_source=True)
            for source, kept in ((out_read, stdout), (err_read, stderr))
        ]
        undo.callback(Pump(flows).close)
        try:
            child = processes.spawn(
                full,
                stdin=go_read,
                stdout=out_write,
                stderr=err_write,
                env=env,
                cwd=cwd,
                preexec=lambda: syscalls.die_with_parent(signal.SIGKILL),
            )
        finally:
            for descriptor in (go_read, out_write, err_write):
                os.close(descriptor)
        try:
            if os.read(out_read, len(_READY)) == _READY:
                undo.callback(self._network.detach, name)
                self._network.prepare(name, owner=OWNER)
                self._network.wire(name, child.pid)
                os.write(go_write, b"go\n")
            in_time = _pumped(Pump(flows), child, timeout_s, progress)
        except BaseException:
            _kill(child)
            raise
        if not in_time:
            _kill(child)
            return None
        return Completed(tuple(full), child.wait(), bytes(stdout), bytes(stderr))

    @contextmanager
    def _resolver(self, name: str) -> Iterator[Path]:
        """A file that names the resolver of the instances."""
        self._directory.mkdir(mode=0o711, parents=True, exist_ok=True)
        path = self._directory / f"{name}.resolv.conf"
        path.write_text(self._network.resolv_conf)
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)


def _pumped(pump: Pump, child: Process, timeout_s: float, progress: Callable[[], None]) -> bool:
    """Whether it came to its end in time."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if pump.run(child.pidfd, min(deadline, time.monotonic() + LOOK_SECONDS)):
            return True
        progress()
    return False


def _kill(child: Process) -> None:
    """With all its own children: git has some."""
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
