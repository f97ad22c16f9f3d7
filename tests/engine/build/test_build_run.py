"""RUN: in a container, within limits, its changes and nothing else in the layer."""

import time
from pathlib import Path

import pytest

from paas.engine.build.errors import StepFailed
from paas.engine.build.rules import BuildTimedOut
from paas.host import syscalls
from paas.host.disk import Disk
from paas.model.limits import MIB, Limits
from tests.engine.build.rig import Rig, Told

FROM = "FROM paas/test-base:1\n"


def failure(rig: Rig, lines: str, **options: object) -> StepFailed:
    with pytest.raises(StepFailed) as caught:
        rig.build(FROM + lines, **options)  # type: ignore[arg-type]
    assert rig.leftovers() == []
    return caught.value


def test_a_layer_has_the_changes_and_nothing_of_the_runtime(rig: Rig) -> None:
    image = rig.build(FROM + "RUN echo x > /etc/new && rm -r /old && chown 7:8 /home/me\n")
    added = rig.added(image)
    assert set(added) == {"etc", "etc/new", "old", "home", "home/me"}
    assert added["home/me"].owner == (7, 8)
    assert added["old"].kind == "other"  # a whiteout
    assert set(rig.look_all(image)) & {"proc", "sys", "dev", "run", "etc/hosts"} == set()


def test_a_command_that_changes_nothing_makes_no_layer(rig: Rig) -> None:
    base = rig.build(FROM)
    assert rig.build(FROM + "RUN true\nRUN cat /etc/hosts /etc/resolv.conf\n").layers == base.layers


def test_root_of_a_build_is_nobody_outside(rig: Rig) -> None:
    told = Told()
    rig.build(FROM + "RUN id -u && cat /proc/self/uid_map && cat /etc/shadow || true\n", {}, told)
    assert told.raw.splitlines()[0] == b"0"
    host_id = int(told.raw.split()[2])
    assert host_id >= 65536


def test_the_shell_the_user_and_the_directory_are_the_images(rig: Rig) -> None:
    told = Told()
    rig.build(
        FROM
        + 'ENV A="b c"\nWORKDIR /w\nUSER me:staff\nSHELL ["/bin/busybox", "sh", "-ec"]\n'
        'RUN pwd; id; echo "$A"; false; echo not here\n'.replace("false; ", "true; ")
        + 'RUN ["/bin/echo", "$A", "  two"]\n',
        {},
        told,
    )
    assert b"/w\nuid=1000(me) gid=50(staff)" in told.raw
    assert b"b c\n" in told.raw
    assert b"$A   two\n" in told.raw


def test_arguments_reach_run_and_never_the_image(rig: Rig) -> None:
    told = Told()
    image = rig.build(
        "ARG G=global\n" + FROM + "ARG G\nARG D=default\nARG SECRET\nENV E=$D\n"
        "RUN echo $G $D $SECRET $E $HTTP_PROXY\n",
        {},
        told,
        build_args={"SECRET": "s", "HTTP_PROXY": "http://p", "TYPO": "x"},
    )
    assert told.raw == b"global default s default http://p\n"
    assert set(image.config.env) == {"PATH", "E"}
    assert told.warnings == ["Build arguments that no ARG takes: TYPO"]


def test_documents_run_as_scripts(rig: Rig) -> None:
    told = Told()
    image = rig.build(
        FROM + "RUN <<EOF\necho one\necho two\nEOF\n"
        "RUN <<EOF\n#!/bin/cat\nhello from $0\nEOF\nRUN cat <<EOF > /f\n$PATH\nEOF\n",
        {},
        told,
    )
    assert told.raw == b"one\ntwo\n#!/bin/cat\nhello from $0\n"
    assert b"/usr/bin" in rig.look_all(image)["f"].content  # type: ignore[operator]


def test_the_hosts_settings_are_there_and_leave_no_trace(rig: Rig) -> None:
    told = Told()
    image = rig.build(
        FROM + "RUN echo $PIP_INDEX_URL $PIP_CERT && cat $SSL_CERT_FILE && touch /x\n", {}, told
    )
    assert told.raw == b"http://mirror.test/simple /dev/paas-build/ca.crt\ncertificates\n"
    assert set(rig.added(image)) == {"x"}
    document = repr(image.config)
    assert "mirror.test" not in document
    assert "ca.crt" not in document


