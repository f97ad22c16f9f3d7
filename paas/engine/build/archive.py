"""ADD of a local archive: is it one, and what is in it."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

from paas.engine.build.sources import Item, Source
from paas.engine.unpack import unpack

_ZSTD = b"\x28\xb5\x2f\xfd"


def extract(source: Source, item: Item, scratch: Path) -> Path | None:
    """Unpack a file of `source` below the empty directory `scratch`, if it is a tar archive.

    Plain, or compressed with gzip, bzip2, xz or zstd. Returns where its files are, None
    for any other file. Raises `LayerRefused` for a broken or hostile archive.
    """
    blob, tree = scratch / "archive", scratch / "tree"
    fd = os.open(blob, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        source.copy_to(item.path, fd)
    finally:
        os.close(fd)
    if not _is_archive(blob):
        blob.unlink()
        return None
    tree.mkdir(mode=0o755)
    unpack(blob, tree)
    return tree


def _is_archive(path: Path) -> bool:
    with path.open("rb") as file:
        if file.read(4) == _ZSTD:
            return True
        file.seek(0)
        try:
            return tarfile.is_tarfile(file)
        except (OSError, EOFError):  # of a decompressor: no archive
            return False
