"""A real registry for tests: Debian's docker-registry (CNCF distribution), on a free port.

What it cannot be asked to do wrong is done to it: its store lies on disk, where a blob can
be changed, and `cut` stands between it and a client whose connection breaks.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import socket
import subprocess
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from paas.host import netlink
from tests.ports import free_port
from tests.push.outcome import eventually

MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
FETCHED = re.compile(r'"GET /v2/[^ ]*/blobs/(sha256:[a-f0-9]{64}) HTTP/1\.1" 200')


class Distribution:
    """One running registry; names are `repository:tag`."""

    def __init__(self, folder: Path, port: int, host: str) -> None:
        self.folder = folder
        self.port = port
        self.address = f"{host}:{port}"
        self._read = 0

    # -- what it has ---------------------------------------------------------------------

    def manifest(self, name: str) -> tuple[str, dict[str, Any]]:
        """Its media type and content."""
        repository, _, tag = name.partition(":")
        with self._ask("GET", repository, tag, {"Accept": ", ".join(MANIFESTS)}) as answer:
            return answer.headers["Content-Type"], json.load(answer)

    def digest(self, name: str) -> str:
        """`sha256:…` of its manifest."""
        repository, _, tag = name.partition(":")
        with self._ask("GET", repository, tag, {"Accept": ", ".join(MANIFESTS)}) as answer:
            return str(answer.headers["Docker-Content-Digest"])

    def put(self, name: str, kind: str, manifest: dict[str, Any]) -> None:
        """Store a manifest, which may say what it likes of blobs that are there."""
        repository, _, tag = name.partition(":")
        data = json.dumps(manifest).encode()
        with self._ask("PUT", repository, tag, {"Content-Type": kind}, data):
            pass

    def store(self, repository: str, data: bytes) -> str:
        """Store a blob; its digest."""
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        begin = f"http://{self.address}/v2/{repository}/blobs/uploads/"
        with urllib.request.urlopen(
            urllib.request.Request(begin, b"", method="POST"), timeout=60
        ) as answer:
            place = f"{answer.headers['Location']}&digest={quote(digest)}"
        kind = {"Content-Type": "application/octet-stream"}
        with urllib.request.urlopen(
            urllib.request.Request(place, data, kind, method="PUT"), timeout=60
        ):
            return digest

    def layers(self, name: str) -> list[str]:
        """Digests of an image's layers."""
        return [layer["digest"] for layer in self.manifest(name)[1]["layers"]]

    def blob(self, digest: str) -> Path:
        """The file of a blob."""
        hexes = digest.partition(":")[2]
        path = f"storage/docker/registry/v2/blobs/sha256/{hexes[:2]}/{hexes}/data"
        return self.folder / path

    @property
    def empty(self) -> bool:
        return not (self.folder / "storage/docker").exists()

    # -- what was asked of it ----------------------------------------------------------------

    def fetched(self) -> list[str]:
        """Digests of the blobs that were downloaded since this was last asked."""
        text = (self.folder / "log").read_text()
        end = text.rfind("\n") + 1  # a line may be written in two
        new, self._read = text[self._read : end], end
        return FETCHED.findall(new)

    def has_given(self, name: str) -> None:
        """Wait until it has told of the download of an image's layers, as it does behind its
        answer, and forget what was downloaded until then."""
        seen: set[str] = set()
        wanted = set(self.layers(name))

        def told() -> bool:
            seen.update(self.fetched())
            return wanted <= seen

        eventually(told)

    def _ask(
        self,
        method: str,
        repository: str,
        tag: str,
        headers: Mapping[str, str],
        data: bytes | None = None,
    ) -> Any:
        url = f"http://{self.address}/v2/{repository}/manifests/{tag}"
        request = urllib.request.Request(url, data, dict(headers), method=method)
        return urllib.request.urlopen(request, timeout=60)


@contextmanager
def distribution(
    folder: Path, *, host: str = "127.0.0.1", tls: str = "", auth: str = ""
) -> Iterator[Distribution]:
    """A registry that runs while the block does; `tls` and `auth` are lines of its YAML."""
    port = free_port()
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "config.yml"
    config.write_text(
        "version: 0.1\nlog: {accesslog: {disabled: false}, level: error}\n"
        f"storage:\n  filesystem: {{rootdirectory: {folder}/storage}}\n"
        f"http:\n  addr: {host}:{port}\n{tls}{auth}"
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["docker-registry", "serve", config], stdout=log, stderr=log, start_new_session=True
        )
    try:
        eventually(lambda: connects(host, port))
        yield Distribution(folder, port, host)
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(folder / "storage", ignore_errors=True)


def connects(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


@contextmanager
def cut(port: int, after: int) -> Iterator[int]:
    """A port that leads to another, and breaks each connection after so many bytes of answer."""
    server = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=_serve, args=(server, port, after))
    thread.start()
    try:
        yield int(server.getsockname()[1])
    finally:
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
        server.close()


@dataclass(frozen=True)
class Halt:
    """Where connections come to a halt; `reached` when one has."""

    port: int
    reached: threading.Event
    over: threading.Event


@contextmanager
def halting(port: int, after: int) -> Iterator[Halt]:
    """A port that leads to another, where each connection stands still after so many bytes of
    answer, until the block ends."""
    server = socket.create_server(("127.0.0.1", 0))
    halt = Halt(int(server.getsockname()[1]), threading.Event(), threading.Event())
    thread = threading.Thread(target=_serve, args=(server, port, after, halt))
    thread.start()
    try:
        yield halt
    finally:
        halt.over.set()
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
        server.close()


@contextmanager
def reached_from(namespace: Path, port: int) -> Iterator[None]:
    """The same port of another network namespace's loopback leads to ours."""
    with netlink.inside(namespace):
        server = socket.create_server(("127.0.0.1", port))
    thread = threading.Thread(target=_serve, args=(server, port, 1 << 60))
    thread.start()
    try:
        yield
    finally:
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
        server.close()


def _serve(server: socket.socket, port: int, after: int, halt: Halt | None = None) -> None:
    threads = []
    while True:
        try:
            client, _ = server.accept()
        except OSError:
            break
        threads.append(threading.Thread(target=_carry, args=(client, port, after, halt)))
        threads[-1].start()
    for thread in threads:
        thread.join()


def _carry(client: socket.socket, port: int, after: int, halt: Halt | None) -> None:
    with client, socket.create_connection(("127.0.0.1", port)) as upstream:
        asking = threading.Thread(target=_pass, args=(client, upstream, 1 << 40))
        asking.start()
        _pass(upstream, client, after, halt)
        for end in (client, upstream):
            _shut(end)
        asking.join()


def _pass(
    source: socket.socket, target: socket.socket, left: int, halt: Halt | None = None
) -> None:
    try:
        while left > 0 and (data := source.recv(min(left, 65536))):
            target.sendall(data)
            left -= len(data)
        if left <= 0 and halt is not None:
            halt.reached.set()
            halt.over.wait()
    except OSError:
        return
    finally:
        _shut(target)


def _shut(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
