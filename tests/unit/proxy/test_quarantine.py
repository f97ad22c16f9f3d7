"""The broken are found, the good stay, and it does not take a test per site."""

from __future__ import annotations

from collections.abc import Mapping

from paas.proxy.quarantine import split_broken

MANY = {f"app{k:03}": "fine" for k in range(128)}


class Judge:
    """Fails a set that holds a broken text, or two that clash; counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, sites: Mapping[str, str]) -> str | None:
        self.asked += 1
        if "broken" in sites.values():
            return "unknown directive"
        return "clash" if list(sites.values()).count("jealous") > 1 else None


def test_nobody_broken() -> None:
    assert split_broken(MANY, Judge()) == (MANY, {})


def test_one_broken_among_many_costs_little() -> None:
    judge = Judge()
    good, broken = split_broken({**MANY, "app077": "broken"}, judge)
    assert broken == {"app077": "unknown directive"}
    assert set(good) == set(MANY) - {"app077"}
    assert judge.asked < 20


def test_all_broken() -> None:
    assert split_broken({"a": "broken", "b": "broken"}, Judge()) == (
        {},
        {"a": "unknown directive", "b": "unknown directive"},
    )


def test_two_that_only_clash_with_each_other_cost_one_of_them() -> None:
    good, broken = split_broken({"a": "jealous", "b": "fine", "c": "jealous"}, Judge())
    assert good == {"a": "jealous", "b": "fine"}
    assert broken == {"c": "clash"}


def test_nothing_to_serve() -> None:
    assert split_broken({}, Judge()) == ({}, {})
