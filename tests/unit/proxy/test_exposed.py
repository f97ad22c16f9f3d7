"""What the template makes of exposed services; that nginx takes it is tested with nginx."""

from __future__ import annotations

from pathlib import Path

import pytest

from paas.host.content import content
from paas.proxy.exposed import Exposed
from paas.proxy.options import InvalidSite
from paas.proxy.render import Renderer, app_of
from paas.proxy.site import Site, Tls
from tests.unit.proxy.test_render import SERVER, SLOTS


def text(exposed: Exposed) -> str:
    [(name, text)] = Renderer(content("proxy")).files(exposed, SERVER).items()
    assert app_of(name) == exposed.app
    return text


@pytest.mark.parametrize(
    ("name", "port", "address", "allow"),
    [
        ("postgres-db;", 5432, "10.0.0.1", ()),
        ("postgres-db", 0, "10.0.0.1", ()),
        ("postgres-db", 5432, "10.0.0.1; }", ()),
        ("postgres-db", 5432, "10.0.0.1", ("all; allow all",)),
    ],
)
def test_what_would_mean_something_to_nginx_is_refused(
    name: str, port: int, address: str, allow: tuple[str, ...]
) -> None:
    with pytest.raises(InvalidSite):
        Exposed(name, port, address, allow)


def test_only_the_allowed_come_and_all_when_nobody_is_named() -> None:
    open_to_all = text(Exposed("postgres-db", 5432, "10.0.0.1"))
    assert "listen 0.0.0.0:5432 so_keepalive=on;" in open_to_all
    assert "proxy_pass 10.0.0.1:5432;" in open_to_all
    assert "allow" not in open_to_all
    assert "deny" not in open_to_all
    narrow = text(Exposed("postgres-db", 5432, "10.0.0.1", ("10.0.0.0/8", "::1")))
    assert "allow 10.0.0.0/8;\n    allow ::1;\n    deny all;" in narrow


def test_tls_ends_at_the_proxy_when_it_has_a_certificate() -> None:
    plain = text(Exposed("redis-x", 6379, "10.0.0.1"))
    assert "ssl" not in plain
    secure = text(Exposed("redis-x", 6379, "10.0.0.1", (), Tls((), Path("/c.pem"), Path("/k"))))
    assert "listen 0.0.0.0:6379 ssl so_keepalive=on;" in secure
    assert "ssl_certificate_key /k;" in secure


def test_an_app_of_the_same_name_has_files_of_its_own() -> None:
    renderer = Renderer(content("proxy"))
    exposed = Exposed("postgres-db", 5432, "10.0.0.1")
    site = Site("postgres-db", ("a.example",), SLOTS)
    assert not renderer.files(exposed, SERVER).keys() & renderer.files(site, SERVER).keys()
