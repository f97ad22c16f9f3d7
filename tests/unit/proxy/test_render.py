"""What the templates make of sites, as text; that nginx takes it is tested with nginx."""

from __future__ import annotations

from pathlib import Path

import pytest

from paas.host.content import content
from paas.proxy.listening import InvalidAddress, listen_addresses
from paas.proxy.render import Renderer, Server, identity_of
from paas.proxy.site import Site, SiteOptions, SiteState

SERVER = Server(("0.0.0.0:80",), "www-data", Path("/p"), Path("/r"), Path("/l"))
SLOTS = tuple(f"10.200.1.{k}" for k in range(1, 9))


@pytest.fixture
def renderer() -> Renderer:
    return Renderer(content("proxy"))


def test_a_live_site_lists_every_slot_without_marking_any_down(renderer: Renderer) -> None:
    text = renderer.site(Site("app", ("a.example", "*.b.example"), SLOTS), SERVER)
    for slot in SLOTS:
        assert f"server {slot}:80 max_fails=0;" in text
    assert "server_name a.example *.b.example;" in text
    assert "client_max_body_size 104857600;" in text


@pytest.mark.parametrize(
    ("state", "page"),
    [
        (SiteState.EMPTY, "not-deployed"),
        (SiteState.STOPPED, "stopped"),
        (SiteState.MAINTENANCE, "maintenance"),
    ],
)
def test_a_site_without_instances_is_a_page(
    renderer: Renderer, state: SiteState, page: str
) -> None:
    text = renderer.site(Site("app", ("a.example",), SLOTS, state), SERVER)
    assert "return 503;" in text
    assert "upstream" not in text
    assert f"/{page}.$paas_page" in text
    assert (content("proxy") / "pages" / f"{page}.html").is_file()


def test_the_operator_s_directives_are_taken_as_they_are(renderer: Renderer) -> None:
    extra = 'add_header X-Odd "{{ 1 + 1 }} $host";'
    site = Site("app", ("a.example",), SLOTS, options=SiteOptions(extra=extra))
    assert extra in renderer.site(site, SERVER)


def test_the_first_line_tells_whom_a_site_serves_and_nothing_else_of_it(renderer: Renderer) -> None:
    site = Site("app", ("a.example",), SLOTS)
    tuned = Site("app", ("a.example",), SLOTS, options=SiteOptions(extra="gzip on;"))
    moved = Site("app", ("b.example",), SLOTS)
    identities = [identity_of(renderer.files(each, SERVER), "app") for each in (site, tuned, moved)]
    assert identities[0] == identities[1] == site.identity
    assert identities[2] != identities[0]


def test_the_generation_changes_with_any_file_and_with_nothing_else(renderer: Renderer) -> None:
    base = renderer.tree({"a": {"a": "x"}, "b": {"b": "y"}}, SERVER)
    assert renderer.tree({"b": {"b": "y"}, "a": {"a": "x"}}, SERVER).generation == base.generation
    assert renderer.tree({"a": {"a": "y"}, "b": {"b": "x"}}, SERVER).generation != base.generation
    assert renderer.tree({"a": {"a": "x"}}, SERVER).generation != base.generation
    assert f'"{base.generation}"' in base.files["nginx.conf"]


def test_addresses_to_listen_on() -> None:
    assert listen_addresses("", 80, ipv6=True) == ("0.0.0.0:80", "[::]:80")
    assert listen_addresses("", 80, ipv6=False) == ("0.0.0.0:80",)
    assert listen_addresses("::1", 8080) == ("[::1]:8080",)
    with pytest.raises(InvalidAddress, match="not an IP address"):
        listen_addresses("1.2.3.4; daemon off", 80)
