"""What a container cannot do to the host, looked at from inside."""

from __future__ import annotations

import errno
import os
import signal
import socket
from contextlib import suppress
from pathlib import Path

import pytest

from paas.engine.devices import Device
from paas.engine.runtime import RuntimeFailed
from paas.engine.spec import Mount
from paas.errors import PaasError
from tests.engine.machine import Machine
from tests.push.outcome import eventually

PYTHON = tuple(
    Mount(Path(source), target, read_only=True)
    for source, target in (("/usr", "/usr"), ("/usr/lib", "/lib"), ("/usr/lib64", "/lib64"))
    if Path(source).exists()
)
"""The host's programs, for a container that asks the kernel by numbers."""

DOCKERS = 0xA80425FB
"""The capabilities of root in a container of Docker, as capabilities(7) numbers them: those of
its default (github.com/moby/moby, oci/caps/defaults.go)."""

_X86 = {
    "mount": 165, "umount2": 166, "pivot_root": 155, "unshare": 272, "setns": 308,
    "open_by_handle_at": 304, "ptrace": 101, "init_module": 175,
    "finit_module": 313, "delete_module": 176, "kexec_load": 246, "bpf": 321,
    "perf_event_open": 298, "reboot": 169, "swapon": 167, "syslog": 103, "keyctl": 250,
    "add_key": 248, "userfaultfd": 323, "socket": 41,
}  # fmt: skip
_ARM = {
    "mount": 40, "umount2": 39, "pivot_root": 41, "unshare": 97, "setns": 268,
    "open_by_handle_at": 265, "ptrace": 117, "init_module": 105,
    "finit_module": 273, "delete_module": 106, "kexec_load": 104, "bpf": 280,
    "perf_event_open": 241, "reboot": 142, "swapon": 224, "syslog": 116, "keyctl": 219,
    "add_key": 217, "userfaultfd": 282, "socket": 198,
}  # fmt: skip
_NEW = {
    "open_tree": 428, "move_mount": 429, "fsopen": 430, "mount_setattr": 442,
    "io_uring_setup": 425, "pidfd_open": 434,
}  # fmt: skip
NUMBERS = {"x86_64": _X86 | _NEW, "aarch64": _ARM | _NEW}


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
        # Masked, it may be there and empty.
        "dd if=/proc/kcore bs=1 count=1 2>&1 | busybox grep '^1+0 records out'",
        "dd if=/proc/1/root/proc/kcore bs=1 count=1 2>&1 | busybox grep '^1+0 records out'",
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


@pytest.mark.parametrize("new_privileges", [False, True])
def test_root_has_no_capability_that_dockers_has_not(
    machine: Machine, new_privileges: bool
) -> None:
    status = machine.run("cat", "/proc/self/status", no_new_privileges=not new_privileges).text
    held = dict(line.split(":\t") for line in status.splitlines() if line.startswith("Cap"))
    assert held.keys() == {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}
    for kind, mask in held.items():
        allowed = 0 if kind in ("CapInh", "CapAmb") else DOCKERS
        assert int(mask, 16) & ~allowed == 0, (kind, mask)


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


# -- getting out -----------------------------------------------------------------------------


def test_files_of_the_host_cannot_be_read(machine: Machine) -> None:
    """Not by a path, not through /proc, not by the number of an inode (open_by_handle_at)."""
    secret = machine.storage.root / "secret"
    secret.write_text("hunter2")
    script = f"""
        for root in '' /.. /../.. /proc/1/root /proc/1/cwd /proc/self/root /proc/thread-self/root
        do cat $root{secret} $root/../../..{secret}; done 2>&1
        cat /proc/1/environ; ls /run /var/lib /sys/kernel/debug 2>&1
    """
    with machine.running("sleep", "60") as container:
        output = machine.exec(container.id, "sh", "-c", script)
        assert "hunter2" not in output.text
        assert machine.layout.id not in output.text
    assert _let_through(machine, {"open_by_handle_at": (0, 0, 0)}) == []


def test_no_descriptor_of_the_host_gets_in(machine: Machine) -> None:
    """To the first process or to one that joins, by number or as its cwd (CVE-2024-21626)."""
    script = "for fd in /proc/self/fd/*; do busybox readlink $fd; done"
    with machine.running("sh", "-c", f"{script}; sleep 60", init=False) as container:
        joined = machine.exec(container.id, "sh", "-c", script).text.split("\n")
        eventually(lambda: machine.log_of(container.id) != [])
        for line in (*machine.log_of(container.id), *joined):
            assert line.startswith(("pipe:", "/dev/null", "/proc/")) or line == "", line
    for number in range(3, 12):
        with suppress(PaasError):
            output = machine.run(
                "sh", "-c", "cat etc/hostname ../../../../etc/hostname",
                cwd=f"/proc/self/fd/{number}", hostname="inside",
            )  # fmt: skip
            assert set(output.text.split()) <= {"inside"}, number


