"""Copying in and out, what changed, and images made of it: what must not work first."""

from __future__ import annotations

import io
import os
import stat
import struct
import tarfile
from pathlib import Path

import pytest

from paas.engine.archive import Refused, unpack
from paas.engine.build.errors import DockerfileError
from paas.engine.commit import Commits, InvalidChange
from paas.engine.confined import CopyFailed
from paas.engine.container import ContainerNotFound
from paas.engine.transfer import Transfer
from tests.engine.machine import Machine

SECRET = Path("/var/tmp/paas-secret-of-the-host")
CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0)
"""cap_net_raw=ep, revision 2."""


def _transfer(machine: Machine) -> Transfer:
    return Transfer(machine.bundler, machine.containers, machine.storage.rootfs)


def _commits(machine: Machine) -> Commits:
    return Commits(
        machine.bundler,
        machine.containers,
        machine.storage.images,
        machine.storage.layers,
        machine.storage.rootfs,
        machine.clock,
    )


def _sh(machine: Machine, container: str, script: str) -> str:
    output = machine.exec(container, "sh", "-c", script)
    assert output.code == 0, output.stderr
    return output.text


# -- copying ---------------------------------------------------------------------------------


def test_what_is_not_there_is_said(machine: Machine, tmp_path: Path) -> None:
    transfer = _transfer(machine)
    with pytest.raises(ContainerNotFound):
        transfer.to_host("nobody", "/etc/passwd", tmp_path)
    with machine.running("sleep", "60") as container:
        with pytest.raises(CopyFailed, match="there is no /no/such"):
            transfer.to_host(container.id, "/no/such", tmp_path)
        with pytest.raises(CopyFailed, match="there is no /no/such"):
            transfer.from_host(Path("/no/such"), container.id, "/tmp")
        with pytest.raises(CopyFailed, match="there is no directory /no/such"):
            transfer.from_host(Path("/etc/hostname"), container.id, "/no/such/")
        with pytest.raises(CopyFailed):
            transfer.to_host(container.id, "/etc/passwd", tmp_path / "no/such")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("lure", ["/", "/../../../..", "/proc/1/root", "/proc/self/cwd"])
def test_a_symlink_leads_no_copy_to_the_host(machine: Machine, tmp_path: Path, lure: str) -> None:
    """Neither the path's own parts nor what it meets on its way."""
    SECRET.write_text("of the host")
    transfer = _transfer(machine)
    try:
        with machine.running("sleep", "60") as container:
            _sh(machine, container.id, f"ln -s {lure} /lure; ln -s {lure}/{SECRET} /secret")
            with pytest.raises(CopyFailed):
                transfer.to_host(container.id, f"/lure/{SECRET}", tmp_path)
            # As itself, a symlink is only a symlink.
            transfer.to_host(container.id, "/secret", tmp_path)
            assert (tmp_path / "secret").is_symlink()
            (tmp_path / "secret").unlink()
            (tmp_path / "new").write_text("new")
            with pytest.raises(CopyFailed):
                transfer.from_host(tmp_path / "new", container.id, f"/lure/{SECRET.parent}/x/")
            transfer.from_host(tmp_path / "new", container.id, "/secret")
            assert SECRET.read_text() == "of the host"
    finally:
        SECRET.unlink()


