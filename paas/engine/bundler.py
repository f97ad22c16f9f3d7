"""Makes all that a container needs before it runs, and removes all of it again.

What is made, in this order: the bundle's directory and record, the mount of its root, its
configuration, the control groups and processes, its network. `destroy` takes any part of
that away, so whatever was killed in the middle is cleaned up by calling it.
"""

from __future__ import annotations

import posixpath
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from ipaddress import IPv4Address
from pathlib import Path, PurePosixPath
from typing import Protocol

from paas.engine import capabilities, devices, inside, seccomp
from paas.engine.bundle import Bundle, Bundles
from paas.engine.config import ImageConfig, InvalidImage
from paas.engine.container import Record
from paas.engine.events import Journal
from paas.engine.fill import fill
from paas.engine.healthcheck import in_shell
from paas.engine.layers import LayerId
from paas.engine.network.publish import Publish, check_publish, parse_all
from paas.engine.resources import HostFacts, host_facts
from paas.engine.rootfs import Rootfs
from paas.engine.runtime import Runtime, Runtimes
from paas.engine.signals import signal_number
from paas.engine.spec import ContainerSpec, Mount, environment_of, hostname_of, oci_config
from paas.engine.userns import UserRange, UserRanges
from paas.engine.users import resolve_user
from paas.errors import PaasError
from paas.host import files
from paas.host.cgroups import Cgroups
from paas.host.clock import Clock
from paas.host.identity import Identity
from paas.host.reserved import Reserved
from paas.model.layout import Layout

MOST_VOLUMES = 64
"""Of an image; each costs a directory and a copy."""


class ContainerExists(PaasError):
    """The id of a new container is in use."""


class Wiring(Protocol):
    """What containers ask of the network (`paas.engine.network`)."""

    @property
    def resolv_conf(self) -> str:
        """The /etc/resolv.conf of every private container."""

    def prepare(
        self, container: str, *, owner: str = "", ports: Sequence[Publish] = ()
    ) -> IPv4Address:
        """Choose its address and publish its ports; needs no process yet."""

    def wire(self, container: str, pid: int) -> IPv4Address:
        """Connect the network namespace of `pid`."""

    def detach(self, container: str) -> None:
        """Undo both; again is harmless."""


@dataclass(frozen=True)
class Content:
    """What the root of a container is made of; `upper` takes what it writes."""

    config: ImageConfig
    layers: Sequence[LayerId]
    upper: Path | None = None