def test_mounting_is_refused_in_every_way(machine: Machine) -> None:
    calls = {
        "mount": (0, 0, 0, 0, 0), "fsopen": (0, 0), "open_tree": (-100, 0, 1),
        "move_mount": (0, 0, 0, 0, 0), "mount_setattr": (-100, 0, 0, 0, 0),
        "pivot_root": (0, 0), "umount2": (0, 0), "unshare": (0x10000000,), "setns": (0, 0),
    }  # fmt: skip
    assert _let_through(machine, calls) == []


def test_no_process_outside_can_be_traced_seen_or_signalled(machine: Machine) -> None:
    victim = os.fork()
    if victim == 0:
        signal.pause()
        os._exit(0)
    try:
        script = f"""
            ls /proc/{victim}/ && echo seen; kill -9 {victim} && echo killed
            cat /proc/{victim}/mem && echo read; ls /proc | grep -c '^[0-9]'
        """
        # One process id more or less: those of the container are all it sees.
        lines = machine.run("sh", "-c", f"({script}) 2>/dev/null").text.split()
        assert len(lines) == 1
        assert int(lines[0]) < 10
        # PTRACE_ATTACH; where the call is known, there is no such process (ESRCH).
        calls = {"ptrace": (16, victim, 0, 0), "pidfd_open": (victim, 0)}
        assert _let_through(machine, calls, (errno.ESRCH,)) == []
        assert os.waitpid(victim, os.WNOHANG) == (0, 0)
    finally:
        os.kill(victim, signal.SIGKILL)
        os.waitpid(victim, 0)


def test_no_module_or_program_gets_into_the_kernel(machine: Machine) -> None:
    names = (
        "init_module", "finit_module", "delete_module", "kexec_load", "bpf", "perf_event_open",
        "reboot", "swapon", "syslog", "keyctl", "add_key", "userfaultfd", "io_uring_setup",
    )  # fmt: skip
    assert _let_through(machine, dict.fromkeys(names, (0, 0, 0, 0, 0))) == []


def test_the_socket_of_the_daemon_is_out_of_reach(machine: Machine) -> None:
    """Neither as a file, nor by its name, nor as an abstract socket of the host."""
    machine.layout.run.mkdir(exist_ok=True)
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as abstract:
        listener.bind(str(machine.layout.socket))
        abstract.bind("\0paas-isolation-test")
        for one in (listener, abstract):
            one.listen(1)
            one.setblocking(False)
        try:
            script = f"""
                ls {machine.layout.socket} && echo there
                ls /proc/1/root{machine.layout.socket} && echo there
                echo | nc local:{machine.layout.socket} && echo connected
                grep -c paas-isolation-test /proc/net/unix
            """
            assert machine.run("sh", "-c", f"({script}) 2>/dev/null").text == "0\n"
            for one in (listener, abstract):
                with pytest.raises(BlockingIOError):
                    one.accept()
        finally:
            machine.layout.socket.unlink()


def test_parameters_of_the_kernel_are_not_written(machine: Machine) -> None:
    before = Path("/proc/sys/kernel/core_pattern").read_text()
    script = """
        for file in kernel/core_pattern kernel/modprobe kernel/hostname vm/drop_caches \
                    net/ipv4/ip_forward kernel/shmmax fs/file-max
        do { echo 1 > /proc/sys/$file; } 2>/dev/null && echo wrote $file; done
        { echo 1 > /proc/self/oom_score_adj; echo -1000 > /proc/self/oom_score_adj; } 2>/dev/null \
            && echo unkillable
        { echo /tmp/x > /sys/kernel/uevent_helper; } 2>/dev/null && echo helper
        true
    """
    assert machine.run("sh", "-c", script).text == ""
    assert Path("/proc/sys/kernel/core_pattern").read_text() == before


def test_no_device_can_be_made_or_found(machine: Machine) -> None:
    script = """
        mknod /disk b 8 0; mknod /dev/mem2 c 1 1; mknod /dev/shm/kmsg c 1 11
        cat /dev/mem /dev/kmsg /dev/sda /dev/vda /dev/fuse /dev/kvm
        find /dev -type b
    """
    output = machine.run("sh", "-c", f"({script}) 2>/dev/null; ls /dev")
    assert set(output.text.split()) <= {
        "console", "core", "fd", "full", "init", "mqueue", "null", "ptmx", "pts", "random", "shm",
        "stderr", "stdin", "stdout", "tty", "urandom", "zero",
    }  # fmt: skip


