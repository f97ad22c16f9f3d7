"""Laying a whole context below a directory of a tree."""

from __future__ import annotations

from paas.engine.build.context import Context
from paas.engine.build.sources import ContextSource
from paas.engine.build.target import Target


def lay(context: Context, target: Target, below: str) -> None:
    """Write every path of `context` below the absolute path `below`, links as links."""
    source = ContextSource(context)
    target.make_directories(below)
    for path in context.entries():
        item = source.find(path)
        if item is None:
            continue
        if item.is_dir:
            target.put_directory(item, f"{below}/{path}")
        else:
            target.put(source, item, f"{below}/{path}")
    target.finish()
