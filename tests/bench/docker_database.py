"""The same database in docker's containers: what any container engine costs it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.chroot import PATH, SECONDS, Chroot
from tests.bench.dockerd import Docker, dockerd

NETWORK, SERVER, IMAGE = "bench", "database", "database-image"


@dataclass(frozen=True)
class DockerDatabase:
    """A server in one container, its clients in others, on docker's own network."""

    docker: Docker

    def run(self, *words: str, env: Mapping[str, str]) -> str:
        """What a client says; it must succeed."""
        return self.docker.run("run", "--rm", *_options(env), IMAGE, *words)


@contextmanager
def docker_database(
    folder: Path, host: Chroot, data: str, words: Sequence[str], env: Mapping[str, str],
    ready: Sequence[str], memory_mb: int,
) -> Iterator[DockerDatabase]:  # fmt: skip
    """Serve the files of `host` by a dockerd below `folder`; `data` is a directory of the disk.

    `ready` succeeds in the server's container once it answers.
    """
    packed = folder / "image.tar"
    subprocess.run(
        ["tar", "-C", host.root, "--one-file-system", f"--exclude=.{data}/*", "-cf", packed, "."],
        check=True,
    )
    with dockerd(folder) as docker:
        docker.run("import", str(packed), IMAGE)
        packed.unlink()
        docker.run("network", "create", NETWORK)
        (folder / "database").mkdir()
        docker.run(
            "run", "--detach", "--name", SERVER, "--memory", f"{memory_mb}m",
            "--volume", f"{folder}/database:{data}", *_options(env), IMAGE, *words,
        )  # fmt: skip
        try:
            _wait(docker, ready)
            yield DockerDatabase(docker)
        finally:
            docker.run("rm", "--force", "--volumes", SERVER)


def _options(env: Mapping[str, str]) -> list[str]:
    given = {"PATH": PATH} | dict(env)
    pairs = (f"--env={name}={value}" for name, value in given.items())
    # A host may give no more than it has (no CAP_SYS_RESOURCE).
    return ["--network", NETWORK, "--ulimit=nofile=1024:1024", *pairs]


def _wait(docker: Docker, ready: Sequence[str]) -> None:
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            docker.run("exec", SERVER, *ready)
        except AssertionError:
            assert time.monotonic() < deadline, docker.run("logs", SERVER)
            time.sleep(0.1)
        else:
            return
