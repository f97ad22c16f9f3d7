"""The locks of who starts containers of an app: both are free when nobody does."""

from __future__ import annotations

from paas.host.files import FileLock
from paas.model.layout import Layout


def deploying(layout: Layout, app_id: int, holder: str) -> FileLock:
    """Held by one deploy at a time, and by who ends the app."""
    return FileLock(layout.locks / f"app-{app_id}.deploy", holder)


def using(layout: Layout, app_id: int, *, alone: bool = False) -> FileLock:
    """Held by whoever runs containers of an app outside of a deploy, so that all of
    them are known to be over to the one who takes it `alone`.
    """
    return FileLock(layout.locks / f"app-{app_id}.use", shared=not alone)
