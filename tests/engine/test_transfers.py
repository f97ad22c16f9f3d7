"""What goes out keeps its half-made files while the collector comes by."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas.engine import registries
from paas.engine.config import ImageConfig
from paas.engine.flat import Flat
from paas.engine.gc import Collected
from paas.engine.registries import RegistrySettings
from paas.engine.registry import PushFailed
from paas.engine.skopeo import LoginFailed
from paas.model.report import Silent
from tests.engine.storage import Storage


class Busy(http.server.ThreadingHTTPServer):
    """A registry that has nothing, and has the collector come by before it says so."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.collected: list[Collected | None] = []
        super().__init__(("127.0.0.1", 0), Answer)


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Collect as another process does, then deny."""
        assert isinstance(self.server, Busy)
        own = Storage(self.server.root)
        self.server.collected.append(own.collector.collect())
        own.db.close()
        self.send_error(404)

    def do_HEAD(self) -> None:
        """The same."""
        self.do_GET()

    def do_POST(self) -> None:
        """The same."""
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Quietly."""


@pytest.fixture
def busy(storage: Storage) -> Iterator[Busy]:
    storage.layers.prepare()
    server = Busy(storage.root)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    settings = RegistrySettings(plain_http=(address(server),))
    registries.save(storage.registry.settings_file, settings)
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def address(server: Busy) -> str:
    return f"127.0.0.1:{server.server_address[1]}"


def test_a_push_under_way_is_not_collected(storage: Storage, busy: Busy) -> None:
    image = storage.images.add(ImageConfig(), [storage.layer()])
    storage.images.tag("app", image.id)
    with pytest.raises(PushFailed):
        storage.registry.push(image, f"{address(busy)}/app", Silent())
    assert {*busy.collected} == {None}
    assert storage.collector.collect() is not None


def test_a_login_under_way_is_not_collected(storage: Storage, busy: Busy) -> None:
    with pytest.raises(LoginFailed):
        storage.registry.login(address(busy), "me", "secret")
    assert {*busy.collected} == {None}
    assert storage.collector.collect() is not None


def test_an_archive_that_is_still_read_is_not_collected(storage: Storage) -> None:
    storage.layers.prepare()
    flat = Flat(storage.layout, storage.images, storage.layers, storage.rootfs)
    image = storage.images.add(ImageConfig(), [storage.layer()])
    storage.images.tag("app", image.id)
    with flat.folder() as folder:
        archive = folder / "archive"
        storage.registry.save(image, "app", archive, Silent())
        assert storage.collector.collect() is None
        assert archive.stat().st_size
    assert storage.collector.collect() is not None
