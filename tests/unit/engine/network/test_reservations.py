"""Two PaaS that start at once choose different networks, and one that is stopped keeps its."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from paas.engine.network.addresses import CANDIDATES, PrefixesTaken
from paas.engine.network.reservations import STARTING_S, Claim, Reservations


def claim_of(folder: Path, instance: str) -> Claim:
    """One whose database exists."""
    database = folder / f"{instance}.db"
    database.touch()
    return Claim(instance, database)


def age(reservations: Reservations) -> None:
    """Nobody is starting any more."""
    for path in reservations.folder.glob("10.*"):
        os.utime(path, (0, path.stat().st_mtime - STARTING_S - 1))


def test_no_two_choose_the_same_before_there_is_a_route(tmp_path: Path) -> None:
    reservations = Reservations(tmp_path)
    claims = [claim_of(tmp_path, f"p{number}") for number in range(len(CANDIDATES))]
    assert sorted(reservations.choose([], one) for one in claims) == sorted(CANDIDATES)
    with pytest.raises(PrefixesTaken):
        reservations.choose([], claim_of(tmp_path, "one too many"))


def test_a_claim_is_given_back_by_its_own_alone(tmp_path: Path) -> None:
    reservations, own = Reservations(tmp_path), claim_of(tmp_path, "p1")
    first = reservations.choose([], own)
    reservations.release(first, claim_of(tmp_path, "another"))
    assert len(list(tmp_path.glob("10.*"))) == 1
    reservations.release(first, own)
    assert list(tmp_path.glob("10.*")) == []


def test_who_chooses_again_keeps_what_it_had(tmp_path: Path) -> None:
    reservations, own = Reservations(tmp_path), claim_of(tmp_path, "p1")
    assert reservations.choose([], own) == reservations.choose([], own)


def test_one_that_is_stopped_keeps_its_network_as_long_as_it_exists(tmp_path: Path) -> None:
    # Both begin at the first candidate: `paas` does, and so does the copy of its name elsewhere.
    reservations, stopped = Reservations(tmp_path), claim_of(tmp_path, "stopped")
    first = reservations.choose([], Claim("paas", tmp_path / "elsewhere"))
    reservations.hold(first, stopped)
    age(reservations)
    own = claim_of(tmp_path, "paas")
    assert reservations.choose([], own) != first
    stopped.database.unlink()
    assert reservations.choose([], own) == first
    assert reservations.choose([first], own) != first


def test_a_network_of_one_that_is_stopped_is_given_away_when_no_other_is_left(
    tmp_path: Path,
) -> None:
    reservations = Reservations(tmp_path)
    for number in range(len(CANDIDATES)):
        reservations.choose([], claim_of(tmp_path, f"p{number}"))
    age(reservations)
    own = claim_of(tmp_path, "paas")
    assert reservations.choose(CANDIDATES[:-1], own) == CANDIDATES[-1]
