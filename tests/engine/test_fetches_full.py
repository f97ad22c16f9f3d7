"""What is fetched leaves the reserve of the disk alone, and nothing half-fetched on it."""

from __future__ import annotations

import http.server
import os
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from paas.engine import registries
from paas.engine.build import downloads
from paas.engine.build.errors import CannotFetch
from paas.engine.build.remote import Remotes, git_address
from paas.engine.config import ImageConfig
from paas.engine.network.network import Network
from paas.engine.outside import Outside
from paas.engine.registries import RegistrySettings
from paas.host import syscalls
from paas.host.disk import Disk, DiskFull
from paas.model.report import Silent
from tests.engine.build.rig import own_address
from tests.engine.distribution import distribution, halting
from tests.engine.storage import Storage
from tests.ports import free_port

SIZE = 16 << 20
RESERVE = 4 << 20
CHUNK = bytes(1 << 16)

Send = Callable[["Answer"], None]


class Answer(http.server.BaseHTTPRequestHandler):
    """Answers as the test says."""

    protocol_version = "HTTP/1.1"
    send: Send

    def do_GET(self) -> None:
        """Whoever asked may be gone in the middle of it."""
        self.close_connection = True
        try:
            type(self).send(self)
        except OSError:
            return

    def begin(self, etag: str = "", length: int | None = None) -> None:
        """The head; without a length what follows is in chunks."""
        self.send_response(200)
        if etag:
            self.send_header("ETag", f'"{etag}"')
        size = ("Content-Length", str(length)), ("Transfer-Encoding", "chunked")
        self.send_header(*size[length is None])
        self.end_headers()

    def chunk(self, data: bytes) -> None:
        """One of them."""
        self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))

    def log_message(self, *_: object) -> None:
        """Quietly."""


@dataclass
class Fetching:
    """An engine on a small disk of its own, and a server that it may fetch from."""

    storage: Storage
    remotes: Remotes
    address: str
    answer: type[Answer]

    @property
    def url(self) -> str:
        return f"http://{self.address}/file"

    @property
    def free(self) -> int:
        status = os.statvfs(self.storage.root)
        return status.f_bavail * status.f_frsize

    @property
    def kept(self) -> list[Path]:
        """All that there is of downloads."""
        return [*(self.storage.layout.engine / "downloads").rglob("*")]

    def fill(self) -> None:
        """Somebody else takes the room, and some of the reserve."""
        with (self.storage.root / "filler").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, self.free - RESERVE // 2)


@pytest.fixture
def fetching() -> Iterator[Fetching]:
    with ExitStack() as undo:
        made = tempfile.TemporaryDirectory(prefix="paas-test-", dir="/var/tmp")
        folder = undo.enter_context(made)
        syscalls.mount("paas-test", folder, "tmpfs", data=f"size={SIZE}")
        undo.callback(syscalls.umount, folder)
        storage = Storage(Path(folder, "root"))
        undo.callback(storage.destroy)
        storage.layers.disk = Disk(storage.root, reserve=RESERVE, inodes=0)
        storage.layers.prepare()
        host, port = own_address(), free_port()
        network = Network(storage.layout, storage.db, allowed_egress=[f"{host}:{port}"])
        undo.callback(network.prefix.release)
        undo.callback(network.teardown)
        network.ensure()
        remotes = Remotes(storage.layout, Outside(storage.layout, network), storage.layers)
        yield Fetching(storage, remotes, f"{host}:{port}", type("Served", (Answer,), {}))


