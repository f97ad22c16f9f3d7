"""What the commands of certificates make of their words."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from paas.deploy.authority import Authorities
from paas.model.letsencrypt import EMAIL, KEY_TYPE, SERVER, STAGING, TRUST
from paas.proxy.listening import Listening
from paas.proxy.proxy import Proxy
from tests.unit.cli.caller import KEY, ROOT, Paas


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("certs:add", "app", "one"), "two files"),
        (("certs:add", "app", "one", "two"), "cannot be named over ssh"),
        (("certs:set", "app"), "--https-redirect"),
        (("certs:set", "app", "--hsts-seconds", "-1"), "whole number"),
        (("certs:set", "app", "--https-redirect", "yes"), "neither on nor off"),
        (("certs:generate", "app", "a b"), "not a domain"),
        (("letsencrypt:set",), "--global"),
        (("letsencrypt:set", "--global"), "Usage: paas letsencrypt:set"),
        (("letsencrypt:set", "--global", "mail", "a@b.example"), "is not one of"),
        (("letsencrypt:set", "--global", "email", "a b@c"), "not an e-mail address"),
        (("letsencrypt:set", "app", "email", "a@b.example"), "is the server's"),
        (("letsencrypt:set", "--global", "server", "http://a.example"), "https://"),
        (("letsencrypt:set", "--global", "trust", "/etc/shadow"), "root alone"),
        (("letsencrypt:set", "app", "dns-hook", "/bin/sh"), "root alone"),
        (("letsencrypt:set", "app", "dns-key", "/etc/shadow"), "root alone"),
        (("letsencrypt:set", "app", "key-type", "dsa"), "is not one of ec-256"),
        (("letsencrypt:set", "app", "challenge", "tls-alpn-01"), "is not one of http-01"),
        (("letsencrypt:set", "app", "dns-server", "a b"), "not the address of a DNS server"),
        (("letsencrypt:set", "--global", "eab-key", "secret"), "from standard input"),
        (("letsencrypt:set", "app", "eab-key", "-"), "is the server's"),
        (("letsencrypt:revoke", "app", "--reason", "dunno"), "dunno"),
    ],
)
def test_a_mistake_is_one_sentence(paas: Paas, words: tuple[str, ...], said: str) -> None:
    paas.store.apps.create("app")
    failed = paas(*words, caller=KEY)
    assert failed.code == 1
    assert said in failed.err
    assert "Traceback" not in failed.err


def test_a_file_that_is_not_there_is_named(paas: Paas) -> None:
    paas.store.apps.create("app")
    failed = paas("certs:add", "app", "no.crt", "no.key", caller=ROOT)
    assert "no.crt: No such file" in failed.err
    words = ("letsencrypt:set", "--global", "trust")
    assert "absolute path" in paas(*words, "x", caller=ROOT).err
    assert "There is no file '/no/file'" in paas(*words, "/no/file", caller=ROOT).err


def test_the_authority_is_set_for_all_apps_and_unset(paas: Paas) -> None:
    trust = paas.folder / "trust.pem"
    trust.write_text("")
    value = paas.store.settings.value
    for key, text in (("email", "a@b.example"), ("server", "staging"), ("trust", str(trust))):
        assert paas("letsencrypt:set", "--global", key, text, caller=ROOT).code == 0
    assert (value(EMAIL), value(SERVER), value(TRUST)) == ("a@b.example", STAGING, str(trust))
    assert paas("letsencrypt:set", "--global", "email", caller=ROOT).code == 0
    assert value(EMAIL) == ""


def test_an_app_has_a_kind_of_key_of_its_own(paas: Paas) -> None:
    app = paas.store.apps.create("app")
    assert paas("letsencrypt:set", "app", "key-type", "rsa-2048", caller=KEY).code == 0
    assert paas.store.settings.value(KEY_TYPE, app.id) == "rsa-2048"
    assert paas.store.settings.value(KEY_TYPE) == "ec-256"


def test_the_secret_of_an_external_account_is_kept_for_root_alone(paas: Paas) -> None:
    authorities = Authorities(paas.layout, paas.store, Proxy(paas.layout, Listening))
    paas.platform.letsencrypt = SimpleNamespace(authorities=authorities)
    words = ("letsencrypt:set", "--global", "eab-key", "-")
    assert "not a base64url key" in paas(*words, caller=ROOT, input=b"short").err
    secret = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
    said = paas(*words, caller=ROOT, input=secret.encode())
    assert said.code == 0
    assert secret not in said.out + said.err
    (kept,) = (paas.layout.proxy / "accounts").iterdir()
    assert (kept.read_text(), kept.stat().st_mode & 0o777) == (secret, 0o600)
    assert paas("letsencrypt:set", "--global", "eab-key", caller=ROOT).code == 0
    assert not kept.exists()
