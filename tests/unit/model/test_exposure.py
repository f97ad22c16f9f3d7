"""Who may come to an exposed service: addresses and networks in one spelling."""

from __future__ import annotations

import pytest

from paas.model.exposure import Exposure, InvalidNetwork, Tls, parse_networks


@pytest.mark.parametrize("text", ["", "x", "1.2.3", "1.2.3.4/33", "1.2.3.4; deny all", "all"])
def test_what_is_no_network_is_refused(text: str) -> None:
    with pytest.raises(InvalidNetwork, match="neither an address nor a network"):
        parse_networks([text])


def test_networks_have_one_spelling_and_come_once() -> None:
    given = ["203.0.113.7", "10.1.2.3/8", "10.0.0.0/8", "2001:DB8::0/32", "203.0.113.7/32"]
    assert parse_networks(given) == ("203.0.113.7", "10.0.0.0/8", "2001:db8::/32")


def test_an_exposure_says_for_whom_and_how() -> None:
    assert str(Exposure(1, 5432, (), Tls.SERVER)) == "port 5432 (TLS) for everybody"
    narrow = Exposure(1, 6379, ("10.0.0.0/8",), Tls.NOBODY)
    assert str(narrow) == "port 6379 (without TLS) for 10.0.0.0/8"