@contextmanager
def serving(fetching: Fetching, send: Send) -> Iterator[None]:
    """The server answers with `send`."""
    fetching.answer.send = send
    host, _, port = fetching.address.partition(":")
    server = http.server.ThreadingHTTPServer((host, int(port)), fetching.answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def endless(answer: Answer) -> None:
    answer.begin()
    while True:
        answer.chunk(CHUNK)


def test_a_file_without_an_end_takes_the_room_and_no_more(fetching: Fetching) -> None:
    least = fetching.free

    def send(answer: Answer) -> None:
        nonlocal least
        answer.begin()
        while True:
            answer.chunk(CHUNK)
            least = min(least, fetching.free)

    with serving(fetching, send), pytest.raises(DiskFull) as caught:
        fetching.remotes.identify_url(fetching.url, "")
    assert caught.value.brief.startswith(f"There is no room for {fetching.url}: ")
    assert caught.value.resolution
    assert RESERVE <= least < 2 * RESERVE
    assert fetching.kept == []


def test_a_file_without_an_end_is_bounded_however_much_room_there_is(
    fetching: Fetching, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "MAX_BYTES", 100_000)
    with serving(fetching, endless), pytest.raises(CannotFetch, match="it is larger than"):
        fetching.remotes.identify_url(fetching.url, "")
    assert fetching.kept == []

    def announced(answer: Answer) -> None:
        answer.begin(length=200_000)

    with serving(fetching, announced), pytest.raises(CannotFetch, match="it is larger than"):
        fetching.remotes.identify_url(fetching.url, "")
    assert fetching.kept == []


def test_a_file_that_comes_while_others_fill_the_disk_is_given_up(fetching: Fetching) -> None:
    over = threading.Event()

    def send(answer: Answer) -> None:
        answer.begin()
        answer.chunk(CHUNK)
        fetching.fill()
        over.wait()

    with serving(fetching, send):
        try:
            with pytest.raises(DiskFull, match=r"There is no room for http://.*: 2 MB free"):
                fetching.remotes.identify_url(fetching.url, "")
        finally:
            over.set()
    assert fetching.kept == []


def test_a_repository_is_given_up_too(fetching: Fetching) -> None:
    host, _, port = fetching.address.partition(":")
    with socket.create_server((host, int(port))) as server:

        def accept() -> None:
            connection, _ = server.accept()
            fetching.fill()
            # Until it is given up.
            with connection:
                while connection.recv(1024):
                    pass

        thread = threading.Thread(target=accept)
        thread.start()
        address = git_address(f"git://{fetching.address}/a.git", "", keep_git=False)
        with pytest.raises(DiskFull, match=r"There is no room for git://.*: 2 MB free"):
            fetching.remotes.identify_git(address)
        thread.join()


def test_a_file_that_breaks_off_leaves_nothing_and_is_not_taken_for_the_one_before(
    fetching: Fetching,
) -> None:
    contents = {"old": b"old", "new": b"new"}
    newest, whole = "old", True

    def send(answer: Answer) -> None:
        if answer.headers["If-None-Match"] == f'"{newest}"':
            answer.send_response(304)
            answer.send_header("ETag", f'"{newest}"')
            answer.end_headers()
            return
        answer.begin(newest)
        answer.chunk(contents[newest])
        if whole:
            answer.wfile.write(b"0\r\n\r\n")

    def identify() -> str:
        return fetching.remotes.identify_url(fetching.url, "")

    with serving(fetching, send):
        old = identify()
        assert identify() == old
        newest, whole = "new", False
        with pytest.raises(CannotFetch):
            identify()
        assert {path.name for path in fetching.kept if path.is_file()} == {"body", "etag"}
        whole = True
        new = identify()
        assert new != old
        assert identify() == new


def test_a_pull_is_given_up_when_others_fill_the_disk(fetching: Fetching, storage: Storage) -> None:
    storage.layers.prepare()
    noise = storage.layer(lambda upper: (upper / "noise").write_bytes(os.urandom(400_000)))
    image = storage.images.add(ImageConfig(), [noise])
    pulling = fetching.storage
    with (
        tempfile.TemporaryDirectory() as folder,
        distribution(Path(folder)) as server,
        halting(server.port, 100_000) as halt,
    ):
        name = f"127.0.0.1:{halt.port}/app"
        for engine, address in ((storage, server.address), (pulling, f"127.0.0.1:{halt.port}")):
            settings = RegistrySettings(plain_http=(address,))
            registries.save(engine.registry.settings_file, settings)
        storage.registry.push(image, f"{server.address}/app", Silent())

        def fill() -> None:
            halt.reached.wait()
            fetching.fill()

        thread = threading.Thread(target=fill)
        thread.start()
        with pytest.raises(DiskFull, match=f"There is no room for {name}:latest: 2 MB free"):
            pulling.registry.pull(name, Silent())
        thread.join()
    assert list((pulling.layout.engine / "scratch").iterdir()) == []
