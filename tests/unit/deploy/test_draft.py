"""How many instances a release has: what was asked for by hand, else what is declared."""

from __future__ import annotations

from paas.deploy.draft import formation_for

PROCESSES = {"web": "serve", "worker": "work", "release": "migrate"}


def test_what_was_scaled_wins_over_what_the_repository_says() -> None:
    scaled, declared = {"web": 3}, {"web": 1, "worker": 2}
    assert formation_for(PROCESSES, scaled, declared) == {"web": 3, "worker": 2}


def test_a_type_that_was_scaled_to_nothing_stays_so() -> None:
    assert formation_for(PROCESSES, {"worker": 0}, {"worker": 2}) == {"web": 1, "worker": 0}


def test_types_that_nobody_speaks_of_are_not_zeroed() -> None:
    assert formation_for(PROCESSES, {}, {"worker": 1}) == {"web": 1, "worker": 1}
    assert formation_for(PROCESSES, {}, {}) == {"web": 1, "worker": 0}