def test_a_failing_command_says_code_line_and_last_lines(rig: Rig) -> None:
    error = failure(rig, "RUN true\nRUN echo one; echo two >&2; exit 7\n")
    assert error.brief == ("Dockerfile:3: RUN echo one; echo two >&2; exit 7: exit code 7")
    assert error.details == ("one", "two")


def test_a_command_that_is_not_there_is_named(rig: Rig) -> None:
    assert "exit code 127 (a command was not found)" in failure(rig, "RUN nosuch\n").brief
    assert "The image has no command /no/such" in failure(rig, 'RUN ["/no/such"]\n').brief
    assert "no user nobody" in failure(rig, "USER nobody\nRUN true\n").brief
    with pytest.raises(StepFailed, match="The image has no command /bin/sh"):
        rig.build("FROM scratch\nRUN true\n")


def test_too_much_memory_is_named(rig: Rig) -> None:
    limits = Limits(memory_bytes=24 * MIB, pids=64)
    error = failure(rig, "RUN yes | tr -d '\\n' | head -c 200m | tr y z | cat > /dev/shm/x;"
                    " dd if=/dev/zero of=/dev/null bs=100M count=1\n", limits=limits)  # fmt: skip
    assert "out of memory, a build may use 24 MiB" in error.brief


def test_too_many_processes_are_named(rig: Rig) -> None:
    limits = Limits(memory_bytes=256 * MIB, pids=16)
    error = failure(
        rig,
        "RUN set -e; i=0; while [ $i -lt 40 ]; do sleep 20 & i=$((i+1)); done\n",
        limits=limits,
    )
    assert "out of processes, a build may have 16 (exit code" in error.brief


def test_a_build_that_fills_the_disk_is_ended_before_it_is_full(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a disk of its own: what is filled here is another's, so it fills when told."""
    syscalls.mount("paas-test", tmp_path, "tmpfs", data="size=4m")
    monkeypatch.setattr(rig.layers, "disk", Disk(tmp_path, reserve=1 << 20, inodes=0))

    class Filling(Told):
        def output(self, data: bytes) -> None:
            super().output(data)
            (tmp_path / "big").write_bytes(bytes(3 << 20))

    try:
        error = failure(rig, "RUN echo filling; sleep 100\n", report=Filling())
    finally:
        syscalls.umount(tmp_path)
    assert error.brief == (
        "Dockerfile:2: RUN echo filling; sleep 100: out of disk, a build must leave 512 MiB free"
        " (exit code 137)"
    )


def test_a_build_that_never_ends_is_ended(rig: Rig) -> None:
    # A short limit may be over before the command has begun, and none is named then.
    for limit in (0.7, 7.0, 70.0):
        began = time.monotonic()
        with pytest.raises(BuildTimedOut) as caught:
            rig.build(FROM + "RUN sleep 300\n", deadline_s=limit)
        assert time.monotonic() - began < limit + 60
        if "RUN" in caught.value.brief:
            break
    assert caught.value.brief == (
        f"Dockerfile:2: RUN sleep 300: the build was ended at its limit of {limit:g} s"
    )
    assert rig.leftovers() == []


def test_what_a_command_leaves_running_ends_with_it(rig: Rig) -> None:
    began = time.monotonic()
    rig.build(FROM + "RUN (sleep 300; touch /late) & touch /early\n")
    assert time.monotonic() - began < 60
    assert rig.leftovers() == []


def test_without_network_there_is_only_loopback(rig: Rig) -> None:
    told = Told()
    rig.build(FROM + "RUN --network=none cat /proc/net/dev | head -9\n", {}, told)
    devices = [line.split(b":")[0].strip() for line in told.raw.splitlines()[2:]]
    assert devices == [b"lo"]


def test_other_root_filesystems_are_out_of_reach(rig: Rig) -> None:
    """The mounts of a build are below a directory that only its own range can enter."""
    told = Told()
    rig.build(FROM + f"RUN ls {rig.layout.run} {rig.layout.root} 2>&1 || true\n", {}, told)
    assert b"No such file" in told.raw
    assert (rig.layout.run / "rootfs").stat().st_mode & 0o077 == 0o011
