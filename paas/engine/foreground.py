"""One-offs: containers and joined processes on the descriptors of a caller.

No monitor is between and nothing is logged. The caller is the parent: it sees the exit
code itself, and what it leaves behind when it is killed `Containers.recover` removes.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from pathlib import Path
from typing import Any

from paas.engine.bundle import Bundle
from paas.engine.bundler import Bundler, Content
from paas.engine.config import ImageConfig
from paas.engine.container import ContainerNotFound, Live
from paas.engine.containers import give_streams
from paas.engine.images import Images
from paas.engine.layers import LayerId
from paas.engine.orphans import Orphans
from paas.engine.pump import Pump
from paas.engine.runtime import failure, invoke
from paas.engine.spec import ContainerSpec
from paas.engine.streams import Console, Streams, collect, connect, connect_terminal
from paas.errors import PaasError
from paas.host import processes
from paas.host.identity import Identity
from paas.host.terminal import Terminal


class RanTooLong(PaasError):
    """A one-off was killed at its time limit (exit code 124, as of timeout(1))."""

    code = 124

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"It was killed because it ran longer than {seconds:g} seconds",
            resolution="Make it faster, or give it more time.",
        )


class Ended(int):
    """An exit code: 128 and the signal's number after one. It also says why."""

    oom_killed: bool = False


