"""The door to S3: signatures by AWS's own examples, and transfers over real HTTP."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from paas.model.env import Secret
from paas.plugin import s3
from paas.plugin.s3 import EMPTY, Bucket, BucketFailed, BucketKey, signed

KEY = BucketKey(
    "AKIAIOSFODNN7EXAMPLE", Secret("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"), "us-east-1"
)


@pytest.mark.parametrize(
    ("query", "signature"),
    [
        ("lifecycle=", "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
        (
            "max-keys=2&prefix=J",
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ],
)
def test_a_request_is_signed_as_in_the_examples_of_the_specification(
    query: str, signature: str
) -> None:
    """Amazon S3 API reference, "Signature Calculations for the Authorization Header"."""
    moment = datetime(2013, 5, 24, tzinfo=UTC)
    headers = signed(KEY, "GET", "examplebucket.s3.amazonaws.com", "/", query, EMPTY, moment)
    assert headers["Authorization"].endswith(f"Signature={signature}")


class Storage(ThreadingHTTPServer):
    """Keeps what it is given, and checks that it arrived as it was signed."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.objects: dict[str, bytes] = {}
        self.parts: dict[str, bytes] = {}


class Handler(BaseHTTPRequestHandler):
    server: Storage

    def log_message(self, *_: object) -> None:
        return

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def body(self) -> bytes:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        assert hashlib.sha256(data).hexdigest() == self.headers["x-amz-content-sha256"]
        return data

    def do_PUT(self) -> None:
        path, query = urlsplit(self.path).path, parse_qs(urlsplit(self.path).query)
        data = self.body()
        if "partNumber" in query:
            self.server.parts[query["partNumber"][0]] = data
        else:
            self.server.objects[path] = data
        self.answer(200, ETag='"e"')

    def do_POST(self) -> None:
        path, data = urlsplit(self.path).path, self.body()
        if "uploads" in self.path:
            self.answer(200, b"<R><UploadId>u1</UploadId></R>")
            return
        assert data.count(b"<Part>") == len(self.server.parts)
        parts = sorted(self.server.parts.items(), key=lambda part: int(part[0]))
        self.server.objects[path] = b"".join(data for _, data in parts)
        self.answer(200, b"<CompleteMultipartUploadResult/>")

    def do_GET(self) -> None:
        found = self.server.objects.get(urlsplit(self.path).path)
        missing = b"<Error><Code>NoSuchKey</Code><Message>It is not there</Message></Error>"
        self.answer(200, found) if found is not None else self.answer(404, missing)

    def do_DELETE(self) -> None:
        self.server.objects.pop(urlsplit(self.path).path, None)
        self.answer(204)


@pytest.fixture
def storage() -> Iterator[Storage]:
    with Storage() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("in_parts", [False, True])
def test_a_file_comes_back_as_it_was(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, in_parts: bool
) -> None:
    if in_parts:
        monkeypatch.setattr(s3, "SINGLE_BYTES", 1)
        monkeypatch.setattr(s3, "PART_BYTES", 1000)
    bucket = Bucket("b", "nightly", KEY, f"http://127.0.0.1:{storage.server_port}")
    data = os.urandom(2500)
    (tmp_path / "source").write_bytes(data)
    with (tmp_path / "source").open("rb") as source, (tmp_path / "copy").open("wb") as copy:
        bucket.store("a b.dump", source.fileno(), 2500, hashlib.sha256(data).hexdigest())
        assert storage.objects == {"/b/nightly/a%20b.dump": data}
        bucket.fetch("a b.dump", copy.fileno())
    assert (tmp_path / "copy").read_bytes() == data
    bucket.remove("a b.dump")
    assert storage.objects == {}
    with (tmp_path / "copy").open("wb") as copy, pytest.raises(BucketFailed) as caught:
        bucket.fetch("a b.dump", copy.fileno())
    assert caught.value.brief == "The storage of the bucket b answers 404"
    assert caught.value.details == ("NoSuchKey", "It is not there")
