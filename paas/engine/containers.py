"""Containers: create, start, stop, pause, look, remove."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial

from paas.engine import logs, monitor
from paas.engine.bundle import Bundle
from paas.engine.bundler import Bundler, Content
from paas.engine.container import Container, ContainerNotFound, ExitStatus, State, Status
from paas.engine.events import Journal
from paas.engine.images import Images
from paas.engine.launch import Launcher, is_abandoned, is_cut_short
from paas.engine.signals import signal_number
from paas.engine.spec import ContainerSpec
from paas.errors import PaasError
from paas.host.clock import Clock
from paas.host.identity import Identity
from paas.model.env import Secret

KILL_SECONDS = 10.0


class WrongState(PaasError):
    """The container is not in a state in which that can be done."""


class Containers:
    """The containers of one engine, each with a monitor of its own."""

    def __init__(self, bundler: Bundler, images: Images, clock: Clock) -> None:
        self._bundler = bundler
        self._images = images
        self._clock = clock
        self._events = bundler.events
        self._launcher = Launcher(bundler, clock)

    def create(self, spec: ContainerSpec) -> Container:
        """Make a container that only has to be started; on failure nothing of it is left.

        Raises `ContainerExists`, `CommandNotFound`, `NoSuchUser`, `RuntimeFailed`.
        """
        image = self._images.get(spec.image)
        with self._destroyed_on_failure(spec.id):
            bundle = self._bundler.make(spec, Content(image.config, image.layers))
            self._launcher.create(bundle)
        return self.get(spec.id)

    def start(self, container_id: str) -> None:
        """Let a created container run, or one that has ended run again.

        What it wrote and its address are kept. Raises `WrongState`, `RuntimeFailed`.
        """
        with self._starting(container_id) as bundle:
            state = self._must(container_id, "started", lambda state: state.can_start)
            if state.has_ended:
                self._launcher.create_again(bundle, replace(bundle.restarts(), failures=0))
            self._launcher.run(bundle)

    def restart(self, container_id: str, timeout_s: float | None = None) -> None:
        """Stop it if it runs, and start it. Raises as `stop` and `start`."""
        if self.status(container_id).state.can_stop:
            self.stop(container_id, timeout_s)
        self.start(container_id)
        self._events.add("restart", container_id)

    def start_again(self, container_id: str, failures: int) -> None:
        """Start what ended on its own, for the `failures`th time in a row.

        Raises `WrongState` when it was started or stopped meanwhile, `RuntimeFailed`.
        """
        with self._starting(container_id) as bundle:
            self._must(container_id, "started again", lambda state: state.has_ended)
            if bundle.marked("stopped"):
                raise WrongState(
                    f"The container {container_id} was stopped",
                    resolution=f"Start it: paas containers:start {container_id}",
                )
            self._launcher.create_again(bundle, replace(bundle.restarts(), failures=failures))
            self._launcher.run(bundle)

    def stop(self, container_id: str, timeout_s: float | None = None) -> ExitStatus:
        """Its stop signal, then SIGKILL after `timeout_s` (its own grace unless given).

        No restart policy starts it again.
        """
        bundle = self._existing(container_id)
        with bundle.alone():
            self._mark(bundle, "stopped")
            record, live = bundle.record(), bundle.live()
        forced = False
        if record is not None and live is not None:
            grace = record.stop_timeout if timeout_s is None else timeout_s
            if live.started_at is None:
                # Only the runtime is in it, which takes no signal.
                grace = 0
            live.init.signal(signal_number(record.stop_signal))
            # One that is paused takes the signal when it goes on.
            self._bundler.cgroups.instance(container_id).thaw()
            forced = not live.init.wait(grace)
            if forced:
                live.init.signal(signal.SIGKILL)
                live.init.wait(KILL_SECONDS)
            if live.monitor is not None:
                # The exit code is written by the monitor's last act.
                live.monitor.wait(KILL_SECONDS)
        status = self.settle(container_id)
        self._events.add("stop", container_id)
        return ExitStatus(status.exit_code, status.oom_killed, forced)

    def kill(self, container_id: str, number: int = signal.SIGKILL) -> None:
        """Send a signal to its first process; one that has ended takes none.

        SIGKILL and its stop signal end it on purpose: no restart policy starts it again.
        """
        bundle = self._existing(container_id)
        with bundle.alone():
            record, live = bundle.record(), bundle.live()
            if record is None:
                return
            ends = number in (signal.SIGKILL, signal_number(record.stop_signal))
            if ends:
                self._mark(bundle, "stopped")
        if live is None:
            return
        if live.init.signal(number):
            self._events.add("kill", container_id, signal=str(int(number)))
        if ends:
            self._bundler.cgroups.instance(container_id).thaw()

    def pause(self, container_id: str) -> None:
        """Hold all its processes still. Raises `WrongState`, `CgroupStuck`."""
        self._must(container_id, "paused", lambda state: state.can_pause)
        self._bundler.cgroups.instance(container_id).freeze()
        self._events.add("pause", container_id)

    def unpause(self, container_id: str) -> None:
        """Let its processes go on. Raises `WrongState`."""
        self._must(container_id, "unpaused", lambda state: state.can_unpause)
        self._bundler.cgroups.instance(container_id).thaw()
        self._events.add("unpause", container_id)

    @contextmanager
    def still(self, container_id: str) -> Iterator[None]:
        """Nothing in it runs within the block; one that does not run is left as it is.

        If this process is killed meanwhile, `release` lets it go on.
        """
        if self.status(container_id).state is not State.RUNNING:
            yield
            return
        bundle = self._existing(container_id)
        bundle.write_holder(Identity.current())
        try:
            self.pause(container_id)
            yield
        finally:
            # Killed or removed meanwhile, it is not to be let go on.
            with suppress(WrongState, ContainerNotFound):
                self.unpause(container_id)
            bundle.write_holder(None)

    def release(self) -> None:
        """Let containers go on that were held still by processes that are gone."""
        for bundle in self._bundler.bundles:
            holder = bundle.holder()
            if holder is not None and not holder.alive:
                self._bundler.cgroups.instance(bundle.id).thaw()
                bundle.write_holder(None)

    def regroup(self) -> None:
        """Have the limits of all containers hold again, should others have moved processes."""
        for bundle in self._bundler.bundles:
            self._bundler.cgroups.regroup(bundle.id)

    def wait(self, container_id: str, timeout_s: float | None = None) -> Status:
        """Its status when it has ended, or after `timeout_s`. Raises `ContainerNotFound`."""
        descriptor = self.watch(container_id)
        try:
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            poll.poll(None if timeout_s is None else timeout_s * 1000)
        finally:
            os.close(descriptor)
        return self.settle(container_id)

    def remove(self, container_id: str) -> None:
        """Remove a container in any state, killing it; removing it again is harmless."""
        self._bundler.destroy(container_id)

    def get(self, container_id: str) -> Container:
        """Raises `ContainerNotFound`."""
        container = self._bundler.bundles.of(container_id).container()
        if container is None:
            raise ContainerNotFound(container_id)
        return container

    def environment(self, container_id: str) -> dict[str, Secret]:
        """What it was started with; empty while it is only just begun, and when it is gone."""
        process = self._bundler.bundles.of(container_id).config().get("process", {})
        pairs = (pair.partition("=") for pair in process.get("env", ()))
        return {name: Secret(value) for name, _, value in pairs}

    def list(self) -> list[Container]:
        """All containers, one-offs too, in the order of their ids."""
        found = (bundle.container() for bundle in self._bundler.bundles)
        return [container for container in found if container is not None]

    def status(self, container_id: str) -> Status:
        """How it is now. Raises `ContainerNotFound`."""
        bundle = self._existing(container_id)
        live = bundle.live()
        if live is None:
            return Status(State.LOST if is_cut_short(bundle) else State.CREATING)
        # Looked at before the exit code: the monitor writes that and then ends.
        watched = not (live.monitor or live.init).wait(0)
        code = bundle.exit_code()
        if code is not None:
            killed = self._bundler.cgroups.instance(container_id).oom_kills() > 0
            return Status(State.EXITED, code, killed, started_at=live.started_at)
        if not watched or (Identity.of(live.init.pid) is None and live.monitor is None):
            return Status(State.LOST, started_at=live.started_at)
        if is_cut_short(bundle):
            return Status(State.LOST)
        state = State.CREATED if live.started_at is None else State.RUNNING
        if state is State.RUNNING and self._bundler.cgroups.instance(container_id).frozen:
            state = State.PAUSED
        return Status(state, pid=live.init.pid, started_at=live.started_at)

    def settle(self, container_id: str) -> Status:
        """`status`; an end goes into the journal, once whoever sees it first.

        Raises `ContainerNotFound`.
        """
        bundle = self._existing(container_id)
        status = self.status(container_id)
        live = bundle.live()
        # A one-off's end is its caller's to see.
        seen = status.state.has_ended and live is not None and live.monitor is not None
        if seen and self._mark(bundle, "died"):
            record_end(self._events, container_id, status.exit_code, oom=status.oom_killed)
        return status

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
        """Begin a new log when it is larger than that many bytes; some before it are kept.

        No line is lost: the monitor writes to the renamed file until it opens the new one.
        Raises `MonitorFailed`.
        """
        bundle = self._existing(container_id)
        path = self.get(container_id).log
        if path is None or not path.exists() or path.stat().st_size <= larger_than:
            return False
        monitor.reopen_log(bundle, partial(logs.rotate, path))
        return True

    def rotate_logs(self) -> None:
        """Rotate every log that has its size; one whose container is gone stays as it is."""
        for container in self.list():
            # Ended or removed meanwhile: nobody writes to that log any more.
            with suppress(ContainerNotFound, monitor.MonitorFailed):
                self.rotate_log(container.id)

    def recover(self) -> Sequence[str]:
        """Remove what nobody will: half-made containers, one-offs whose caller died, and
        what a restart of the machine left on disk. Returns the ids.

        Only for the one supervisor: a container being created looks half-made to it unless
        its keeper lives.
        """
        gone = [bundle.id for bundle in self._bundler.bundles if is_abandoned(bundle)]
        found = sorted({*gone, *self._bundler.leftovers()})
        for container_id in found:
            self.remove(container_id)
        self.release()
        for bundle in filter(is_cut_short, self._bundler.bundles):
            with bundle.alone():
                # Somebody may have started it since.
                if is_cut_short(bundle):
                    self._bundler.end_run(bundle)
        return found

    def _must(self, container_id: str, what: str, can: Callable[[State], bool]) -> State:
        """Its state, if that can be done in it. Raises `WrongState`."""
        state = self.status(container_id).state
        if not can(state):
            raise WrongState(
                f"The container {container_id} is {state.value} and cannot be {what}",
                resolution="See `paas containers:list`.",
            )
        return state

    @contextmanager
    def _starting(self, container_id: str) -> Iterator[Bundle]:
        """Who ends or removes it, or starts it too, waits until it runs."""
        bundle = self._existing(container_id)
        with bundle.alone():
            self.settle(container_id)
            yield bundle

    def _mark(self, bundle: Bundle, name: str) -> bool:
        try:
            return bundle.mark(name)
        except FileNotFoundError:
            # Removed meanwhile.
            raise ContainerNotFound(bundle.id) from None

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


def record_end(events: Journal, container_id: str, code: int | None, *, oom: bool) -> None:
    """Write the end of a container into the journal; `code` None when nobody saw it."""
    if oom:
        events.add("oom", container_id)
    events.add("die", container_id, exit_code="" if code is None else str(int(code)))
