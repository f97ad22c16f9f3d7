"""The processes of a server, in the order they start: holder, proxy and network, paasd.

systemd runs them where it is PID 1 and their units are installed; elsewhere they are
started here, in the background. Either way the same methods do the work of each, since
the units call them too.
"""

from __future__ import annotations

import os
import shlex
import socket
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

import paas
from paas.daemon import ground
from paas.daemon.background import Background, NotStarted
from paas.daemon.systemd import Systemd
from paas.deploy.parts import Parts
from paas.errors import PaasError
from paas.host import syscalls
from paas.host.files import FileLock, remove_tree
from paas.host.processes import Process, run, spawn
from paas.host.waiting import wait_until
from paas.model.report import Report
from paas.model.settings import DOMAIN, HTTP_PORT
from paas.model.version import VERSION

NAMES = ("instances", "proxy", "paasd")
"""The services, in the order they start."""

UNIT = {
    "instances": "paas-instances.service",
    "proxy": "paas-proxy.service",
    "paasd": "paasd.service",
}
STACK = "paas/stack:debian-13"
FIREWALLS = frozenset({"firewall-cmd", "iptables", "iptables-legacy", "nft", "ufw"})
STOPPERS = 32
"""Instances that are stopped at once."""

RESOLVER_S = 10.0


