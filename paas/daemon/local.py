"""One service of a server, started and stopped by this process or by its systemd unit.

The holder and paasd are processes that stay (`Background`); the network's resolver and the
proxy's nginx know their own processes.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import paas
from paas.daemon.background import Background, NotStarted
from paas.daemon.whereabouts import Whereabouts
from paas.deploy.parts import Parts
from paas.deploy.services_route import OWNER as SERVICES
from paas.engine.container import Container
from paas.engine.engine import Engine
from paas.host.processes import Process, spawn
from paas.host.waiting import wait_until
from paas.model.processes import STOP_TIMEOUT

STOPPERS = 256
"""Instances that are stopped at once; most of it is waiting."""

APPS_S, SERVICES_S = 60.0, 60.0
"""The longest that apps, and then the services behind them, have to stop when everything does,
whatever they are allowed otherwise: a machine goes down in a bounded time. With what SIGKILL
takes, both are below TimeoutStopSec= of the unit, which would kill them at once."""

RESOLVER_S = 10.0
ANSWER_S = 1.0
APART_S = 15.0


class Local:
    """Starts and stops the services of one PaaS on this machine, without systemd."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._layout = parts.layout

    def start(self, name: str) -> None:
        """Start one service here, unless it runs; it is ready when this returns."""
        if name == "network":
            self._start_network()
        elif name == "proxy":
            self._parts.proxy.start()
        else:
            background = self.background(name)
            if name == "instances" and not background.running():
                # One from before says nothing about the holder that starts now.
                (self._layout.run / "cgroup").unlink(missing_ok=True)
            background.start()

    def stop(self, name: str) -> None:
        """Stop one service here; not running is fine."""
        if name == "instances":
            self.stop_instances()
            self.background(name).stop()
            # The last that has data open, unless paasd is about to start them again.
            if not self._paasd_ready():
                Whereabouts(self._layout).left()
        elif name == "proxy":
            self._parts.proxy.stop()
        elif name == "network":
            self._parts.engine.network.stop_resolver()
        else:
            self.background(name).stop()

    def stop_instances(self) -> None:
        """Stop every container by its own signal and grace, and forget it: all at once, but
        the services behind the apps, which write to them until they end.

        Raises the first error after all were tried.
        """
        containers = self._parts.engine.containers.list()
        services = [one for one in containers if one.owner.startswith(SERVICES)]
        others = [one for one in containers if one not in services]
        ended: list[Future[None]] = []
        for group, longest_s in ((others, APPS_S), (services, SERVICES_S)):
            graces = {one.id: min(self._grace_s(one), longest_s) for one in group}
            with ThreadPoolExecutor(STOPPERS) as pool:
                ended += [pool.submit(self._stop_container, *one) for one in graces.items()]
        for future in ended:
            future.result()

    def _grace_s(self, container: Container) -> float:
        store = self._parts.store
        instance = store.instances.by_container(container.id)
        if instance is None:
            return container.stop_timeout
        return store.processes.value(STOP_TIMEOUT, instance.app_id, instance.process_type)

    def _stop_container(self, container: str, grace_s: float) -> None:
        # An engine of its own: a connection to a database belongs to one thread.
        containers = Engine(self._layout).containers
        try:
            containers.stop(container, grace_s)
        finally:
            containers.remove(container)

    def _start_network(self) -> None:
        network = self._parts.engine.network
        network.prefix.settle()
        network.ensure()
        resolver = network.resolver
        if resolver.current:
            return
        resolver.stop()
        self._start_resolver()
        if not wait_until(resolver.running, RESOLVER_S):
            raise NotStarted(
                "The resolver does not start",
                resolution=f"All it said is in {self._layout.logs / 'resolver.log'}.",
            )

    def _start_resolver(self) -> None:
        log = self._layout.logs / "resolver.log"

        def start(argv: tuple[str, ...]) -> Process:
            process = _spawn_logged(log, argv)
            process.leave()
            return process

        self._parts.engine.network.resolver.start(start)

    def background(self, name: str) -> Background:
        """The holder (`instances`) or `paasd` as a process that stays."""
        argv, env = ourselves(*self._program(name))
        ready = {"instances": self._holder_ready, "paasd": self._paasd_ready}[name]
        return Background(
            name=name,
            argv=argv,
            env=env,
            record=self._layout.run / f"{name}.json",
            log=self._layout.logs / f"{name}.log",
            ready=ready,
        )

    def _program(self, name: str) -> tuple[str, ...]:
        root = str(self._layout.root)
        if name == "instances":
            return "paas.engine.holder", root
        return "paas", "--root", root, "paasd"

    def _holder_ready(self) -> bool:
        return (self._layout.run / "cgroup").is_file()

    def _paasd_ready(self) -> bool:
        """Whether it serves: a socket whose owner still loads its modules, or dies at that,
        takes connections too, but then nobody says that nothing was asked."""
        with socket.socket(socket.AF_UNIX) as connection, suppress(OSError):
            connection.settimeout(ANSWER_S)
            connection.connect(str(self._layout.socket))
            connection.shutdown(socket.SHUT_WR)
            return connection.recv(1) != b""
        return False

    def start_apart(self, name: str) -> None:
        """Start network or proxy from a process outside of the caller's control group.

        The supervisor's is killed when paasd ends, with all that it started in there.
        """
        argv, env = ourselves("paas", "--root", str(self._layout.root), "up", "--unit", name)
        group = self._parts.engine.cgroups.monitor(name).create()
        log = self._layout.logs / f"{name}.log"
        process = _spawn_logged(log, argv, env=env, cgroup=group)
        with suppress(TimeoutError):
            process.wait(APART_S)
            return
        process.leave()


def ourselves(module: str, *words: str) -> tuple[list[str], dict[str, str]]:
    """argv and environment that run a module of this very paas, installed or a checkout."""
    checkout = Path(paas.__file__).parents[1]
    if (checkout / "pyproject.toml").is_file():
        return [sys.executable, "-m", module, *words], {"PYTHONPATH": str(checkout)}
    return [sys.executable, "-I", "-m", module, *words], {}


def _spawn_logged(
    log: Path,
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cgroup: Sequence[Path] = (),
) -> Process:
    """Start a program whose output goes to a file."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        return spawn(
            argv, stdout=descriptor, stderr=descriptor, env=env, cwd=Path("/"), cgroup=cgroup
        )
    finally:
        os.close(descriptor)
