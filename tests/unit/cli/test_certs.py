"""What the commands of certificates make of their words."""

from __future__ import annotations

import pytest

from paas.model.settings import (
    LETSENCRYPT_EMAIL,
    LETSENCRYPT_SERVER,
    LETSENCRYPT_TRUST,
)
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
        (("letsencrypt:set",), "--email"),
        (("letsencrypt:set", "--email", "a b@c"), "not an e-mail address"),
        (("letsencrypt:set", "--server", "http://a.example"), "https://"),
        (("letsencrypt:set", "--trust", "/etc/shadow"), "root alone"),
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
    assert "absolute path" in paas("letsencrypt:set", "--trust", "x", caller=ROOT).err


def test_the_authority_is_set_for_all_apps(paas: Paas) -> None:
    trust = paas.folder / "trust.pem"
    trust.write_text("")
    url = "https://ca.example/dir"
    words = ("--email", "a@b.example", "--server", url, "--trust", str(trust))
    assert paas("letsencrypt:set", *words, caller=ROOT).code == 0
    value = paas.store.settings.value
    assert (value(LETSENCRYPT_EMAIL), value(LETSENCRYPT_SERVER)) == ("a@b.example", url)
    assert value(LETSENCRYPT_TRUST) == str(trust)