def test_an_archive_cannot_lead_out_of_its_directory(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    for name in ("../out", "a/../../out", "/../out"):
        with pytest.raises(Refused, match="leads out"):
            unpack(io.BytesIO(_tar({name: b"x"})), str(target), keep_owner=False)
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_files_go_in_and_out_as_they_are(machine: Machine, tmp_path: Path) -> None:
    source, back = tmp_path / "tree", tmp_path / "back"
    (source / "inner").mkdir(parents=True)
    (source / "inner/file").write_bytes(os.urandom(300_000))
    (source / "inner/file").chmod(0o640)
    (source / "odd\nname \udcff").write_text("x")
    (source / "link").symlink_to("inner/file")
    os.link(source / "inner/file", source / "same")
    os.mkfifo(source / "fifo")
    transfer = _transfer(machine)
    with machine.running("sleep", "60") as container:
        transfer.from_host(source, container.id, "/data")
        transfer.from_host(source / "inner/file", container.id, "/tmp")
        assert _sh(machine, container.id, "stat -c '%u %a' /data/inner/file /tmp/file") == (
            "0 640\n0 640\n"
        )
        transfer.to_host(container.id, "/data", back)
        _sh(machine, container.id, "mkdir /other; chown web /other")
        transfer.from_host(f"{source}/.", container.id, "/other")
        assert "inner" in _sh(machine, container.id, "ls /other")
    assert (back / "inner/file").read_bytes() == (source / "inner/file").read_bytes()
    assert (back / "same").samefile(back / "inner/file")
    assert (back / "link").readlink() == Path("inner/file")
    assert (back / "odd\nname \udcff").read_text() == "x"
    assert (back / "inner/file").stat().st_uid == 0


def test_what_comes_out_gives_nobody_a_right(machine: Machine, tmp_path: Path) -> None:
    """A file of root's that runs as root is what every user of the host waits for."""
    transfer = _transfer(machine)
    with machine.running("sleep", "60") as container:
        script = "echo x > /tmp/bit; chown web /tmp/bit; chmod 6755 /tmp/bit"
        _sh(machine, container.id, script)
        inside = machine.storage.rootfs.written(container.id) / "tmp/bit"
        os.setxattr(inside, "security.capability", CAPABILITY)
        transfer.to_host(container.id, "/tmp/bit", tmp_path)
    arrived = tmp_path / "bit"
    assert (arrived.stat().st_uid, stat.S_IMODE(arrived.stat().st_mode)) == (0, 0o755)
    assert os.listxattr(arrived) == []


def test_volumes_and_memory_are_reached_and_read_only_is_kept(
    machine: Machine, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("text")
    machine.volumes.create("copied")
    volume = machine.volumes.mount("copied", machine.storage.range, "/data")
    transfer = _transfer(machine)
    try:
        more = {"mounts": (volume,), "tmpfs": {"/scratch": 1 << 20}, "read_only": True}
        with machine.running("sleep", "60", **more) as container:
            for place in ("/data", "/scratch"):
                transfer.from_host(tmp_path / "file", container.id, place)
                assert _sh(machine, container.id, f"cat {place}/file") == "text"
            with pytest.raises(CopyFailed, match="Read-only"):
                transfer.from_host(tmp_path / "file", container.id, "/etc")
    finally:
        machine.volumes.remove("copied")


def test_what_has_ended_can_be_copied_from_as_a_tar(machine: Machine) -> None:
    with machine.running("sh", "-c", "echo x > /root/made; chown web /root/made") as container:
        machine.ended(container.id)
        read, write = os.pipe()
        _transfer(machine).out(container.id, "/root", write)
        os.close(write)
        with os.fdopen(read, "rb") as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            members = {member.name: member.uid for member in archive}
        assert members == {"root": 0, "root/made": 1000}


# -- what changed ----------------------------------------------------------------------------


def test_nothing_done_is_no_change(machine: Machine) -> None:
    with machine.running("sleep", "60") as container:
        assert _commits(machine).diff(container.id) == []


def test_what_was_changed_is_told_by_dockers_letters(machine: Machine) -> None:
    script = """
        echo x > /etc/new; echo y >> /etc/passwd; rm /etc/group; rm -r /home
        mkdir /home; touch /home/again; echo z > /dev/shm/none; ln -s /proc /root/lure
        echo q > /tmp/gone; rm /tmp/gone
    """
    with machine.running("sh", "-c", f"{script} echo done; sleep 60") as container:
        machine.wait_for_line(container.id, "done")
        found = [f"{one.kind.value} {one.path}" for one in _commits(machine).diff(container.id)]
        assert found == [
            "C /etc", "D /etc/group", "A /etc/new", "C /etc/passwd", "C /home", "A /home/again",
            "C /root", "A /root/lure",
        ]  # fmt: skip


# -- images of containers --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "error"),
    [("RUN rm -r /", InvalidChange), ("FROM x", InvalidChange), ("NONSENSE", DockerfileError)],
)
def test_a_change_is_about_configuration(
    machine: Machine, change: str, error: type[Exception]
) -> None:
    with machine.running("sleep", "60") as container, pytest.raises(error):
        _commits(machine).commit(container.id, changes=[change])


def test_an_image_has_what_the_container_wrote(machine: Machine) -> None:
    script = "echo mine > /made; chown web /made; chmod 4755 /made; rm /etc/group; mkdir /etc/ssl"
    with machine.running("sh", "-c", f"{script}; echo done; sleep 60") as container:
        machine.wait_for_line(container.id, "done")
        image = _commits(machine).commit(
            container.id,
            changes=['CMD ["cat", "/made"]', "ENV A=b", "USER web"],
            author="me",
            message="by hand",
        )
        # It goes on, as if nothing had been.
        assert _sh(machine, container.id, "cat /made") == "mine\n"
    assert (image.config.cmd, image.config.env["A"]) == (("cat", "/made"), "b")
    assert (image.config.user, image.config.author) == ("web", "me")
    assert len(image.layers) == 2
    names = {path.name for path in machine.storage.layers.path(image.layers[-1]).glob("*")}
    assert names == {"made", "etc"}
    output = machine.run(
        "sh", "-c", "stat -c '%u %a' /made; cat /made; ls /etc", image=image.id, user=""
    )
    assert output.text.splitlines()[:2] == ["1000 4755", "mine"]
    assert "group" not in output.text
    assert machine.events("commit")[0].attributes == {"image": image.id}


def test_a_commit_removes_nothing_that_a_link_leads_to(machine: Machine, tmp_path: Path) -> None:
    """What the place of a mount is in was moved away below the mount, and a link is there now."""
    victim = tmp_path / "inner/kept"
    victim.parent.mkdir()
    victim.write_text("of the host")
    script = f"mv /spot /moved && ln -s {victim.parent} /spot && echo done"
    with machine.running(
        "sh", "-c", f"{script}; sleep 60", tmpfs={"/spot/kept": 1 << 20}
    ) as container:
        machine.wait_for_line(container.id, "done")
        _commits(machine).commit(container.id)
    assert victim.read_text() == "of the host"


def test_a_commit_without_space_leaves_nothing(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    unfinished = machine.layout.engine_fs / "tmp"
    before = set(unfinished.glob("*"))
    with machine.running("sleep", "60") as container:
        monkeypatch.setattr("paas.host.files.sync_filesystem", full)
        with pytest.raises(OSError, match="No space"):
            _commits(machine).commit(container.id)
        assert machine.exec(container.id, "true").code == 0
    assert set(unfinished.glob("*")) <= before


def _tar(contents: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()
