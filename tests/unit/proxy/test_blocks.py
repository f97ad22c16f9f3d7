"""Which server blocks come of which names."""

from __future__ import annotations

from pathlib import Path

from paas.model.route import Redirect, Route
from paas.proxy.blocks import Action, blocks
from paas.proxy.site import Site, SiteOptions, Tls

SLOTS = ("10.0.0.1",)
PAIR = (Path("/c.pem"), Path("/c.key"))


def test_names_without_a_difference_share_a_block() -> None:
    (block,) = blocks(Site("app", ("a.example", "*.b.example"), SLOTS))
    assert (block.action, block.domains) == (Action.SERVE, ("a.example", "*.b.example"))


def test_what_has_a_certificate_leads_to_https() -> None:
    site = Site("app", ("a.example", "b.example"), SLOTS, tls=(Tls(("b.example",), *PAIR),))
    assert [(each.action, each.domains, bool(each.tls)) for each in blocks(site)] == [
        (Action.SERVE, ("a.example",), False),
        (Action.TO_HTTPS, ("b.example",), False),
        (Action.SERVE, ("b.example",), True),
    ]


def test_of_www_and_apex_the_canonical_one_is_led_to() -> None:
    names = ("a.example", "www.a.example", "www.lonely.example")
    site = Site("app", names, SLOTS, options=SiteOptions(canonical="apex"))
    moved, rest = blocks(site, {"http": ":8080", "https": ""})
    assert moved.domains == ("www.a.example",)
    assert moved.moved is not None
    assert moved.moved.target == "http://a.example:8080"
    assert rest.domains == ("a.example", "www.lonely.example")


def test_a_host_with_mounts_or_moved_paths_has_a_block_of_its_own() -> None:
    old = Redirect(Route("a.example", "/old"), "https://b.example/new", 302)
    site = Site(
        "app",
        ("a.example", "b.example", "c.example"),
        SLOTS,
        shared=("b.example",),
        redirects=(old, Redirect(Route("c.example"), "https://d.example")),
    )
    first, second, third = blocks(site)
    assert (first.domains, first.paths) == (("a.example",), (old,))
    assert (second.domains, second.shared) == (("b.example",), "b.example")
    assert third.action is Action.MOVED
