"""The processes of a server, in the order they start: resolver, holder, proxy, paasd.

systemd runs them where it is PID 1 and their units are installed; elsewhere they run in the
background. Either way `Local` does the work of each, since the units call it too.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from paas.daemon import ground
from paas.daemon.local import Local
from paas.daemon.systemd import Systemd
from paas.daemon.trial import Trial
from paas.daemon.whereabouts import Whereabouts
from paas.deploy.parts import Parts
from paas.engine.holder import holds
from paas.errors import PaasError
from paas.host import syscalls
from paas.host.files import FileLock, remove_tree
from paas.model.report import Report
from paas.model.settings import DOMAIN, HTTP_PORT, HTTPS_PORT
from paas.model.version import VERSION

NAMES = ("network", "instances", "proxy", "paasd")
"""The services, in the order they start. Instances can resolve names until they have ended."""

UNIT = {
    "network": "paas-network.service",
    "instances": "paas-instances.service",
    "proxy": "paas-proxy.service",
    "paasd": "paasd.service",
}
STACK = "paas/stack:debian-13"


class Services:
    """Starts and stops what one PaaS consists of, whole or one by one."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._layout = parts.layout
        self._systemd = Systemd(parts.layout)
        self._local = Local(parts)

    @property
    def names(self) -> Sequence[str]:
        """The services, in the order they start."""
        return NAMES

    def prepare(self, report: Report) -> None:
        """Make users, directories and, where systemd runs the machine, the units.

        Raises `UnusableCopy`.
        """
        if Whereabouts(self._layout).check():
            report.warn("The data come from another machine: have the names of apps lead to this")
            report.warn("one now, or give them another domain: paas up --domain DOMAIN")
        ground.prepare(self._layout)
        if self._systemd.wanted:
            self._systemd.install()

    def up(self, names: Iterable[str], report: Report) -> None:
        """Start the services of `names` that do not run. Raises `NotStarted`, among others."""
        with self._lock():
            for name in _ordered(names):
                report.step(f"Starting {name}")
                if self._systemd.used:
                    self._systemd.start([UNIT[name]])
                else:
                    self._local.start(name)

    def restart(self, name: str) -> None:
        """Stop and start one service. Instances keep running through that of the others."""
        with self._lock():
            if self._systemd.used:
                self._systemd.restart(UNIT[name])
                return
            self._local.stop(name)
            self._local.start(name)

    def down(self, names: Iterable[str], report: Report) -> None:
        """Stop the services of `names`, the last one first."""
        with self._lock():
            for name in reversed(_ordered(names)):
                report.step(f"Stopping {name}")
                if self._systemd.used:
                    self._systemd.stop([UNIT[name]])
                else:
                    self._local.stop(name)

    def settle_upgrade(self) -> None:
        """Have paasd start again behind an upgrade that was cut short: it begins by going back.

        The supervisor calls it. Without systemd nobody would start it: there `paas up` goes back.
        """
        if self._systemd.used and Trial(self._layout).abandoned:
            self._systemd.restart(UNIT["paasd"], wait=False)

    def mend(self) -> None:
        """Start what of resolver and proxy has ended, or is not what is installed; cheap when
        nothing is.

        The supervisor calls it. A resolver whose configuration has changed is started again.
        It raises nothing: what went wrong is in the log, and there is a next time.
        """
        resolver = self._parts.engine.network.resolver
        if not resolver.current:
            self._mend("network", stale=resolver.running() is not None)
        proxy = self._parts.proxy
        if not proxy.running():
            self._mend("proxy")
        elif proxy.outdated():
            # The package was upgraded, and its own scripts know the system's nginx alone.
            proxy.upgrade()

    def _mend(self, name: str, *, stale: bool = False) -> None:
        if self._systemd.used:
            self._systemd.mend(UNIT[name], stale=stale)
            return
        lock = self._lock()
        # Somebody who starts or stops everything needs no help.
        if lock.try_acquire():
            try:
                self._local.start_apart(name)
            finally:
                lock.release()

    def start(self, name: str) -> None:
        """Start one service as its systemd unit does."""
        if name == "network":
            # systemd takes no process of another unit's, such as an older version's proxy.
            self._parts.engine.network.stop_resolver()
        self._local.start(name)

    def stop(self, name: str) -> None:
        """Stop one service as its systemd unit does.

        Where control groups are of version 1 those of instances are outside of the unit's, which
        ends with its one process: that is a reason to start it again, and none to stop apps.
        """
        apart = self._parts.engine.cgroups.version == 1
        if name == "instances" and apart and not holds(self._layout):
            return
        self._local.stop(name)

    def publish(self, report: Report) -> None:
        """Have the proxy serve what the settings say by now."""
        self._parts.router.publish(report)

    def open_firewall(self, report: Report) -> None:
        """Have the host's own firewall pass what instances send to the internet."""
        self._parts.egress.allow(report)

    def close_firewall(self, report: Report) -> None:
        """Take that back, but for what the firewall keeps itself."""
        self._parts.egress.forbid(report)

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
        yield "HTTPS port", str(settings.value(HTTPS_PORT))
        yield "Apps", str(len(self._parts.store.apps.list()))
        yield "Instances", str(len(self._parts.store.instances.list()))
        yield "Network", str(self._parts.engine.network.plan.prefix)
        yield "Processes run by", "systemd" if self._systemd.used else "paas up"

    def vanish(self) -> None:
        """Take from the machine what its next start would: network, control groups, mounts.

        All services are stopped; `up` makes everything again.
        """
        engine = self._parts.engine
        engine.network.teardown()
        engine.cgroups.remove()
        engine.rootfs.teardown()
        unmount_below(self._layout.run)
        remove_tree(self._layout.run)

    def purge(self) -> None:
        """Remove everything of the PaaS, its data included; all services are stopped."""
        if self._systemd.used:
            self._systemd.uninstall()
        self.vanish()
        self._parts.engine.network.prefix.release()
        self._parts.engine.ranges.unregister()
        self._parts.engine.database.close()
        unmount_below(self._layout.root)
        remove_tree(self._layout.root)
        ground.clear(self._layout)

    def _lock(self) -> FileLock:
        return FileLock(self._layout.locks / "services.lock", f"process {os.getpid()}")


def unmount_below(*directories: Path) -> None:
    """Unmount everything below, what was mounted last first (proc(5), mountinfo)."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [Path(line.split(" ")[4].encode().decode("unicode_escape")) for line in lines]
    for point in reversed(points):
        # A disk of the administrator's may be mounted at one of them itself.
        if any(directory in point.parents for directory in directories):
            syscalls.umount(point, syscalls.MNT_DETACH)


def _ordered(names: Iterable[str]) -> Sequence[str]:
    wanted = set(names)
    if unknown := wanted - set(NAMES):
        raise PaasError(
            f"There is no service {min(unknown)}", resolution=f"There are {', '.join(NAMES)}."
        )
    return [name for name in NAMES if name in wanted]
