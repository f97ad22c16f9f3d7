"""Fixtures of the ring that needs a kernel."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engine.storage import Storage


@pytest.fixture
def storage() -> Iterator[Storage]:
    """The storage half of an engine, in a root of its own."""
    storage = Storage()
    yield storage
    storage.destroy()
