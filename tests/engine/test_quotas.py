"""Quotas of volumes, on file systems of their own that have them or do not.

A kernel without quotas (CONFIG_QFMT_V2) mounts none that has them: there it is shown to say so, and
the rest is shown on those of the distributions.
"""

from __future__ import annotations

import errno
import fcntl
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from paas.deploy.storage import Storage
from paas.engine.engine import Engine
from paas.engine.quotas import FIRST
from paas.engine.volumes import Volumes
from paas.host import kernel, projects
from paas.model.limits import MIB
from tests.engine.machine import Machine
from tests.engine.storage import Storage as Layers
from tests.engine.storage import inside
from tests.killing import deaths
from tests.push.outcome import eventually
from tests.unit.cli.caller import Paas

MAKE = {
    "plain": ["mke2fs", "-q", "-F", "-t", "ext4"],
    "ext4": ["mke2fs", "-q", "-F", "-t", "ext4", "-O", "project,quota"],
    "xfs": ["mkfs.xfs", "-q"],
}
ABLE = not kernel.lacks("QFMT_V2")
KINDS = ["ext4", *(["xfs"] if shutil.which("mkfs.xfs") else [])]


@dataclass
class Disk:
    """A file system of a kind in a file, mounted at `top`."""

    kind: str
    folder: Path

    @property
    def top(self) -> Path:
        return self.folder / "top"

    @property
    def image(self) -> Path:
        return self.folder / "image"

    def make(self) -> None:
        self.top.mkdir()
        with self.image.open("wb") as file:
            file.truncate(512 * MIB)
        subprocess.run([*MAKE[self.kind], self.image], check=True)

    def mount(self, *options: str) -> bool:
        """Whether the kernel takes it."""
        words = ",".join(("loop", *options))
        done = subprocess.run(["mount", "-o", words, self.image, self.top], capture_output=True)
        return done.returncode == 0

    def unmount(self) -> None:
        subprocess.run(["umount", self.top], check=True)

    def used(self) -> list[projects.Usage]:
        """The projects of ours that have files, as the kernel counts them."""
        return [one for one in self.known() if one.inodes]

    def limits(self) -> list[int]:
        """The bounds that the kernel keeps, of projects with or without files."""
        return [one.limit for one in self.known() if one.limit]

    def known(self) -> list[projects.Usage]:
        """The projects of ours that the kernel has anything of."""
        found, project = [], FIRST
        top = os.open(self.top, os.O_RDONLY)
        while one := projects.next_known(top, project):
            found.append(one)
            project = one.project + 1
        os.close(top)
        return found


def disk(kind: str, *options: str) -> Iterator[Disk | None]:
    """Mounted; None where this kernel mounts none with quotas."""
    with tempfile.TemporaryDirectory(prefix="paas-test-", dir="/var/tmp") as folder:
        made = Disk(kind, Path(folder))
        made.make()
        mounted = made.mount(*options)
        assert mounted or (options and not ABLE)
        try:
            yield made if mounted else None
        finally:
            if mounted:
                made.unmount()


@pytest.fixture(scope="module")
def plain() -> Iterator[Disk]:
    for made in disk("plain"):
        assert made is not None
        yield made


@pytest.fixture(scope="module", params=KINDS)
def bounded(request: pytest.FixtureRequest) -> Iterator[Disk | None]:
    yield from disk(request.param, "prjquota")


def paas_on(place: Path) -> Iterator[Paas]:
    """The commands of storage, with the volumes below a place."""
    with tempfile.TemporaryDirectory(dir=place) as folder:
        paas = Paas(Path(folder))
        engine = Engine(paas.layout)
        paas.platform.storage = Storage(paas.store, engine)
        for app in ("shop", "other"):
            paas.store.apps.create(app)
        try:
            yield paas
        finally:
            engine.rootfs.teardown()
            engine.database.close()
            paas.store.close()


@pytest.fixture
def paas(bounded: Disk | None) -> Iterator[Paas | None]:
    if bounded is None:
        yield None
        return
    yield from paas_on(bounded.top)
    # XFS counts the inodes of what was removed for another moment.
    eventually(lambda: not bounded.used())


