"""A token server as Docker Hub has one: it gives out what docker-registry then believes.

https://distribution.github.io/distribution/spec/auth/token/ and .../jwt/.
"""

from __future__ import annotations

import base64
import json
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from tests.authority import issue

SERVICE, ISSUER = "tests", "token server of the tests"


class TokenServer(ThreadingHTTPServer):
    """Anybody may pull; who knows the password may push too."""

    daemon_threads = True

    def __init__(self, user: str, password: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.login = base64.b64encode(f"{user}:{password}".encode()).decode()
        self.key = rsa.generate_private_key(65537, 2048)
        self.signer = issue(["tokens.test"], key=self.key)
        self.given: list[list[str]] = []
        """Actions of each token."""

    def yaml(self, folder: Path) -> str:
        """The lines of docker-registry's configuration that make it ask here."""
        bundle = folder / "tokens.pem"
        bundle.parent.mkdir(parents=True, exist_ok=True)
        bundle.write_bytes(self.signer.pem)
        return (
            f"auth:\n  token:\n    realm: http://127.0.0.1:{self.server_port}/token\n"
            f"    service: {SERVICE}\n    issuer: {ISSUER}\n    rootcertbundle: {bundle}\n"
        )

    def token(self, access: list[dict[str, object]]) -> str:
        """A JSON web token of RS256, with the certificate of its key."""
        now = int(time.time())
        certificate = self.signer.certificate.public_bytes(Encoding.DER)
        header = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(certificate).decode()]}
        claims = {
            **{"iss": ISSUER, "sub": "", "aud": SERVICE, "jti": "1"},
            **{"exp": now + 300, "nbf": now - 10, "iat": now - 10, "access": access},
        }
        signed = f"{_encoded(json.dumps(header))}.{_encoded(json.dumps(claims))}"
        signature = self.key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_encoded(signature)}"


class _Handler(BaseHTTPRequestHandler):
    server: TokenServer

    def do_GET(self) -> None:
        query = urllib.parse.parse_qs(urllib.parse.urlparse(self.path).query)
        login = self.headers.get("Authorization", "").removeprefix("Basic ")
        if login and login != self.server.login:
            self.send_error(401)
            return
        access = []
        for scope in query.get("scope", []):
            kind, name, actions = scope.split(":")
            allowed = [one for one in actions.split(",") if login or one == "pull"]
            access.append({"type": kind, "name": name, "actions": allowed})
            self.server.given.append(allowed)
        body = json.dumps({"token": self.server.token(access)}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@contextmanager
def tokens(user: str, password: str) -> Iterator[TokenServer]:
    """A token server that runs while the block does."""
    with TokenServer(user, password) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def _encoded(data: str | bytes) -> str:
    raw = data.encode() if isinstance(data, str) else data
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
