"""SSH public keys, as one line of an authorized_keys file without options."""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
from dataclasses import dataclass

from paas.errors import PaasError

KEY_TYPES = frozenset(
    {
        "ssh-ed25519",
        "ssh-rsa",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "sk-ssh-ed25519@openssh.com",
        "sk-ecdsa-sha2-nistp256@openssh.com",
    }
)

RSA_BITS = 2048
"""The least that is taken (NIST SP 800-131A, table 2)."""


class InvalidKey(PaasError):
    """The text is not an SSH public key."""


@dataclass(frozen=True)
class PublicKey:
    """A parsed public key. `fingerprint` is OpenSSH's `SHA256:…`."""

    type: str
    body: str
    comment: str
    fingerprint: str

    @property
    def line(self) -> str:
        """Type and body, with nothing that came from the user's comment."""
        return f"{self.type} {self.body}"


@dataclass(frozen=True)
class Key:
    """A registered key: a row of the keys table."""

    name: str
    user: str
    """Whose it is."""
    public_key: str
    fingerprint: str
    created_at: float


def parse_public_key(text: str) -> PublicKey:
    """Read a public key file. Raises `InvalidKey`.

    The key's type is read from its body too (RFC 4253, section 6.6): an option field or
    a second line cannot pass as part of it.
    """
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if any("PRIVATE KEY" in line for line in lines):
        raise InvalidKey(
            "This is a private key; it must stay with you",
            resolution="Give the file that ends in .pub.",
        )
    words = lines[0].split(None, 2) if len(lines) == 1 else []
    if len(words) < 2 or words[0] not in KEY_TYPES:
        raise _not_a_key()
    try:
        blob = base64.b64decode(words[1], validate=True)
        (size,) = struct.unpack_from(">I", blob)
    except (binascii.Error, struct.error):
        raise _not_a_key() from None
    if blob[4 : 4 + size] != words[0].encode() or len(blob) <= 4 + size:
        raise _not_a_key()
    if words[0] == "ssh-rsa" and _modulus_bits(blob) < RSA_BITS:
        raise InvalidKey(
            f"The RSA key is shorter than {RSA_BITS} bits, which is not safe",
            resolution="Make another one: ssh-keygen -t ed25519",
        )
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    return PublicKey(
        type=words[0],
        body=words[1],
        comment=words[2].strip() if len(words) > 2 else "",
        fingerprint=f"SHA256:{digest}",
    )


def _modulus_bits(blob: bytes) -> int:
    """Of an RSA key: name, exponent and modulus, each with its length (RFC 4253, 6.6)."""
    offset = 0
    try:
        for _ in range(2):
            (size,) = struct.unpack_from(">I", blob, offset)
            offset += 4 + size
        (size,) = struct.unpack_from(">I", blob, offset)
    except struct.error:
        raise _not_a_key() from None
    return int.from_bytes(blob[offset + 4 : offset + 4 + size], "big").bit_length()


def _not_a_key() -> InvalidKey:
    return InvalidKey(
        "The text is not one SSH public key",
        resolution="Give one line like 'ssh-ed25519 AAAAC3… ann@laptop', from a .pub file.",
    )
