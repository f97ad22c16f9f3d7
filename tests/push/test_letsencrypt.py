"""Certificates from an authority: issued, renewed, and what happens when that fails."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from paas.deploy.authority import Authorities
from paas.proxy.listening import Listening
from paas.proxy.proxy import Proxy
from paas.store.store import Store
from tests.authority import bundle, intermediate, leaf
from tests.push.app import App
from tests.push.bind import Bind
from tests.push.gate import Gate, Mood, failing, honest, limiting, swapping
from tests.push.outcome import eventually
from tests.push.pebble import Pebble, newest_program
from tests.push.server import DOMAIN, Server
from tests.push.test_tls import report, shown

pytestmark = pytest.mark.turns(2)


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
    live.ssh("redirects:remove {} moved.acme.test")
    if names := json.loads(live.ssh("domains:list {} --format json").ok().out)[1:]:
        live.ssh(f"domains:remove {{}} {' '.join(names)}").ok()


def ask(server: Server, pebble: Pebble) -> None:
    values = {"email": "ops@example.com", "server": pebble.directory, "trust": str(pebble.trust)}
    for key, value in values.items():
        server.paas("letsencrypt:set", "--global", key, value).ok()


def listed(app: App, beside: App | None = None) -> dict[str, Any]:
    """What is said of it, and of no other app but the one `beside`."""
    entries = json.loads(app.ssh("letsencrypt:list --format json").ok().out)
    found = {entry["app"]: dict(entry) for entry in entries}
    assert set(found) == {app.name} | ({beside.name} if beside else set())
    return found[app.name]


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
    server.paas("letsencrypt:set", "--global", "email").ok()
    assert "an e-mail address" in clean.ssh("letsencrypt:enable {}").failed().err
    for words in ("email nonsense", "server http://plain.example/dir", ""):
        server.ssh(f"letsencrypt:set --global {words}").failed()
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


def test_an_authority_that_limits_fails_or_lies_harms_nobody_and_is_left_alone(
    server: Server, clean: App, app: App, authority: Pebble
) -> None:
    gate, host = Gate(authority), f"{clean.name}.{DOMAIN}"
    store = Store(server.layout)

    def attempt(mood: Mood) -> str:
        gate.mood = mood
        store.renewals.enable(row.id)  # what was before is forgotten
        return clean.ssh("letsencrypt:auto-renew {}").failed().err

    with gate.open():
        server.paas("letsencrypt:set", "--global", "server", gate.directory).ok()
        clean.ssh("letsencrypt:enable {}").ok()
        app.ssh("apps:create {}").ok()
        app.ssh("letsencrypt:enable {}").ok()
        before, other = shown(server, host), shown(server, f"{app.name}.{DOMAIN}")
        row = store.apps.get(clean.name)
        gate.mood = limiting("limited.acme.test", 7200)
        # In one transaction of the other's: the supervisor may be first.
        clean.ssh("domains:add {} limited.acme.test").ok()
        app.ssh("domains:add {} free.acme.test").ok()
        both = server.paas("letsencrypt:auto-renew")
        assert verified(server, "free.acme.test", authority.root()), both.text
        assert shown(server, f"{app.name}.{DOMAIN}") != other
        assert "too many certificates already issued" in listed(clean, beside=app)["error"]
        renewal = store.renewals.find(row.id)
        assert renewal is not None
        assert 7000 < renewal.not_before - time.time() <= 7200

        assert "does not answer as an ACME authority does" in attempt(failing)
        foreign = leaf("limited.acme.test", host)
        assert "does not answer as an ACME authority does" in attempt(
            swapping(foreign.pem + intermediate().pem)
        )
        assert shown(server, host) == before
        assert server.get(clean.name, host="limited.acme.test").status == 200
        assert challenges(server) == []

        gate.mood = honest
        clean.ssh("letsencrypt:auto-renew {}")
        eventually(lambda: verified(server, "limited.acme.test", authority.root()))
    store.close()


def test_an_app_whose_domains_all_lead_elsewhere_gets_none(
    server: Server, clean: App, authority: Pebble
) -> None:
    default = f"{clean.name}.{DOMAIN}"
    authority.lose(default)
    try:
        failed = clean.ssh("letsencrypt:enable {}").failed()
    finally:
        authority.find(default)
    assert "did not find this server behind every domain" in failed.err
    assert f"{default}: " in failed.err
    assert report(clean) == []
    assert clean.serves("hello 1")
    assert challenges(server) == []
    assert json.loads(server.ssh("letsencrypt:list --format json").ok().out) == []


def test_a_domain_that_leads_elsewhere_is_named_and_keeps_no_other_from_a_certificate(
    server: Server, clean: App, authority: Pebble
) -> None:
    authority.lose("lost.acme.test")
    clean.ssh("domains:add {} lost.acme.test").ok()
    enabled = clean.ssh("letsencrypt:enable {}").ok()
    assert "lost.acme.test: " in enabled.err
    assert "They are tried again later" in enabled.err
    assert verified(server, f"{clean.name}.{DOMAIN}", authority.root())
    assert server.get(clean.name, host="lost.acme.test").status == 200
    # Two when the supervisor was there before it was noted.
    assert listed(clean)["failures"] in {1, 2}
    assert challenges(server) == []

    authority.find("lost.acme.test")
    clean.ssh("letsencrypt:auto-renew {}").ok()
    assert verified(server, "lost.acme.test", authority.root())
    assert listed(clean)["failures"] == 0


# -- what works -------------------------------------------------------------------------------


def test_all_domains_of_a_redirecting_app_get_one_certificate(
    server: Server, clean: App, authority: Pebble
) -> None:
    """HTTP-01 is answered whatever else a visitor would meet."""
    clean.ssh("domains:add {} www.acme.test *.wild.acme.test").ok()
    clean.ssh("redirects:add {} moved.acme.test https://www.acme.test").ok()
    clean.ssh("certs:generate {}").ok()
    for words in ("maintenance:on {}", "proxy:set {} basic-auth ann:s3cret",
                  "proxy:set {} allow 192.0.2.0/24"):  # fmt: skip
        clean.ssh(words).ok()
    assert clean.get().status in {301, 403}
    enabled = clean.ssh("letsencrypt:enable {}").ok()
    for words in ("maintenance:off {}", "proxy:set {} basic-auth", "proxy:set {} allow"):
        clean.ssh(words).ok()
    assert "No certificate covers" not in enabled.err
    found = next(each for each in report(clean) if each["source"] == "letsencrypt")
    assert found["names"] == [f"{clean.name}.{DOMAIN}", "www.acme.test", "moved.acme.test"]
    for host in (f"{clean.name}.{DOMAIN}", "www.acme.test", "moved.acme.test"):
        assert verified(server, host, authority.root())
    assert challenges(server) == []
    assert {key.stat().st_mode & 0o777 for key in account_keys(server)} == {0o600}

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
        eventually(lambda: shown(server, host) != first)
        # It is valid for seconds: the next may be there already, or be on its way.
        eventually(lambda: verified(server, host, hasty.root()))
        assert listed(clean)["failures"] == 0
        eventually(lambda: [each["source"] for each in report(clean)] == ["letsencrypt"])
        clean.ssh("letsencrypt:disable {}").ok()
        assert clean.serves("hello 1")
    finally:
        hasty.stop()


def test_twenty_domains_an_rsa_key_and_an_authority_that_takes_its_time(
    server: Server, clean: App, tmp_path: Path
) -> None:
    slow = Pebble(tmp_path / "slow", server.http_port, sleeps=True)
    try:
        ask(server, slow)
        clean.ssh("letsencrypt:set {} key-type rsa-2048").ok()
        names = [f"n{number}.acme.test" for number in range(20)]
        clean.ssh(f"domains:add {{}} {' '.join(names)}").ok()
        clean.ssh("letsencrypt:enable {}").ok()
        assert verified(server, names[-1], slow.root())
        with tls(server, names[0]) as secure:
            assert key_of(secure) == ("rsa", 2048)
        # It finds the twenty again without looking (RFC 8555, section 7.1.3: authorizations).
        clean.ssh("domains:add {} more.acme.test").ok()
        clean.ssh("letsencrypt:auto-renew {}")
        assert verified(server, "more.acme.test", slow.root())
    finally:
        clean.ssh("letsencrypt:set {} key-type").ok()
        slow.stop()


def test_a_revoked_certificate_is_gone_here_and_there(
    server: Server, clean: App, authority: Pebble
) -> None:
    assert "not enabled" in clean.ssh("letsencrypt:revoke {} --force").failed(20).err
    clean.ssh("letsencrypt:enable {}").ok()
    (found,) = report(clean)
    authority.stop()
    assert "cannot be reached" in clean.ssh("letsencrypt:revoke {} --force").failed().err
    assert len(report(clean)) == 1
    authority.start()
    # Another life of pebble knows nothing of what it issued in the one before.
    clean.ssh("letsencrypt:disable {}").ok()
    clean.ssh("letsencrypt:enable {}").ok()
    (found,) = report(clean)
    clean.ssh("letsencrypt:revoke {} --force --reason keyCompromise").ok()
    assert authority.is_revoked(found["serial"])
    assert report(clean) == []
    assert clean.serves("hello 1")
    assert json.loads(server.ssh("letsencrypt:list --format json").ok().out) == []


def test_it_is_renewed_when_the_authority_wants_it(
    server: Server, clean: App, tmp_path: Path
) -> None:
    modern = Pebble(tmp_path / "modern", server.http_port, program=newest_program())
    host, store = f"{clean.name}.{DOMAIN}", Store(server.layout)
    try:
        ask(server, modern)
        clean.ssh("letsencrypt:enable {}").ok()
        first, app = shown(server, host), store.apps.get(clean.name)
        clean.ssh("letsencrypt:auto-renew {}").ok()
        assert shown(server, host) == first
        # It was asked, by this command or by the supervisor before it.
        renewal = store.renewals.find(app.id)
        assert renewal is not None
        assert renewal.suggested_at is not None
        # What it has revoked is to be replaced at once (RFC 9773, section 4.2).
        chain = server.layout.proxy / f"certificates/{first}.pem"
        account = Authorities(server.layout, store, Proxy(server.layout, Listening)).account()
        account.revoke(chain.read_bytes(), 0)
        store.renewals.suggested(app.id, None, ask_at=0)
        clean.ssh("letsencrypt:auto-renew {}")
        eventually(lambda: shown(server, host) != first)
    finally:
        store.close()
        modern.stop()


def test_the_account_gets_a_new_key_and_goes_on(
    server: Server, clean: App, authority: Pebble
) -> None:
    clean.ssh("letsencrypt:enable {}").ok()
    keys = {path: path.read_bytes() for path in account_keys(server)}
    server.paas("letsencrypt:account-rollover").ok()
    changed = [path for path in account_keys(server) if path.read_bytes() != keys.get(path)]
    assert len(changed) == 1
    assert changed[0].stat().st_mode & 0o777 == 0o600
    clean.ssh("domains:add {} more.acme.test").ok()
    clean.ssh("letsencrypt:auto-renew {}").ok()
    assert verified(server, "more.acme.test", authority.root())

    # Killed behind the authority's answer: the new key is still the one beside.
    changed[0].rename(changed[0].with_suffix(".next"))
    clean.ssh("domains:add {} again.acme.test").ok()
    clean.ssh("letsencrypt:auto-renew {}").ok()
    assert verified(server, "again.acme.test", authority.root())
    assert not changed[0].with_suffix(".next").exists()


def test_an_account_is_bound_to_one_elsewhere(server: Server, clean: App, tmp_path: Path) -> None:
    secret = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
    strict = Pebble(tmp_path / "strict", server.http_port, external={"kid-1": secret})
    try:
        ask(server, strict)
        refused = clean.ssh("letsencrypt:enable {}").failed()
        assert "eab-kid" in refused.err
        server.paas("letsencrypt:set", "--global", "eab-kid", "kid-1").ok()
        assert "has a key identifier and no key" in clean.ssh("letsencrypt:enable {}").failed().err
        server.paas("letsencrypt:set", "--global", "eab-key", "-", input=secret.encode()).ok()
        clean.ssh("letsencrypt:enable {}").ok()
        assert verified(server, f"{clean.name}.{DOMAIN}", strict.root())
    finally:
        for key in ("eab-kid", "eab-key"):
            server.paas("letsencrypt:set", "--global", key).ok()
        strict.stop()


def test_a_wildcard_is_certified_through_the_dns(
    server: Server, clean: App, tmp_path: Path
) -> None:
    bind = Bind(tmp_path / "bind", "zone.acme.test")
    pebble = Pebble(tmp_path / "pebble", server.http_port, dns=bind.address)
    hook = tmp_path / "hook"
    hook.write_text(HOOK.format(key=bind.key, port=bind.port, log=tmp_path / "hook.log"))
    hook.chmod(0o700)
    try:
        ask(server, pebble)
        clean.ssh("letsencrypt:set {} challenge dns-01").ok()
        assert "how the DNS is changed" in clean.ssh("letsencrypt:enable {}").failed().err
        server.paas("letsencrypt:set", clean.name, "dns-server", bind.address).ok()
        # The default domain is in no zone of this server.
        failed = clean.ssh("letsencrypt:enable {}").failed()
        assert f"no zone that _acme-challenge.{clean.name}.{DOMAIN} is in" in failed.err
        clean.ssh("domains:add {} *.zone.acme.test zone.acme.test").ok()
        with without_default_domain(server):
            assert "refused the update" in clean.ssh("letsencrypt:enable {}").failed().err
            server.paas("letsencrypt:set", clean.name, "dns-key", str(bind.key)).ok()
            clean.ssh("letsencrypt:enable {}").ok()
            assert verified(server, "any.zone.acme.test", pebble.root())
            assert verified(server, "zone.acme.test", pebble.root())
            assert bind.records("_acme-challenge.zone.acme.test") == []

            server.paas("letsencrypt:set", clean.name, "dns-hook", str(hook)).ok()
            clean.ssh("domains:add {} *.deep.zone.acme.test").ok()
            clean.ssh("letsencrypt:auto-renew {}")
            assert verified(server, "any.deep.zone.acme.test", pebble.root())
            calls = (tmp_path / "hook.log").read_text().splitlines()
            assert {line.split()[0] for line in calls} == {"present", "cleanup"}
            assert bind.records("_acme-challenge.deep.zone.acme.test") == []
    finally:
        for key in ("challenge", "dns-server", "dns-key", "dns-hook"):
            server.paas("letsencrypt:set", clean.name, key).ok()
        pebble.stop()
        bind.stop()


HOOK = """#!/bin/sh
# What an administrator writes for a provider: here it is nsupdate.
set -eu
echo "$1 $2" >> {log}
case $1 in present) verb=add ttl=60 ;; cleanup) verb=delete ttl= ;; esac
nsupdate -v -k {key} <<END
server 127.0.0.1 {port}
update $verb $2 $ttl TXT "$3"
send
END
"""


@contextmanager
def without_default_domain(server: Server) -> Iterator[None]:
    """Apps have their own domains alone."""
    store = Store(server.layout)
    try:
        store.settings.set(None, "domain", None)
        yield
    finally:
        store.settings.set(None, "domain", DOMAIN)
        store.close()


@contextmanager
def tls(server: Server, host: str) -> Iterator[ssl.SSLSocket]:
    """A connection to a site, whoever signed its certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", server.https_port), 10) as plain,
        context.wrap_socket(plain, server_hostname=host) as secure,
    ):
        yield secure


def key_of(secure: ssl.SSLSocket) -> tuple[str, int]:
    """The kind of key a server has, and its bits."""
    shown_der = secure.getpeercert(binary_form=True)
    assert shown_der is not None
    key: Any = x509.load_der_x509_certificate(shown_der).public_key()
    return ("rsa" if isinstance(key, rsa.RSAPublicKey) else "ec", key.key_size)


def account_keys(server: Server) -> list[Path]:
    return sorted((server.layout.proxy / "accounts").glob("*.key"))
