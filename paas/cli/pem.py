"""Certificate and key as a caller hands them over: two files, a tar, or text on stdin.

An archive is read in memory: nothing of it is ever written under a name that it chose.
"""

from __future__ import annotations

import gzip
import io
import tarfile
import zlib
from pathlib import Path

from paas.cli.parsing import Misused
from paas.cli.session import Session

MOST_BYTES = 1024 * 1024
"""Far more than the longest chain."""

GZIP = b"\x1f\x8b"
TAR_MAGIC = (b"ustar", 257)
"""POSIX.1-1988 and GNU tar alike."""


def read_pem(session: Session, files: tuple[str, ...]) -> bytes:
    """Everything in PEM that came. Raises `Misused`, or `TooMuchInput`."""
    if files:
        return b"\n".join(_file(session, name) for name in files)
    if session.request.tty is not None:
        session.report.detail("Paste the certificate and its key, then press ^D")
    return unpacked(session.read_input(MOST_BYTES))


def unpacked(data: bytes) -> bytes:
    """The files of a tar, one after the other; other data as it is. Raises `Misused`."""
    if data.startswith(GZIP):
        data = _gunzip(data)
    magic, offset = TAR_MAGIC
    if data[offset : offset + len(magic)] != magic:
        return data
    parts = []
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for member in archive:
                # A sparse file claims any size (POSIX pax, GNU.sparse).
                if member.size > MOST_BYTES:
                    raise Misused(f"{member.name!r} in the tar is too large for a certificate")
                content = archive.extractfile(member) if member.isreg() else None
                if content is not None:
                    parts.append(content.read())
    except tarfile.TarError as error:
        raise Misused("The tar on standard input is damaged") from error
    return b"\n".join(parts)


def _gunzip(data: bytes) -> bytes:
    try:
        with gzip.open(io.BytesIO(data)) as stream:
            plain = stream.read(MOST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise Misused("The compressed data on standard input is damaged") from error
    if len(plain) > MOST_BYTES:
        raise Misused(f"Standard input unpacks to more than {MOST_BYTES} bytes")
    return plain


def _file(session: Session, name: str) -> bytes:
    # Only root may name files of the server: we read them as root.
    if not session.caller.is_root:
        raise Misused(
            "Files cannot be named over ssh",
            resolution="Send them: tar c server.crt server.key | ssh ... certs:add APP",
        )
    try:
        with Path(session.request.cwd, name).open("rb") as file:
            return file.read(MOST_BYTES)
    except OSError as error:
        raise Misused(f"{name}: {error.strerror}") from error
