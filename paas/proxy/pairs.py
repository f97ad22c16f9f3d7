"""Certificates and keys on disk, where nginx reads them.

    <prefix>/certificates/<fingerprint>.{pem,key}      0600, in a directory of root's alone

Named by what they are, so a file never changes: a reload cannot meet half of a new pair,
and two apps with one wildcard certificate share it.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from paas.host.files import write_atomic
from paas.proxy.certificates import Pair


class Pairs:
    """The pairs below one prefix."""

    def __init__(self, prefix: Path) -> None:
        self._folder = prefix / "certificates"

    def keep(self, pair: Pair) -> None:
        """Write a pair; the key first: a certificate is never there without it."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        fingerprint = pair.certificate.fingerprint
        write_atomic(self.key_file(fingerprint), pair.key, 0o600)
        write_atomic(self.chain_file(fingerprint), pair.chain, 0o600)

    def chain_file(self, fingerprint: str) -> Path:
        """The certificate and its chain."""
        return self._folder / f"{fingerprint}.pem"

    def key_file(self, fingerprint: str) -> Path:
        """The private key."""
        return self._folder / f"{fingerprint}.key"

    def others(self, fingerprints: Collection[str]) -> list[Path]:
        """The files that belong to none of `fingerprints`."""
        return [path for path in self._folder.glob("*") if path.stem not in fingerprints]

    def forget_others(self, fingerprints: Collection[str]) -> None:
        """Remove the pairs that are none of `fingerprints`."""
        for path in self.others(fingerprints):
            path.unlink(missing_ok=True)
