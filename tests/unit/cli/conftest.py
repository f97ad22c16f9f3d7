"""One PaaS of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.cli.caller import Paas


@pytest.fixture
def paas(tmp_path: Path) -> Iterator[Paas]:
    paas = Paas(tmp_path)
    yield paas
    paas.store.close()
