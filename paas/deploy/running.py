"""Starting and stopping the instances of an app in the engine."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from paas.deploy.draft import WEB, Draft
from paas.deploy.fleet import Member
from paas.engine.container import Container
from paas.engine.engine import Engine
from paas.engine.images import Image
from paas.engine.spec import ContainerSpec, Mount, command_of
from paas.errors import PaasError
from paas.model.app import App
from paas.model.env import fits_environment, revealed
from paas.model.layout import Layout

PARALLEL_STARTS = 4

KIND, NAME = "paas.process-type", "paas.dyno"
"""Labels of every container of an app."""

DETACHED = "paas.until"
"""The label of a container that outlives who started it: to when, in epoch seconds. Whoever
started it also removes it."""


@dataclass(frozen=True)
class Running:
    """A started instance that no release owns yet."""

    member: Member
    container: str
    pid: int
    address: IPv4Address
    port: int
    log: Path


def owner_of(app_id: int) -> str:
    """The owner of the app's user id range, networks and service addresses."""
    return f"app:{app_id}"


def log_directory(layout: Layout, app_id: int) -> Path:
    """Where the output of an app's instances is kept, across its releases."""
    return layout.logs / "apps" / str(app_id)


def instance_environment(draft: Draft, name: str) -> dict[str, str]:
    """What an instance finds in its environment beside the image's own variables."""
    # One variable that execve(2) refuses would keep the whole app from starting.
    fitting = {key: value for key, value in draft.config.items() if fits_environment(key, value)}
    environment = revealed(fitting)
    if draft.commit:
        environment.setdefault("GIT_REV", draft.commit)
    return environment | {"PORT": str(draft.port), "DYNO": name}


def instance_spec(
    layout: Layout,
    app: App,
    draft: Draft,
    member: Member,
    image: Image,
    container: str,
    mounts: tuple[Mount, ...] = (),
) -> ContainerSpec:
    """The container of one instance."""
    config = image.config
    return ContainerSpec(
        id=container,
        image=image.id,
        owner=owner_of(app.id),
        args=command_of(config, shell_command=draft.processes.get(member.process_type)),
        env=instance_environment(draft, str(member)),
        cwd=config.workdir or "/",
        user=config.user,
        hostname=f"{app.name}-{member.process_type}-{member.index}"[:63].rstrip("-"),
        labels=labels(app, member.process_type, str(member)),
        limits=draft.limits_of(member.process_type),
        stop_signal=config.stop_signal or "SIGTERM",
        log=log_directory(layout, app.id) / f"{member}.{container}.log",
        mounts=mounts,
    )


def labels(app: App, process_type: str, name: str) -> dict[str, str]:
    """What a container says of itself: app, process type and name."""
    return {
        "paas.app": str(app.id),
        KIND: process_type,
        NAME: name,
    }


def new_container_id() -> str:
    """32 random hex digits."""
    return secrets.token_hex(16)


def _wired(container: Container) -> IPv4Address:
    if container.address is None:
        raise LookupError(f"{container.id} was created without a network")
    return container.address


class Runner:
    """Starts, stops and removes instances."""

    def __init__(
        self, layout: Layout, engine: Engine, mounts: Callable[[App, str], tuple[Mount, ...]]
    ) -> None:
        """`mounts` says what a container of an app and process type has mounted."""
        self._layout = layout
        self._engine = engine
        self._mounts = mounts

    def start(self, app: App, draft: Draft, member: Member) -> Running:
        """Start one instance; on failure nothing of it is left.

        Raises `PaasError` when it cannot be started (no such command, no such user).
        """
        image = self._engine.images.get(draft.image)
        mounts = self._mounts(app, member.process_type)
        spec = instance_spec(self._layout, app, draft, member, image, new_container_id(), mounts)
        directory = log_directory(self._layout, app.id)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            container = self._engine.containers.create(spec)
            self._engine.containers.start(spec.id)
        except BaseException:
            self._engine.containers.remove(spec.id)
            raise
        return Running(
            member=member,
            container=spec.id,
            pid=container.pid,
            address=_wired(container),
            port=draft.port if member.process_type == WEB else 0,
            log=directory / f"{member}.{spec.id}.log",
        )

    def start_all(self, app: App, draft: Draft, members: Sequence[Member]) -> list[Running]:
        """Start every one of `members`, or none.

        The first one alone: it makes what they share (the app's user id range and its
        idmapped tree) and tells what is wrong with the image once. Then several at a time,
        since most of a start is waiting for the runtime.
        """
        started: list[Running] = []
        try:
            started += [self.start(app, draft, member) for member in members[:1]]
            with ThreadPoolExecutor(PARALLEL_STARTS) as pool:
                begun = [pool.submit(self.start, app, draft, member) for member in members[1:]]
            started += [one.result() for one in begun if one.exception() is None]
            for one in begun:
                one.result()  # raises what went wrong first
        except BaseException:
            self.discard(started)
            raise
        return started

    def discard(self, started: Sequence[Running]) -> None:
        """Remove instances that never served."""
        for one in started:
            self._engine.containers.remove(one.container)
            with suppress(FileNotFoundError):
                one.log.unlink()

    def stop(self, container: str, timeout_s: float) -> None:
        """Stop a container by its StopSignal, then remove it; it may be gone already.

        One that cannot be stopped is removed all the same, which kills it.
        """
        with suppress(PaasError, OSError):
            self._engine.containers.stop(container, timeout_s)
        self._engine.containers.remove(container)
