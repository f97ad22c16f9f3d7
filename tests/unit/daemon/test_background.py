"""A process that stays: it comes up or says why not, is recognised, and goes."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from paas.daemon.background import Background, NotStarted

# A folder says "ready" in one step; a file is there while its descriptor is still open.
FOREVER = "import os, signal; os.mkdir({ready!r}); signal.pause()"
STUBBORN = (
    "import os, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "os.mkdir({ready!r})\nwhile True: signal.pause()"
)


def background(folder: Path, code: str, seconds: float = 10.0) -> Background:
    ready = folder / "ready"
    return Background(
        name="thing",
        argv=[sys.executable, "-c", code.format(ready=str(ready))],
        record=folder / "thing.json",
        log=folder / "logs" / "thing.log",
        ready=ready.exists,
        seconds=seconds,
    )


def test_one_that_ends_at_once_shows_its_last_words(tmp_path: Path) -> None:
    broken = background(tmp_path, "raise SystemExit('no such flag')")
    with pytest.raises(NotStarted) as caught:
        broken.start()
    assert "exit code 1" in caught.value.brief
    assert "no such flag" in caught.value.details
    assert broken.running() is None


def test_one_that_is_never_ready_is_ended(tmp_path: Path) -> None:
    slow = background(tmp_path, "import signal; signal.pause()", seconds=0.3)
    with pytest.raises(NotStarted, match="not ready"):
        slow.start()
    assert slow.running() is None


def test_it_starts_once_and_stops(tmp_path: Path) -> None:
    thing = background(tmp_path, FOREVER)
    assert thing.start()
    try:
        pid = thing.running()
        assert pid is not None
        assert os.getsid(pid) == pid
        assert {entry.name for entry in Path(f"/proc/{pid}/fd").iterdir()} == {"0", "1", "2"}
        assert not thing.start()
        assert thing.running() == pid
    finally:
        thing.stop()
    assert thing.running() is None
    thing.stop()


def test_one_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    thing = background(tmp_path, STUBBORN)
    thing.start()
    # Half a second is enough for it to end, if it wants to, and not for it to come up.
    replace(thing, seconds=0.5).stop()
    assert thing.running() is None


def test_a_pid_that_is_another_process_s_by_now_is_not_ours(tmp_path: Path) -> None:
    thing = background(tmp_path, FOREVER)
    thing.record.write_text(json.dumps({"pid": os.getpid(), "started": 1}))
    assert thing.running() is None
    thing.stop()


@pytest.mark.parametrize("text", ["", "{", "{}", "[]", '{"pid": 0, "started": 3}'])
def test_a_record_that_is_none_means_not_running(tmp_path: Path, text: str) -> None:
    thing = background(tmp_path, FOREVER)
    thing.record.write_text(text)
    assert thing.running() is None
