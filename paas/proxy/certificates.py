"""Certificates and their keys: read, checked, made. The door to `cryptography`.

What passes `read_pair` is what nginx and every client take: a leaf for servers, the chain
behind it in order, each link really signed by the next (RFC 5280, section 6), a key that
belongs to the leaf.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from paas.errors import PaasError
from paas.model.certificate import Certificate, Source
from paas.model.names import InvalidName, parse_domain
from paas.proxy.stapling import has_responder, is_well_known

BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
"""RFC 7468, section 3."""

SELF_SIGNED_DAYS = 365
SMALLEST_RSA_BITS = 2048
"""What browsers still accept (CA/Browser Forum Baseline Requirements, 6.1.5)."""

CLOCK_SKEW = timedelta(minutes=5)

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


class InvalidCertificate(PaasError):
    """A certificate or key that could not be served."""


@dataclass(frozen=True)
class Pair:
    """A certificate with its chain and its private key, in PEM."""

    certificate: Certificate
    chain: bytes
    """The leaf first."""
    key: bytes

    def __repr__(self) -> str:
        return f"Pair({self.certificate!r}, key=[REDACTED])"


def read_pair(pem: bytes, now: float, source: Source = Source.GIVEN) -> Pair:
    """The certificate, chain and key in `pem`, in whatever order they come.

    Raises `InvalidCertificate`, whose one sentence says what is wrong with them.
    """
    key = _the_key(pem)
    certificates = _certificates(pem)
    leaf = _the_leaf(certificates, key)
    chain = _chain(leaf, certificates)
    _check_use(leaf)
    for each in chain:
        _check_dates(each, now)
    return _pair(chain, key, source)


def self_signed(names: Sequence[str], now: float, days: int = SELF_SIGNED_DAYS) -> Pair:
    """A new certificate for `names` that nobody vouches for, good for a year."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "paas, self-signed")])
    start = datetime.fromtimestamp(now, UTC) - CLOCK_SKEW
    leaf = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
        .add_extension(_alternatives(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _pair([leaf], key, Source.SELF_SIGNED)


def signing_request(names: Sequence[str], key_type: str = "ec-256") -> tuple[bytes, bytes]:
    """A new key and a request to certify it for `names`, both in PEM (RFC 2986).

    `key_type` is `ec-` or `rsa-` and a number of bits.
    """
    key = _new_key(key_type)
    # The subject stays empty: names are in subjectAltName alone (RFC 8555, section 7.4).
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .add_extension(_alternatives(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _pem_of(key), request.public_bytes(Encoding.PEM)


def _new_key(key_type: str) -> Key:
    kind, _, bits = key_type.partition("-")
    if kind == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=int(bits))
    return ec.generate_private_key(ec.SECP384R1() if bits == "384" else ec.SECP256R1())


def load_certificate(pem: bytes) -> x509.Certificate:
    """The first certificate in `pem`. Raises `InvalidCertificate`."""
    return _certificates(pem)[0]


def new_account_key() -> bytes:
    """A new P-256 key in PEM, for an account with an authority."""
    return _pem_of(ec.generate_private_key(ec.SECP256R1()))


def load_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    """The key that `new_account_key` made. Raises `InvalidCertificate`."""
    key = _the_key(pem)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise InvalidCertificate("The account key is not an elliptic curve key")
    return key


def _the_key(pem: bytes) -> Key:
    blocks = [found for found in BLOCK.finditer(pem) if found[1].endswith(b"PRIVATE KEY")]
    if not blocks:
        raise InvalidCertificate(
            "There is no private key: nothing begins with -----BEGIN PRIVATE KEY-----",
            resolution="Give the certificate and its key, both in PEM.",
        )
    if len(blocks) > 1:
        raise InvalidCertificate(f"There are {len(blocks)} private keys instead of one")
    text = blocks[0][0]
    if b"ENCRYPTED" in text:
        raise InvalidCertificate(
            "The private key has a passphrase, which nobody types when the server boots",
            resolution="Take it off first: openssl pkey -in server.key -out plain.key",
        )
    try:
        key = load_pem_private_key(text, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InvalidCertificate("The private key cannot be read: its PEM is damaged") from error
    if isinstance(key, rsa.RSAPrivateKey):
        if key.key_size < SMALLEST_RSA_BITS:
            raise InvalidCertificate(
                f"The private key has {key.key_size} bits, and clients ask for {SMALLEST_RSA_BITS}"
            )
        return key
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key
    raise InvalidCertificate("The private key is neither RSA nor of an elliptic curve")


def _certificates(pem: bytes) -> list[x509.Certificate]:
    blocks = [found[0] for found in BLOCK.finditer(pem) if found[1] == b"CERTIFICATE"]
    if not blocks:
        raise InvalidCertificate(
            "There is no certificate: nothing begins with -----BEGIN CERTIFICATE-----",
            resolution="Give the certificate and its key, both in PEM.",
        )
    found = []
    for number, block in enumerate(blocks, 1):
        try:
            found.append(x509.load_pem_x509_certificate(block))
        except ValueError as error:
            raise InvalidCertificate(
                f"Certificate {number} cannot be read: its PEM is damaged"
            ) from error
    # The same certificate twice is a bundle that was put together twice.
    return list(dict.fromkeys(found))


def _the_leaf(certificates: Sequence[x509.Certificate], key: Key) -> x509.Certificate:
    wanted = _public(key.public_key())
    for each in certificates:
        if _public(each.public_key()) == wanted:
            return each
    raise InvalidCertificate(
        f"The private key does not belong to the certificate of {_label(certificates[0])}"
    )


def _chain(leaf: x509.Certificate, given: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """The leaf, who issued it, who issued that: as TLS sends them (RFC 8446, 4.4.2)."""
    chain = [leaf]
    rest = [each for each in given if each != leaf]
    while rest:
        issuer = next((each for each in rest if _issued(each, chain[-1])), None)
        if issuer is None:
            raise InvalidCertificate(
                f"The chain is broken: the certificate of {_label(rest[0])} "
                f"did not issue that of {_label(chain[-1])}",
                resolution="Give the certificate and the intermediates of its issuer alone.",
            )
        rest.remove(issuer)
        chain.append(issuer)
    return chain


def _issued(issuer: x509.Certificate, subject: x509.Certificate) -> bool:
    try:
        subject.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _check_use(leaf: x509.Certificate) -> None:
    if not _names(leaf):
        raise InvalidCertificate(
            f"The certificate of {_label(leaf)} names no domain: it has no subjectAltName"
        )
    try:
        uses = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return
    if ExtendedKeyUsageOID.SERVER_AUTH not in uses:
        raise InvalidCertificate(f"The certificate of {_label(leaf)} is not meant for servers")


def _check_dates(certificate: x509.Certificate, now: float) -> None:
    moment = datetime.fromtimestamp(now, UTC)
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if end < moment:
        raise InvalidCertificate(
            f"The certificate of {_label(certificate)} expired on {end:%Y-%m-%d %H:%M} UTC"
        )
    if start > moment + CLOCK_SKEW:
        raise InvalidCertificate(
            f"The certificate of {_label(certificate)} is not valid before "
            f"{start:%Y-%m-%d %H:%M} UTC"
        )


def _pair(chain: Sequence[x509.Certificate], key: Key, source: Source) -> Pair:
    leaf, names = chain[0], _names(chain[0])
    # nginx asks from this server's own network, whatever URL is in the certificate: so only an
    # issuer that an administrator chose, or everybody.
    asked = has_responder(chain) and (source is Source.LETSENCRYPT or is_well_known(chain, names))
    known = Certificate(
        fingerprint=leaf.fingerprint(hashes.SHA256()).hex(),
        source=source,
        names=names,
        issuer=_label_of(leaf.issuer),
        serial=f"{leaf.serial_number:x}",
        not_before=leaf.not_valid_before_utc.timestamp(),
        not_after=leaf.not_valid_after_utc.timestamp(),
        self_signed=_issued(leaf, leaf),
        stapled=asked,
    )
    pem = b"".join(each.public_bytes(Encoding.PEM) for each in chain)
    return Pair(known, pem, _pem_of(key))


def _names(leaf: x509.Certificate) -> tuple[str, ...]:
    """Its DNS names; a name that could not be a domain of ours serves nobody."""
    try:
        alternatives = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    names = []
    for text in alternatives.get_values_for_type(x509.DNSName):
        try:
            names.append(parse_domain(text))
        except InvalidName:
            continue
    return tuple(dict.fromkeys(names))


def _alternatives(names: Sequence[str]) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([x509.DNSName(name) for name in names])


def _label(certificate: x509.Certificate) -> str:
    """What a person calls it: its first name, else its subject."""
    return next(iter(_names(certificate)), "") or _label_of(certificate.subject)


def _label_of(name: x509.Name) -> str:
    for oid in (NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME):
        for attribute in name.get_attributes_for_oid(oid):
            text = str(attribute.value)
            return text if text.isprintable() else ascii(text)
    return "an unnamed subject"


def _public(key: object) -> bytes:
    encode = getattr(key, "public_bytes")  # noqa: B009 (every kind of public key has it)
    data: bytes = encode(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return data


def _pem_of(key: Key) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
