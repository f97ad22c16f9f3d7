"""Volumes: what they begin with, who owns what, how they are copied, and what leads nowhere."""

from __future__ import annotations

import io
import os
import re
import signal
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import FrameType

import pytest

from paas.engine import fill
from paas.engine.config import InvalidImage
from paas.engine.confined import CopyFailed
from paas.engine.spec import Mount
from paas.engine.volumes import NoSuchDirectory, UnsafePath, VolumeNotFound
from paas.model.limits import MIB, Limits
from tests.engine.machine import Machine
from tests.killing import forked, killed_at

LIST = "ls -ln /data | tail -n +2 | sort -k9"


@pytest.fixture
def volume(machine: Machine) -> Iterator[Callable[..., Mount]]:
    """Mounts of one volume, for containers of two apps in turn."""
    machine.volumes.create("data")

    def mount(**more: object) -> Mount:
        owner = str(more.pop("owner", "app:1"))
        user_range = machine.storage.ranges.range_for(owner)
        return machine.volumes.mount("data", user_range, "/data", **more)  # type: ignore[arg-type]

    yield mount
    machine.volumes.remove("data")


def with_data(upper: Path) -> None:
    data = upper / "data"
    data.mkdir()
    (data / "seed").write_text("from the image")
    (data / "seed").chmod(0o640)
    (data / "link").symlink_to("/etc/shadow")
    for path in (data, data / "seed"):
        os.chown(path, 1000, 2000)
    data.chmod(0o750)


def tar_of(*members: tuple[str, bytes], **more: object) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in members:
            entry = tarfile.TarInfo(name)
            entry.size, entry.uid, entry.gid = len(content), 1000, 1000
            for key, value in more.items():
                setattr(entry, key, value)
            archive.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def replaced(machine: Machine, data: bytes) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        machine.volumes.replace("data", file.fileno())


def test_a_new_volume_begins_with_the_images_files_once(
    machine: Machine, volume: Callable[..., Mount]
) -> None:
    image = machine.make_image(with_data)
    run = {"image": image.id, "user": "1000:2000"}
    shown = machine.run("sh", "-c", f"{LIST}; stat -c '%a %u:%g' /data", mounts=(
        volume(fill=True),), **run).text  # fmt: skip
    assert "1000     2000" in shown
    assert shown.splitlines()[-1] == "750 1000:2000"
    assert machine.run(
        "sh", "-c", "cat /data/seed; rm /data/*", mounts=(volume(fill=True),), **run
    ).text == "from the image"  # fmt: skip
    # Emptied on purpose: it stays empty, for another image's app too.
    more = {"mounts": (volume(fill=True, owner="app:2"),), "owner": "app:2"}
    assert machine.run("ls", "/data", **{**run, **more}).text == ""
    assert machine.volumes.list() == ["data"]


def test_without_files_in_the_image_it_is_the_users(
    machine: Machine, volume: Callable[..., Mount]
) -> None:
    out = machine.run(
        "sh", "-c", "echo kept > /data/a; stat -c %u:%g /data/a", user="web", mounts=(
        volume(fill=True),)
    )  # fmt: skip
    assert (out.code, out.text) == (0, "1000:1000\n")
    # The next instance, under another range of ids, finds it as its own.
    more = {"mounts": (volume(owner="app:2"),), "owner": "app:2", "user": "web"}
    assert machine.run("sh", "-c", "cat /data/a; echo >> /data/a && echo ok", **more).text == (
        "kept\nok\n"
    )


@pytest.mark.parametrize("disk", [None, 32 * MIB], ids=["", "disk"])
def test_volumes_of_the_image_are_the_containers_own(machine: Machine, disk: int | None) -> None:
    """Whatever the root is: written to, kept while it exists, and no part of what it changed."""
    image = machine.make_image(with_data, volumes=("/data", "cache/", "/"), user="1000:2000")
    script = (
        "cat /data/seed; echo; echo more >> /data/seed; touch /cache/x && stat -c %u:%g /cache/x"
    )
    spec = machine.spec(
        "sh", "-c", script, image=image.id, read_only=True, limits=Limits(disk_bytes=disk)
    )
    with machine.created(spec) as container:
        for _ in range(2):
            machine.containers.start(container.id)
            assert machine.ended(container.id).exit_code == 0
        assert machine.log_of(container.id) == [
            "from the image", "1000:2000", "from the imagemore", "", "1000:2000",
        ]  # fmt: skip
        written = machine.storage.rootfs.written(container.id)
        assert not (written / "data").exists()
    # A tmpfs or another volume at its place comes instead.
    shown = machine.run("ls", "/data", image=image.id, tmpfs={"/data": MIB})
    assert (shown.code, shown.text) == (0, "")


