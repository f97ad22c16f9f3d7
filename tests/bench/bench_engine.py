"""The engine alone: one-offs beside the bare runtime, and a hundred instances at rest.

The floor is `runc run` on a fresh overlay of the same root filesystem, the same program
under the same limits, without a network: what a container costs whoever makes it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from paas.engine.containers import Containers
from paas.engine.spec import ContainerSpec
from paas.host import syscalls
from tests.bench.dockerd import PROGRAM, dockerd
from tests.bench.figures import Row, row, seconds
from tests.engine.machine import Machine
from tests.push.server import Server

TITLE = "the engine: one-offs, and a hundred instances"
ROUNDS = 25
DOCKER_ROUNDS = 8
INSTANCES = 100
PARALLEL = 4
"""As a deploy starts them."""

MIB = 1 << 20


def measure(_server: Server) -> Sequence[Row]:
    """Measure both on an engine of its own."""
    machine = Machine()
    try:
        machine.prepare()
        return [*one_offs(machine), *hundred(machine)]
    finally:
        machine.destroy()


def one_offs(machine: Machine) -> list[Row]:
    """Ours and the floor in turns, so that what else the machine does hits both."""
    ours, floor = [], []
    with bare_runc(machine) as bare:
        for number in range(ROUNDS + 2):
            one, other = seconds(lambda: machine.run("true")), seconds(bare)
            if number >= 2:
                ours.append(one)
                floor.append(other)
    ratios = [one / other for one, other in zip(ours, floor, strict=True)]
    return [
        row("start, true, remove", ours),
        row("runc run, fresh overlay", floor),
        row("ratio", ratios, unit="x", target=1.5),
        *beside_docker(machine),
    ]


def beside_docker(machine: Machine) -> list[Row]:
    """`docker run --rm` of the same root in turns with ours, where docker is."""
    if PROGRAM is None:
        return []
    ours, theirs = [], []
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="paas-bench-") as name:
        folder = Path(name)
        root = machine.storage.layers.path(machine.image.layers[0])
        subprocess.run(["tar", "-C", root, "-cf", folder / "root.tar", "."], check=True)
        with dockerd(folder) as docker:
            docker.run("import", str(folder / "root.tar"), "same")
            # A host may give no more than it has (no CAP_SYS_RESOURCE).
            words = ("run", "--rm", "--ulimit", "nofile=1024:1024", "same", "/bin/true")
            for number in range(DOCKER_ROUNDS + 1):
                one, other = (
                    seconds(lambda: machine.run("true")),
                    seconds(lambda: docker.run(*words)),
                )
                if number:
                    ours.append(one)
                    theirs.append(other)
    ratios = [one / other for one, other in zip(ours, theirs, strict=True)]
    return [
        row("docker run --rm", theirs),
        row("ours / docker", ratios, unit="x", target=0.2),
    ]


@contextmanager
def bare_runc(machine: Machine) -> Iterator[Callable[[], None]]:
    """A function that runs `true` with runc alone."""
    folder = machine.storage.root / "bare"
    root, spec = folder / "rootfs", machine.spec("true", network="none")
    root.mkdir(parents=True)
    with machine.created(spec):
        document = json.loads((machine.layout.containers / spec.id / "config.json").read_text())
    document["root"]["path"] = str(root)
    kept = [mount for mount in document["mounts"] if not mount["source"].startswith("/run/")]
    document["mounts"] = [mount for mount in kept if mount["type"] != "bind"]
    document["process"]["args"] = ["/bin/true"]
    document["linux"] = {**document["linux"], "uidMappings": [], "gidMappings": []}
    kinds = [one for one in document["linux"]["namespaces"] if one["type"] != "user"]
    document["linux"]["namespaces"] = kinds
    document["linux"].pop("sysctl", None)
    document["linux"]["cgroupsPath"] = f"/{machine.layout.id}/bare"
    (folder / "config.json").write_text(json.dumps(document))
    lower = machine.storage.layers.path(machine.image.layers[0])

    def run() -> None:
        upper, work = folder / "upper", folder / "work"
        upper.mkdir()
        work.mkdir()
        data = f"lowerdir={lower},upperdir={upper},workdir={work}"
        syscalls.mount("bare", root, "overlay", 0, data)
        try:
            subprocess.run(
                ["runc", "--root", str(folder / "state"), "run", "--bundle", str(folder), "bare"],
                check=True, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        finally:
            syscalls.umount(root)
            shutil.rmtree(upper)
            shutil.rmtree(work)

    yield run


def hundred(machine: Machine) -> list[Row]:
    """Start them as a deploy does, look at what they cost, and adopt them again."""
    specs = [machine.spec("sleep", "3600") for _ in range(INSTANCES)]

    def start(spec: ContainerSpec) -> None:
        machine.containers.create(spec)
        machine.containers.start(spec.id)

    def start_all() -> None:
        with ThreadPoolExecutor(PARALLEL) as pool:
            list(pool.map(start, specs))

    started = seconds(start_all)
    monitors = [pss(pid) for one in specs for pid in machine.cgroups.monitor(one.id).processes()]
    overhead = sum(monitors) / INSTANCES / MIB
    adopted = seconds(lambda: adopt(machine))
    removed = seconds(lambda: [machine.containers.remove(one.id) for one in specs])
    return [
        row("start 100", [started], target=15),
        row("monitor and more, of each", [overhead], unit="MiB PSS", target=2.5),
        row("adopt 100", [adopted], target=2),
        row("remove 100, one by one", [removed]),
    ]


def adopt(machine: Machine) -> None:
    """What a new supervisor does before it looks at apps: recover, and watch each end."""
    containers = Containers(machine.bundler, machine.storage.images, machine.clock)
    assert containers.recover() == []
    for container in containers.list():
        os.close(containers.watch(container.id))


def pss(pid: int) -> int:
    """Proportional set size in bytes: proc_pid_smaps(5), smaps_rollup. None of what has ended."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    line = next(line for line in text.splitlines() if line.startswith("Pss:"))
    return int(line.split()[1]) * 1024
