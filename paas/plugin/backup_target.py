"""Where backups are kept: a folder of the server, or a bucket that speaks S3."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import Protocol

from paas.errors import PaasError
from paas.host.files import sync_directory
from paas.model.env import Secret
from paas.model.names import shown
from paas.plugin.s3 import Bucket, BucketKey

S3 = "s3://"
ABANDONED_SECONDS = 3600.0


class TargetUnusable(PaasError):
    """Backups cannot be kept there, or not now."""


class Target(Protocol):
    """A place for files. Every method raises `PaasError`, and leaves no half of a file."""

    def store(self, name: str, source: int, size: int, sha256: str) -> None:
        """Keep `size` bytes, read from the descriptor's beginning, as `name`."""

    def fetch(self, name: str, out: int) -> None:
        """Write what is kept as `name` to a descriptor."""

    def remove(self, name: str) -> None:
        """Keep it no longer; one that is gone is no error."""

    def sweep(self, beginning: str) -> None:
        """Remove what killed processes left of files whose names begin like that."""


@dataclass(frozen=True)
class Folder:
    """A folder of this server."""

    path: Path

    def store(self, name: str, source: int, size: int, sha256: str) -> None:  # noqa: ARG002
        """Beside, then renamed: what has the name is whole, and on disk."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            beside = self.path / f".{name}.{os.getpid()}"
            try:
                _copy(source, beside)
                beside.rename(self.path / name)
            finally:
                beside.unlink(missing_ok=True)
            sync_directory(self.path)
        except OSError as error:
            raise self._unusable(error) from error

    def fetch(self, name: str, out: int) -> None:
        """Raises `TargetUnusable` when it is not there."""
        try:
            with (
                (self.path / name).open("rb") as kept,
                os.fdopen(os.dup(out), "wb") as file,
            ):
                shutil.copyfileobj(kept, file, 1 << 20)
        except OSError as error:
            raise self._unusable(error) from error

    def remove(self, name: str) -> None:
        """One that is gone is no error."""
        try:
            (self.path / name).unlink(missing_ok=True)
        except OSError as error:
            raise self._unusable(error) from error

    def sweep(self, beginning: str) -> None:
        """What nobody has written to for an hour: servers that share it see no process."""
        try:
            for path in self.path.glob(f".{escape(beginning)}*.dump.*"):
                # A copy is renamed, or gone, while this looks at it.
                with suppress(FileNotFoundError):
                    if time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
                        path.unlink()
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: OSError) -> TargetUnusable:
        return TargetUnusable(
            f"Backups cannot be kept in {self.path}: {error.strerror}",
            resolution="See to it that the folder exists, is writable and has space.",
        )


def parse_target(text: str, default: Path) -> str:
    """A target as it is recorded: an absolute folder, or `s3://BUCKET[/PREFIX]`.

    Empty is the server's own folder for backups. Raises `TargetUnusable`.
    """
    if not text:
        return str(default)
    if text.startswith(S3) and len(text) > len(S3):
        return text.rstrip("/")
    if text.startswith("/") and ".." not in Path(text).parts:
        return str(Path(text))
    raise TargetUnusable(
        f"{shown(text)} is no place for backups",
        resolution="Name a folder, like /srv/backups, or a bucket, like s3://bucket/prefix.",
    )


def open_target(target: str, credentials: Mapping[str, Secret]) -> Target:
    """The place that `parse_target` gave. Raises `TargetUnusable` for missing credentials."""
    if not target.startswith(S3):
        return Folder(Path(target))
    missing = {"key", "secret"} - credentials.keys()
    if missing:
        raise TargetUnusable(
            f"There is no key for {target}",
            resolution="Set it: paas DATASTORE:backup:auth SERVICE KEY [REGION] [ENDPOINT]",
        )
    bucket, _, prefix = target.removeprefix(S3).partition("/")
    plain = {name: secret.reveal() for name, secret in credentials.items()}
    key = BucketKey(plain["key"], credentials["secret"], plain.get("region") or "us-east-1")
    return Bucket(bucket, prefix, key, plain.get("endpoint") or "")


def _copy(source: int, path: Path) -> None:
    os.lseek(source, 0, os.SEEK_SET)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file, os.fdopen(os.dup(source), "rb") as read:
        shutil.copyfileobj(read, file, 1 << 20)
        file.flush()
        os.fsync(descriptor)
