"""Two PaaS that start at the same time choose different networks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from paas.engine.network.addresses import CANDIDATES, PrefixesTaken
from paas.engine.network.reservations import STARTING_S, Reservations


def test_no_two_choose_the_same_before_there_is_a_route(tmp_path: Path) -> None:
    reservations = Reservations(tmp_path)
    chosen = [reservations.choose([], f"p{number}") for number in range(len(CANDIDATES))]
    assert sorted(chosen) == sorted(CANDIDATES)
    with pytest.raises(PrefixesTaken):
        reservations.choose([], "one too many")


def test_with_a_route_the_reservation_is_over_and_only_its_own(tmp_path: Path) -> None:
    reservations = Reservations(tmp_path)
    first = reservations.choose([], "p1")
    reservations.release(first, "another")
    assert len(list(tmp_path.glob("10.*"))) == 1
    reservations.release(first, "p1")
    assert list(tmp_path.glob("10.*")) == []


def test_who_chooses_again_keeps_what_it_had(tmp_path: Path) -> None:
    reservations = Reservations(tmp_path)
    assert reservations.choose([], "p1") == reservations.choose([], "p1")


def test_after_a_while_routes_alone_count(tmp_path: Path) -> None:
    reservations = Reservations(tmp_path)
    first = reservations.choose([], "paas")
    path = tmp_path / str(first.network_address)
    os.utime(path, (0, path.stat().st_mtime - STARTING_S - 1))
    # `paas` begins at the first candidate, and so does the copy of its name elsewhere.
    (tmp_path / str(first.network_address)).write_text("another")
    os.utime(path, (0, path.stat().st_mtime - STARTING_S - 1))
    assert reservations.choose([], "paas") == first
    assert reservations.choose([first], "paas") != first
