"""One master for a module; who breaks it starts a fresh one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from paas.host.cgroups import Cgroups
from paas.host.files import remove_tree
from tests.engine.daemon.daemon import Daemon


def serve(root: Path) -> Iterator[Daemon]:
    root.chmod(0o711)
    daemon = Daemon(root)
    try:
        yield daemon
    finally:
        daemon.process.kill()
        daemon.process.wait()
        Cgroups.detect(daemon.layout).remove()
        remove_tree(daemon.layout.run)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    yield from serve(tmp_path_factory.mktemp("daemon"))


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Daemon]:
    yield from serve(tmp_path)