@pytest.fixture
def unable(plain: Disk) -> Iterator[Paas]:
    yield from paas_on(plain.top)


def volume(paas: Paas, name: str = "data") -> Path:
    return paas.layout.engine_fs / "volumes" / f"storage.{name}"


def shown(paas: Paas, name: str = "data") -> tuple[int, int | None]:
    """What is told of its bytes and its quota."""
    told = json.loads(paas("storage:info", name, "--format", "json").out)
    return told["bytes"], told["quota"]


def limit(paas: Paas, name: str = "data") -> int:
    """The kernel's own bound."""
    usage = paas.platform.storage._volumes.usage(f"storage.{name}")
    return usage.limit if usage else 0


def swept(paas: Paas, bounded: Disk) -> list[int]:
    """The bounds that the kernel keeps behind a supervisor's round."""
    paas.platform.storage.sweep()
    return bounded.limits()


def tar_of(size: int) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        entry = tarfile.TarInfo("file")
        entry.size = size
        tar.addfile(entry, io.BytesIO(os.urandom(size)))
    return stream.getvalue()


def refused(act: Callable[[], object]) -> bool:
    """Whether the kernel lets nothing more be written."""
    with pytest.raises(OSError) as caught:
        act()
    return caught.value.errno in (errno.EDQUOT, errno.ENOSPC)


