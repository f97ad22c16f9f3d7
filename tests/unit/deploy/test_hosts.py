"""Who carries a host, and what is mounted below it."""

from __future__ import annotations

import pytest

from paas.deploy.hosts import Hosts
from paas.model.route import Redirect, Route

A, B, C = 1, 2, 3


def test_whoever_has_the_whole_host_carries_it() -> None:
    hosts = Hosts({Route("x.example", "/api"): A, Route("x.example"): B})
    assert hosts.carried(B) == ["x.example"]
    assert hosts.carried(A) == ()
    assert hosts.mounts(A) == [Route("x.example", "/api")]
    assert hosts.shared(B) == ["x.example"]
    assert hosts.bare(B) == []


def test_a_host_that_nobody_has_whole_is_the_oldest_one_s() -> None:
    hosts = Hosts({Route("x.example", "/b"): B, Route("x.example", "/a"): A})
    assert hosts.carried(A) == ["x.example"]
    assert hosts.bare(A) == ["x.example"]


def test_a_host_that_redirects_is_carried_and_serves_nothing() -> None:
    hosts = Hosts({}, {A: [Redirect(Route("old.example"), "https://new.example")]})
    assert hosts.carried(A) == ["old.example"]
    hosts = Hosts({Route("new.example"): A}, {A: [Redirect(Route("old.example"), "https://n.e")]})
    assert hosts.carried(A) == ["new.example", "old.example"]
    assert hosts.bare(A) == []


HELD = {
    Route("x.example"): A,
    Route("x.example", "/blog"): B,
    Route("*.wild.example"): A,
    Route("*.deep.wild.example"): B,
    Route("paths.example", "/a"): A,
    Route("paths.example", "/b"): B,
}


@pytest.mark.parametrize(
    ("app", "route", "losers"),
    [
        (C, Route("free.example"), []),
        (C, Route("free.example", "/login"), []),
        (C, Route("x.example", "/login"), [A]),
        (C, Route("x.example", "/blog/admin"), [A, B]),
        (C, Route("x.example", "/blogs"), [A]),
        (B, Route("x.example", "/login"), [A]),
        (A, Route("x.example", "/login"), []),
        (A, Route("x.example", "/blog/admin"), [B]),
        (C, Route("y.x.example"), []),
        (C, Route("old.example"), [A]),
        (C, Route("old.example", "/login"), [A]),
        # Who comes second below a host that nobody has whole, and who takes it whole then.
        (C, Route("paths.example", "/c"), [A]),
        (C, Route("paths.example"), [A, B]),
        (B, Route("paths.example"), [A]),
        (A, Route("paths.example"), []),
        # nginx leads every depth below a wildcard there, the nearest wildcard first.
        (C, Route("one.wild.example"), [A]),
        (C, Route("one.wild.example", "/login"), [A]),
        (C, Route("one.deep.wild.example"), [B]),
        (C, Route("*.one.wild.example"), [A]),
        (A, Route("one.wild.example"), []),
        (C, Route("wild.example"), []),
        (C, Route("*.wild.example", "/login"), [A]),
        (C, Route("*.example"), []),
    ],
)
def test_who_loses_visitors_to_a_route(app: int, route: Route, losers: list[int]) -> None:
    hosts = Hosts(HELD, {A: [Redirect(Route("old.example"), "https://x.example")]})
    assert hosts.losers(app, route) == losers
