"""A store of its own, with a clock that ticks once a look."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas.model.layout import Layout
from paas.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    ticks = itertools.count(1000)
    store = Store(Layout.at(tmp_path), lambda: float(next(ticks)))
    yield store
    store.close()
