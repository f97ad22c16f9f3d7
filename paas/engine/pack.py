"""Writing a layer as a tar archive: for export and push only.

The same directory gives the same bytes, so a layer has one digest: entries are sorted,
names of users are left out, times are whole seconds. Whiteouts are written as
https://github.com/opencontainers/image-spec, layer.md, has them.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import struct
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from paas.engine.extract import OPAQUE, WHITEOUT, is_portable

_CHUNK = 1 << 18
_OPAQUE_XATTR = "trusted.overlay.opaque"
_CAPABILITY = "security.capability"
_CAPABILITY_3 = struct.Struct("<IIIIII")
_REVISION_MASK, _REVISION_2, _REVISION_3 = 0xFF000000, 0x02000000, 0x03000000


@dataclass(frozen=True)
class Packed:
    """A written archive; `digest` is `sha256:…`, its diff_id."""

    digest: str
    size: int


class _Digesting:
    """A writer that hashes what passes."""

    def __init__(self, target: IO[bytes]) -> None:
        self._target = target
        self._digest = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        self._digest.update(data)
        self.size += len(data)
        return self._target.write(data)

    @property
    def digest(self) -> str:
        return f"sha256:{self._digest.hexdigest()}"


def pack(layer: Path, target: IO[bytes]) -> Packed:
    """Write the layer directory as an uncompressed tar to `target`."""
    writer = _Digesting(target)
    links: dict[int, str] = {}
    # tarfile asks a stream only for write().
    with tarfile.open(  # type: ignore[call-overload]
        fileobj=writer, mode="w|", format=tarfile.PAX_FORMAT, bufsize=_CHUNK
    ) as archive:
        _add_root(archive, layer)
        for path, name in _walk(layer):
            _add(archive, path, name, links)
    return Packed(writer.digest, writer.size)


def _walk(layer: Path) -> Iterator[tuple[Path, str]]:
    """Every entry with its name in the archive, a directory before what is in it."""
    pending = [(layer, "")]
    while pending:
        path, name = pending.pop()
        if name:
            yield path, name
        if not name or stat.S_ISDIR(path.lstat().st_mode):
            with os.scandir(path) as entries:
                names = sorted((entry.name for entry in entries), reverse=True)
            pending += [(path / inner, f"{name}/{inner}" if name else inner) for inner in names]


def _add_root(archive: tarfile.TarFile, layer: Path) -> None:
    """An entry for the root directory, where it is not as unpacking makes it."""
    status = layer.lstat()
    if (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) != (0o755, 0, 0):
        archive.addfile(_describe(layer, ".", status, {}))


def _add(archive: tarfile.TarFile, path: Path, name: str, links: dict[int, str]) -> None:
    status = path.lstat()
    kind = status.st_mode
    if stat.S_ISCHR(kind) and status.st_rdev == 0:
        folder, _, hidden = name.rpartition("/")
        archive.addfile(_marker(f"{folder}/{WHITEOUT}{hidden}".lstrip("/")))
        return
    if stat.S_ISSOCK(kind) or stat.S_ISBLK(kind) or stat.S_ISCHR(kind):
        return  # A socket is nobody's file, and devices are the runtime's to make.
    info = _describe(path, name, status, links)
    if info.isreg():
        with path.open("rb") as content:
            archive.addfile(info, content)
        return
    archive.addfile(info)
    if info.isdir() and _is_opaque(path):
        archive.addfile(_marker(f"{name}/{OPAQUE}"))


def _describe(
    path: Path, name: str, status: os.stat_result, links: dict[int, str]
) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.mode = stat.S_IMODE(status.st_mode)
    info.uid, info.gid = status.st_uid, status.st_gid
    info.mtime = int(status.st_mtime)
    if stat.S_ISDIR(status.st_mode):
        info.type = tarfile.DIRTYPE
    elif status.st_nlink > 1 and status.st_ino in links:
        info.type, info.linkname = tarfile.LNKTYPE, links[status.st_ino]
        return info
    elif stat.S_ISLNK(status.st_mode):
        info.type, info.linkname = tarfile.SYMTYPE, os.fspath(path.readlink())
    elif stat.S_ISFIFO(status.st_mode):
        info.type = tarfile.FIFOTYPE
    else:
        info.type, info.size = tarfile.REGTYPE, status.st_size
    if status.st_nlink > 1 and info.type != tarfile.DIRTYPE:
        links[status.st_ino] = name
    info.pax_headers = dict(_xattrs(path))
    return info


def _xattrs(path: Path) -> Iterator[tuple[str, str]]:
    for name in sorted(os.listxattr(path, follow_symlinks=False)):
        if is_portable(name):
            value = os.getxattr(path, name, follow_symlinks=False)
            if name == _CAPABILITY:
                value = plain_capability(value)
            yield f"SCHILY.xattr.{name}", value.decode("utf-8", "surrogateescape")


def plain_capability(value: bytes) -> bytes:
    """File capabilities as every engine reads them: without a user namespace's root.

    setcap in a container writes revision 3, which names that root; on disk here it is 0,
    and revision 2 says the same (capabilities(7), "File capability versioning").
    """
    if len(value) != _CAPABILITY_3.size:
        return value
    magic, *permitted, root = _CAPABILITY_3.unpack(value)
    if magic & _REVISION_MASK != _REVISION_3 or root != 0:
        return value
    return struct.pack("<IIIII", magic & ~_REVISION_MASK | _REVISION_2, *permitted)


def _is_opaque(path: Path) -> bool:
    try:
        return os.getxattr(path, _OPAQUE_XATTR) == b"y"
    except OSError as error:
        if error.errno == errno.ENODATA:
            return False
        raise


def _marker(name: str) -> tarfile.TarInfo:
    """An empty file whose name is the message; it has no time of its own."""
    info = tarfile.TarInfo(name)
    info.mode = 0o600
    return info
