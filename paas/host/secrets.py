"""The door to encryption at rest: texts that lie in a database, their key beside it.

AES-256-GCM (NIST SP 800-38D) under one key for each PaaS. What a text belongs to is
authenticated with it: sealed for one place, it opens at no other, so that whoever can write
to the database cannot hand one app the values of another.
"""

from __future__ import annotations

import base64
import binascii
import os
from functools import cached_property
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from paas.errors import PaasError
from paas.host.files import write_atomic

KEY_BYTES = 32
NONCE_BYTES = 12
"""Random for each text: 96 bits, of which 2³² uses of a key are safe (section 8.3)."""

VERSION = "aes256gcm:"
"""What sealed texts begin with, so that another way can follow."""


class KeyLost(PaasError):
    """The key of what is sealed is not there, or is none."""

    def __init__(self, path: Path, why: str) -> None:
        super().__init__(
            f"The key of the config values, {path}, {why}",
            resolution="Restore it from a backup: without it no value can be read.",
        )


class Tampered(PaasError):
    """A sealed text was changed, moved, or sealed under another key."""

    def __init__(self, place: str) -> None:
        super().__init__(
            f"The stored value of {place} was not written by this server",
            resolution="Restore database and key from the same backup, or set it anew.",
        )


class Vault:
    """Seals and opens texts with the key in a file, which only root may read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def create(self) -> None:
        """Make the key unless there is one. Only for who makes the database: a key that is
        missing later is a loss, not a beginning.
        """
        if not self._path.exists():
            write_atomic(self._path, os.urandom(KEY_BYTES), 0o600)

    def seal(self, text: str, place: str) -> str:
        """`text` so that nobody reads it without the key, or elsewhere than at `place`.

        Raises `KeyLost`.
        """
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, text.encode(), place.encode())
        return VERSION + base64.b64encode(nonce + sealed).decode()

    def open(self, sealed: str, place: str) -> str:
        """The text that was sealed at `place`. Raises `KeyLost`, `Tampered`."""
        cipher = self._cipher
        try:
            data = base64.b64decode(sealed.removeprefix(VERSION), validate=True)
            opened = cipher.decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], place.encode())
        except (InvalidTag, binascii.Error, ValueError):
            raise Tampered(place) from None
        return opened.decode()

    @cached_property
    def _cipher(self) -> AESGCM:
        try:
            key = self._path.read_bytes()
        except FileNotFoundError:
            raise KeyLost(self._path, "is not there") from None
        if len(key) != KEY_BYTES:
            raise KeyLost(self._path, f"has {len(key)} bytes instead of {KEY_BYTES}")
        return AESGCM(key)
