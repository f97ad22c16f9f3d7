"""Unpacking a layer: decompress and digest here, write files in a child with its own root.

Two processes share the work: this one inflates and hashes, the child (`extract`) writes.
The digest is that of the uncompressed tar, which the image's configuration vouches for,
and it is taken of the very bytes that the child was given.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import signal
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

from paas.engine.extract import Limits, Refused, apply_archive, write_all
from paas.engine.tarstream import Broken
from paas.errors import PaasError
from paas.host import processes, syscalls
from paas.host.disk import RESERVE, Disk, DiskFull

_CHUNK = 1 << 18
_PIECE = 1 << 20
_GZIP, _ZSTD, _XZ, _BZIP = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\xfd7zXZ", b"BZh"


class LayerRefused(PaasError):
    """An archive is truncated, is not what its digest says, or is hostile."""


@dataclass(frozen=True)
class Unpacked:
    """The result of unpacking; `diff_id` is `sha256:…` of the uncompressed tar."""

    diff_id: str
    bytes: int
    nobodies: int
    devices: int
    implied: tuple[str, ...] = ()
    """Directories without an entry of their own, if they were asked for; relative paths."""


def unpack(
    blob: Path,
    target: Path,
    *,
    diff_id: str | None = None,
    limits: Limits | None = None,
    reserve: int = RESERVE,
    tell_implied: bool = False,
) -> Unpacked:
    """Unpack the tar `blob` (plain, or of gzip, zstd, xz, bzip2) into the directory `target`.

    The archive must have the digest `diff_id`, if one is given; `reserve` bytes of the disk
    stay free; `tell_implied` asks for the directories it implies. Raises `LayerRefused` and
    `DiskFull`; then `target` holds part of it, and its maker throws it away.
    """
    limits = _within_disk(limits or Limits(), Disk(target, reserve))
    stream_read, stream_write = os.pipe2(os.O_CLOEXEC)
    result_read, result_write = os.pipe2(os.O_CLOEXEC)
    # The usual 64 KiB would be filled and drained by turns.
    fcntl.fcntl(stream_write, fcntl.F_SETPIPE_SZ, _PIECE)
    child = os.fork()
    if child == 0:
        for fd in (stream_write, result_read):
            os.close(fd)
        _extract_and_exit(stream_read, result_write, target, limits, tell_implied)
    os.close(stream_read)
    os.close(result_write)
    with os.fdopen(result_read, "rb") as result:
        try:
            digest, failure = _feed(blob, stream_write, limits)
            answer = result.read()
        finally:
            os.waitpid(child, 0)
    return _judge(blob, digest, failure, answer, diff_id)


def _judge(blob: Path, digest: str, failure: str, answer: bytes, expected: str | None) -> Unpacked:
    told: dict[str, Any] = (
        json.loads(answer) if answer else {"refused": "the unpacking process was killed"}
    )
    if told.get("full"):
        raise DiskFull(f"the layer {blob.name}", "none is", blob.parent)
    reason = failure or told.get("refused", "")
    # A broken archive also has the wrong digest: that it is another file says more.
    if not failure and expected is not None and digest != expected:
        reason = f"its digest is {digest}, not {expected}"
    if reason:
        raise LayerRefused(
            f"The layer {blob.name} cannot be unpacked: {reason}",
            resolution="Pull or load the image again; if it fails again, its source is broken. "
            "If the disk has no room, see `paas df`.",
        )
    implied = tuple(told["implied"])
    return Unpacked(digest, told["bytes"], told["nobodies"], told["devices"], implied)


def _feed(blob: Path, pipe: int, limits: Limits) -> tuple[str, str]:
    """Write the uncompressed archive to the child; returns its digest and what failed."""
    digest, total = hashlib.sha256(), 0
    try:
        # The child closes early when it refuses; its reason counts, not our EPIPE.
        with os.fdopen(pipe, "wb", buffering=0) as sink, suppress(BrokenPipeError):
            for chunk in _uncompressed(blob):
                digest.update(chunk)
                total += len(chunk)
                # Names and padding count here, which the child does not see as content.
                if total > 2 * limits.bytes + _PIECE:
                    return "", f"it unpacks to more than {limits.bytes} bytes, {limits.reason}"
                sink.write(chunk)
    except (zlib.error, EOFError) as error:
        return "", f"its compression is broken: {error}"
    return f"sha256:{digest.hexdigest()}", ""


def _uncompressed(blob: Path) -> Iterator[bytes]:
    # Unbuffered: a decompressor goes on where this descriptor stands.
    with blob.open("rb", buffering=0) as file:
        magic = file.read(6)
        file.seek(0)
        if magic.startswith(_GZIP):
            yield from _inflate(iter(lambda: file.read(_CHUNK), b""))
        elif magic.startswith(_ZSTD):
            yield from _through(["zstd", "-dcq"], file.fileno())
        elif magic.startswith(_XZ):
            yield from _through(["xz", "-dcq"], file.fileno())
        elif magic.startswith(_BZIP):
            yield from _through(["bzip2", "-dcq"], file.fileno())
        else:
            yield from iter(lambda: file.read(_CHUNK), b"")


def _inflate(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Decompress gzip, of several members too (RFC 1952, 2.2)."""
    inflater = zlib.decompressobj(wbits=31)
    ended = False
    for chunk in chunks:
        data, full = chunk, False
        while data or full:
            if ended:
                data = data.lstrip(b"\0")
                if not data:
                    break
                inflater, ended = zlib.decompressobj(wbits=31), False
            # In bounded pieces: a bomb of zeros would not fit into memory.
            piece = inflater.decompress(data, _PIECE)
            yield piece
            data, full = inflater.unconsumed_tail, len(piece) == _PIECE
            if inflater.eof:
                ended, data, full = True, inflater.unused_data, False
    if not ended:
        raise EOFError("it ends in the middle")


