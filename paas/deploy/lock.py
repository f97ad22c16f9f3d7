"""Locking an app: nothing is deployed to it until it is unlocked.

A row, not the kernel's lock of one deploy: it is a decision of people, which outlives
processes and reboots and names who took it.
"""

from __future__ import annotations

import time

from paas.errors import PaasError
from paas.model.app import App
from paas.store.applocks import AppLock
from paas.store.store import Store


class AppLocked(PaasError):
    """The app is locked: nothing can be deployed to it."""

    def __init__(self, app: App, lock: AppLock) -> None:
        super().__init__(
            f"{app.name} currently has a deploy lock in place: {described(lock)}",
            resolution=f"To release it: paas apps:unlock {app.name}",
        )


def described(lock: AppLock) -> str:
    """Who locked and since when: `by ann since 2026-11-24 04:10:00 UTC (incident 7)`."""
    since = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(lock.at))
    return f"by {lock.actor} since {since}" + (f" ({lock.reason})" if lock.reason else "")


def refuse_locked(store: Store, app: App) -> None:
    """Return when the app can be deployed to. Raises `AppLocked`."""
    lock = store.locks.find(app.id)
    if lock is not None:
        raise AppLocked(app, lock)


def lock_app(store: Store, app: App, actor: str, reason: str) -> None:
    """Let nothing be deployed to the app. A deploy whose turn has come goes on to its end.

    Raises `AppLocked` when it is locked: who has done it, and why, is not overwritten.
    """
    with store.transaction():
        refuse_locked(store, app)
        store.locks.add(app.id, actor, reason)
        store.events.add(actor, app.name, "locked", reason)


def unlock_app(store: Store, app: App, actor: str) -> bool:
    """Let the app be deployed to again; says whether it was locked."""
    with store.transaction():
        lock = store.locks.find(app.id)
        if lock is None:
            return False
        store.locks.remove(app.id)
        store.events.add(actor, app.name, "unlocked", f"was locked {described(lock)}")
    return True
