"""A certificate authority of the tests' own, which issues whatever is asked, good or bad."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

DAY = 86400.0

CA_USE = x509.KeyUsage(
    digital_signature=True, key_cert_sign=True, crl_sign=True, content_commitment=False,
    key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
    decipher_only=False,
)  # fmt: skip

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Issued:
    """A certificate and its key."""

    certificate: x509.Certificate
    private: Key

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key(self) -> bytes:
        return self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    @property
    def locked_key(self) -> bytes:
        """The key behind a passphrase."""
        lock = BestAvailableEncryption(b"secret")
        return self.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock)

    @property
    def fingerprint(self) -> str:
        return self.certificate.fingerprint(hashes.SHA256()).hex()


def issue(
    names: Sequence[str],
    *,
    by: Issued | None = None,
    ca: bool = False,
    common_name: str = "",
    starts: float = -1,
    ends: float = 90,
    key: Key | None = None,
    client: bool = False,
    responder: str = "",
) -> Issued:
    """A certificate, self-signed unless there is an issuer; dates in days from now."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name or names[0])])
    now = time.time()
    use = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.fromtimestamp(now + starts * DAY, UTC))
        .not_valid_after(datetime.fromtimestamp(now + ends * DAY, UTC))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if not ca:
        builder = builder.add_extension(x509.ExtendedKeyUsage([use]), critical=False)
    if responder:
        ocsp = x509.UniformResourceIdentifier(responder)
        where = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, ocsp)
        builder = builder.add_extension(x509.AuthorityInformationAccess([where]), critical=False)
    if by:
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(by.private.public_key())
        builder = builder.add_extension(issuer, critical=False)
    if ca:
        own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        builder = builder.add_extension(own, critical=False)
        builder = builder.add_extension(CA_USE, critical=True)
    if names:
        alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        builder = builder.add_extension(alternatives, critical=False)
    signer = by.private if by else key
    return Issued(builder.sign(signer, hashes.SHA256()), key)


@cache
def root() -> Issued:
    return issue([], ca=True, common_name="Test Root", ends=3650)


@cache
def intermediate() -> Issued:
    return issue([], by=root(), ca=True, common_name="Test Intermediate", ends=3650)


def leaf(*names: str, ends: float = 90, responder: str = "") -> Issued:
    """A good one, behind the intermediate; `responder` says by OCSP how it stands."""
    return issue(names, by=intermediate(), ends=ends, responder=responder)


def bundle(issued: Issued) -> bytes:
    """Leaf, intermediate and key, as an authority hands them out."""
    return issued.pem + intermediate().pem + issued.key
