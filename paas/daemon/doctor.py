"""`paas doctor`: does this machine still give what the server needs? One line per check.

Each check tries the real thing, on the side, and leaves nothing behind.
"""

from __future__ import annotations

import os
import platform
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from paas.daemon.checks import backups, groups, machine, ports, serving, sshd
from paas.daemon.checks.check import Check, Unwell, outcome
from paas.daemon.systemd import Systemd
from paas.deploy.parts import Parts
from paas.engine import capabilities, seccomp
from paas.engine.quotas import NoQuotas
from paas.engine.resources import host_facts
from paas.engine.runtime import TRIAL_RANGE, Runtimes
from paas.host import diskshare, netlink
from paas.host.waiting import wait_until
from paas.model.settings import HTTP_ADDRESS, HTTP_PORT, HTTPS_PORT

SETTLES_S = 10.0
"""How long a supervisor may take to start, with all that an earlier one left."""


class Doctor:
    """Examines the machine for the PaaS that `parts` are of."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._layout = parts.layout

    def examine(self) -> Iterator[Check]:
        """Every check, one after another, as it is done."""
        checks: Mapping[str, Callable[[], str]] = {
            "kernel": lambda: machine.kernel(platform.release()),
            "cgroups": self._cgroups,
            "OCI runtime": self._runtime,
            "overlay idmap": self._overlay,
            "images": self._images,
            "nftables": machine.nftables,
            "forwarding": self._forwarding,
            "disk": lambda: machine.disk(os.statvfs(self._layout.root), self._layout.root),
            "quotas": self._quotas,
            "sshd": lambda: sshd.check(self._layout.user),
            "proxy": self._proxy,
            "ports": self._ports,
            "certificates": self._certificates,
            "backups": self._backups,
            "resolver": self._resolver,
            "paasd": self._paasd,
            "supervisor": self._supervisor,
            "clock": lambda: machine.clock(time.time(), Path(__file__).stat().st_mtime),
        }
        for name, check in checks.items():
            yield outcome(name, check)

    def _cgroups(self) -> str:
        engine = self._parts.engine
        found = engine.cgroups.version, engine.cgroups.controllers
        if engine.cgroups.version == 1:
            return groups.check(*found)
        unweighted = diskshare.unweighted(self._layout.root, engine.cgroups.mounts[""])
        return groups.check(*found, engine.bundler.reserved.lacking(), unweighted)

    def _runtime(self) -> str:
        engine = self._parts.engine
        runtimes = Runtimes(self._layout, engine.cgroups)
        facts = host_facts(engine.cgroups, "doctor", seccomp.profile(capabilities.DEFAULT))
        found = runtimes.choose(facts)
        reason = runtimes.trial(found, facts)
        if reason is not None:
            raise Unwell(f"{found.program}: {reason}", "apt-get install --reinstall crun runc")
        return f"{found.program} runs containers"

    def _overlay(self) -> str:
        rootfs, name = self._parts.engine.rootfs, f"doctor-{os.getpid()}"
        try:
            target = rootfs.mount(name, (), TRIAL_RANGE)
            trial = target / "trial"
            trial.mkdir()
            os.chown(trial, TRIAL_RANGE.base, TRIAL_RANGE.base)
            owner = trial.stat().st_uid
        finally:
            rootfs.unmount(name)
            rootfs.release(TRIAL_RANGE)
        if owner != TRIAL_RANGE.base:
            raise Unwell(f"a file of its root belongs to {owner}", "Use Linux 5.19 or newer.")
        return f"mounted and written to below {self._layout.engine_fs}"

    def _images(self) -> str:
        """Whether the layers are there; their files take `images:verify` a while."""
        # One that is removed meanwhile is not damaged: the second look does not find its image.
        unsound = self._unsound() and self._unsound()
        if unsound:
            raise Unwell(
                f"damaged: {', '.join(sorted(unsound)[:5])}",
                "See what is made of them, and pull it again: paas images:verify --repair",
            )
        return f"{len(self._parts.engine.layers.list())} layers"

    def _unsound(self) -> set[str]:
        engine = self._parts.engine
        used = {layer for image in engine.images.list() for layer in image.layers}
        return {layer for layer in used if not engine.layers.is_sound(layer)}

    def _forwarding(self) -> str:
        network = self._parts.engine.network
        findings = network.findings()
        if findings:
            raise Unwell(findings[0].problem, findings[0].remedy)
        by = "IPv4 and IPv6" if network.has_ipv6 else "IPv4"
        return f"instances reach the internet through {network.interface}, by {by}"

    def _quotas(self) -> str:
        """Whether volumes can be bounded, and those are that should be."""
        storage = self._parts.storage
        unbounded = storage.unbounded()
        try:
            storage.require_quotas()
        except NoQuotas as error:
            if unbounded:
                raise
            return f"none for volumes: {error.brief}"
        if unbounded:
            raise Unwell(
                f"not enforced for {', '.join(unbounded)}",
                f"See why: paas storage:set {unbounded[0]} quota SIZE",
            )
        return "volumes can have them"

    def _proxy(self) -> str:
        if not self._parts.proxy.running():
            raise Unwell(
                "nginx does not answer", f"paas up; its log is {self._layout.logs}/proxy/error.log"
            )
        closed = self._parts.router.closed()
        if closed:
            raise Unwell(
                f"nginx answers, but not for all of {closed[0][0]}: {closed[0][1]}",
                "See by which: ss -ltnup. It is opened within a minute of becoming free.",
            )
        return "nginx answers"

    def _ports(self) -> str:
        settings = self._parts.store.settings
        known = (settings.value(HTTP_PORT), settings.value(HTTPS_PORT))
        found = ports.served(settings.value(HTTP_ADDRESS), known)
        return ports.judge(found, self._parts.engine.network.host_firewall.shut(found))

    def _certificates(self) -> str:
        parts = self._parts
        return serving.certificates(
            (
                (app.name, served.certificate)
                for app in parts.store.apps.list()
                for served in parts.certificates.of(app)
                if served.domains
            ),
            parts.clock.now(),
        )

    def _backups(self) -> str:
        store = self._parts.store
        services = {service.id: service for service in store.services.list()}
        known = [
            (service, schedule, store.backups.scheduled(service))
            for schedule in store.backups.schedules()
            if (service := services.get(schedule.service_id)) is not None
        ]
        return backups.scheduled(known, self._parts.clock.now())

    def _resolver(self) -> str:
        resolver = self._parts.engine.network.resolver
        if not resolver.running():
            raise Unwell("dnsmasq does not run", "paas up")
        with netlink.inside(self._layout.run / "netns" / "router"):
            if not serving.answers(str(resolver.address), "doctor.internal"):
                raise Unwell("dnsmasq does not answer", "paas up --restart network")
            if not serving.answers(str(resolver.address), "debian.org"):
                raise Unwell(
                    "dnsmasq answers, but the resolvers it asks do not",
                    "See the nameservers in /etc/resolv.conf, then run: paas up",
                )
        return f"answers at {resolver.address}"

    def _paasd(self) -> str:
        with socket.socket(socket.AF_UNIX) as connection:
            try:
                connection.connect(str(self._layout.socket))
            except OSError as error:
                raise Unwell(f"{self._layout.socket}: {error.strerror}", "paas up") from error
        return "answers"

    def _supervisor(self) -> str:
        if not wait_until(
            lambda: serving.takes_datagrams(self._layout.supervisor_socket), SETTLES_S
        ):
            told = f"{self._layout.logs}/paasd.log"
            if Systemd(self._layout).used:
                told = "journalctl -u 'paas*'"
            raise Unwell("does not run", f"See why: {told}")
        return "watches the instances"