@pytest.mark.parametrize("declared", ["/data/inner", "data/inner/deep/", "/data/inner/../inner"])
def test_what_the_image_declares_within_a_volume_is_lost_with_the_container_unless_it_is_whole(
    machine: Machine, volume: Callable[..., Mount], declared: str
) -> None:
    """As in Docker: and where all of it has to last, it is a part of the volume."""
    image = machine.make_image(volumes=(declared, "/database"), user="0:0")
    write = f"mkdir -p /{declared.strip('/')} && touch /{declared.strip('/')}/row /database/x"
    where = machine.layout.engine_fs / "volumes/data/inner"
    for whole, kept in ((False, []), (True, ["row"])):
        mount = replace(volume(), whole=whole)
        assert machine.run("sh", "-c", write, image=image.id, mounts=(mount,)).code == 0
        assert [path.name for path in where.rglob("*") if path.is_file()] == kept
        # What only begins with the same letters is not within it.
        shown = machine.run("cat", "/proc/self/mounts", image=image.id, mounts=(mount,))
        assert " /database " in shown.text


def test_an_image_of_very_many_volumes_is_refused(machine: Machine) -> None:
    image = machine.make_image(volumes=tuple(f"/v{number}" for number in range(65)))
    with pytest.raises(InvalidImage, match="has 65 volumes"):
        machine.run("true", image=image.id)
    assert machine.traces() == []


def test_a_volume_whose_place_in_the_image_is_a_link_out_of_it_gets_nothing_of_the_host(
    machine: Machine, volume: Callable[..., Mount]
) -> None:
    image = machine.make_image(lambda upper: (upper / "data").symlink_to("/../../etc"))
    machine.run("true", image=image.id, mounts=(volume(fill=True),))
    names = {path.name for path in (machine.layout.engine_fs / "volumes/data").iterdir()}
    # /etc of the image, and not the host's.
    assert names <= {"passwd", "group", "hosts", "hostname", "resolv.conf", "mtab"}


def test_read_only_and_a_part_of_it(machine: Machine, volume: Callable[..., Mount]) -> None:
    part = volume(subpath="a/b")
    assert machine.run("sh", "-c", "echo x > /data/f", mounts=(part,)).code == 0
    assert machine.run("sh", "-c", "ls /data/a/b", mounts=(volume(),)).text == "f\n"
    refused = machine.run("sh", "-c", "echo y > /data/g", mounts=(volume(read_only=True),))
    assert b"Read-only file system" in refused.stderr
    refused = machine.run("rm", "/data/f", mounts=(volume(subpath="a/b", read_only=True),))
    assert b"Read-only file system" in refused.stderr


@pytest.mark.parametrize("subpath", ["link", "link/inner", "../x", "/etc", "file"])
def test_a_part_that_leads_elsewhere_is_refused(
    machine: Machine, volume: Callable[..., Mount], subpath: str
) -> None:
    where = machine.layout.engine_fs / "volumes/data"
    (where / "link").symlink_to("/etc")
    (where / "file").touch()
    with pytest.raises(UnsafePath):
        volume(subpath=subpath)


def test_a_part_that_becomes_a_link_later_stays_what_it_was(
    machine: Machine, volume: Callable[..., Mount]
) -> None:
    pinned = volume(subpath="part")
    where = machine.layout.engine_fs / "volumes/data"
    (where / "part").rename(where / "moved")
    (where / "part").symlink_to("/etc")
    assert machine.run("ls", "/data", mounts=(pinned,)).text == ""


def test_a_directory_of_the_host_has_its_own_owners_inside(machine: Machine) -> None:
    folder = machine.storage.root / "shared"
    folder.mkdir()
    os.chown(folder, 1000, 1000)
    user_range = machine.storage.ranges.range_for("app:1")
    mount = machine.volumes.bind(folder, user_range, "/data")
    out = machine.run("sh", "-c", "stat -c %u /data; echo x > /data/f", user="web", mounts=(mount,))
    assert (out.code, out.text) == (0, "1000\n")
    assert (folder / "f").stat().st_uid == 1000
    with pytest.raises(NoSuchDirectory, match="No such file"):
        machine.volumes.bind(folder / "no", user_range, "/data")


