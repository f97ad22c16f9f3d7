"""An image as a plain chroot of the host: no namespace, no limit, no network of ours.

What a datastore's engine costs is measured against the same binaries with the same options
on the same disk.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from paas.engine.engine import Engine
from paas.engine.images import Image
from paas.engine.mounting import detach
from paas.host.files import remove_tree

PATH = "/usr/lib/postgresql/17/bin:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
SECONDS = 60.0


@dataclass(frozen=True)
class Chroot:
    """A root directory to run programs in, with the host's network."""

    root: Path

    def command(self, *words: str) -> list[str]:
        return ["/usr/sbin/chroot", str(self.root), *words]

    def run(self, *words: str, env: Mapping[str, str] | None = None) -> str:
        """What a program says; it must succeed."""
        given = {"PATH": PATH} | dict(env or {})
        done = subprocess.run(
            self.command(*words), env=given, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @contextmanager
    def serving(
        self, words: Sequence[str], env: Mapping[str, str], ready: Sequence[str]
    ) -> Iterator[None]:
        """A server that runs while the block lasts; `ready` succeeds once it answers."""
        given = {"PATH": PATH} | dict(env)
        process = subprocess.Popen(
            self.command(*words), env=given, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            deadline = time.monotonic() + SECONDS
            asking = self.command(*ready)
            while subprocess.run(asking, env=given, capture_output=True, check=False).returncode:
                assert process.poll() is None, f"{words} ended with {process.returncode}"
                assert time.monotonic() < deadline, f"{words} is not ready"
                time.sleep(0.1)
            yield
        finally:
            process.terminate()
            process.wait()


@contextmanager
def chroot(engine: Engine, image: Image, data: str = "") -> Iterator[Chroot]:
    """The files of an image, writable; `data` is a directory of the engine's own disk."""
    folder = Path(tempfile.mkdtemp(dir=engine.layout.engine_fs, prefix="bench"))
    root, upper, real = folder / "root", folder / "upper", folder / "data"
    for path in (root, upper, real):
        path.mkdir()
    with ExitStack() as undo:
        undo.callback(remove_tree, folder)
        engine.rootfs.overlay(image.layers, upper, root)
        undo.callback(detach, root)
        mounts = [
            ("--bind", "/dev", root / "dev"),
            ("-t", "tmpfs", "tmpfs", root / "dev/shm"),
            ("-t", "proc", "proc", root / "proc"),
        ]
        if data:
            mounts.append(("--bind", str(real), root / data.lstrip("/")))
        for *options, target in mounts:
            Path(target).mkdir(parents=True, exist_ok=True)
            subprocess.run(["mount", *options, target], check=True)
            undo.callback(detach, Path(target))
        # A server may ask for its own name.
        shutil.copyfile("/etc/hosts", root / "etc/hosts")
        yield Chroot(root)
