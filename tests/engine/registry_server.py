"""A small real registry for tests: the distribution protocol over plain HTTP.

https://github.com/opencontainers/distribution-spec: enough for skopeo to push and pull.
It counts what was asked for, and can be told to misbehave.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DIGEST = re.compile(r"sha256:[a-f0-9]{64}")


class RegistryServer(ThreadingHTTPServer):
    """Keeps blobs and manifests in memory."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, tuple[str, bytes]] = {}
        self.fetched: list[str] = []
        """Digests of the blobs that were downloaded."""
        self.corrupt: set[str] = set()
        """Digests of blobs that are delivered with another content."""

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    def layers(self, name: str) -> list[str]:
        """Digests of an image's layers."""
        return [layer["digest"] for layer in json.loads(self.manifests[name][1])["layers"]]


class _Handler(BaseHTTPRequestHandler):
    server: RegistryServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._get(body=True)

    def do_HEAD(self) -> None:
        self._get(body=False)

    def _get(self, *, body: bool) -> None:
        path = self.path.partition("?")[0]
        if path == "/v2/":
            self._answer(200, b"{}", body=body)
        elif "/manifests/" in path:
            found = self.server.manifests.get(path.removeprefix("/v2/").replace("/manifests/", ":"))
            if found is None:
                self._answer(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN"}]}', body=body)
            else:
                self._answer(200, found[1], found[0], body=body)
        else:
            digest = path.rpartition("/")[2]
            if digest not in self.server.blobs:
                self._answer(404, b'{"errors":[{"code":"BLOB_UNKNOWN"}]}', body=body)
                return
            if body:
                self.server.fetched.append(digest)
            data = self.server.blobs[digest]
            if digest in self.server.corrupt:
                data = data[:-1] + bytes([data[-1] ^ 1])
            self._answer(200, data, "application/octet-stream", body=body)

    def do_POST(self) -> None:
        self._read()
        self.send_response(202)
        self.send_header("Location", f"{self.path.rstrip('/')}/{uuid.uuid4()}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_PATCH(self) -> None:
        upload = self.path.partition("?")[0]
        data = self.server.blobs.get(upload, b"") + self._read()
        self.server.blobs[upload] = data
        self.send_response(202)
        self.send_header("Location", upload)
        self.send_header("Range", f"0-{len(data) - 1}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_PUT(self) -> None:
        path, _, query = self.path.partition("?")
        data = self._read()
        if "/manifests/" in path:
            digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
            entry = (self.headers["Content-Type"], data)
            name, _, tag = path.removeprefix("/v2/").partition("/manifests/")
            for reference in (tag, digest):
                self.server.manifests[f"{name}:{reference}"] = entry
        else:
            digest = DIGEST.findall(query.replace("%3A", ":"))[0]
            self.server.blobs[digest] = self.server.blobs.pop(path, b"") + data
        self.send_response(201)
        self.send_header("Docker-Content-Digest", digest)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _read(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            data = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                data += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return data
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _answer(
        self, code: int, data: bytes, kind: str = "application/json", *, body: bool
    ) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        if kind != "application/octet-stream":
            digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
            self.send_header("Docker-Content-Digest", digest)
        self.end_headers()
        if body:
            self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@contextmanager
def serving() -> Iterator[RegistryServer]:
    """A registry that runs while the block does."""
    with RegistryServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