class Services:
    """Starts and stops what one PaaS consists of, whole or one by one."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._layout = parts.layout
        self._systemd = Systemd(parts.layout)

    @property
    def names(self) -> Sequence[str]:
        """The services, in the order they start."""
        return NAMES

    def prepare(self) -> None:
        """Make users, directories and, where systemd runs the machine, the units."""
        ground.prepare(self._layout)
        if self._systemd.wanted:
            self._systemd.install()

    # -- the whole --------------------------------------------------------------------------

    def up(self, names: Iterable[str], report: Report) -> None:
        """Start the services of `names` that do not run. Raises `NotStarted`, among others."""
        with self._lock():
            for name in _ordered(names):
                report.step(f"Starting {name}")
                if self._systemd.used:
                    self._systemd.start([UNIT[name]])
                else:
                    self.start(name)

    def restart(self, name: str) -> None:
        """Stop and start one service. Instances keep running through that of the others."""
        with self._lock():
            if self._systemd.used:
                self._systemd.restart(UNIT[name])
                return
            self.stop(name)
            self.start(name)

    def down(self, names: Iterable[str], report: Report) -> None:
        """Stop the services of `names`, the last one first."""
        with self._lock():
            for name in reversed(_ordered(names)):
                report.step(f"Stopping {name}")
                if self._systemd.used:
                    self._systemd.stop([UNIT[name]])
                else:
                    self.stop(name)

    def mend(self) -> None:
        """Start what of the proxy has ended; cheap when nothing has. The supervisor calls it."""
        if self._parts.proxy.running() and self._parts.engine.network.resolver.running():
            return
        if self._systemd.used:
            self._systemd.reload(UNIT["proxy"])
            return
        lock = self._lock()
        # Somebody who starts or stops everything needs no help.
        if lock.try_acquire():
            try:
                self.start("proxy")
            finally:
                lock.release()

    def publish(self, report: Report) -> None:
        """Have the proxy serve what the settings say by now."""
        self._parts.router.publish(report)

    def open_firewall(self, report: Report) -> None:
        """Have the host's own firewall pass what instances send to the internet.

        Does what the findings name as their remedies, where that is a firewall's command.
        """
        for finding in self._parts.engine.network.findings():
            commands = [shlex.split(command) for command in finding.remedy.split(" && ")]
            if commands[0][0] in FIREWALLS:
                report.step(finding.problem)
                for argv in commands:
                    report.detail(shlex.join(argv))
                    run(argv)

    def ensure_stack(self, report: Report) -> None:
        """Make the base images that builds stand on, unless they are there."""
        self._parts.engine.stack.ensure(STACK, report)

    def facts(self) -> Iterable[tuple[str, str]]:
        """Label and value: what this server is."""
        settings = self._parts.store.settings
        yield "Version", VERSION
        yield "Root", str(self._layout.root)
        yield "Domain", settings.value(DOMAIN) or "none"
        yield "HTTP port", str(settings.value(HTTP_PORT))
        yield "Apps", str(len(self._parts.store.apps.list()))
        yield "Instances", str(len(self._parts.store.instances.list()))
        yield "Network", str(self._parts.engine.network.plan.prefix)
        yield "Processes run by", "systemd" if self._systemd.used else "paas up"

    def purge(self) -> None:
        """Remove everything of the PaaS, its data included; all services are stopped."""
        if self._systemd.used:
            self._systemd.uninstall()
        engine = self._parts.engine
        engine.network.teardown()
        engine.cgroups.remove()
        engine.rootfs.teardown()
        engine.ranges.unregister()
        engine.database.close()
        unmount_below(self._layout.run, self._layout.root)
        remove_tree(self._layout.run)
        remove_tree(self._layout.root)
        ground.clear(self._layout)

    # -- one service, as systemd or we ourselves run it --------------------------------------

    def start(self, name: str) -> None:
        """Start one service here, unless it runs; it is ready when this returns."""
        if name == "proxy":
            self._start_proxy()
        else:
            background = self._background(name)
            if name == "instances" and not background.running():
                # One from before says nothing about the holder that starts now.
                (self._layout.run / "cgroup").unlink(missing_ok=True)
            background.start()

    def stop(self, name: str) -> None:
        """Stop one service here; not running is fine."""
        if name == "instances":
            self.stop_instances()
            self._background(name).stop()
        elif name == "proxy":
            self._parts.proxy.stop()
            self._parts.engine.network.resolver.stop()
        else:
            self._background(name).stop()

    def stop_instances(self) -> None:
        """Stop every container by its own signal and grace, all at once, and forget it.

        Raises the first error after all were tried.
        """
        containers = self._parts.engine.containers
        with ThreadPoolExecutor(STOPPERS) as pool:
            ended = [pool.submit(self._stop_container, one.id) for one in containers.list()]
        for future in ended:
            future.result()

    def _stop_container(self, container: str) -> None:
        containers = self._parts.engine.containers
        try:
            containers.stop(container)
        finally:
            containers.remove(container)

    def _start_proxy(self) -> None:
        network = self._parts.engine.network
        network.ensure()
        resolver = network.resolver
        if not resolver.running():
            resolver.start(partial(_spawn_logged, self._layout.logs / "resolver.log"))
            if not wait_until(resolver.running, RESOLVER_S):
                raise NotStarted(
                    "The resolver does not start",
                    resolution=f"All it said is in {self._layout.logs / 'resolver.log'}.",
                )
        self._parts.proxy.start()

    def _background(self, name: str) -> Background:
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
        with socket.socket(socket.AF_UNIX) as connection, suppress(OSError):
            connection.connect(str(self._layout.socket))
            return True
        return False

    def _lock(self) -> FileLock:
        return FileLock(self._layout.locks / "services.lock", f"process {os.getpid()}")


def ourselves(module: str, *words: str) -> tuple[list[str], dict[str, str]]:
    """argv and environment that run a module of this very paas, installed or a checkout."""
    checkout = Path(paas.__file__).parents[1]
    if (checkout / "pyproject.toml").is_file():
        return [sys.executable, "-m", module, *words], {"PYTHONPATH": str(checkout)}
    return [sys.executable, "-I", "-m", module, *words], {}


def unmount_below(*directories: Path) -> None:
    """Unmount everything below, what was mounted last first (proc(5), mountinfo)."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [Path(line.split(" ")[4].encode().decode("unicode_escape")) for line in lines]
    for point in reversed(points):
        if any(point.is_relative_to(directory) for directory in directories):
            syscalls.umount(point, syscalls.MNT_DETACH)


def _ordered(names: Iterable[str]) -> Sequence[str]:
    wanted = set(names)
    if unknown := wanted - set(NAMES):
        raise PaasError(
            f"There is no service {min(unknown)}", resolution=f"There are {', '.join(NAMES)}."
        )
    return [name for name in NAMES if name in wanted]


def _spawn_logged(log: Path, argv: tuple[str, ...]) -> Process:
    """Start a program that stays; its output goes to a file."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        process = spawn(argv, stdout=descriptor, stderr=descriptor, cwd=Path("/"))
    finally:
        os.close(descriptor)
    process.leave()
    return process
