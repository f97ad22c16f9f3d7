"""A real server that speaks S3 (rclone's), for buckets that are folders."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from paas.host.waiting import wait_until
from tests.ports import free_port

KEY, SECRET = "AKIAPAAS", "ßecret/+with spaces"
START_SECONDS = 20.0


@dataclass(frozen=True)
class ObjectStorage:
    """One that runs. A bucket is a folder below `folder`, an object a file."""

    folder: Path
    endpoint: str

    def make_bucket(self, name: str) -> Path:
        path = self.folder / name
        path.mkdir()
        return path


@contextmanager
def object_storage(folder: Path) -> Iterator[ObjectStorage]:
    """Serve the buckets below `folder` to who has the key, while the block lasts."""
    program = shutil.which("rclone")
    assert program is not None, "rclone is not installed"
    port = free_port()
    log = (folder / "rclone.log").open("wb")
    process = subprocess.Popen(
        [
            program, "serve", "s3", "--config", "/dev/null", "--addr", f"127.0.0.1:{port}",
            "--auth-key", f"{KEY},{SECRET}", "--vfs-cache-mode", "off",
            # Buckets are made behind its back. With none at all it never rests once it was asked.
            "--dir-cache-time", "100ms", str(folder),
        ],
        stdin=subprocess.DEVNULL, stdout=log, stderr=log,
    )  # fmt: skip

    def listens() -> bool:
        assert process.poll() is None, (folder / "rclone.log").read_text()
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", port)) == 0

    try:
        assert wait_until(listens, START_SECONDS, 0.02)
        yield ObjectStorage(folder, f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        process.wait()
        log.close()