class Bundler:
    """Makes and destroys what belongs to containers."""

    def __init__(
        self,
        layout: Layout,
        rootfs: Rootfs,
        ranges: UserRanges,
        network: Wiring,
        cgroups: Cgroups,
        clock: Clock,
    ) -> None:
        self.bundles = Bundles(layout)
        self.cgroups = cgroups
        self.reserved = Reserved.of(layout, cgroups)
        self.events = Journal(layout, clock)
        self._locks = layout.locks
        self._rootfs = rootfs
        self._ranges = ranges
        self._network = network
        self._clock = clock
        self._runtimes = Runtimes(layout, cgroups)

    @cached_property
    def runtime(self) -> Runtime:
        """The OCI runtime of this host. Raises `NoRuntime`."""
        return self._runtimes.choose(self._facts("probe"))

    def make(
        self,
        spec: ContainerSpec,
        content: Content,
        *,
        terminal: bool = False,
    ) -> Bundle:
        """Everything up to the runtime's turn. The caller destroys it if that fails.

        Raises `CommandNotFound`, `NoSuchUser`, `CannotMount`, `CannotLimitDisk`,
        `EnvironmentTooLarge`.
        """
        bundle = self.bundles.of(spec.id)
        check_publish(spec.publish, spec.network)
        # What cannot be stopped is not begun.
        signal_number(spec.stop_signal)
        spec = replace(spec, terminal=terminal or spec.terminal)
        self.bundles.prepare()
        user_range = self._ranges.range_for(spec.owner)
        record = self._record(spec, content.config, user_range.base)
        try:
            bundle.create(record)
        except FileExistsError:
            raise ContainerExists(
                f"The container {spec.id} exists",
                resolution="Remove it, or choose another id.",
            ) from None
        root = self._rootfs.mount(
            spec.id,
            content.layers,
            user_range,
            upper=content.upper,
            disk_bytes=spec.limits.disk_bytes,
        )
        if content.upper is None:
            spec = replace(
                spec, mounts=(*spec.mounts, *self._own_volumes(spec, content, user_range))
            )
        user = resolve_user(
            spec.user or content.config.user,
            inside.read(root, "/etc/passwd"),
            inside.read(root, "/etc/group"),
        )
        inside.check_command(
            root,
            spec.args[0],
            variables=environment_of(spec, content.config, user),
            cwd=spec.cwd or content.config.workdir,
            mounts=[mount.target for mount in spec.mounts],
        )
        for mount in spec.mounts:
            if mount.fill:
                owner = (user_range.base + user.uid, user_range.base + user.gid)
                fill(root, mount.target, mount.source, owner, self._locks)
        self._write_bound(record, bundle, None)
        bundle.write_config(
            oci_config(
                spec,
                content.config,
                user,
                user_range,
                root,
                self._facts(spec.id),
                files=bundle.bound_files(),
                nodes=devices.find(spec.devices),
            )
        )
        self.events.add("create", spec.id, image=spec.image, owner=spec.owner)
        return bundle

    def give_address(self, record: Record, bundle: Bundle) -> IPv4Address | None:
        """Choose its address, while the runtime makes the process that will have it."""
        if record.network != "private":
            return None
        ports = parse_all(record.publish)
        address = self._network.prepare(record.id, owner=record.owner, ports=ports)
        self._write_bound(record, bundle, str(address))
        return address

    def wire(self, record: Record, pid: int) -> None:
        """Connect a created container whose address is chosen."""
        if record.network == "private":
            self._network.wire(record.id, pid)

    def keep_memory(self, container_id: str) -> None:
        """Have a created container kept the memory that it reserves, from now on.

        What one reserved that is no more, the supervisor's next round takes away: until then
        it is shared out among all.
        """
        if self.reserved.by(container_id):
            self.reserved.settle()

    def end_run(self, bundle: Bundle) -> None:
        """Remove what is left of a run that ended, so that the container can run again.

        What it wrote, its address and its place stay.
        """
        self.cgroups.monitor(bundle.id).remove()
        self.cgroups.instance(bundle.id).remove()
        files.remove_tree(self._runtimes.state_of(bundle.id))
        bundle.forget_run()

    def destroy(self, container_id: str) -> None:
        """Remove all of a container in whatever state; nothing there is no error."""
        bundle = self.bundles.of(container_id)
        with bundle.alone():
            self._destroy(container_id, bundle)

    def _destroy(self, container_id: str, bundle: Bundle) -> None:
        known, live = bundle.record() is not None, bundle.live()
        self.cgroups.monitor(container_id).remove()
        if live is not None:
            live.init.signal(signal.SIGKILL)
        self.cgroups.instance(container_id).remove()
        # The kernel lets both wait for the other processors, and neither for each other.
        with ThreadPoolExecutor(1) as beside:
            detached = beside.submit(self._network.detach, container_id)
            files.remove_tree(self._runtimes.state_of(container_id))
            self._rootfs.unmount(container_id)
        detached.result()
        # Last: while it is there, `recover` and `list` know of the container.
        bundle.remove()
        if known:
            self.events.add("destroy", container_id)

    def leftovers(self) -> set[str]:
        """Ids of which something is mounted or on disk without a bundle: a restart was between."""
        return self._rootfs.leftovers() - {bundle.id for bundle in self.bundles}

    def _own_volumes(
        self, spec: ContainerSpec, content: Content, user_range: UserRange
    ) -> Iterator[Mount]:
        """A volume that goes with the container, for each of the image's that it was given none."""
        given = {posixpath.normpath(path) for path in spec.tmpfs}
        given |= {posixpath.normpath(mount.target) for mount in spec.mounts}
        whole = [posixpath.normpath(mount.target) for mount in spec.mounts if mount.whole]
        wanted = {posixpath.normpath(f"/{path.lstrip('/')}") for path in content.config.volumes}
        if len(wanted) > MOST_VOLUMES:
            raise InvalidImage(
                f"The image has {len(wanted)} volumes",
                resolution=f"Build it with at most {MOST_VOLUMES} of them.",
            )
        own = [
            path
            for path in sorted(wanted - given - {"/"})
            if not any(PurePosixPath(path).is_relative_to(each) for each in whole)
        ]
        for number, target in enumerate(own):
            place = self._rootfs.volume(spec.id, number, user_range)
            yield Mount(place, target, fill=True)

    def _facts(self, container_id: str) -> HostFacts:
        return host_facts(self.cgroups, container_id, self._seccomp)

    @cached_property
    def _seccomp(self) -> dict[str, object]:
        return seccomp.profile(capabilities.DEFAULT)

    def _write_bound(self, record: Record, bundle: Bundle, address: str | None) -> None:
        bundle.write_bound(
            hostname=record.hostname, address=address, resolver=self._resolver(record.network)
        )

    def _resolver(self, network: str) -> str:
        """The text of its /etc/resolv.conf."""
        if network == "none":
            return ""
        if network == "host":
            return Path("/etc/resolv.conf").read_text()
        return self._network.resolv_conf

    def _record(self, spec: ContainerSpec, config: ImageConfig, base: int) -> Record:
        health = in_shell(spec.healthcheck or config.healthcheck, config.shell)
        return Record(
            id=spec.id,
            image=spec.image,
            owner=spec.owner,
            base=base,
            labels=spec.labels,
            hostname=hostname_of(spec),
            network=spec.network,
            log=str(spec.log) if spec.log else None,
            stop_signal=spec.stop_signal,
            stop_timeout=spec.stop_timeout,
            created_at=self._clock.now(),
            keeper=Identity.current(),
            restart=str(spec.restart),
            healthcheck=health.to_json() if health else None,
            terminal=spec.terminal,
            stdin=spec.stdin,
            publish=list(spec.publish),
        )
