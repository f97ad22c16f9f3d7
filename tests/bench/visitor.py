"""Asks one app through nginx, over one connection, until it answers with a new version."""

from __future__ import annotations

import http.client
import threading
import time

PAUSE_SECONDS = 0.002


class Visitor(threading.Thread):
    """Notes when a text is first served; ends then, or after `limit_s` seconds."""

    def __init__(self, port: int, host: str, wanted: str, limit_s: float = 60.0) -> None:
        super().__init__()
        self._port = port
        self._host = host
        self._wanted = wanted.encode()
        self._limit_s = limit_s
        self.seen_at: float | None = None

    def run(self) -> None:
        deadline = time.perf_counter() + self._limit_s
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        while time.perf_counter() < deadline:
            try:
                connection.request("GET", "/", headers={"Host": self._host})
                body = connection.getresponse().read()
            except (OSError, http.client.HTTPException):
                connection.close()
                body = b""
            if self._wanted in body:
                self.seen_at = time.perf_counter()
                break
            time.sleep(PAUSE_SECONDS)
        connection.close()
