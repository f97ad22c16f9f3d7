"""A transfer is watched: given up it ends, and what has come is told in bytes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from paas.engine import skopeo
from paas.engine.skopeo import Counter, bytes_below, run_watched
from paas.host.processes import ProcessFailed, ProcessTimedOut
from paas.model.report import Lines

FETCH = """
for n in 1 2 3; do
    head -c 1000000 /dev/zero > beside; mv beside blobs/$n
    while [ ! -e told$n ]; do sleep 0.01; done
done
"""
"""Like skopeo: a megabyte comes, and the next when that was told."""


@pytest.fixture(autouse=True)
def told_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(skopeo, "TELL_SECONDS", 0.01)
    monkeypatch.chdir(tmp_path)


def test_one_that_fails_has_its_own_words(tmp_path: Path) -> None:
    with pytest.raises(ProcessFailed) as caught:
        run_watched(["sh", "-c", "echo no such blob >&2; exit 3"], tmp_path / "said", lambda: None)
    assert caught.value.completed.code == 3
    assert caught.value.completed.stderr == b"no such blob\n"


def test_one_that_takes_too_long_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(skopeo, "TRANSFER_SECONDS", 0.02)
    with pytest.raises(ProcessTimedOut):
        run_watched(["sleep", "600"], tmp_path / "said", lambda: None)


def test_one_that_is_given_up_ends(tmp_path: Path) -> None:
    def give_up() -> None:
        if (tmp_path / "pid").exists():
            raise KeyboardInterrupt

    argv = ["sh", "-c", "echo $$ > beside; mv beside pid; exec sleep 600"]
    with pytest.raises(KeyboardInterrupt):
        run_watched(argv, tmp_path / "said", give_up)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_what_has_come_is_told_in_bytes(tmp_path: Path) -> None:
    blobs, said = tmp_path / "blobs", list[bytes]()
    blobs.mkdir()
    counter = Counter(Lines(said.append), lambda: bytes_below(blobs))

    def tell() -> None:
        counter.tell()
        for step in range(1, len(said) + 1):
            (tmp_path / f"told{step}").touch()

    run_watched(["sh", "-c", FETCH], tmp_path / "stderr", tell)
    counter.end("Downloaded")
    megabytes = [b"%d.0 MB so far" % number for number in (1, 2, 3)]
    assert [line.strip() for line in said] == [*megabytes, b"Downloaded 3.0 MB"]
