"""Who carries a host, and what is mounted below it."""

from __future__ import annotations

from paas.deploy.hosts import Hosts
from paas.model.route import Redirect, Route

A, B = 1, 2


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
