"""A whole engine to run containers with: real runtime, monitor, network, cgroups."""

from __future__ import annotations

import json
import os
import re
import secrets
import select
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paas.engine import logs
from paas.engine.bundler import Bundler
from paas.engine.config import ImageConfig
from paas.engine.container import Container, Status
from paas.engine.containers import Containers
from paas.engine.events import Event
from paas.engine.foreground import Foreground
from paas.engine.images import Image
from paas.engine.network import policy
from paas.engine.network.network import Network
from paas.engine.spec import ContainerSpec
from paas.engine.volumes import Volumes
from paas.host import netlink
from paas.host.cgroups import Cgroups
from paas.host.clock import SystemClock
from paas.host.files import remove_tree
from paas.host.firewall import Firewall
from tests.engine.storage import Storage

SECONDS = 60.0
"""Longer than anything in here takes."""

APPLETS = """
    sh cat ls id mkdir chown chmod rm sleep echo env touch ln mv stat dd true false tail mount
    unshare mknod kill ps hostname ping wget seq printf head sort ip nc
"""
PASSWD = "root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1000::/home/web:/bin/sh\n"
GROUP = "root:x:0:\nweb:x:1000:\nextra:x:2000:web\n"


INSTANCE = re.compile(r"10\.2[0-9]{2}\.(?:[1-9]|[1-9][0-9]|1[01][0-9]|12[0-7])\.[0-9]+(?![0-9./])")
"""An address that an instance may have; see `paas.engine.network.addresses`."""


@dataclass(frozen=True)
class Output:
    """What a one-off did."""

    code: int
    stdout: bytes
    stderr: bytes
    oom_killed: bool = False

    @property
    def text(self) -> str:
        return self.stdout.decode()


def end_sleep(cgroups: Cgroups, container: str) -> bool:
    """Kill the `sleep` that a container's shell waits for, which then goes on; False if it has
    not come to that yet."""
    pids = cgroups.instance(container).processes()
    sleeping = [pid for pid in pids if Path(f"/proc/{pid}/comm").read_text() == "sleep\n"]
    for pid in sleeping:
        os.kill(pid, signal.SIGKILL)
    return bool(sleeping)


