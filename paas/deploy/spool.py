"""Room on the disk for what comes in or goes out as a whole: dumps, archives, images."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from paas.model.layout import Layout


@contextmanager
def spool(layout: Layout) -> Iterator[int]:
    """An empty file without a name, on disk, gone with its descriptor whatever happens."""
    folder = layout.root / "spool"
    folder.mkdir(mode=0o700, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        yield file.fileno()
