"""A site that could mean something to nginx cannot be made."""

from __future__ import annotations

import pytest

from paas.errors import PaasError
from paas.proxy.site import Site, SiteOptions, SiteState


@pytest.mark.parametrize(
    "domain",
    ["a.b; return 200", "a b", "~^(.*)$", "a.b}", '"a"', "a\nb", "", "$host", "a/b", "é..com", "*"],
)
def test_a_domain_with_syntax_in_it_is_refused(domain: str) -> None:
    with pytest.raises(PaasError, match="domain"):
        Site("app", (domain,), ("10.0.0.1",))


@pytest.mark.parametrize("slot", ["localhost", "10.0.0.1:80", "::1", "10.0.0.1;", ""])
def test_a_slot_is_an_ipv4_address(slot: str) -> None:
    with pytest.raises(PaasError, match="slot"):
        Site("app", ("a.b",), (slot,))


@pytest.mark.parametrize("app", ["../x", "a}", "A", ""])
def test_an_app_name_that_is_none_is_refused(app: str) -> None:
    with pytest.raises(PaasError, match="name"):
        Site(app, ("a.b",), ("10.0.0.1",))


def test_a_live_site_has_slots_and_others_need_none() -> None:
    with pytest.raises(PaasError, match="no slots"):
        Site("app", ("a.b",), ())
    assert Site("app", ("a.b",), (), SiteState.EMPTY).slots == ()


def test_domains_have_one_spelling() -> None:
    assert Site("app", ("WWW.Example.com.",), ("10.0.0.1",)).domains == ("www.example.com",)


def test_limits_are_not_negative() -> None:
    with pytest.raises(PaasError, match="limit"):
        SiteOptions(max_body_bytes=-1)
