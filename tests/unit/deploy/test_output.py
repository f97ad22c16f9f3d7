"""The output of a deploy outlives whoever asked for it."""

from __future__ import annotations

import os
from pathlib import Path

from paas.deploy.output import Output


def test_a_caller_that_is_gone_stops_neither_deploy_nor_log(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    output = Output(writer)
    output.keep(tmp_path / "log")
    output.write(b"one\n")
    output.write(b"two\n")
    output.close()
    os.close(writer)
    assert (tmp_path / "log").read_bytes() == b"one\ntwo\n"


def test_a_caller_that_takes_nothing_is_given_up(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    output = Output(writer, patience_s=0.05)
    output.keep(tmp_path / "log")
    data = b"x" * 200_000
    output.write(data)
    output.write(b"after")
    output.close()
    os.close(reader)
    os.close(writer)
    assert (tmp_path / "log").read_bytes() == data + b"after"


def test_both_get_all_in_order_and_the_log_from_when_it_is_kept(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    output = Output(writer)
    output.write(b"before ")
    output.keep(tmp_path / "log")
    output.write(b"and after")
    output.close()
    os.close(writer)
    with os.fdopen(reader, "rb") as told:
        assert told.read() == b"before and after"
    assert (tmp_path / "log").read_bytes() == b"and after"
