"""One-offs on a caller's descriptors: pipes, files, terminals, limits, and joining."""

from __future__ import annotations

import os
import pty
import re
import select
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from paas.engine.call import RanTooLong
from paas.engine.container import ContainerNotFound
from paas.engine.inside import CommandNotFound
from paas.engine.runtime import RuntimeFailed
from paas.host.terminal import Terminal
from paas.model.limits import MIB, Limits
from tests.engine.machine import SECONDS, Machine

# -- failures --------------------------------------------------------------------------------


def test_a_missing_command_ends_as_in_a_shell(machine: Machine) -> None:
    with pytest.raises(CommandNotFound, match="no command nothing-here") as caught:
        machine.run("nothing-here")
    assert caught.value.code == 127


def test_a_time_limit_kills_and_removes(machine: Machine) -> None:
    with pytest.raises(RanTooLong) as caught:
        machine.run("sleep", "60", timeout_s=0.2)
    assert caught.value.code == 124


def test_a_caller_that_goes_takes_it_along(machine: Machine) -> None:
    """An exception out of a signal handler is how a command learns of a closed channel."""

    class Gone(BaseException):
        pass

    def leave(_callback: object) -> None:
        raise Gone

    with _terminal() as (terminal, _), pytest.raises(Gone):
        terminal.on_resize = leave  # type: ignore[method-assign]
        machine.foreground.run(machine.spec("sleep", "60"), 0, 1, 2, terminal)


def test_out_of_memory_is_told(machine: Machine) -> None:
    output = machine.run("tail", "/dev/zero", limits=Limits(memory_bytes=32 * MIB))
    assert (output.code, output.oom_killed) == (137, True)


def test_joining_needs_a_running_container_and_a_command(machine: Machine) -> None:
    with pytest.raises(ContainerNotFound):
        machine.exec("nobody", "true")
    with machine.running("sleep", "60") as container:
        with pytest.raises(RuntimeFailed, match="could not be started") as caught:
            machine.exec(container.id, "nothing-here")
        assert "nothing-here" in str(caught.value)


def test_one_whose_caller_was_killed_is_recovered(machine: Machine) -> None:
    ready, told = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(told, 1)
        machine.foreground.run(machine.spec("sh", "-c", "echo up; sleep 60"), ready, told, told)
        os._exit(0)
    os.close(told)
    assert os.read(ready, 10) == b"up\n"
    assert machine.containers.recover() == []
    os.kill(child, 9)
    os.waitpid(child, 0)
    assert len(machine.containers.recover()) == 1
    os.close(ready)


# -- streams ---------------------------------------------------------------------------------


def test_pipes_and_exit_codes_go_through(machine: Machine) -> None:
    output = machine.run("sh", "-c", "cat; echo err >&2; exit 7", stdin=b"in\x00\xff")
    assert (output.code, output.stdout, output.stderr) == (7, b"in\x00\xff", b"err\n")


@pytest.mark.parametrize(("signal", "code"), [("KILL", 137), ("TERM", 143)])
def test_a_signal_is_128_and_its_number(machine: Machine, signal: str, code: int) -> None:
    assert machine.run("sh", "-c", f"kill -{signal} $$").code == code


def test_much_streams_both_ways(machine: Machine) -> None:
    size = 8 * MIB
    in_read, in_write = os.pipe()
    out_read, out_write = os.pipe()
    seen: list[int] = []
    feeder = threading.Thread(target=_feed, args=(in_write, size))
    drainer = threading.Thread(target=_drain, args=(out_read, seen))
    feeder.start()
    drainer.start()
    code = machine.foreground.run(machine.spec("cat"), in_read, out_write, out_write)
    for descriptor in (in_read, out_write):
        os.close(descriptor)
    feeder.join()
    drainer.join()
    assert (code, sum(seen)) == (0, size)


def test_files_stay_the_callers(machine: Machine, tmp_path: Path) -> None:
    """A file handed to the container would get another owner, and could be reopened."""
    source, target = tmp_path / "in", tmp_path / "out"
    source.write_bytes(os.urandom(300_000))
    with source.open("rb") as reading, target.open("wb") as writing:
        code = machine.foreground.run(
            machine.spec("sh", "-c", "cat; chmod 777 /proc/self/fd/1 2>/dev/null; true"),
            reading.fileno(), writing.fileno(), writing.fileno(),
        )  # fmt: skip
    assert code == 0
    assert target.read_bytes() == source.read_bytes()
    for path in (source, target):
        assert (path.stat().st_uid, path.stat().st_mode & 0o777) == (0, 0o644)