def test_a_device_that_is_given_is_the_only_one(machine: Machine) -> None:
    given = Device(Path("/dev/fuse"), "rw")
    if not given.path.exists():
        given = Device(Path("/dev/zero"), "rw")
    look = "for name in fuse kvm kmsg; do [ -c /dev/$name ] && echo $name; done; true"
    assert machine.run("sh", "-c", look).text == ""
    output = machine.run("sh", "-c", look, devices=(given,)).text
    assert output == ("fuse\n" if given.path.name == "fuse" else "")


def test_a_symlink_in_a_volume_leads_nowhere(machine: Machine) -> None:
    """One container plants it; what the next one mounts below it stays inside."""
    outside = machine.storage.root / "outside"
    outside.mkdir(mode=0o777)
    machine.volumes.create("lure", mode=0o777)
    try:
        mount = machine.volumes.mount("lure", machine.storage.range, "/data")
        plant = f"ln -s {outside} /data/out; ln -s / /data/root; ln -s ../../../.. /data/up"
        assert machine.run("sh", "-c", plant, mounts=(mount,)).code == 0
        for target in ("/data/out/in", "/data/root/in", "/data/up/in"):
            inner = Mount(mount.source, target)
            # It lands within the container's own root, or the runtime refuses it.
            with suppress(RuntimeFailed):
                machine.run("true", mounts=(mount, inner))
        script = "echo x > /data/out/file; cat /data/root/etc/hostname /data/up/etc/hostname"
        output = machine.run("sh", "-c", script, mounts=(mount,), hostname="inside")
        assert output.text == "inside\ninside\n"
        assert list(outside.iterdir()) == []
    finally:
        machine.volumes.remove("lure")


@pytest.mark.parametrize("request_", [0x5412, 0x541C], ids=["TIOCSTI", "TIOCLINUX"])
def test_nothing_can_be_typed_into_a_terminal(machine: Machine, request_: int) -> None:
    """And were it not refused: the terminal is its own, the caller's never gets in there."""
    code = f"import ctypes; print('said', ctypes.CDLL(None).ioctl(0, {request_}, b'x'))"
    with machine.running(
        "/usr/bin/python3", "-c", code, mounts=PYTHON, terminal=True, stdin=True
    ) as container:
        assert machine.ended(container.id).exit_code == 0
        assert machine.log_of(container.id)[-1].strip() == "said -1"


@pytest.mark.parametrize("family", [40, 40 | 1 << 32], ids=["AF_VSOCK", "with a bit above"])
def test_nobody_speaks_to_the_hypervisor(machine: Machine, family: int) -> None:
    """The kernel looks at 32 bits of it, a filter at 64."""
    assert _let_through(machine, {"socket": (family, 1, 0)}) == []
    assert _let_through(machine, {"socket": (family - 39, 1, 0)}) != []


def test_one_app_cannot_reach_anothers_address_nor_take_it(machine: Machine) -> None:
    with machine.running("sh", "-c", "nc -ll -p 80 -e echo hi", owner="app:2") as other:
        script = f"""
            echo | nc -w 1 {other.address} 80 && echo reached
            ip addr add {other.address}/32 dev eth0 && echo taken
            ping -c 1 -W 1 -I {other.address} 169.254.0.1 > /dev/null && echo spoofed
            true
        """
        assert machine.run("sh", "-c", f"({script}) 2>/dev/null", owner="app:1").text == ""


def _let_through(
    machine: Machine, calls: dict[str, tuple[int, ...]], harmless: tuple[int, ...] = ()
) -> list[str]:
    """Which calls are not refused before their arguments are looked at (EPERM, ENOSYS)."""
    numbers = {name: NUMBERS[os.uname().machine][name] for name in calls}
    code = f"""
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
numbers = {numbers}
for name, arguments in {calls}.items():
    whole = map(ctypes.c_long, arguments)
    print(name, libc.syscall(numbers[name], *whole), ctypes.get_errno())
"""
    output = machine.run("/usr/bin/python3", "-c", code, mounts=PYTHON)
    assert output.code == 0, output.stderr
    refusals = {str(number) for number in (errno.EPERM, errno.ENOSYS, *harmless)}
    lines = [line.split() for line in output.text.splitlines()]
    assert len(lines) == len(calls)
    return [" ".join(line) for line in lines if line[1] != "-1" or line[2] not in refusals]
