"""What cannot be served is refused in one sentence; what can comes out in order."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from paas.model.certificate import Source
from paas.proxy.certificates import (
    InvalidCertificate,
    load_key,
    new_account_key,
    read_pair,
    self_signed,
    signing_request,
)
from tests.authority import bundle, intermediate, issue, leaf, root

GOOD = leaf("a.example", "*.b.example")
OTHER = leaf("other.example")
EMPTY_BLOCK = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
ED25519 = ed25519.Ed25519PrivateKey.generate().private_bytes(
    Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
)
SHORT_KEY = rsa.generate_private_key(65537, 1024)
STRANGER = issue([], ca=True, common_name="Stranger")

REFUSED = {
    "no key": (GOOD.pem, "There is no private key"),
    "no certificate": (GOOD.key, "There is no certificate"),
    "nothing": (b"\x00\xff", "There is no private key"),
    "two keys": (GOOD.pem + GOOD.key + OTHER.key, "There are 2 private keys"),
    "locked key": (GOOD.pem + GOOD.locked_key, "has a passphrase"),
    "damaged key": (GOOD.pem + GOOD.key.replace(b"M", b"!"), "The private key cannot be read"),
    "odd key": (GOOD.pem + ED25519, "neither RSA nor of an elliptic curve"),
    "short key": (bundle(issue(["a.example"], key=SHORT_KEY)), "has 1024 bits"),
    "damaged certificate": (EMPTY_BLOCK + GOOD.key, "Certificate 1 cannot be read"),
    "other key": (GOOD.pem + OTHER.key, "does not belong to the certificate of a.example"),
    "expired": (bundle(leaf("a.example", ends=-0.5)), "of a.example expired on 20"),
    "stray link": (bundle(issue(["a.example"])), "chain is broken"),
    "foreign link": (
        GOOD.pem + intermediate().pem + STRANGER.pem + GOOD.key,
        "Stranger did not issue that of Test Intermediate",
    ),
    "no names": (bundle(issue([], by=intermediate(), common_name="x")), "no subjectAltName"),
    "client": (
        bundle(issue(["a.example"], by=intermediate(), client=True)),
        "is not meant for servers",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_served_is_one_sentence(case: str) -> None:
    pem, words = REFUSED[case]
    with pytest.raises(InvalidCertificate) as caught:
        read_pair(pem, time.time())
    assert words in caught.value.brief
    assert "\n" not in caught.value.brief
    assert "END PRIVATE KEY" not in str(caught.value)


def test_one_that_is_not_valid_yet_says_from_when() -> None:
    early = issue(["a.example"], starts=2)
    with pytest.raises(InvalidCertificate, match=r"a\.example is not valid before 20"):
        read_pair(early.pem + early.key, time.time())


def test_an_expired_intermediate_is_named() -> None:
    old = issue([], by=root(), ca=True, common_name="Old Intermediate", ends=-0.5)
    behind = issue(["a.example"], by=old)
    with pytest.raises(InvalidCertificate, match="Old Intermediate expired"):
        read_pair(behind.pem + old.pem + behind.key, time.time())


def test_a_chain_in_any_order_is_put_in_order() -> None:
    parts = [GOOD.key, root().pem, intermediate().pem, GOOD.pem, GOOD.pem]
    pair = read_pair(b"some words\r\n" + b"".join(parts), time.time())
    assert pair.chain == GOOD.pem + intermediate().pem + root().pem
    assert pair.certificate.fingerprint == GOOD.fingerprint
    assert pair.certificate.names == ("a.example", "*.b.example")
    assert pair.certificate.issuer == "Test Intermediate"
    assert not pair.certificate.self_signed


def test_an_rsa_key_is_as_good() -> None:
    issued = issue(["a.example"], key=rsa.generate_private_key(65537, 2048))
    assert read_pair(issued.pem + issued.key, time.time()).certificate.self_signed


def test_names_that_are_no_domains_serve_nobody() -> None:
    odd = issue(["a.example", "-bad-.example$", "UPPER.example"])
    names = read_pair(odd.pem + odd.key, time.time()).certificate.names
    assert names == ("a.example", "upper.example")


def test_an_issuer_that_only_the_app_s_owner_knows_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The URL is in the certificate, and the request would come from the server itself."""
    pem, now = bundle(leaf("*.a.example", responder="http://169.254.169.254/")), time.time()
    assert not read_pair(pem, now).certificate.stapled
    assert read_pair(pem, now, Source.LETSENCRYPT).certificate.stapled
    known = tmp_path / "known.pem"
    known.write_bytes(EMPTY_BLOCK + STRANGER.pem + root().pem)
    monkeypatch.setattr("paas.proxy.stapling.WELL_KNOWN", known)
    assert read_pair(pem, now).certificate.stapled
    assert not read_pair(bundle(leaf("a.example")), now).certificate.stapled
    imitated = issue([], ca=True, common_name="Test Root")
    between = issue([], by=imitated, ca=True, common_name="Test Intermediate")
    forged = issue(["a.example"], by=between, responder="http://169.254.169.254/")
    assert not read_pair(forged.pem + between.pem + forged.key, now).certificate.stapled


def test_a_self_signed_one_passes_its_own_check() -> None:
    now = time.time()
    made = self_signed(["a.example", "*.a.example"], now)
    again = read_pair(made.chain + made.key, now)
    assert again.certificate.names == ("a.example", "*.a.example")
    assert again.certificate.self_signed
    assert again.certificate.not_after - now > 364 * 86400


def test_a_key_is_not_shown_by_accident() -> None:
    made = self_signed(["a.example"], time.time())
    assert "REDACTED" in repr(made)
    assert "PRIVATE" not in repr(made)


def test_a_request_names_what_was_asked_for_and_nothing_else() -> None:
    key, pem = signing_request(["a.example", "b.example"])
    request = x509.load_pem_x509_csr(pem)
    names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["a.example", "b.example"]
    assert list(request.subject) == []
    assert load_key(key).public_key() == request.public_key()
    assert load_key(new_account_key()).curve.name == "secp256r1"
