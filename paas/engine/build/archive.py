"""ADD of a local archive: is it one, and what is in it."""

from __future__ import annotations

import os
import tarfile
from dataclasses import dataclass
from pathlib import Path

from paas.engine.build.sources import Item, Source
from paas.engine.unpack import unpack
from paas.host.disk import Disk

_ZSTD = b"\x28\xb5\x2f\xfd"


@dataclass(frozen=True)
class Extracted:
    """Where the files of an archive are, and which directories it has no entries for."""

    tree: Path
    implied: frozenset[str]


def extract(source: Source, item: Item, scratch: Path, disk: Disk) -> Extracted | None:
    """Unpack a file of `source` below the empty directory `scratch`, if it is a tar archive.

    Plain, or compressed with gzip, bzip2, xz or zstd. None for any other file. `disk`
    is asked for room. Raises `LayerRefused` for a broken or hostile archive, `DiskFull`.
    """
    disk.admit(item.path, item.size)
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
    unpacked = unpack(blob, tree, reserve=disk.reserve, tell_implied=True)
    return Extracted(tree, frozenset(unpacked.implied))


def _is_archive(path: Path) -> bool:
    with path.open("rb") as file:
        if file.read(4) == _ZSTD:
            return True
        file.seek(0)
        try:
            with tarfile.open(fileobj=file) as archive:
                # With nothing in it, it is a file of zeros.
                return archive.next() is not None
        except (tarfile.TarError, OSError, EOFError):  # the latter of a decompressor
            return False