def as_nobody(place: Path, script: str) -> None:
    """Run Python as a container's user does, who may not pass any quota (`capabilities(7)`)."""
    done = subprocess.run(
        ["/usr/bin/python3", "-c", script],
        cwd=place, user=65534, group=65534, extra_groups=(), capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        quota = "Disk quota exceeded" in done.stderr
        assert quota or "No space left on device" in done.stderr, done.stderr
        raise OSError(errno.EDQUOT if quota else errno.ENOSPC, done.stderr)


def write(place: Path, size: int, name: str = "file") -> None:
    """Write a file as a container's user does."""
    as_nobody(place, f"open({name!r}, 'wb').write(b'x' * {size})")


# -- where there are none ---------------------------------------------------------------------


def test_without_them_it_is_refused_with_what_they_take(unable: Paas) -> None:
    said = unable("storage:create", "data", "--quota", "5g")
    assert said.code == 1
    if ABLE:
        assert "was made without project quotas" in said.err
        assert "run tune2fs -O project,quota /dev/loop" in said.err
        assert "with the option prjquota in /etc/fstab" in said.err
    else:
        assert "this kernel was made without them (CONFIG_QFMT_V2)" in said.err
    assert unable.store.storage.list() == []
    assert list(volume(unable).parent.iterdir()) == []


def test_a_refused_change_changes_nothing(unable: Paas) -> None:
    assert unable("storage:create", "data").code == 0
    said = unable("storage:set", "data", "quota", "5g")
    assert said.code == 1
    assert ("without project quotas" if ABLE else "CONFIG_QFMT_V2") in said.err
    assert shown(unable) == (0, None)
    assert unable("storage:set", "data", "size", "5m").code == 0
    assert unable.store.storage.get("data").bytes == 5 * MIB
    assert unable("storage:set", "data", "size").code == 0
    assert unable.store.storage.get("data").bytes is None
    assert "There is no property 'color'" in unable("storage:set", "data", "color", "red").err
    assert "less than a volume takes" in unable("storage:set", "data", "quota", "9k").err


def test_a_volume_that_lost_its_quota_is_told(unable: Paas) -> None:
    """As after a move to another disk."""
    assert unable("storage:create", "data").code == 0
    unable.store._db.execute("UPDATE volumes SET quota = 1048576")
    assert unable.platform.storage.unbounded() == ["data"]


# -- where there are --------------------------------------------------------------------------


def test_a_volume_takes_no_more_than_its_quota_and_no_other_pays(paas: Paas | None) -> None:
    if paas is None:
        return
    for name in ("data", "other"):
        assert paas("storage:create", name, "--quota", "8m", "--mode", "777").code == 0
    assert refused(lambda: write(volume(paas), 9 * MIB))
    used, quota = shown(paas)
    assert (quota, limit(paas)) == (8 * MIB, 8 * MIB)
    assert 7 * MIB < used <= 8 * MIB
    write(volume(paas, "other"), 7 * MIB)
    (volume(paas) / "file").unlink()
    write(volume(paas), 7 * MIB)
    [_, data, other] = paas("storage:list", "--quiet").lines
    assert data.split()[3:5] == other.split()[3:5] == ["8.4", "MB"]


def test_files_without_anything_in_them_are_bounded_too(paas: Paas | None) -> None:
    if paas is None:
        return
    assert paas("storage:create", "data", "--quota", "1m", "--mode", "777").code == 0

    script = "for number in range(300): open(str(number), 'x')"
    assert refused(lambda: as_nobody(volume(paas), script))
    assert len(list(volume(paas).iterdir())) == 255


def test_what_a_volume_has_counts_from_the_start(paas: Paas | None) -> None:
    if paas is None:
        return
    assert paas("storage:create", "data", "--mode", "777").code == 0
    deep = volume(paas).joinpath(*["d"] * 80)
    deep.mkdir(parents=True)
    (deep / "file").write_bytes(b"x" * 2 * MIB)
    (volume(paas) / "link").symlink_to("/etc/passwd")
    os.mkfifo(volume(paas) / "pipe")
    said = paas("storage:set", "data", "quota", "1m")
    assert "bytes already, more than 1,048,576" in said.err
    assert (shown(paas)[1], limit(paas)) == (None, 0)
    assert paas("storage:set", "data", "quota", "4m").code == 0
    assert 2 * MIB <= shown(paas)[0] < 3 * MIB
    file = os.open(deep / "file", os.O_RDONLY)
    assert projects.of(file) >= FIRST
    os.close(file)
    passwd = os.open("/etc/passwd", os.O_RDONLY)
    assert projects.of(passwd) == 0
    os.close(passwd)
    assert refused(lambda: write(volume(paas), 3 * MIB, "more"))
    assert paas("storage:set", "data", "quota").code == 0
    assert (shown(paas)[1], limit(paas)) == (None, 0)
    write(volume(paas), 3 * MIB, "more")


def test_a_quota_outlives_a_restart_of_the_machine(paas: Paas | None, bounded: Disk | None) -> None:
    if paas is None or bounded is None:
        return
    assert paas("storage:create", "data", "--quota", "4m", "--mode", "777").code == 0
    write(volume(paas), 3 * MIB)
    subprocess.run(["sync", "-f", bounded.top], check=True)
    image = bounded.folder / "again"
    subprocess.run(["cp", "--sparse=always", bounded.image, image], check=True)
    again = Disk(bounded.kind, bounded.folder / "second")
    again.folder.mkdir()
    again.top.mkdir()
    image.rename(again.image)
    # Two of one name, of XFS, are not mounted at once.
    assert again.mount("prjquota", *(["nouuid"] if again.kind == "xfs" else []))
    try:
        [known] = again.used()
        assert known.limit == 4 * MIB
        assert 3 * MIB <= known.bytes < 4 * MIB
        where = again.top / volume(paas).relative_to(bounded.top)
        assert refused(lambda: write(where, 2 * MIB, "more"))
    finally:
        again.unmount()
        shutil.rmtree(again.folder)


def test_a_volume_out_of_an_archive_counts_from_the_start(
    paas: Paas | None, bounded: Disk | None
) -> None:
    """As on another machine: tar brings the attribute of the project, and no project."""
    if paas is None or bounded is None:
        return
    assert paas("storage:create", "data", "--quota", "8m", "--mode", "777").code == 0
    write(volume(paas), 2 * MIB)
    archive = paas.layout.root / "archive"
    tar = ["tar", "-C", volume(paas).parent, "--xattrs", "--xattrs-include=*", "-f", archive]
    subprocess.run([*tar, "-c", volume(paas).name], check=True)
    shutil.rmtree(volume(paas))
    eventually(lambda: not bounded.used())
    subprocess.run([*tar, "-x"], check=True)
    assert paas.platform.storage.unbounded() == ["data"]

    assert swept(paas, bounded) == [8 * MIB]
    assert paas.platform.storage.unbounded() == []
    assert 2 * MIB <= shown(paas)[0] < 3 * MIB
    assert refused(lambda: write(volume(paas), 7 * MIB, "more"))


def test_a_restored_volume_keeps_its_quota_and_takes_no_more(paas: Paas | None) -> None:
    if paas is None:
        return
    assert paas("storage:create", "data", "--quota", "4m", "--mode", "777").code == 0
    # What there is until it is replaced does not count for what replaces it.
    assert paas("storage:import", "data", input=tar_of(3 * MIB)).code == 0
    assert paas("storage:import", "data", "--force", input=tar_of(3 * MIB + 5)).code == 0
    said = paas("storage:import", "data", "--force", input=tar_of(5 * MIB))
    assert "could not be copied" in said.err
    [file] = volume(paas).iterdir()
    assert (file.stat().st_size, limit(paas)) == (3 * MIB + 5, 4 * MIB)
    assert refused(lambda: write(volume(paas), 2 * MIB, "more"))


def test_no_project_is_anothers_before_its_files_are_gone(
    paas: Paas | None, bounded: Disk | None
) -> None:
    if paas is None or bounded is None:
        return
    for name in ("one", "two"):
        assert paas("storage:create", name, "--quota", "4m").code == 0
    assert [one.project for one in bounded.used()] == [FIRST, FIRST + 1]
    with (volume(paas, "one") / "held").open("wb") as held:
        held.write(b"x" * MIB)
        held.flush()
        os.fsync(held.fileno())
        assert paas("storage:destroy", "one", "--force").code == 0
        # The file is open, and counts: its project is still its own.
        assert paas("storage:create", "three", "--quota", "8m").code == 0
        assert [one.project for one in bounded.used()] == [FIRST, FIRST + 1, FIRST + 2]
    eventually(lambda: swept(paas, bounded) == [4 * MIB, 8 * MIB])
    assert paas("storage:create", "four", "--quota", "2m").code == 0
    assert bounded.limits() == [2 * MIB, 4 * MIB, 8 * MIB]


def test_made_by_who_is_killed_it_is_whole_or_not_there(
    paas: Paas | None, bounded: Disk | None
) -> None:
    if paas is None or bounded is None:
        return
    steps = 0
    for steps in deaths(lambda: paas("storage:create", "data", "--quota", "4m")):
        there = [one.name for one in paas.store.storage.list()]
        eventually(lambda there=there: swept(paas, bounded) == [4 * MIB for _ in there])
        assert len(list(volume(paas).parent.glob("*"))) == len(there), steps
        if there:
            assert paas("storage:destroy", "data", "--force").code == 0
    assert steps > 8


def test_destroyed_by_who_is_killed_it_is_gone_or_bounded(
    paas: Paas | None, bounded: Disk | None
) -> None:
    if paas is None or bounded is None:
        return
    make = ("storage:create", "data", "--quota", "4m")
    assert paas(*make).code == 0
    steps = 0
    for steps in deaths(lambda: paas("storage:destroy", "data", "--force")):
        there = [one.name for one in paas.store.storage.list()]
        eventually(lambda there=there: swept(paas, bounded) == [4 * MIB for _ in there])
        if not there:
            assert paas(*make).code == 0, steps
    assert steps > 5
    eventually(lambda: swept(paas, bounded) == [])


def test_a_change_by_who_is_killed_is_the_one_or_the_other(paas: Paas | None) -> None:
    if paas is None:
        return

    def make() -> None:
        assert paas("storage:create", "data").code == 0
        (volume(paas) / "inner").mkdir()
        (volume(paas) / "inner/file").write_bytes(b"x" * MIB)

    make()
    steps = 0
    for steps in deaths(lambda: paas("storage:set", "data", "quota", "4m")):
        paas.platform.storage.sweep()
        wanted = paas.store.storage.get("data").quota
        assert limit(paas) == (wanted or 0), steps
        assert paas.platform.storage.unbounded() == [], steps
        assert paas("storage:destroy", "data", "--force").code == 0
        make()
    assert steps > 5
    assert limit(paas) == 4 * MIB
    assert 1 * MIB <= shown(paas)[0] < 2 * MIB


# -- in containers ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bounded_machine(bounded: Disk | None) -> Iterator[Machine | None]:
    """An engine whose volumes are on that disk."""
    if bounded is None:
        yield None
        return
    root = bounded.top / "engine"
    root.mkdir()
    machine = Machine(Layers(root))
    try:
        machine.prepare()
        yield machine
    finally:
        machine.destroy()


def test_apps_that_share_a_volume_share_its_quota(bounded_machine: Machine | None) -> None:
    """A clone has the volumes of the app that it is of."""
    machine = bounded_machine
    if machine is None:
        return
    image = machine.make_image(lambda upper: (upper / "data").mkdir())
    machine.volumes.create("data", quota=8 * MIB)
    for owner, code in (("app:1", 0), ("app:2", 1)):
        user_range = machine.storage.ranges.range_for(owner)
        mount = machine.volumes.mount("data", user_range, "/data", fill=True)
        script = f"dd if=/dev/zero of=/data/{owner[-1]} bs=1M count=5 && df -k /data"
        done = machine.run(
            "sh", "-c", script, image=image.id, owner=owner, mounts=(mount,)
        )  # fmt: skip
        assert done.code == code, done
        if code:
            said = done.stderr.decode()
            assert "Disk quota exceeded" in said or "No space left on device" in said
    usage = machine.volumes.usage("data")
    assert usage is not None
    assert 7 * MIB < usage.bytes <= usage.limit == 8 * MIB
    # What is written outside of it, and to other volumes, is not touched.
    assert machine.run("sh", "-c", "dd if=/dev/zero of=/x bs=1M count=12").code == 0
    machine.volumes.remove("data")


def test_an_images_files_in_a_volume_count(bounded_machine: Machine | None) -> None:
    machine = bounded_machine
    if machine is None:
        return

    def seed(upper: Path) -> None:
        (upper / "data").mkdir()
        (upper / "data/large").write_bytes(os.urandom(5 * MIB))

    image = machine.make_image(seed)
    for size, code in ((4 * MIB, None), (8 * MIB, 0)):
        machine.volumes.create("seeded", quota=size)
        mount = machine.volumes.mount("seeded", machine.storage.range, "/data", fill=True)
        if code is None:
            with pytest.raises(Exception, match="could not be copied"):
                machine.run("true", image=image.id, mounts=(mount,))
        else:
            assert machine.run("true", image=image.id, mounts=(mount,)).code == code
            usage = machine.volumes.usage("seeded")
            assert usage is not None
            assert 5 * MIB <= usage.bytes <= usage.limit
        machine.volumes.remove("seeded")


def test_a_container_cannot_leave_its_project(bounded_machine: Machine | None) -> None:
    machine = bounded_machine
    if machine is None:
        return
    path = machine.volumes.create("data", quota=8 * MIB)
    tree = machine.storage.rootfs.idmapped(machine.storage.range) / "volumes"

    def leave() -> None:
        place = os.open("/data", os.O_RDONLY)
        for flags, project in ((0x200, 0), (0x200, FIRST + 7), (0, FIRST)):
            attributes = projects._ATTRIBUTES.pack(flags, 0, 0, project, 0)
            with pytest.raises(OSError) as caught:
                fcntl.ioctl(place, projects._SET, attributes)
            assert caught.value.errno in (errno.EINVAL, errno.EPERM), caught.value
        with pytest.raises(OSError, match="quotactl_fd: Operation not permitted"):
            projects.limit(place, FIRST, 0, 0)

    inside(machine.storage.range, tree, leave)
    usage = machine.volumes.usage("data")
    assert usage is not None
    assert usage.limit == 8 * MIB
    assert path.is_dir()
    machine.volumes.remove("data")


def test_volumes_of_a_stopped_engine_are_bounded_by_the_next(
    bounded_machine: Machine | None,
) -> None:
    machine = bounded_machine
    if machine is None:
        return
    machine.volumes.create("data", quota=8 * MIB)
    usage = Volumes(machine.layout, machine.storage.rootfs).usage("data")
    assert usage is not None
    assert usage.limit == 8 * MIB
    machine.volumes.remove("data")