def test_a_device_stays_the_hosts(machine: Machine) -> None:
    null = os.open("/dev/null", os.O_RDWR)
    assert machine.foreground.run(machine.spec("cat"), null, null, null) == 0
    os.close(null)
    assert Path("/dev/null").stat().st_uid == 0


def test_a_reader_that_goes_ends_the_writer(machine: Machine) -> None:
    null = os.open("/dev/null", os.O_RDONLY)
    reading, writing = os.pipe()
    os.close(reading)
    code = machine.foreground.run(machine.spec("seq", "1", "1000000"), null, writing, writing)
    os.close(writing)
    os.close(null)
    assert code != 0


# -- terminals -------------------------------------------------------------------------------


def test_a_terminal_is_a_pty_of_its_own(machine: Machine) -> None:
    with _terminal() as (terminal, master):
        os.write(master, b"stat -L -c device=%d /proc/self/fd/0; exit 6\n")
        code = machine.foreground.run(machine.spec("sh"), 0, 1, 2, terminal)
        said = _read_until(master, rb"device=\d+\s").decode()
        own = os.fstat(terminal.stdin).st_dev
    assert code == 6
    device = int(said.rpartition("device=")[2].split()[0])
    assert device != own


def test_a_terminal_is_joined_with_its_size(machine: Machine) -> None:
    with machine.running("sleep", "60") as container, _terminal(100, 33) as (terminal, master):
        os.write(master, b"ls -l /proc/self/fd/1; exit 4\n")
        code = machine.foreground.exec(container.id, ["sh"], 0, 1, 2, terminal)
        assert code == 4
        assert _read_until(master, rb"/dev/pts/\d")


# -- builds, joining -------------------------------------------------------------------------


def test_a_build_step_writes_its_layer(machine: Machine) -> None:
    said: list[bytes] = []
    upper = machine.storage.layers.new_upper()
    image = machine.image
    spec = machine.spec(
        "sh", "-c", "echo out; echo err >&2; echo x > /made; chown web /made",
        image="", owner="build", network="none",
    )  # fmt: skip
    code = machine.foreground.run_on(spec, image.config, image.layers, upper, said.append)
    assert code == 0
    assert b"".join(said) == b"out\nerr\n"
    # 0-based on disk: the layer means the same in every range.
    assert (upper / "made").stat().st_uid == 1000


def test_joining_is_in_the_same_container_with_its_environment(machine: Machine) -> None:
    with machine.running("sleep", "60", env={"A": "one"}, user="web") as container:
        output = machine.exec(container.id, "sh", "-c", "echo $A $B; id -u; exit 3", env={"B": "2"})
        assert (output.code, output.text) == (3, "one 2\n1000\n")
        assert machine.exec(container.id, "ps").text.count("sleep 60") >= 1
        assert machine.exec(container.id, "cat", stdin=b"through").text == "through"


def _feed(descriptor: int, size: int) -> None:
    block = b"x" * 65536
    for _ in range(size // len(block)):
        view = memoryview(block)
        while view:
            view = view[os.write(descriptor, view) :]
    os.close(descriptor)


def _drain(descriptor: int, seen: list[int]) -> None:
    while data := os.read(descriptor, 65536):
        seen.append(len(data))
    os.close(descriptor)


class Channel:
    """The line to a client that does nothing of itself."""

    closed = False

    def fileno(self) -> int:
        return -1

    def on_close(self, callback: Callable[[], None]) -> None:
        """Never."""

    def end_with_client(self) -> None:
        """Never."""

    def on_resize(self, callback: Callable[[], None]) -> None:
        """Never."""

    def set_raw(self, *, on: bool) -> None:
        """It is raw from the beginning."""


def _read_until(master: int, pattern: bytes) -> bytes:
    """What a terminal shows up to there: the kernel hands it on in pieces."""
    said, ready = b"", select.poll()
    ready.register(master, select.POLLIN)
    while not re.search(pattern, said):
        assert ready.poll(SECONDS * 1000), said
        said += os.read(master, 65536)
    return said


@contextmanager
def _terminal(columns: int = 80, rows: int = 24) -> Iterator[tuple[Terminal, int]]:
    """A caller's terminal, and the person's side of it."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    try:
        yield Terminal(slave, slave, slave, Channel()), master
    finally:
        os.close(master)
        os.close(slave)