class Machine:
    """An engine with one image of busybox; `destroy` leaves nothing on the machine."""

    def __init__(self, storage: Storage | None = None) -> None:
        self.storage = storage or Storage()
        self.layout = self.storage.layout
        self.clock = SystemClock()
        self.cgroups = Cgroups.detect(self.layout)
        self.network = Network(self.layout, self.storage.db)
        self.bundler = Bundler(
            self.layout,
            self.storage.rootfs,
            self.storage.ranges,
            self.network,
            self.cgroups,
            self.clock,
        )
        self.containers = Containers(self.bundler, self.storage.images, self.clock)
        self.foreground = Foreground(self.bundler, self.storage.images)
        self.volumes = Volumes(self.layout, self.storage.rootfs)
        self.logs = self.storage.root / "logs"
        self.told = 0
        """How many events are of earlier tests."""

    def prepare(self) -> None:
        self.network.ensure()
        self.logs.mkdir()
        self.image = self.make_image()

    def make_image(self, change: Callable[[Path], object] | None = None, **config: Any) -> Image:
        """busybox and two users, and what `change` does to them."""

        def write(upper: Path) -> None:
            for name in ("bin", "etc", "tmp", "root", "home/web"):
                (upper / name).mkdir(parents=True)
            (upper / "tmp").chmod(0o1777)
            (upper / "bin/busybox").write_bytes(Path("/usr/bin/busybox").read_bytes())
            (upper / "bin/busybox").chmod(0o755)
            for applet in APPLETS.split():
                (upper / "bin" / applet).symlink_to("busybox")
            (upper / "etc/passwd").write_text(PASSWD)
            (upper / "etc/group").write_text(GROUP)
            if change is not None:
                change(upper)

        return self.storage.images.add(ImageConfig(**config), [self.storage.layer(write)])

    def spec(self, *args: str, **more: Any) -> ContainerSpec:
        """A container of the image that runs `args`."""
        name = secrets.token_hex(6)
        values: dict[str, Any] = {
            "id": name,
            "image": self.image.id,
            "owner": "app:1",
            "args": args,
            "log": self.logs / f"{name}.log",
        }
        return ContainerSpec(**{**values, **more})

    @contextmanager
    def created(self, spec: ContainerSpec) -> Iterator[Container]:
        try:
            yield self.containers.create(spec)
        finally:
            self.containers.remove(spec.id)

    @contextmanager
    def running(self, *args: str, **more: Any) -> Iterator[Container]:
        """A started container, removed behind the block."""
        with self.created(self.spec(*args, **more)) as container:
            self.containers.start(container.id)
            yield container

    def ended(self, container: str) -> Status:
        """Its status when it has ended."""
        descriptor = self.containers.watch(container)
        try:
            poll = select.poll()
            poll.register(descriptor, select.POLLIN)
            assert poll.poll(SECONDS * 1000), "it still runs"
        finally:
            os.close(descriptor)
        return self.containers.status(container)

    def run(
        self, *args: str, stdin: bytes = b"", timeout_s: float | None = None, **more: Any
    ) -> Output:
        """Run a one-off on pipes; what it says must fit into them."""
        return self.on_pipes(
            lambda one, two, three: self.foreground.run(
                self.spec(*args, **more), one, two, three, None, timeout_s
            ),
            stdin,
        )

    def exec(self, container: str, *args: str, stdin: bytes = b"", **more: Any) -> Output:
        return self.on_pipes(
            lambda one, two, three: self.foreground.exec(container, args, one, two, three, **more),
            stdin,
        )

    def on_pipes(self, act: Callable[[int, int, int], Any], stdin: bytes = b"") -> Output:
        pipes = [os.pipe2(os.O_CLOEXEC) for _ in range(3)]
        (in_read, in_write), (out_read, out_write), (err_read, err_write) = pipes
        os.write(in_write, stdin)
        os.close(in_write)
        try:
            code = act(in_read, out_write, err_write)
        finally:
            for descriptor in (in_read, out_write, err_write):
                os.close(descriptor)
            streams = []
            for descriptor in (out_read, err_read):
                with os.fdopen(descriptor, "rb") as stream:
                    streams.append(stream.read())
        return Output(int(code), *streams, oom_killed=code.oom_killed)

    def log_of(self, container: str) -> list[str]:
        """The lines of a container's log."""
        return logs.tail(self.logs / f"{container}.log", 1000)

    def wait_for_line(self, container: str, text: str, times: int = 1) -> None:
        """Until the container wrote that many lines with `text`."""
        deadline = time.monotonic() + SECONDS
        while sum(text in line for line in self.log_of(container)) < times:
            assert time.monotonic() < deadline, self.log_of(container)
            time.sleep(0.01)

    def events(self, action: str = "") -> list[Event]:
        """What the journal tells of this test, of one action or all."""
        found = self.bundler.events.read()[self.told :]
        return [event for event in found if action in ("", event.action)]

    def traces(self) -> list[str]:
        """What containers left on the machine: mounts, directories, groups, links."""
        run = f"{self.layout.run}/"
        mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        places = (f"{run}rootfs/", f"{run}disks/", f"{self.layout.engine_fs}/u/")
        found = [path for path in mounts if path.startswith(places)]
        found += [str(path) for path in (self.layout.engine / "disks").glob("*")]
        for loop in Path("/sys/block").glob("loop*/loop/backing_file"):
            with suppress(OSError):
                # Its end is the kernel's own, a moment after the last mount's.
                backing = loop.read_text().strip()
                found += [backing] if backing.startswith(f"{self.layout.engine}/") else []
        for directory in ("containers", "oci", "rootfs/*", "disks"):
            # crun keeps compiled seccomp profiles beside its containers' states, for them all.
            paths = self.layout.run.glob(f"{directory}/*")
            found += [str(path) for path in paths if path.name != ".cache"]
        found += [str(path) for path in (self.layout.engine_fs / "u").glob("*")]
        for mount in set(self.cgroups.mounts.values()):
            base = mount / self.cgroups.base.strip("/")
            for kind in ("instances", "monitors"):
                found += [str(path) for path in (base / kind).glob("*") if path.is_dir()]
        return found + self._network_traces()

    def _network_traces(self) -> list[str]:
        """Addresses, published ports, links of the router, and what its tables lead to."""
        net = self.network
        found = [f"lease {lease.address}" for lease in net._leases.list()]
        found += [f"published {lead}" for lead in net.published.leads()]
        with netlink.inside(net._router.path), netlink.Netlink() as inside:
            # One that is down is cut off, and goes with the last process in its namespace.
            links = [link for link in inside.links() if link.name.startswith("i") and link.up]
            found += [f"link {link.name}" for link in links]
        tables = (
            (Firewall(net._router.path), f"list table ip {policy.TABLE}"),
            (Firewall(), f"list table ip {policy.host_table_name(self.layout.id)}"),
        )
        for firewall, command in tables:
            text = json.dumps(firewall.read(command))
            # Of an instance: neither in a set nor in a rule.
            found += [f"nft {address}" for address in sorted(set(INSTANCE.findall(text)))]
            firewall.close()
        return found

    def destroy(self) -> None:
        for container in self.containers.list():
            self.containers.remove(container.id)
        self.containers.recover()
        self.network.teardown()
        self.network.prefix.release()
        self.cgroups.remove()
        self.storage.destroy()
        remove_tree(self.layout.run)
