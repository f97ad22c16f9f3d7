"""How calls of the OCI runtime are written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from paas.engine.bundle import Bundle
from paas.engine.container import Record, State
from paas.engine.monitor import arguments
from paas.engine.runtime import SHIM, NoRuntime, Runtime, Runtimes
from paas.engine.signals import signal_number
from paas.errors import PaasError
from paas.host.cgroups import Cgroups
from paas.host.identity import Identity
from paas.model.layout import Layout
from tests.unit.engine.test_spec import HOST

RECORD = Record(
    id="c1", image="", owner="app:1", base=0, labels={}, hostname="c1", network="none", log=None,
    stop_signal="SIGTERM", stop_timeout=1.0, created_at=0.0, keeper=Identity(1, 0),
)  # fmt: skip
PLAIN = Runtime("sh", "/run/x/oci")
HIDING = Runtime("sh", "/run/x/oci", hidden="/sys/fs/cgroup/unified", takes_streams=True)


class NoneWorks(Runtimes):
    def candidates(self) -> list[Runtime]:
        return [Runtime("first-that-is-not", "/x"), Runtime("second-that-is-not", "/x")]


def runtimes(tmp_path: Path) -> NoneWorks:
    layout = Layout.at(tmp_path)
    # Its run directory is below /run, which a test without root cannot write.
    object.__setattr__(layout, "id", f"../{tmp_path.relative_to('/')}/run")
    return NoneWorks(layout, Cgroups(2, {"": tmp_path}, "/x"))


def test_no_runtime_tells_why_of_each(tmp_path: Path) -> None:
    with pytest.raises(NoRuntime) as caught:
        runtimes(tmp_path).choose(HOST)
    assert [line.split(":")[0] for line in caught.value.details] == [
        "first-that-is-not",
        "second-that-is-not",
    ]


def test_a_plain_runtime_is_called_as_it_is() -> None:
    assert PLAIN.command("start", "c1") == ["/usr/bin/sh", "--root", "/run/x/oci", "start", "c1"]


def test_what_it_must_not_see_is_unmounted_in_a_namespace_of_the_call() -> None:
    assert HIDING.command("create", "c1", creating=True) == [
        *("unshare", "--mount", "--propagation", "slave", "--"),
        *("/bin/sh", str(SHIM), "-u", "/sys/fs/cgroup/unified"),
        *("/usr/bin/sh", "--root", "/run/x/oci", "create", "c1"),
    ]
    assert HIDING.command("start", "c1") == PLAIN.command("start", "c1")


def test_the_monitor_calls_it_the_same_way(tmp_path: Path) -> None:
    words = arguments(Bundle(tmp_path / "c1"), HIDING, RECORD)
    runtime = [word.partition("=")[2] for word in words if word.startswith("--runtime")]
    prefix, program = HIDING.split(empty_stdin=True)
    assert runtime == ["/usr/bin/unshare", *prefix[1:], *program]
    assert prefix[-1] == "-n"
    assert "--log-path=off" in words


def test_a_verdict_holds_until_the_program_changes(tmp_path: Path) -> None:
    chooser = runtimes(tmp_path)
    verdict = tmp_path / "run/runtime.json"
    verdict.parent.mkdir()
    status = Path("/usr/bin/sh").stat()
    document = {"program": "sh", "state": "/s", "hidden": "", "takes_streams": False}
    stamp = [status.st_size, status.st_mtime_ns]
    verdict.write_text(json.dumps({**document, "stamp": stamp}))
    assert chooser.choose(HOST) == Runtime("sh", "/s")
    verdict.write_text(json.dumps({**document, "stamp": [1, 2]}))
    with pytest.raises(NoRuntime):
        chooser.choose(HOST)


@pytest.mark.parametrize("name", ["SIGTERM", "term", " 15 "])
def test_signals_have_several_names(name: str) -> None:
    assert signal_number(name) == 15


def test_realtime_signals_are_counted_from_either_end() -> None:
    assert [signal_number(name) for name in ("SIGRTMIN+3", "rtmax-1", "RTMIN")] == [37, 63, 34]


@pytest.mark.parametrize("name", ["", "SIGNONE", "0", "99", "-9", "RTMIN+99", "RTMAX+1"])
def test_what_is_no_signal_is_refused(name: str) -> None:
    with pytest.raises(PaasError, match="is not a signal"):
        signal_number(name)


def test_states() -> None:
    assert [state for state in State if state.can_start] == [
        State.CREATED,
        State.EXITED,
        State.LOST,
    ]
    assert [state for state in State if state.can_join] == [State.RUNNING]
    assert [state for state in State if state.has_ended] == [State.EXITED, State.LOST]
