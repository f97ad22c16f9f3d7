"""Finds the sites that keep a configuration from passing, so that the others go live."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

T = TypeVar("T")
"""What there is of one app: its files."""


def split_broken(
    sites: Mapping[str, T], fails: Callable[[Mapping[str, T]], str | None]
) -> tuple[dict[str, T], dict[str, str]]:
    """Part `sites` into those that pass together and the reasons of the others, by app.

    `fails` says why a complete configuration with some sites does not pass, None when it does.
    Halves that pass are not looked into: one broken site among n costs about 2 log n tests.
    """
    reasons = _search(sorted(sites), sites, fails)
    good = {app: text for app, text in sites.items() if app not in reasons}
    if not good or fails(good) is None:
        return good, reasons
    return _add_singly(good, reasons, fails)


def _search(
    apps: Sequence[str], sites: Mapping[str, T], fails: Callable[[Mapping[str, T]], str | None]
) -> dict[str, str]:
    if not apps:
        return {}
    reason = fails({app: sites[app] for app in apps})
    if reason is None:
        return {}
    if len(apps) == 1:
        return {apps[0]: reason}
    middle = len(apps) // 2
    return {
        **_search(apps[:middle], sites, fails),
        **_search(apps[middle:], sites, fails),
    }


def _add_singly(
    sites: Mapping[str, T],
    reasons: Mapping[str, str],
    fails: Callable[[Mapping[str, T]], str | None],
) -> tuple[dict[str, T], dict[str, str]]:
    """For sites that pass alone and not together: who comes second is left out."""
    good: dict[str, T] = {}
    broken = dict(reasons)
    for app in sorted(sites):
        reason = fails({**good, app: sites[app]})
        if reason is None:
            good[app] = sites[app]
        else:
            broken[app] = reason
    return good, broken
