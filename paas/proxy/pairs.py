"""Certificates and keys on disk, where nginx reads them.

    <prefix>/certificates/<fingerprint>.{pem,key,table}      0600, in a directory of root's alone

Named by what they are, so a file never changes: a reload cannot meet half of a new pair,
and two apps with one wildcard certificate share it.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from paas.host.files import forget_unfinished, write_atomic
from paas.proxy.certificates import Pair

ROW = "{} '{}';\n"
"""Of nginx's `map`: a fingerprint, and the chain and key."""

PEM = re.compile(r"(-----(BEGIN|END) [A-Z ]+-----\n|[A-Za-z0-9+/=]+\n)+")
"""RFC 7468 without explanatory text, as we write it: nothing that ends a word of nginx's."""


class Pairs:
    """The pairs below one prefix."""

    def __init__(self, prefix: Path) -> None:
        self._folder = prefix / "certificates"

    def keep(self, pair: Pair) -> None:
        """Write a pair."""
        self.write(pair.certificate.fingerprint, pair.chain, pair.key)

    def write(self, fingerprint: str, chain: bytes, key: bytes) -> None:
        """The key first: a certificate is never there without it."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomic(self.key_file(fingerprint), key, 0o600)
        write_atomic(self.chain_file(fingerprint), chain, 0o600)

    def chain_file(self, fingerprint: str) -> Path:
        """The certificate and its chain."""
        return self._folder / f"{fingerprint}.pem"

    def key_file(self, fingerprint: str) -> Path:
        """The private key."""
        return self._folder / f"{fingerprint}.key"

    def tabulate(self, fingerprint: str) -> bool:
        """Write a pair as a row of the table that handshakes look it up in.

        Says whether it could: what is not there, or is no PEM, would break the whole table.
        """
        table = self._folder / f"{fingerprint}.table"
        try:
            chain, key = self.chain_file(fingerprint), self.key_file(fingerprint)
            size = len(ROW.format(fingerprint, "")) + chain.stat().st_size + key.stat().st_size
            if table.exists() and table.stat().st_size == size:
                return True
            pem = chain.read_text("ascii") + key.read_text("ascii")
        except (FileNotFoundError, UnicodeDecodeError):
            return False
        if not PEM.fullmatch(pem):
            return False
        write_atomic(table, ROW.format(fingerprint, pem), 0o600)
        return True

    def others(self, fingerprints: Collection[str]) -> list[Path]:
        """The files that belong to none of `fingerprints`."""
        # What begins with a dot is being written, whosever it will be.
        return [path for path in self._folder.glob("[!.]*") if path.stem not in fingerprints]

    def forget_others(self, fingerprints: Collection[str]) -> None:
        """Remove the pairs that are none of `fingerprints`."""
        for path in self.others(fingerprints):
            path.unlink(missing_ok=True)
        forget_unfinished(self._folder)
