"""The door to other programs: what children get, and what their failures say."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from paas.host import processes
from paas.host.processes import ProcessFailed, ProcessTimedOut, ProgramMissing


def test_failure_carries_argv_code_streams_and_how_to_replay() -> None:
    argv = ["sh", "-c", "echo out; echo 'it broke' >&2; exit 3"]
    with pytest.raises(ProcessFailed) as caught:
        processes.run(argv)
    error = caught.value
    assert (error.exit_code, error.stdout, error.stderr) == (3, b"out\n", b"it broke\n")
    assert "exit code 3" in error.brief
    assert "stderr: it broke" in error.details
    assert "sh -c 'echo out; echo" in error.resolution


def test_what_failed_is_told_without_the_credentials_in_it() -> None:
    words = ["-H", "Authorization: Bearer s3cr3t", "--url", "https://s3cr3t@127.0.0.1/"]
    told = "-H 'Authorization: ***' --url 'https://***@127.0.0.1/'"
    with pytest.raises(ProcessTimedOut) as late:
        processes.run(["sh", "-c", "sleep 30", *words], timeout=0.1)
    with pytest.raises(ProcessFailed) as failed:
        processes.run(["sh", "-c", 'echo "cannot open $4" >&2; exit 1', "sh", *words])
    assert failed.value.details == ("stderr: cannot open https://***@127.0.0.1/",)
    for error in (late.value, failed.value):
        assert error.resolution.endswith(told)
    # Whoever asks by program is told what was run.
    assert failed.value.argv[-1] == words[-1]


def test_missing_program_is_named() -> None:
    with pytest.raises(ProgramMissing, match="no-such-program"):
        processes.run(["no-such-program"])
    with pytest.raises(ProgramMissing, match="no-such-program"):
        processes.spawn(["no-such-program"])


def test_time_limit_kills() -> None:
    with pytest.raises(ProcessTimedOut, match=r"sleep was killed after 0\.1 seconds"):
        processes.run(["sleep", "30"], timeout=0.1)


def test_signal_is_told_by_name() -> None:
    with pytest.raises(ProcessFailed, match="killed by SIGKILL"):
        processes.run(["sh", "-c", "kill -9 $$"])


def test_unchecked_failure_is_returned() -> None:
    assert processes.run(["false"], check=False).code == 1


def test_environment_is_built_not_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", "/elsewhere")
    monkeypatch.setenv("SECRET", "x")
    lines = processes.run(["env"], env={"EXTRA": "yes"}).text.splitlines()
    assert sorted(lines) == sorted(
        ["HOME=/root", "LANG=C.UTF-8", f"PATH={processes.SEARCH_PATH}", "EXTRA=yes"]
    )


@pytest.mark.parametrize("data", [b"", b"\x00\xff line\n" * 50_000])
def test_input_comes_back_whole(data: bytes) -> None:
    assert processes.run(["cat"], input=data).stdout == data


def test_input_that_is_not_read_is_no_error() -> None:
    assert processes.run(["true"], input=b"x" * 1_000_000).code == 0


def test_undecodable_argument_survives() -> None:
    name = os.fsdecode(b"caf\xe9")
    assert processes.run(["printf", "%s", name]).stdout == b"caf\xe9"


def test_working_directory(tmp_path: Path) -> None:
    assert processes.run(["pwd"], cwd=tmp_path).text == str(tmp_path)


def test_spawn_streams_on_the_given_descriptors() -> None:
    theirs, ours = os.pipe()[::-1]
    child = processes.spawn(["sh", "-c", "echo $A; exit 7"], stdout=theirs, env={"A": "b"})
    os.close(theirs)
    with os.fdopen(ours, "rb") as stream:
        assert stream.read() == b"b\n"
    assert child.wait() == 7
    assert child.pidfd == -1


def test_spawn_inherits_no_other_descriptor() -> None:
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    out_reading, out_writing = os.pipe()
    child = processes.spawn(["ls", "/proc/self/fd"], stdout=out_writing)
    os.close(out_writing)
    assert child.wait() == 0
    with os.fdopen(out_reading, "rb") as stream:
        # The fourth is the directory that ls reads.
        assert stream.read().split() == [b"0", b"1", b"2", b"3"]
    os.close(reading)
    os.close(writing)


def test_pidfd_tells_the_end_and_kill_ends() -> None:
    child = processes.spawn(["sleep", "30"])
    assert child.poll() is None
    with pytest.raises(TimeoutError):
        child.wait(0.01)
    child.kill()
    assert child.wait() == -signal.SIGKILL
    child.kill()
    assert child.poll() == -signal.SIGKILL


def test_preparation_runs_in_the_child() -> None:
    child = processes.spawn(["sleep", "30"], preexec=lambda: os._exit(9))
    assert child.wait() == 9


def test_a_cgroup_that_is_gone_starts_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        processes.spawn(["true"], cgroup=tmp_path / "gone")
