"""Certificates come as a tar, compressed or not, or as text."""

from __future__ import annotations

import gzip
import io
import tarfile

import pytest

from paas.cli.parsing import Misused
from paas.cli.pem import MOST_BYTES, unpacked


def tar(**files: bytes) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/shadow"
        archive.addfile(link)
        for name, data in files.items():
            entry = tarfile.TarInfo(f"../../{name}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return target.getvalue()


def test_damaged_input_is_one_sentence() -> None:
    with pytest.raises(Misused, match="compressed data"):
        unpacked(b"\x1f\x8b garbage")
    with pytest.raises(Misused, match="tar on standard input is damaged"):
        unpacked(tar(crt=b"C" * 600)[:1500])


def test_a_bomb_stays_small() -> None:
    with pytest.raises(Misused, match="unpacks to more than"):
        unpacked(gzip.compress(bytes(MOST_BYTES + 1)))


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_the_files_of_a_tar_are_joined_and_its_links_left(pack: type[bytes]) -> None:
    assert unpacked(pack(tar(crt=b"CERT", key=b"KEY"))) == b"CERT\nKEY"


def test_text_is_taken_as_it_is() -> None:
    assert unpacked(b"CERT KEY") == b"CERT KEY"
