"""The door to S3: signatures by AWS's own examples, and transfers over real HTTP."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit
from xml.sax.saxutils import escape

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


CUT, SHORT = 0, 1


class Storage(ThreadingHTTPServer):
    """Keeps what it is given, and checks that it arrived as it was signed."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.objects: dict[str, bytes] = {}
        self.parts: dict[str, bytes] = {}
        self.failing: list[int] = []
        """Statuses of the next answers: 0 ends the connection, 1 does so within the body."""
        self.uploads: dict[str, tuple[str, datetime]] = {}
        self.asked: list[str] = []


class Handler(BaseHTTPRequestHandler):
    server: Storage

    def log_message(self, *_: object) -> None:
        return

    def parse_request(self) -> bool:
        understood = super().parse_request()
        if understood:
            self.server.asked.append(f"{self.command} {self.path}")
        return understood

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        failing = self.server.failing.pop(0) if self.server.failing else status
        if failing == CUT:
            self.close_connection = True
            return
        if failing == SHORT:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body) + 1))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2])
            return
        if failing != status:
            status, body = failing, b"<Error><Code>SlowDown</Code></Error>"
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
        if "uploads=" in self.path:
            assert parse_qs(urlsplit(self.path).query)["prefix"] == ["nightly/db-"]
            listed = "".join(
                f"<Upload><Key>{escape(key)}</Key><UploadId>{upload}</UploadId>"
                f"<Initiated>{begun:%Y-%m-%dT%H:%M:%S.000Z}</Initiated></Upload>"
                for upload, (key, begun) in self.server.uploads.items()
            )
            self.answer(200, f"<ListMultipartUploadsResult>{listed}</L>".encode())
            return
        found = self.server.objects.get(urlsplit(self.path).path)
        missing = b"<Error><Code>NoSuchKey</Code><Message>It is not there</Message></Error>"
        self.answer(200, found) if found is not None else self.answer(404, missing)

    def do_DELETE(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        if "uploadId" in query:
            key, _ = self.server.uploads.pop(query["uploadId"][0], ("", None))
            assert urlsplit(self.path).path == quote(f"/b/{key}") or not key
            self.answer(204)
            return
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


@pytest.fixture
def pauses() -> list[float]:
    """How long was waited, in seconds: here nobody does."""
    return []


@pytest.fixture
def bucket(storage: Storage, pauses: list[float]) -> Bucket:
    endpoint = f"http://127.0.0.1:{storage.server_port}"
    return Bucket("b", "nightly", KEY, endpoint, pauses.append)


def stored(bucket: Bucket, path: Path, data: bytes) -> None:
    path.write_bytes(data)
    with path.open("rb") as source:
        bucket.store("x", source.fileno(), len(data), hashlib.sha256(data).hexdigest())


@pytest.mark.parametrize("failing", [[500], [503, 500], [CUT], [429, CUT]])
def test_what_fails_for_a_moment_is_sent_again(
    bucket: Bucket,
    storage: Storage,
    pauses: list[float],
    failing: list[int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(s3, "PART_BYTES", 1000)
    data = os.urandom(3500)
    for single in (len(data), 1):
        monkeypatch.setattr(s3, "SINGLE_BYTES", single)
        # Of an upload in parts: its beginning.
        storage.failing = list(failing)
        stored(bucket, tmp_path / "source", data)
        assert storage.objects.pop("/b/nightly/x") == data
    assert len(pauses) == 2 * len(failing)
    assert all(0 <= seconds <= 2 for seconds in pauses)


def test_a_part_and_the_end_of_an_upload_are_sent_again_too(
    bucket: Bucket, storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "PART_BYTES", 1000)
    monkeypatch.setattr(s3, "SINGLE_BYTES", 1)
    data = os.urandom(1500)
    storage.failing = [200, 503, CUT, 200, 500, 200, 503]
    stored(bucket, tmp_path / "source", data)
    assert storage.objects == {"/b/nightly/x": data}
    assert storage.failing == []


@pytest.mark.parametrize("failing", [CUT, SHORT, 500])
def test_what_comes_back_is_whole_or_asked_for_again(
    bucket: Bucket, storage: Storage, failing: int, tmp_path: Path
) -> None:
    data = os.urandom(3 << 20)
    storage.objects["/b/nightly/x"] = data
    with (tmp_path / "copy").open("w+b") as copy:
        copy.write(b"before")
        copy.flush()
        storage.failing = [failing, failing]
        bucket.fetch("x", copy.fileno())
        assert (tmp_path / "copy").read_bytes() == b"before" + data
        storage.failing = [failing] * 3
        with pytest.raises(BucketFailed):
            bucket.fetch("x", copy.fileno())
        assert storage.failing == []


def test_what_is_refused_is_not_asked_again(
    bucket: Bucket, storage: Storage, pauses: list[float], tmp_path: Path
) -> None:
    storage.failing = [403]
    with pytest.raises(BucketFailed, match="answers 403"):
        stored(bucket, tmp_path / "source", b"x")
    with Path("/dev/full").open("wb") as full, pytest.raises(BucketFailed) as caught:
        storage.objects["/b/nightly/x"] = b"x"
        bucket.fetch("x", full.fileno())
    assert "cannot be copied to the server's disk" in caught.value.brief
    assert len(storage.asked) == 2
    assert pauses == []


def test_an_upload_that_fails_for_good_is_given_up_and_says_why(
    bucket: Bucket, storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "SINGLE_BYTES", 0)
    # The upload is begun, its part is never taken, and the abort fails as well.
    storage.failing = [200, 500, 503, 500, CUT, CUT, CUT]
    with pytest.raises(BucketFailed, match="answers 500"):
        stored(bucket, tmp_path / "source", b"x")
    assert storage.asked[-1].startswith("DELETE /b/nightly/x?uploadId=")


def test_uploads_that_killed_processes_left_are_aborted_a_day_later(
    bucket: Bucket, storage: Storage
) -> None:
    now = datetime.now(UTC)
    storage.uploads = {
        "old": ("nightly/db-<1> ü.dump", now - timedelta(days=1, minutes=1)),
        "new": ("nightly/db-2.dump", now - timedelta(hours=23)),
    }
    bucket.sweep("db-")
    assert set(storage.uploads) == {"new"}
    storage.failing = [403]
    with pytest.raises(BucketFailed):
        bucket.sweep("db-")