def test_it_is_copied_out_and_in_with_its_owners(
    machine: Machine, volume: Callable[..., Mount]
) -> None:
    replaced(machine, tar_of(("./deep", b""), type=tarfile.DIRTYPE, mode=0o700))
    where = machine.layout.engine_fs / "volumes/data"
    (where / "deep/file").write_text("content")
    os.chown(where / "deep/file", 33, 44)
    (where / "deep/out").symlink_to("/etc/passwd")
    with tempfile.TemporaryFile() as file:
        machine.volumes.export("data", file.fileno())
        (where / "later").touch()
        file.seek(0)
        machine.volumes.replace("data", file.fileno())
    assert sorted(path.name for path in where.rglob("*")) == ["deep", "file", "out"]
    status = (where / "deep/file").stat()
    assert (status.st_uid, status.st_gid) == (33, 44)
    assert (where / "deep/out").readlink() == Path("/etc/passwd")
    assert machine.run("cat", "/data/deep/file", mounts=(volume(fill=True),)).text == "content"


@pytest.mark.parametrize(
    "archive",
    [
        b"",
        b"this is no archive" * 100,
        tar_of(("a", b"x" * 5000))[:3000],
        tar_of(("../out", b"x")),
        tar_of(("sneaky", b"")) + b"junk" * 512,
    ],
    ids=["empty", "no-tar", "truncated", "climbs", "junk-behind"],
)
def test_what_cannot_be_read_changes_nothing(
    machine: Machine, volume: Callable[..., Mount], archive: bytes
) -> None:
    where = machine.layout.engine_fs / "volumes/data"
    (where / "kept").write_text("kept")
    if archive.endswith(b"junk"):
        # As with tar(1), what is behind the end of the archive is not looked at.
        replaced(machine, archive)
        assert [path.name for path in where.iterdir()] == ["sneaky"]
        return
    with pytest.raises(CopyFailed):
        replaced(machine, archive)
    assert [path.name for path in where.iterdir()] == ["kept"]
    assert [path.name for path in where.parent.iterdir()] == ["data"]
    assert not (machine.layout.engine_fs / "out").exists()


def filling(machine: Machine, image: Path) -> Callable[[], None]:
    """The volume gets what is at /data of an image, as for its first container."""
    volume = machine.layout.engine_fs / "volumes/data"
    return lambda: fill.fill(image, "/data", volume, (0, 0), machine.layout.locks)


AT_ITS_END = (fill.__file__, "mark")
"""A step of a fill: all has been copied, and nothing is in its place yet."""


@pytest.mark.usefixtures("volume")
def test_nothing_of_a_killed_fill_outlives_its_volume(machine: Machine, tmp_path: Path) -> None:
    with_data(tmp_path)
    volumes = machine.layout.engine_fs / "volumes"
    assert killed_at(AT_ITS_END, filling(machine, tmp_path), re.compile("/paas/engine/fill"))
    assert (volumes / ".data.fill/seed").exists()
    with machine.volumes.ending():
        machine.volumes.discard("data")
    machine.volumes.sweep()
    assert list(volumes.iterdir()) == []


@pytest.mark.usefixtures("volume")
def test_a_fill_under_way_is_not_swept(machine: Machine, tmp_path: Path) -> None:
    with_data(tmp_path)
    volumes = machine.layout.engine_fs / "volumes"
    work = filling(machine, tmp_path)

    def stop(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and (frame.f_code.co_filename, frame.f_code.co_name) == AT_ITS_END:
            os.kill(os.getpid(), signal.SIGSTOP)

    def act() -> None:
        sys.setprofile(stop)
        work()

    pid = forked(act)
    try:
        assert os.WIFSTOPPED(os.waitpid(pid, os.WUNTRACED)[1])
        machine.volumes.sweep()
        assert (volumes / ".data.fill/seed").exists()
    finally:
        os.kill(pid, signal.SIGCONT)
        assert os.waitpid(pid, 0)[1] == 0
    assert (volumes / "data/seed").read_text() == "from the image"
    machine.volumes.sweep()
    assert [path.name for path in volumes.iterdir()] == ["data"]


def test_what_is_not_there_is_named(machine: Machine) -> None:
    with pytest.raises(VolumeNotFound, match="There is no volume nothing"):
        machine.volumes.export("nothing", 1)
