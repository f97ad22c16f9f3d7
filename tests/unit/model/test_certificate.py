"""Which names a certificate covers, and which of several serves a domain."""

from __future__ import annotations

import pytest

from paas.model.certificate import Certificate, Source, choose, name_covers


@pytest.mark.parametrize(
    ("name", "domain", "covered"),
    [
        ("a.example", "a.example", True),
        ("a.example", "b.example", False),
        ("*.a.example", "b.a.example", True),
        ("*.a.example", "a.example", False),
        ("*.a.example", "c.b.a.example", False),
        ("*.a.example", "*.a.example", True),
        ("b.a.example", "*.a.example", False),
        ("*.example", "*.a.example", False),
        ("*.a.example", ".a.example", False),
    ],
)
def test_a_wildcard_stands_for_one_label(name: str, domain: str, covered: bool) -> None:
    assert name_covers(name, domain) == covered


def known(fingerprint: str, *names: str, until: float = 100, mine: bool = False) -> Certificate:
    return Certificate(fingerprint, Source.GIVEN, names, "CA", "1", 0, until, mine)


def chosen(domain: str, *certificates: Certificate, now: float = 50) -> str | None:
    best = choose(certificates, domain, now)
    return best.fingerprint if best else None


def test_none_that_covers_is_none() -> None:
    assert chosen("a.example", known("x", "b.example")) is None


def test_an_expired_one_is_the_last_resort_and_better_than_none() -> None:
    old = known("old", "a.example", until=10)
    assert chosen("a.example", old) == "old"
    assert chosen("a.example", known("wild", "*.example", mine=True), old) == "wild"


def test_a_trusted_one_comes_before_a_self_signed_one() -> None:
    mine = known("mine", "a.example", mine=True)
    assert chosen("a.example", known("ca", "*.example"), mine) == "ca"


def test_an_exact_name_comes_before_a_wildcard() -> None:
    assert chosen("a.example", known("exact", "a.example"), known("wild", "*.example")) == "exact"


def test_of_equals_the_newest_serves_even_if_it_ends_earlier() -> None:
    short = known("new", "a.example", until=90)
    assert chosen("a.example", known("old", "a.example"), short) == "new"


def test_it_is_renewed_with_a_third_of_its_life_left() -> None:
    assert known("x", "a.example", until=90).renew_at == 60
