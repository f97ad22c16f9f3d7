"""Whether the issuer of a certificate can be asked how it stands, for clients to be told.

Sources: RFC 6960 (OCSP), RFC 6066, section 8 (stapling), RFC 5280, section 4.2.2.1. The other
door to `cryptography` beside `paas.proxy.certificates`.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

WELL_KNOWN = Path("/etc/ssl/certs/ca-certificates.crt")
"""The authorities that Debian takes from Mozilla (package ca-certificates)."""

END = b"-----END CERTIFICATE-----\n"


def has_responder(chain: Sequence[x509.Certificate]) -> bool:
    """Whether the leaf names one that nginx can ask; its issuer has to be in the chain."""
    try:
        access = chain[0].extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except x509.ExtensionNotFound:
        return False
    return len(chain) > 1 and any(
        each.access_method == AuthorityInformationAccessOID.OCSP
        and isinstance(each.access_location, x509.UniformResourceIdentifier)
        and each.access_location.value.startswith("http://")
        for each in access
    )


def is_well_known(chain: Sequence[x509.Certificate], names: Sequence[str]) -> bool:
    """Whether clients who never heard of us trust it, for the first of its names."""
    leaf, *others = chain
    roots = [each for each in _well_known() if each.subject == chain[-1].issuer]
    if not roots or not names:
        return False
    policy = PolicyBuilder().store(Store(roots)).time(leaf.not_valid_before_utc)
    name = x509.DNSName(names[0].replace("*", "any", 1))
    try:
        policy.build_server_verifier(name).verify(leaf, others)
    except VerificationError:
        return False
    return True


def _well_known() -> Iterator[x509.Certificate]:
    if not WELL_KNOWN.exists():
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some are older than today's rules
        for block in WELL_KNOWN.read_bytes().split(END):
            with suppress(ValueError):
                yield x509.load_pem_x509_certificate(block + END)
