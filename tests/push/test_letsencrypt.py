"""Certificates from an authority: issued, renewed, and what happens when that fails."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from paas.store.store import Store
from tests.authority import bundle, leaf
from tests.push.app import App
from tests.push.outcome import eventually
from tests.push.pebble import Pebble
from tests.push.server import DOMAIN, Server
from tests.push.test_tls import report, shown


@pytest.fixture(scope="module")
def pebble(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pebble]:
    pebble = Pebble(tmp_path_factory.mktemp("acme") / "pebble", server.http_port)
    yield pebble
    pebble.stop()


@pytest.fixture
def authority(server: Server, pebble: Pebble) -> Pebble:
    """The authority that the server asks."""
    ask(server, pebble)
    return pebble


@pytest.fixture
def clean(live: App) -> Iterator[App]:
    """The module's app, without any certificate before and after."""
    yield live
    live.ssh("letsencrypt:disable {}")
    live.ssh("certs:remove {}")
    for name in json.loads(live.ssh("domains:list {} --format json").ok().out)[1:]:
        live.ssh(f"domains:remove {{}} {name}").ok()


def ask(server: Server, pebble: Pebble) -> None:
    options = ("--email", "ops@example.com", "--server", pebble.directory)
    server.paas("letsencrypt:set", *options, "--trust", str(pebble.trust)).ok()


def listed(app: App) -> dict[str, Any]:
    (found,) = json.loads(app.ssh("letsencrypt:list --format json").ok().out)
    assert found["app"] == app.name
    return dict(found)


def events(server: Server, app: App) -> list[str]:
    store = Store(server.layout)
    try:
        return [f"{each.what}: {each.detail}" for each in store.events.tail(20, app.name)]
    finally:
        store.close()


def verified(server: Server, host: str, root: str) -> bool:
    """Whether a client that trusts `root` alone gets a handshake for `host`."""
    context = ssl.create_default_context(cadata=root)
    with (
        socket.create_connection(("127.0.0.1", server.https_port), 10) as plain,
        context.wrap_socket(plain, server_hostname=host),
    ):
        return True


def challenges(server: Server) -> list[Path]:
    return list((server.layout.proxy / "acme").rglob("acme-challenge/*"))


# -- failures first -------------------------------------------------------------------------


def test_without_an_address_nobody_is_asked(server: Server, clean: App) -> None:
    assert "an e-mail address" in clean.ssh("letsencrypt:enable {}").failed().err
    for option in ("--email nonsense", "--server http://plain.example/dir", ""):
        server.ssh(f"letsencrypt:set {option}").failed()
    assert "not enabled" in clean.ssh("letsencrypt:disable {}").failed(20).err


def test_an_authority_that_is_down_is_said_and_harms_nobody(
    server: Server, clean: App, authority: Pebble
) -> None:
    clean.ssh("letsencrypt:enable {}").ok()
    before = shown(server, f"{clean.name}.{DOMAIN}")
    authority.stop()
    try:
        # Another domain makes the certificate due at once.
        clean.ssh("domains:add {} late.acme.test").ok()
        failed = clean.ssh("letsencrypt:auto-renew {}").failed()
        assert "cannot be reached" in failed.err
        # Two when the supervisor was there first.
        assert listed(clean)["failures"] in {1, 2}
        assert "cannot be reached" in listed(clean)["error"]
        assert any("renewal failed" in each and "reached" in each for each in events(server, clean))
        assert shown(server, f"{clean.name}.{DOMAIN}") == before
        assert server.get(clean.name, host="late.acme.test").status == 200
    finally:
        authority.start()


def test_a_domain_that_leads_elsewhere_is_named(
    server: Server, clean: App, authority: Pebble
) -> None:
    authority.lose("lost.acme.test")
    clean.ssh("domains:add {} lost.acme.test").ok()
    failed = clean.ssh("letsencrypt:enable {}").failed()
    assert "did not find this server behind every domain" in failed.err
    assert "lost.acme.test: " in failed.err
    assert f"{clean.name}.{DOMAIN}: " not in failed.err
    assert report(clean) == []
    assert clean.serves("hello 1")
    assert challenges(server) == []
    assert json.loads(server.ssh("letsencrypt:list --format json").ok().out) == []


# -- what works -------------------------------------------------------------------------------


def test_all_domains_of_a_redirecting_app_get_one_certificate(
    server: Server, clean: App, authority: Pebble
) -> None:
    clean.ssh("domains:add {} www.acme.test *.wild.acme.test").ok()
    clean.ssh("certs:generate {}").ok()
    assert clean.get().status == 301
    enabled = clean.ssh("letsencrypt:enable {}").ok()
    assert "No certificate covers" not in enabled.err
    found = next(each for each in report(clean) if each["source"] == "letsencrypt")
    assert found["names"] == [f"{clean.name}.{DOMAIN}", "www.acme.test"]
    for host in (f"{clean.name}.{DOMAIN}", "www.acme.test"):
        assert verified(server, host, authority.root())
    assert challenges(server) == []
    (key,) = (server.layout.proxy / "accounts").glob("*.key")
    assert key.stat().st_mode & 0o777 == 0o600

    again = shown(server, "www.acme.test")
    own = clean.ssh("certs:add {}", input=bundle(leaf("www.acme.test"))).failed()
    assert "come from letsencrypt" in own.err
    clean.ssh("letsencrypt:enable {}").ok()
    assert "is not due yet" in clean.ssh("letsencrypt:auto-renew").ok().out
    assert shown(server, "www.acme.test") == again
    clean.ssh("letsencrypt:disable {}").ok()
    assert [each["source"] for each in report(clean)] == ["self-signed"]


def test_the_supervisor_renews_in_the_last_third(
    server: Server, clean: App, tmp_path: Path
) -> None:
    hasty = Pebble(tmp_path / "hasty", server.http_port, lifetime_s=8)
    host = f"{clean.name}.{DOMAIN}"
    try:
        ask(server, hasty)
        clean.ssh("letsencrypt:enable {}").ok()
        first = shown(server, host)
        eventually(lambda: shown(server, host) != first, within=40)
        assert verified(server, host, hasty.root())
        assert listed(clean)["failures"] == 0
        eventually(lambda: [each["source"] for each in report(clean)] == ["letsencrypt"])
        clean.ssh("letsencrypt:disable {}").ok()
        assert clean.serves("hello 1")
    finally:
        hasty.stop()
