"""What a container cannot do to the host, looked at from inside."""

from __future__ import annotations

from pathlib import Path

import pytest

from paas.engine.spec import Mount
from tests.engine.machine import Machine


def test_root_in_a_container_is_nobody_on_the_host(machine: Machine) -> None:
    with machine.running("sleep", "60") as container:
        base = machine.storage.range.base
        status = Path(f"/proc/{container.pid}/status").read_text()
        assert f"Uid:\t{base}\t{base}\t{base}\t{base}" in status


@pytest.mark.parametrize("kind", ["user", "mnt", "pid", "ipc", "uts", "net", "cgroup"])
def test_every_namespace_is_its_own(machine: Machine, kind: str) -> None:
    with machine.running("sleep", "60") as container:
        theirs = Path(f"/proc/{container.pid}/ns/{kind}").readlink()
        assert theirs != Path(f"/proc/self/ns/{kind}").readlink()


@pytest.mark.parametrize(
    "command",
    [
        "mount -t tmpfs none /tmp",
        "mount -t proc proc /root",
        "mount -o remount,rw /sys",
        "mount -o remount,rw /proc/sys",
        "unshare -U true",
        "unshare -r true",
        "unshare -m true",
        "mknod /tmp/disk b 8 0",
        "hostname other",
        "echo 1 > /proc/sys/kernel/panic",
        "echo b > /proc/sysrq-trigger",
        "echo 1 > /sys/kernel/mm/ksm/run",
        "cat /proc/kcore",
        "cat /proc/1/root/proc/kcore",
        "cd /sys/fs/cgroup; [ ! -d pids ] || cd pids; mkdir mine",
        "cd /sys/fs/cgroup; [ ! -d pids ] || cd pids; echo max > pids.max",
        "chmod 0600 /dev/null",
        "chown 0 /etc/hosts",
        "echo x >> /etc/resolv.conf",
        "dd if=/dev/zero of=/dev/init count=1",
        "ip link add d0 type dummy",
        "ip addr add 10.0.0.1/8 dev eth0",
    ],
)
def test_what_its_root_is_refused(machine: Machine, command: str) -> None:
    output = machine.run("sh", "-c", f"{command} >/dev/null 2>&1 && echo done")
    assert output.text == "", command


def test_what_an_ordinary_root_may(machine: Machine) -> None:
    """Stricter is not better where images would break."""
    command = """
        set -e
        touch /file; chown web:web /file; chmod 4755 /file; ln -s /file /link
        echo x > /dev/null; echo x > /dev/shm/x; ls /proc/1/fd > /dev/null
        nc -l -p 80 -e true & sleep 0.1; kill $!
        kill -0 1
    """
    output = machine.run("sh", "-c", command)
    assert (output.code, output.stderr) == (0, b"")


def test_no_new_privileges_and_a_filter_are_on(machine: Machine) -> None:
    status = dict(
        line.split(":\t", 1)
        for line in machine.run("cat", "/proc/self/status").text.splitlines()
        if ":\t" in line
    )
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    without = machine.run("cat", "/proc/self/status", no_new_privileges=False)
    assert "NoNewPrivs:\t0" in without.text


def test_another_user_has_no_capabilities(machine: Machine) -> None:
    status = machine.run("cat", "/proc/self/status", user="web").text
    assert "CapEff:\t0000000000000000" in status
    assert "Groups:\t1000 2000" in status or "Groups:\t2000" in status


def test_pid_one_reaps_and_forwards(machine: Machine) -> None:
    assert machine.run("cat", "/proc/1/comm").text.strip() in ("init", "tini-static")
    assert machine.run("cat", "/proc/1/comm", init=False).text.strip() == "cat"


def test_a_read_only_root_is(machine: Machine) -> None:
    assert machine.run("touch", "/file", read_only=True).code != 0


def test_apps_do_not_see_each_others_files(machine: Machine) -> None:
    """Ids of one range mean nothing in another, and the way to a root is closed."""
    with machine.running("sleep", "60", owner="app:1") as container:
        (root,) = machine.layout.run.glob(f"rootfs/*/{container.id}")
        assert root.parent.stat().st_mode & 0o777 == 0o700
        assert root.parent.stat().st_uid == machine.storage.range.base
        other = machine.storage.ranges.range_for("app:2")
        assert other.base != machine.storage.range.base


def test_the_environment_is_behind_a_closed_door(machine: Machine) -> None:
    with machine.running("sleep", "60", env={"PASSWORD": "hunter2"}) as container:
        bundle = machine.layout.containers / container.id
        for path in (machine.layout.containers, bundle):
            assert path.stat().st_mode & 0o777 == 0o700
        assert (bundle / "config.json").stat().st_mode & 0o777 == 0o600
        assert "hunter2" not in (bundle / "container.json").read_text()
        assert "hunter2" not in repr(machine.spec("true", env={"PASSWORD": "hunter2"}))


def test_an_image_cannot_lead_the_engine_out(machine: Machine) -> None:
    """Symlinks of the image are resolved in it, by the engine as by the runtime."""

    def lure(upper: Path) -> None:
        (upper / "etc/passwd").unlink()
        (upper / "etc/passwd").symlink_to("/../../../../etc/passwd")
        (upper / "etc/hosts").symlink_to("/../../../../var/tmp/paas-lure")
        (upper / "bin/out").symlink_to("/../../../../usr/bin/python3")

    image = machine.make_image(lure)
    output = machine.run("sh", "-c", "out || echo $?; cat /etc/hosts", image=image.id)
    assert output.text.startswith("127\n127.0.0.1\tlocalhost")
    assert not Path("/var/tmp/paas-lure").exists()


def test_a_volume_keeps_the_containers_ids(machine: Machine) -> None:
    machine.volumes.create("data", uid=1000, gid=1000)
    try:
        for owner in ("app:1", "app:2"):
            user_range = machine.storage.ranges.range_for(owner)
            mount = machine.volumes.mount("data", user_range, "/data")
            output = machine.run(
                "sh", "-c", "touch /data/$0; ls -ln /data", owner,
                owner=owner, user="web", mounts=(mount,),
            )  # fmt: skip
            assert output.code == 0, output.stderr
        assert output.text.count(" 1000 ") >= 2
        on_disk = machine.layout.engine_fs / "volumes/data/app:1"
        assert on_disk.stat().st_uid == 1000
    finally:
        machine.volumes.remove("data")
    assert machine.volumes.list() == []


def test_a_read_only_mount_is(machine: Machine, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    mount = Mount(tmp_path, "/data", read_only=True)
    assert machine.run("touch", "/data/file", mounts=(mount,)).code != 0
    assert list(tmp_path.iterdir()) == []
