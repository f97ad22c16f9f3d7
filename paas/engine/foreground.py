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
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import partial
from pathlib import Path

from paas.engine.bundler import Bundler, Content
from paas.engine.call import Call, Ended, joining
from paas.engine.config import ImageConfig
from paas.engine.container import ContainerNotFound, Live
from paas.engine.containers import WrongState, record_end
from paas.engine.images import Images
from paas.engine.launch import give_streams
from paas.engine.layers import LayerId
from paas.engine.orphans import Orphans
from paas.engine.runtime import invoke
from paas.engine.spec import ContainerSpec
from paas.engine.streams import Streams, collect, connect, converse
from paas.host.terminal import Terminal


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

    def converse(
        self,
        spec: ContainerSpec,
        given: bytes,
        output: Callable[[bytes], None],
        errors: Callable[[bytes], None],
        timeout_s: float,
        upper: Path | None = None,
    ) -> Ended:
        """Run a container with `given` as its input, and each of its outputs to a function.

        What it writes goes into `upper`, and what is in there it finds. Raises as `run`, and
        what the functions raise.
        """
        image = self._images.get(spec.image)
        content = Content(image.config, image.layers, upper)
        return self._run(spec, content, converse(given, output, errors), None, timeout_s)

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
        given = Streams if terminal else partial(connect, stdin, stdout, stderr)
        return self._exec(container_id, args, given, terminal, env or {}, timeout_s)

    def exec_reported(
        self,
        container_id: str,
        args: Sequence[str],
        output: Callable[[bytes], None],
        timeout_s: float | None = None,
    ) -> Ended:
        """The same without input; what it says goes to `output`. Raises as `exec`."""
        given = partial(collect, output)
        return self._exec(container_id, args, given, None, {}, timeout_s)

    def _exec(
        self,
        container_id: str,
        args: Sequence[str],
        open_streams: Callable[[], Streams],
        terminal: Terminal | None,
        env: Mapping[str, str],
        timeout_s: float | None,
    ) -> Ended:
        bundle = self._bundler.bundles.of(container_id)
        if bundle.live() is None:
            raise ContainerNotFound(container_id)
        if self._bundler.cgroups.instance(container_id).frozen:
            # The command would stand still with the others, and so would its caller.
            raise WrongState(
                f"The container {container_id} is paused",
                resolution=f"Let it go on first: paas containers:unpause {container_id}",
            )
        process = bundle.config()["process"]
        document = joining(process, args, env, terminal=terminal is not None)
        # Not in the bundle: two may join at once.
        description = os.memfd_create("process", os.MFD_CLOEXEC)
        pid_file = bundle.path / f"exec-{os.getpid()}"
        with ExitStack() as undo:
            undo.callback(os.close, description)
            undo.callback(pid_file.unlink, missing_ok=True)
            os.write(description, json.dumps(document).encode())
            words = ["--detach", "--process", f"/proc/self/fd/{description}"]
            command = ["exec", *words, "--pid-file", str(pid_file)]
            call = Call(self._bundler, bundle, open_streams(), terminal, (description,))
            with self._orphans.adopted(), call:
                call.begin(command, [container_id])
                init = call.created(pid_file)
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
            record = bundle.known_record()
            with self._orphans.adopted(), Call(self._bundler, bundle, streams, terminal) as call:
                pid_file = bundle.init_pid_file
                command = ["create", "--bundle", str(bundle.path), "--pid-file", str(pid_file)]
                call.begin(command, [spec.id])
                address = self._bundler.give_address(record, bundle)
                init = call.created(pid_file)
                named = None if address is None else str(address)
                bundle.write_live(Live(init, None, named, time.time()))
                self._bundler.wire(record, init.pid)
                self._bundler.keep_memory(spec.id)
                if terminal is None:
                    give_streams(init, bundle)
                invoke(self._bundler.runtime, "start", spec.id)
                self._bundler.events.add("start", spec.id)
                with waiting():
                    ended = Ended(call.finish(init, timeout_s))
            group = self._bundler.cgroups.instance(spec.id)
            ended.oom_killed = group.oom_kills() > 0
            ended.forks_refused = group.forks_refused() > 0
            record_end(self._bundler.events, spec.id, ended, oom=ended.oom_killed)
            return ended
