"""Releases: numbers that only grow, and values that come back as they were."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

import paas
from paas.model.env import Secret
from paas.model.health import Healthcheck, Probe
from paas.model.release import Release
from paas.store.releases import ReleaseNotFound
from paas.store.store import Store

AWKWARD = {"LINES": "a\nb\r\n", "UNICODE": "grüße 🚀", "EMPTY": "", "BIG": "x" * 1024 * 1024}
CHECKS = {"web": (Healthcheck("up", Probe.READINESS, path="/up", headers=(("A", "b"),)),)}


def add_release(store: Store, app_id: int, image: str = "sha256:1") -> Release:
    """A release with something in every field."""
    return store.releases.add(
        app_id,
        image=image,
        commit="c" * 40,
        config={key: Secret(value) for key, value in AWKWARD.items()},
        processes={"web": "serve $PORT", "worker": None},
        formation={"web": 2, "worker": 0},
        health=CHECKS,
        reason="Deploy cccccccc",
        actor="ann",
    )


def test_a_missing_release_is_exit_20_and_named(store: Store) -> None:
    app = store.apps.create("shop")
    with pytest.raises(ReleaseNotFound, match="v99") as caught:
        store.releases.get(app.id, 99)
    assert caught.value.code == 20
    assert store.releases.latest(app.id) is None


def test_a_release_comes_back_as_it_was_given(store: Store) -> None:
    app = store.apps.create("shop")
    given = add_release(store, app.id)
    assert given == store.releases.get(app.id, 1) == store.releases.latest(app.id)
    assert {key: value.reveal() for key, value in given.config.items()} == AWKWARD
    assert given.processes == {"web": "serve $PORT", "worker": None}
    assert given.health == CHECKS
    assert given.version == "v1"
    assert "x" * 20 not in repr(given)
    with pytest.raises(FrozenInstanceError):
        given.number = 2  # type: ignore[misc]


def test_numbers_are_per_app_and_never_used_again(store: Store) -> None:
    app, other = store.apps.create("shop"), store.apps.create("other")
    assert [add_release(store, app.id).number for _ in range(3)] == [1, 2, 3]
    assert add_release(store, other.id).number == 1
    with pytest.raises(ZeroDivisionError), store.transaction():
        add_release(store, app.id)
        _ = 1 / 0
    assert add_release(store, app.id).number == 4
    assert [release.number for release in store.releases.list(app.id)] == [4, 3, 2, 1]


def test_pruning_spares_the_live_release_and_those_that_still_run(store: Store) -> None:
    app, other = store.apps.create("shop"), store.apps.create("other")
    for number in range(1, 8):
        add_release(store, app.id, f"sha256:{number}")
    add_release(store, other.id, "sha256:other")
    store.apps.set_live(app.id, 2)
    store.instances.add(
        app.id, release=4, process_type="web", index=1, container="c",
        address="10.0.0.1", port=5000, deploy=None,
    )  # fmt: skip
    store.releases.keep(app.id, 2)
    assert [release.number for release in store.releases.list(app.id)] == [7, 6, 4, 2]
    assert store.releases.images() == {
        "sha256:2",
        "sha256:4",
        "sha256:6",
        "sha256:7",
        "sha256:other",
    }
    store.releases.keep(app.id, 2)
    assert add_release(store, app.id).number == 8


def test_no_line_of_the_program_changes_a_release() -> None:
    """They are added and pruned. What a migration seals says the same as before."""
    package = Path(paas.__file__).parent
    changing = [
        path.name for path in package.rglob("*.py") if "UPDATE releases" in path.read_text()
    ]
    assert changing == []