def _through(argv: list[str], source: int) -> Iterator[bytes]:
    read, write = os.pipe2(os.O_CLOEXEC)
    process = processes.spawn(argv, stdin=source, stdout=write)
    os.close(write)
    try:
        with os.fdopen(read, "rb", buffering=0) as output:
            yield from iter(lambda: output.read(_CHUNK), b"")
    except GeneratorExit:
        process.kill()
        process.wait()
        raise
    if (code := process.wait()) != 0:
        raise EOFError(f"{argv[0]} ended with {processes.describe_code(code)}")


def _extract_and_exit(
    stream: int,
    result: int,
    target: Path,
    limits: Limits,
    tell_implied: bool,  # noqa: FBT001
) -> NoReturn:
    """In the child: change the root, extract, tell how it went, end without cleaning up."""
    answer: dict[str, object] = {"refused": "an unexpected error"}
    try:
        syscalls.die_with_parent(signal.SIGKILL)
        os.umask(0)
        os.chroot(target)
        os.chdir("/")
        with os.fdopen(stream, "rb", buffering=_PIECE) as archive:
            applied = apply_archive(archive, limits)
        answer = {
            "bytes": applied.bytes,
            "nobodies": applied.nobodies,
            "devices": applied.devices,
            "implied": [os.fsdecode(path).lstrip("/") for path in applied.implied if tell_implied],
        }
    except Broken as error:
        answer = {"refused": f"it is not a whole tar archive: {error}"}
    except Refused as error:
        answer = {"refused": str(error)}
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        answer = {"refused": f"{error.strerror}: {error.filename}", "full": full}
    except Exception as error:  # noqa: BLE001  hostile headers are of all sorts
        answer = {"refused": f"it is malformed: {type(error).__name__}: {error}"}
    finally:
        write_all(result, json.dumps(answer).encode())
        os._exit(0)


def _within_disk(limits: Limits, disk: Disk) -> Limits:
    room = disk.room()
    if room >= limits.bytes:
        return limits
    return replace(limits, bytes=room, reason="all that the disk has room for")
