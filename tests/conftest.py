"""What every ring shares: its marker, the rule about skips, and the guard of the real PaaS.

The rings are the folders below `tests/`. A test that cannot run here (no root, no tool)
skips on a laptop; where `CI` is set a skip is a failure, so that a green run means that
everything ran.
"""

from __future__ import annotations

import os
import sys
from collections import defaultdict
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

from tests.turns import in_turn

# A machine that runs two tests at a time pauses either of them now and then.
settings.register_profile("paas", deadline=None)
settings.load_profile("paas")

RINGS = ("rules", "unit", "contract", "engine", "push")
"""In the order they run: what is cheap and says most comes first. Several workers begin with what
takes longest, and share the short ones when one of them has nothing else left.
"""

SHARED_OUT = "PYTEST_XDIST_WORKER" in os.environ

NEEDS_ROOT = frozenset({"engine", "push"})

TESTS = Path(__file__).parent


def ring_of(path: Path) -> str | None:
    """The ring a test file belongs to: the first folder below `tests/`."""
    folder = path.relative_to(TESTS).parts[0]
    return folder if folder in RINGS else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark each test with its ring, leave out whose turn it is not, and run the rings in order."""
    for item in items:
        ring = ring_of(item.path)
        if ring is None:
            continue
        item.add_marker(ring)
        if ring in NEEDS_ROOT and os.geteuid() != 0:
            item.add_marker(pytest.mark.skip(reason=f"the {ring} ring needs root"))
    left_out = _without_a_turn(items)
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
    items.sort(key=lambda item: RINGS.index(ring_of(item.path) or RINGS[-1]), reverse=SHARED_OUT)


def _without_a_turn(items: list[pytest.Item]) -> set[pytest.Item]:
    """Of the tests of each file that is marked, those whose turn it is not (`turns.py`)."""
    marked = defaultdict[tuple[Path, int], list[pytest.Item]](list)
    for item in items:
        mark = item.get_closest_marker("turns")
        if mark is not None:
            marked[item.path, *mark.args].append(item)
    left_out = set[pytest.Item]()
    for (_, parts), of_file in marked.items():
        left_out |= set(of_file) - set(in_turn(of_file, parts))
    return left_out


SHARING = tuple(
    f"tests/push/{name}.py"
    for name in (
        "test_buildpack_api",
        "test_buildpack_images",
        "test_buildpacks",
        "test_stack_update",
    )
)
"""Files whose server has to make the image that apps are built in: they share the one that does."""


class ByServer(LoadFileScheduling):
    """Each file to a worker, and to one worker those that share what their server has made."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return "what is built in" if file in SHARING else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadFileScheduling | None:
    """What `--dist loadfile` of test.sh means here."""
    return ByServer(config, log) if config.getvalue("dist") == "loadfile" else None


def in_ci() -> bool:
    """True where a run decides about a change: nothing may be left out there."""
    return os.environ.get("CI", "").lower() in {"1", "true"}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skipped test into a failed one in CI; an expected failure stays what it is."""
    report = yield
    if in_ci() and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {_reason(report)}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a whole module that skips itself while it is imported."""
    report = yield
    if in_ci() and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {_reason(report)}"
    return report


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    """The text given to `skip`; a skip's `longrepr` is (path, line, reason)."""
    return report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)


class TouchedTheRealPaas(AssertionError):
    """A test was about to change the PaaS that is installed on this machine."""


REAL = ("/var/lib/paas", "/run/paas")
"""Root and run directory of the default installation; see `paas.model.layout`."""

EFFECTS = {
    "open": 0,
    "sqlite3.connect": 0,
    "socket.connect": 1,
    "os.mkdir": 0,
    "os.remove": 0,
    "os.rename": 1,
    "os.link": 1,
    "os.symlink": 1,
    "os.chmod": 0,
    "os.chown": 0,
}
"""Audit events that reach a path, and which of their arguments is that path."""


def is_real(path: object) -> bool:
    """True for the default root and run directory and what is below them."""
    if isinstance(path, bytes):
        path = os.fsdecode(path)
    if not isinstance(path, (str, os.PathLike)):
        return False
    text = os.fspath(path)
    return any(text == place or str(text).startswith(f"{place}/") for place in REAL)


def guard(event: str, arguments: tuple[object, ...]) -> None:
    """Refuse every effect of this process on the installed PaaS.

    An audit hook (PEP 578) sees what no monkeypatch can forget. It stays for the life of
    the interpreter, which is what is wanted.
    """
    position = EFFECTS.get(event)
    if position is None or len(arguments) <= position:
        return
    if is_real(arguments[position]):
        raise TouchedTheRealPaas(
            f"{event} {arguments[position]!r}: give the test a root of its own"
        )


sys.addaudithook(guard)
