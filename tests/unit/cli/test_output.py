"""Writing to the caller's descriptors, whatever they are."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator

import pytest

from paas.cli.output import Output, columns, moment
from paas.host.streams import write_all


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    yield read, write
    for descriptor in (read, write):
        try:
            os.close(descriptor)
        except OSError:
            continue


def test_data_without_a_reader_ends_the_command(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    with pytest.raises(BrokenPipeError):
        Output(pipe[1], pipe[1]).line("names")


def test_a_reset_connection_is_a_reader_that_left() -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    with ours, pytest.raises(BrokenPipeError):
        write_all(ours.fileno(), b"x")


def test_a_terminal_that_hung_up_is_a_reader_that_left() -> None:
    ours, theirs = os.openpty()
    os.close(ours)
    with pytest.raises(BrokenPipeError):
        write_all(theirs, b"x")
    os.close(theirs)


def test_another_error_is_itself() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    with pytest.raises(OSError, match="No space"):
        write_all(full, b"x")
    os.close(full)


def test_progress_without_a_reader_is_dropped(pipe: tuple[int, int]) -> None:
    os.close(pipe[0])
    report = Output(pipe[1], pipe[1]).report
    for _ in range(3):
        report.step("Building")
        report.warn("careful")
        report.output(b"bytes")


def test_progress_for_one_stream_does_not_need_the_other(pipe: tuple[int, int]) -> None:
    gone, left = os.pipe()
    os.close(gone)
    report = Output(left, pipe[1]).report
    report.step("dropped")
    report.warn("heard")
    os.close(left)
    assert os.read(pipe[0], 100) == b" !     heard\n"


def test_a_slow_reader_of_a_non_blocking_pipe_gets_everything(pipe: tuple[int, int]) -> None:
    os.set_blocking(pipe[1], False)
    data = bytes(range(256)) * 4096
    got = bytearray()

    def read() -> None:
        while len(got) < len(data):
            got.extend(os.read(pipe[0], 65536))

    reader = threading.Thread(target=read)
    reader.start()
    write_all(pipe[1], data)
    reader.join()
    assert bytes(got) == data


def test_the_grammar(pipe: tuple[int, int]) -> None:
    output = Output(pipe[1], pipe[1])
    output.report.step("Building")
    output.report.result("Done")
    output.report.detail("one\ntwo")
    output.report.warn("careful")
    output.line("data \udcff")
    output.json({"é": 1})
    assert os.read(pipe[0], 1000) == (
        b"-----> Building\n=====> Done\n       one\n       two\n !     careful\ndata \xff\n"
        + '{"é": 1}\n'.encode()
    )


def test_quiet_leaves_warnings_and_data(pipe: tuple[int, int]) -> None:
    output = Output(pipe[1], pipe[1], quiet=True)
    output.report.step("Building")
    output.report.result("Done")
    output.report.detail("one")
    output.report.output(b"raw")
    output.report.warn("careful")
    output.line("data")
    assert os.read(pipe[0], 1000) == b" !     careful\ndata\n"


def test_columns_are_aligned_and_end_without_blanks() -> None:
    assert list(columns([("a:", "1", ""), ("long:", "22", "x")])) == ["a:     1", "long:  22  x"]
    assert list(columns([])) == []


def test_a_moment_is_utc() -> None:
    assert moment(86400 * 365.0) == "1971-01-01 00:00:00 UTC"