class Foreground:
    """Runs one-offs to their end."""

    def __init__(self, bundler: Bundler, images: Images) -> None:
        self._bundler = bundler
        self._images = images
        self._orphans = Orphans()

    def run(
        self,
        spec: ContainerSpec,
        stdin: int,
        stdout: int,
        stderr: int,
        terminal: Terminal | None = None,
        timeout_s: float | None = None,
    ) -> Ended:
        """Run a container and remove it. With `terminal` it gets a pty of its own.

        Raises `CommandNotFound`, `NoSuchUser`, `RuntimeFailed`, `RanTooLong`; whatever else
        is raised in here (the caller's channel closed) also kills and removes it.
        """
        image = self._images.get(spec.image)
        content = Content(image.config, image.layers)
        streams = Streams() if terminal else connect(stdin, stdout, stderr)
        return self._run(spec, content, streams, terminal, timeout_s)

    def run_reported(
        self,
        spec: ContainerSpec,
        output: Callable[[bytes], None],
        timeout_s: float | None = None,
    ) -> Ended:
        """Run a container without input; what it says goes to `output`. Raises as `run`."""
        image = self._images.get(spec.image)
        content = Content(image.config, image.layers)
        return self._run(spec, content, collect(output), None, timeout_s)

    def run_on(
        self,
        spec: ContainerSpec,
        config: ImageConfig,
        layers: Sequence[LayerId],
        upper: Path,
        output: Callable[[bytes], None],
        timeout_s: float | None = None,
        waiting: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> Ended:
        """Run a step of a build: what it writes is in `upper` afterwards, ready to become
        a layer, and what it says goes to `output`. Raises as `run`.

        `waiting` is entered while it runs: `output` is then called, and nothing else done.
        """
        content = Content(config, layers, upper)
        return self._run(spec, content, collect(output), None, timeout_s, waiting)

    def kill(self, container_id: str) -> None:
        """Kill a one-off that another thread runs; one that is gone is fine."""
        live = self._bundler.bundles.of(container_id).live()
        if live is not None:
            live.init.signal(signal.SIGKILL)

    def exec(
        self,
        container_id: str,
        args: Sequence[str],
        stdin: int,
        stdout: int,
        stderr: int,
        terminal: Terminal | None = None,
        *,
        env: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
    ) -> Ended:
        """Run `args` in a running container, as its own user with its own environment.

        Raises `ContainerNotFound`, `RuntimeFailed` (no such command), `RanTooLong`.
        """
        bundle = self._bundler.bundles.of(container_id)
        if bundle.live() is None:
            raise ContainerNotFound(container_id)
        process = bundle.config()["process"]
        document = joining(process, args, env or {}, terminal=terminal is not None)
        streams = Streams() if terminal else connect(stdin, stdout, stderr)
        # Not in the bundle: two may join at once.
        description = os.memfd_create("process", os.MFD_CLOEXEC)
        pid_file = bundle.path / f"exec-{os.getpid()}"
        with ExitStack() as undo:
            undo.callback(os.close, description)
            undo.callback(pid_file.unlink, missing_ok=True)
            os.write(description, json.dumps(document).encode())
            words = ["--detach", "--process", f"/proc/self/fd/{description}"]
            command = ["exec", *words, "--pid-file", str(pid_file)]
            call = _Call(self._bundler, bundle, streams, terminal, (description,))
            with self._orphans.adopted(), call:
                init = call.begin(command, [container_id], pid_file)
                code = call.finish(init, timeout_s)
        return Ended(code)

    def _run(
        self,
        spec: ContainerSpec,
        content: Content,
        streams: Streams,
        terminal: Terminal | None,
        timeout_s: float | None,
        waiting: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> Ended:
        with ExitStack() as undo:
            undo.callback(self._bundler.destroy, spec.id)
            bundle = self._bundler.make(spec, content, terminal=terminal is not None)
            address = self._bundler.give_address(spec, bundle)
            with self._orphans.adopted(), _Call(self._bundler, bundle, streams, terminal) as call:
                pid_file = bundle.init_pid_file
                command = ["create", "--bundle", str(bundle.path), "--pid-file", str(pid_file)]
                init = call.begin(command, [spec.id], pid_file)
                live = Live(init, None, str(address) if address else None, time.time())
                bundle.write_live(live)
                self._bundler.wire(spec, init.pid)
                if terminal is None:
                    give_streams(init, bundle)
                invoke(self._bundler.runtime, "start", spec.id)
                with waiting():
                    ended = Ended(call.finish(init, timeout_s))
            ended.oom_killed = self._bundler.cgroups.instance(spec.id).oom_kills() > 0
            return ended


class _Call:
    """One process that the runtime starts for us, from its begin to its exit code."""

    def __init__(
        self,
        bundler: Bundler,
        bundle: Bundle,
        streams: Streams,
        terminal: Terminal | None,
        pass_fds: tuple[int, ...] = (),
    ) -> None:
        self._bundler = bundler
        self._bundle = bundle
        self._streams = streams
        self._terminal = terminal
        self._pass_fds = pass_fds
        self._undo = ExitStack()

    def __enter__(self) -> _Call:
        self._undo.callback(lambda: Pump(self._streams.flows).close())
        self._undo.callback(self._streams.release)
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def begin(self, command: Sequence[str], last: Sequence[str], pid_file: Path) -> Identity:
        """Have the runtime make the process. Raises `RuntimeFailed` with its words."""
        words = list(command)
        console = None
        errors = os.memfd_create("runtime", os.MFD_CLOEXEC)
        self._undo.callback(os.close, errors)
        given = self._streams.given
        if self._terminal is not None:
            console = Console(self._bundle.path / f"console-{os.getpid()}")
            self._undo.callback(console.close)
            words += ["--console-socket", str(console.path)]
            given = [errors, errors, errors]
        log = self._bundle.path / f"runtime-{os.getpid()}.log"
        self._undo.callback(log.unlink, missing_ok=True)
        runtime = self._bundler.runtime
        options = ["--log-format", "json", "--log", str(log)]
        full = runtime.command(*options, *words, *last, creating=command[0] == "create")
        call = processes.spawn(
            full,
            stdin=given[0],
            stdout=given[1],
            stderr=given[2],
            pass_fds=self._pass_fds,
            cgroup=self._bundler.cgroups.monitor(self._bundle.id).create(),
        )
        try:
            if console is not None and self._terminal is not None:
                master = console.receive(call)
                if master is not None:
                    self._undo.callback(os.close, master)
                    self._streams.flows += connect_terminal(master, self._terminal)
            code = call.wait()
        except BaseException:
            call.kill()
            call.wait()
            raise
        if code != 0:
            raise failure(_words(log), full)
        self._streams.release()
        init = Identity.of(int(pid_file.read_text()))
        if init is None:
            raise failure("It was gone as soon as it was created", full)
        return init

    def finish(self, init: Identity, timeout_s: float | None) -> int:
        """Copy until it ends, and return its exit code. Raises `RanTooLong`."""
        ended = os.pidfd_open(init.pid)
        self._undo.callback(os.close, ended)
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with ExitStack() as mode:
            if self._terminal is not None:
                mode.enter_context(self._terminal.raw())
            try:
                in_time = Pump(self._streams.flows).run(ended, deadline)
            except BaseException:
                _kill(ended)
                raise
        if not in_time:
            _kill(ended)
            raise RanTooLong(timeout_s or 0)
        return _reap(ended)


def joining(
    process: Mapping[str, Any], args: Sequence[str], env: Mapping[str, str], *, terminal: bool
) -> dict[str, Any]:
    """The `process` of a further process of a container, from that of its first."""
    variables = dict(pair.partition("=")[::2] for pair in process["env"])
    if terminal:
        variables.setdefault("TERM", "xterm")
    variables.update(env)
    return {
        **process,
        "terminal": terminal,
        "args": list(args),
        "env": [f"{key}={value}" for key, value in variables.items()],
    }


def _kill(pidfd: int) -> None:
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    _reap(pidfd)


def _reap(pidfd: int) -> int:
    result = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    if result is None:
        return 0
    return result.si_status if result.si_code == os.CLD_EXITED else 128 + result.si_status


def _words(log: Path) -> str:
    """What the runtime said: one JSON object a line, of which `msg` is for people."""
    try:
        lines = log.read_text("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return ""
    return "\n".join(str(json.loads(line).get("msg", line)) for line in lines if line)
