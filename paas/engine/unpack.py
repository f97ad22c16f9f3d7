"""Unpacking a layer: read and judge the archive here, write files in a child with its own root.

Two processes share the work: this one inflates, hashes and reads headers, the child (`extract`)
makes what they ask for. The digest is that of the uncompressed tar, which the image's
configuration vouches for, and it is taken of the very bytes that the child was given.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, NoReturn

from paas.engine.extract import Extraction
from paas.engine.frames import PIECE, Channel, FrameWriter, Interrupted
from paas.engine.inflate import Garbled, Uncompressed
from paas.engine.members import Limits, Members, Refused
from paas.engine.tarstream import Broken, TarStream
from paas.errors import PaasError
from paas.host import syscalls
from paas.host.disk import RESERVE, Disk, DiskFull
from paas.host.streams import write_all


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
    with Uncompressed(blob) as archive:
        channel = Channel()
        with _extracting(channel, target, tell_implied) as result:
            reading = _Reading(archive, limits, channel.writer())
            reading.send()
            channel.close()
            answer = result.read()
        told: dict[str, Any] = (
            json.loads(answer) if answer else {"refused": "the unpacking process was killed"}
        )
        if told.get("full"):
            raise DiskFull(f"the layer {blob.name}", "none is", blob.parent)
        reason = reading.objection(told.get("refused", ""), diff_id)
    if reason:
        raise LayerRefused(
            f"The layer {blob.name} cannot be unpacked: {reason}",
            resolution="Pull or load the image again; if it fails again, its source is broken. "
            "If the disk has no room, see `paas df`.",
        )
    members = reading.members
    implied = tuple(told["implied"])
    return Unpacked(reading.digest, members.bytes, members.nobodies, members.devices, implied)


@contextmanager
def _extracting(
    channel: Channel,
    target: Path,
    tell_implied: bool,  # noqa: FBT001
) -> Iterator[IO[bytes]]:
    """A child that makes in `target` what it is sent, and what it says at the end.

    Behind the block it is gone, as it ends when nothing is sent any more.
    """
    with ExitStack() as opened:
        opened.callback(channel.close)
        read, write = os.pipe2(os.O_CLOEXEC)
        answer = opened.enter_context(os.fdopen(read, "rb"))
        answering = opened.enter_context(os.fdopen(write, "wb", buffering=0))
        child = os.fork()
        if child == 0:
            _extract_and_exit(channel, write, target, tell_implied)
        answering.close()
        opened.callback(os.waitpid, child, 0)
        # Before it is waited for, so that it can neither read nor say more.
        opened.callback(answer.close)
        opened.callback(channel.close)
        yield answer


class _Reading:
    """An archive on its way from the disk to the child."""

    def __init__(self, archive: Uncompressed, limits: Limits, frames: FrameWriter) -> None:
        self._frames = frames
        self._stream = _Stream(archive, limits, frames)
        self.members = Members(TarStream(self._stream), limits)
        self._refused = ""
        self._garbled = ""

    def send(self) -> None:
        """Give all of it to the child, or as much as either of the two takes."""
        try:
            for member in self.members:
                self._frames.add(member)
            self._stream.end()
        except BrokenPipeError:
            return  # The child has its reasons, and tells them.
        except (Garbled, _TooMuch) as error:
            self._garbled = str(error)
        except Broken as error:
            self._refused = f"it is not a whole tar archive: {error}"
        except Refused as error:
            self._refused = str(error)
        except ValueError as error:  # Headers are of all sorts.
            self._refused = f"it is malformed: {error}"

    def objection(self, told: str, diff_id: str | None) -> str:
        """Why it is no good, if it is not; `told` is what the child has against it."""
        refused = self._refused or told
        # Of one that is refused the rest counts only to tell whether it is the right one.
        if not self._garbled and (diff_id is not None or not refused):
            try:
                self._stream.drain()
            except (Garbled, _TooMuch) as error:
                self._garbled = str(error)
        # A broken archive also has the wrong digest: that it is another file says more.
        if not self._garbled and diff_id is not None and self.digest != diff_id:
            return f"its digest is {self.digest}, not {diff_id}"
        return self._garbled or refused

    @property
    def digest(self) -> str:
        """Of what was read."""
        return f"sha256:{self._stream.digest.hexdigest()}"


class _TooMuch(Exception):
    """More bytes than the limits allow, names and padding included."""


class _Stream:
    """The archive as `tarstream.Source`. Pieces are hashed as they come, and sent once read."""

    def __init__(self, archive: Uncompressed, limits: Limits, frames: FrameWriter) -> None:
        self.digest = hashlib.sha256()
        self._archive = archive
        self._limits = limits
        self._frames = frames
        self._piece = memoryview(b"")
        self._start = 0
        """Where in the archive the piece begins."""
        self._at = 0
        """What of the piece has been taken."""
        self._read = 0

    @property
    def place(self) -> int:
        """How many bytes have been read or skipped."""
        return self._start + self._at

    def read(self, count: int) -> bytes:
        """The next `count` bytes; fewer at the end alone."""
        data = self._taken(count)
        while len(data) < count and self._next():
            data += self._taken(count - len(data))
        return data

    def skip(self, count: int) -> int:
        """Leave out the next `count` bytes; how many there were."""
        left = count
        while True:
            step = min(left, len(self._piece) - self._at)
            self._at += step
            left -= step
            if not left or not self._next():
                return count - left

    def end(self) -> None:
        """Send what is left, as the last."""
        self._frames.send(len(self._piece), last=True)

    def drain(self) -> None:
        """Hash the rest, which nobody has asked for."""
        room = memoryview(bytearray(PIECE))
        while self._fill(room):
            pass

    def _taken(self, count: int) -> bytes:
        """What the piece has of the next `count` bytes."""
        start = self._at
        self._at = min(start + count, len(self._piece))
        return bytes(self._piece[start : self._at])

    def _next(self) -> bool:
        """Go on to the next piece; whether there is one."""
        if self._piece:
            self._frames.send(len(self._piece))
        self._start += len(self._piece)
        self._piece, self._at = self._fill(self._frames.room()), 0
        return bool(self._piece)

    def _fill(self, room: memoryview) -> memoryview:
        """The next piece, in `room`, hashed; empty at the end."""
        piece = room[: self._archive.readinto(room)]
        self.digest.update(piece)
        self._read += len(piece)
        # Names and padding count here, which are no content.
        if self._read > 2 * self._limits.bytes + PIECE:
            limits = self._limits
            raise _TooMuch(f"it unpacks to more than {limits.bytes} bytes, {limits.reason}")
        return piece


def _extract_and_exit(
    channel: Channel,
    result: int,
    target: Path,
    tell_implied: bool,  # noqa: FBT001
) -> NoReturn:
    """In the child: change the root, extract, tell how it went, end without cleaning up."""
    answer: dict[str, object] = {"refused": "an unexpected error"}
    try:
        syscalls.die_with_parent(signal.SIGKILL)
        os.umask(0)
        os.chroot(target)
        os.chdir("/")
        extraction = Extraction(channel.reader())
        extraction.run()
        implied = [os.fsdecode(path).lstrip("/") for path in extraction.implied if tell_implied]
        answer = {"implied": implied}
    except Interrupted:
        answer = {"refused": "its reading ended in the middle"}
    except Refused as error:
        answer = {"refused": str(error)}
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        answer = {"refused": f"{error.strerror}: {error.filename}", "full": full}
    except Exception as error:  # noqa: BLE001  hostile headers are of all sorts
        answer = {"refused": f"it is malformed: {type(error).__name__}: {error}"}
    finally:
        # The other side sees by it that no more is read, whatever there is to say.
        channel.close()
        write_all(result, json.dumps(answer).encode())
        os._exit(0)


def _within_disk(limits: Limits, disk: Disk) -> Limits:
    room = disk.room()
    if room >= limits.bytes:
        return limits
    return replace(limits, bytes=room, reason="all that the disk has room for")
