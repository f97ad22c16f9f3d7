"""One PaaS for the whole ring, one app for each test that wants one."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from tests.push import apps
from tests.push.app import App, new_app
from tests.push.disk import GIB, Disk, disk
from tests.push.server import Server
from tests.push.workshop import Workshop
from tests.turns import in_turn

LOG_LINES = 40


FIXTURES = "test_fixtures.py"

IN_TURN = ("test_services_mariadb.py", "test_services_rabbitmq.py")
"""The same engine of services below, and minutes each."""


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out a file whose turn it is not."""
    name = collection_path.name
    return True if name in IN_TURN and name not in in_turn(IN_TURN, 2) else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what others give time to behind all rings; the order is otherwise kept."""
    items.sort(key=lambda item: item.path.name == FIXTURES)


def tail_of(path: Path) -> str:
    """The last lines of a log; of one on a disk without power, that it has none."""
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-LOG_LINES:])
    except OSError as error:
        return str(error)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the server wrote beside what the test saw."""
    report = yield
    server = getattr(item, "funcargs", {}).get("server")
    if report.failed and isinstance(server, Server):
        for path in server.logs():
            report.sections.append((str(path), tail_of(path)))
    return report


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A running PaaS with one registered key and its own sshd."""
    server = Server.start()
    yield server
    server.destroy()


@pytest.fixture(scope="module")
def drive() -> Iterator[Disk]:
    """A disk that can be full and lose its power, for a server of a module's own."""
    with disk(12 * GIB) as made:
        yield made


@pytest.fixture(scope="module")
def server_on_drive(drive: Disk) -> Iterator[Server]:
    """A PaaS with its data on that disk. A module that wants it calls it `server`."""
    server = Server.start(drive.mounted / "root")
    yield server
    server.destroy()


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    """Where the fixture apps are built meanwhile."""
    folder = tmp_path_factory.getbasetemp()
    # The workers of a run have folders of their own in one of the run.
    workshop = Workshop(folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder)
    yield workshop
    workshop.stop()


@pytest.fixture(scope="session", autouse=True)
def begun_early(request: pytest.FixtureRequest) -> None:
    """Have the workshop begin with the first test of the ring, if it is wanted at all."""
    if any(item.path.name == FIXTURES for item in request.session.items):
        request.getfixturevalue("workshop")


@pytest.fixture
def app(server: Server) -> Iterator[App]:
    """An app nobody pushed yet; gone after the test, whatever became of it."""
    app = new_app(server)
    yield app
    server.paas("apps:destroy", app.name, "--force")


@pytest.fixture(scope="module")
def live(server: Server) -> Iterator[App]:
    """An app that is served, shared by the tests of a module, which leave it served."""
    app = new_app(server, "live")
    app.push(apps.plain()).ok()
    yield app
    server.paas("apps:destroy", app.name, "--force").ok()
