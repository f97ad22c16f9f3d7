"""Which certificate a client is shown: the proof that a new one is served."""

from __future__ import annotations

import hashlib
import socket
import ssl

PROBE_LABEL = "paas-probe"
"""Stands for the `*` of a wildcard in the name that is asked for."""

PATIENCE_S = 5.0


def presented(address: str, port: int, domain: str) -> str | None:
    """The SHA-256 of the certificate for `domain` (SNI); None when there is no handshake."""
    # Not verified: the question is which one it is, and it may well be self-signed.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    name = domain.replace("*", PROBE_LABEL, 1)
    try:
        with (
            socket.create_connection((address, port), PATIENCE_S) as plain,
            context.wrap_socket(plain, server_hostname=name) as secure,
        ):
            certificate = secure.getpeercert(binary_form=True)
    except OSError:
        return None
    return hashlib.sha256(certificate).hexdigest() if certificate else None
