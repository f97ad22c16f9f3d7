"""Containers: create, start, stop, look, remove."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from paas.engine import logs, monitor
from paas.engine.bundle import Bundle
from paas.engine.bundler import Bundler, Content
from paas.engine.container import (
    Container,
    ContainerNotFound,
    ExitStatus,
    Live,
    State,
    Status,
)
from paas.engine.images import Images
from paas.engine.runtime import invoke
from paas.engine.spec import ContainerSpec
from paas.errors import PaasError
from paas.host.clock import Clock
from paas.host.identity import Identity

KILL_SECONDS = 10.0
STREAMS = (1, 2)


class WrongState(PaasError):
    """The container is not in a state in which that can be done."""


class Containers:
    """The containers of one engine, each with a monitor of its own."""

    def __init__(self, bundler: Bundler, images: Images, clock: Clock) -> None:
        self._bundler = bundler
        self._images = images
        self._clock = clock

    def create(self, spec: ContainerSpec) -> Container:
        """Make a container that only has to be started; on failure nothing of it is left.

        Raises `ContainerExists`, `CommandNotFound`, `NoSuchUser`, `RuntimeFailed`.
        """
        image = self._images.get(spec.image)
        with self._destroyed_on_failure(spec.id):
            bundle = self._bundler.make(spec, Content(image.config, image.layers))
            group = self._bundler.cgroups.monitor(spec.id)
            creation = monitor.begin(bundle, self._bundler.runtime, spec.log, group)
            address = self._bundler.give_address(spec, bundle)
            init, watcher = creation.wait()
            self._bundler.wire(spec, init.pid)
            give_streams(init, bundle)
            bundle.write_live(Live(init, watcher, str(address) if address else None))
        return self.get(spec.id)

    def start(self, container_id: str) -> None:
        """Let a created container run. Raises `WrongState`, `RuntimeFailed`."""
        bundle = self._existing(container_id)
        live = bundle.live()
        state = self.status(container_id).state
        if live is None or not state.can_start:
            raise WrongState(
                f"The container {container_id} is {state.value} and cannot be started",
                resolution="A container runs once: create another.",
            )
        bundle.write_live(replace(live, started_at=self._clock.now()))
        invoke(self._bundler.runtime, "start", container_id)

    def stop(self, container_id: str, timeout_s: float | None = None) -> ExitStatus:
        """Its stop signal, then SIGKILL after `timeout_s` (its own grace unless given)."""
        bundle = self._existing(container_id)
        record, live = bundle.record(), bundle.live()
        forced = False
        if record is not None and live is not None:
            grace = record.stop_timeout if timeout_s is None else timeout_s
            live.init.signal(signal_number(record.stop_signal))
            forced = not live.init.wait(grace)
            if forced:
                live.init.signal(signal.SIGKILL)
                live.init.wait(KILL_SECONDS)
            if live.monitor is not None:
                # The exit code is written by the monitor's last act.
                live.monitor.wait(KILL_SECONDS)
        status = self.status(container_id)
        return ExitStatus(status.exit_code, status.oom_killed, forced)

    def kill(self, container_id: str, number: int = signal.SIGKILL) -> None:
        """Send a signal to its first process; one that has ended takes none."""
        live = self._existing(container_id).live()
        if live is not None:
            live.init.signal(number)

    def remove(self, container_id: str) -> None:
        """Remove a container in any state, killing it; removing it again is harmless."""
        self._bundler.destroy(container_id)

    def get(self, container_id: str) -> Container:
        """Raises `ContainerNotFound`."""
        container = self._bundler.bundles.of(container_id).container()
        if container is None:
            raise ContainerNotFound(container_id)
        return container

    def list(self) -> list[Container]:
        """All containers, one-offs too, in the order of their ids."""
        found = (bundle.container() for bundle in self._bundler.bundles)
        return [container for container in found if container is not None]

    def status(self, container_id: str) -> Status:
        """How it is now. Raises `ContainerNotFound`."""
        bundle = self._existing(container_id)
        live = bundle.live()
        if live is None:
            return Status(State.CREATING)
        # Looked at before the exit code: the monitor writes that and then ends.
        watched = not (live.monitor or live.init).wait(0)
        code = bundle.exit_code()
        if code is not None:
            killed = self._bundler.cgroups.instance(container_id).oom_kills() > 0
            return Status(State.EXITED, code, killed, started_at=live.started_at)
        if not watched or (Identity.of(live.init.pid) is None and live.monitor is None):
            return Status(State.LOST, started_at=live.started_at)
        state = State.CREATED if live.started_at is None else State.RUNNING
        return Status(state, pid=live.init.pid, started_at=live.started_at)

    def watch(self, container_id: str) -> int:
        """A descriptor that becomes readable when it has ended; the caller closes it.

        By then `status` knows the exit code. Raises `ContainerNotFound`.
        """
        live = self._existing(container_id).live()
        watched = (live.monitor or live.init) if live else None
        descriptor = watched.open() if watched else None
        if descriptor is None:
            # Over already: always readable.
            return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        return descriptor

    def rotate_log(self, container_id: str, larger_than: int = logs.ROTATE_BYTES) -> bool:
        """Begin a new log when it is larger than that many bytes; the one before is kept.

        No line is lost: the monitor writes to the renamed file until it opens the new one.
        Raises `MonitorFailed`.
        """
        bundle = self._existing(container_id)
        path = self.get(container_id).log
        if path is None or not path.exists() or path.stat().st_size <= larger_than:
            return False
        path.rename(logs.rotated(path))
        monitor.reopen_log(bundle)
        return True

    def recover(self) -> Sequence[str]:
        """Remove what nobody will: half-made containers, one-offs whose caller died, and
        what a restart of the machine left on disk. Returns the ids.

        Only for the one supervisor: a container being created looks half-made to it unless
        its keeper lives.
        """
        gone = [bundle.id for bundle in self._bundler.bundles if self._is_abandoned(bundle)]
        found = sorted({*gone, *self._bundler.leftovers()})
        for container_id in found:
            self.remove(container_id)
        return found

    @staticmethod
    def _is_abandoned(bundle: Bundle) -> bool:
        record = bundle.record()
        if record is None:
            return True
        live = bundle.live()
        monitored = live is not None and live.monitor is not None
        return not monitored and record.keeper.wait(0)

    def _existing(self, container_id: str) -> Bundle:
        bundle = self._bundler.bundles.of(container_id)
        if not bundle.path.is_dir():
            raise ContainerNotFound(container_id)
        return bundle

    @contextmanager
    def _destroyed_on_failure(self, container_id: str) -> Iterator[None]:
        existed = self._bundler.bundles.of(container_id).path.exists()
        try:
            yield
        except BaseException:
            if not existed:
                self._bundler.destroy(container_id)
            raise


def give_streams(init: Identity, bundle: Bundle) -> None:
    """Make the container's user the owner of its output pipes.

    Programs that open /dev/stdout or /dev/stderr by name (the official nginx and httpd
    images) are refused otherwise.
    """
    document = bundle.config()
    user, ids = document["process"]["user"], document["linux"]["uidMappings"][0]
    for stream in STREAMS:
        path = f"/proc/{init.pid}/fd/{stream}"
        os.chown(path, ids["hostID"] + user["uid"], ids["hostID"] + user["gid"])


def signal_number(name: str) -> int:
    """`SIGTERM`, `TERM` or `15` as a number. Raises `PaasError` for none of these."""
    text = name.strip().upper()
    if text.isdecimal() and 0 < int(text) < signal.NSIG:
        return int(text)
    try:
        return signal.Signals[text if text.startswith("SIG") else f"SIG{text}"]
    except KeyError:
        raise PaasError(
            f"{name} is not a signal",
            resolution="Use a name such as SIGTERM or SIGQUIT in STOPSIGNAL.",
        ) from None
