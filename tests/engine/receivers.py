"""Where logs are sent to in tests: a real rsyslogd, and a server that takes JSON over TLS."""

from __future__ import annotations

import base64
import json
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.authority import intermediate, leaf
from tests.ports import free_port
from tests.push.sshd import wait_for_port


@dataclass(frozen=True)
class Received:
    """One message as rsyslog understood it."""

    host: str
    app: str
    process: str
    release: str
    severity: str
    text: str


class Rsyslog:
    """One rsyslogd with a TCP port, with TLS or without; it can be killed and started again."""

    def __init__(self, folder: Path, *, tls: bool) -> None:
        folder.mkdir()
        self.port = free_port()
        self._folder, self._out = folder, folder / "received"
        self._process: subprocess.Popen[bytes] | None = None
        certificate = leaf("localhost")
        (folder / "cert.pem").write_bytes(certificate.pem + intermediate().pem)
        (folder / "key.pem").write_bytes(certificate.key)
        driver = ' StreamDriver.Name="ossl" StreamDriver.Mode="1" StreamDriver.AuthMode="anon"'
        (folder / "conf").write_text(
            f"""
global(workDirectory="{folder}" maxMessageSize="64k" parser.escapeControlCharactersOnReceive="off"
  defaultNetstreamDriverCAFile="{folder}/cert.pem"
  defaultNetstreamDriverCertFile="{folder}/cert.pem"
  defaultNetstreamDriverKeyFile="{folder}/key.pem")
module(load="imtcp"{driver if tls else ""})
input(type="imtcp" port="{self.port}" address="127.0.0.1")
template(name="t" type="string"
  string="%hostname%|%app-name%|%procid%|%msgid%|%syslogseverity-text%|%msg%\\n")
action(type="omfile" file="{self._out}" template="t")
"""
        )
        self.start()

    def start(self) -> None:
        log = self._folder / "log"
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                ["rsyslogd", "-n", "-f", self._folder / "conf", "-i", self._folder / "pid"],
                stdout=out, stderr=out,
            )  # fmt: skip
        wait_for_port(self.port, self._process, log)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Rsyslog:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def received(self) -> list[Received]:
        if not self._out.exists():
            return []
        # A character may be written in two.
        lines = self._out.read_text(errors="replace").splitlines()
        return [Received(*line.split("|", 5)) for line in lines if line.count("|") >= 5]


@dataclass
class Collector:
    """Takes JSON by HTTPS: lines, or one event at a time. `answers` are given first, `answer`
    then decides by the lines.
    """

    port: int = 0
    answers: list[int] = field(default_factory=list)
    batches: list[tuple[int, list[dict[str, Any]]]] = field(default_factory=list)
    authorization: set[str] = field(default_factory=set)
    largest: int = 1 << 30
    poison: str = ""

    def answer(self, lines: list[dict[str, Any]]) -> int:
        if self.answers:
            return self.answers.pop(0)
        if len(lines) > self.largest:
            return 413
        return 400 if any(line["text"] == self.poison for line in lines) else 204

    @property
    def taken(self) -> list[dict[str, Any]]:
        return [line for status, lines in self.batches if status == 204 for line in lines]


@contextmanager
def collector(folder: Path) -> Iterator[Collector]:
    found = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            lines = document if isinstance(document, list) else [document]
            words = self.headers.get("Authorization", "").partition(" ")[2]
            found.authorization.add(base64.b64decode(words).decode())
            status = found.answer(lines)
            found.batches.append((status, lines))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    certificate = leaf("localhost")
    pem = folder / "collector.pem"
    pem.write_bytes(certificate.pem + intermediate().pem + certificate.key)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    found.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
