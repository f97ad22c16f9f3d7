"""An authority that is none, that is broken, or that means harm: one sentence, no trace.

With a real one: `tests/push/test_letsencrypt.py`.
"""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from paas.errors import PaasError
from paas.model.report import Silent
from paas.plugin.acme.account import Account
from paas.plugin.acme.failure import AcmeFailed
from paas.plugin.acme.http01 import Http01
from paas.plugin.acme.order import issue
from paas.proxy.certificates import self_signed
from paas.proxy.challenges import Challenges

Answer = tuple[int, bytes]
Script = Callable[[str, str], Answer]
"""The URL of the authority and the path asked for, to what it answers."""

DIRECTORY = ("newNonce", "newAccount", "newOrder", "revokeCert", "keyChange")


@contextmanager
def authority(folder: Path, script: Script) -> Iterator[Account]:
    """An authority over real HTTPS that answers as the script says."""

    class Scripted(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, body = script(url, self.path)
            self.send_response(status)
            self.send_header("Replay-Nonce", "bm9uY2U")
            self.send_header("Location", f"{url}/it")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_POST = do_HEAD = answer  # noqa: N815 (the names http.server calls)

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    mine = self_signed(["localhost"], time.time())
    trust = folder / "trust.pem"
    trust.write_bytes(mine.chain + mine.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(trust)
    with ThreadingHTTPServer(("127.0.0.1", 0), Scripted) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        url = f"https://localhost:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, args=(0.02,)).start()
        try:
            yield of(folder, f"{url}/dir", str(trust))
        finally:
            server.shutdown()


def of(folder: Path, directory: str, trust: str = "") -> Account:
    return Account(directory, "me@a.example", trust, folder / "accounts")


def refused(asked: Account) -> PaasError:
    with pytest.raises(PaasError) as caught:
        control = Http01(Challenges(asked.folder.parent / "acme"))
        issue(asked, ["a.example"], control, key_type="ec-256", now=time.time(), report=Silent())
    assert "\n" not in caught.value.brief
    return caught.value


def directory(url: str) -> Answer:
    return 200, json.dumps({name: f"{url}/{name}" for name in DIRECTORY}).encode()


def ordering(token: str) -> Script:
    """An authority that works as far as its challenge, whose token is this one."""

    def script(url: str, path: str) -> Answer:
        identifier = {"type": "dns", "value": "a.example"}
        challenge = {"type": "http-01", "url": f"{url}/challenge", "token": token}
        answers: dict[str, object] = {
            "/newAccount": {"status": "valid"},
            "/newOrder": {
                "status": "pending",
                "identifiers": [identifier],
                "authorizations": [f"{url}/authorization"],
                "finalize": f"{url}/finalize",
            },
            "/authorization": {
                "status": "pending",
                "identifier": identifier,
                "challenges": [challenge],
            },
        }
        return directory(url) if path == "/dir" else (201, json.dumps(answers.get(path)).encode())

    return script


def test_a_closed_port_is_an_authority_that_cannot_be_reached(tmp_path: Path) -> None:
    error = refused(of(tmp_path, "https://127.0.0.1:9/dir"))
    assert error.brief == "https://127.0.0.1:9/dir cannot be reached"
    assert not (tmp_path / "acme").exists()


def test_one_with_an_unknown_certificate_is_not_talked_to(tmp_path: Path) -> None:
    with authority(tmp_path, lambda url, _: directory(url)) as stranger:
        error = refused(of(tmp_path, stranger.directory))
    assert "cannot be reached" in error.brief
    assert "CERTIFICATE_VERIFY_FAILED" in str(error)


@pytest.mark.parametrize(
    "answer",
    [
        (200, b"<html>a captive portal</html>"),
        (200, b"[]"),
        (200, b"{}"),
        (200, b'{"newNonce": 7, "newAccount": null}'),
        (500, b"oops"),
        (404, b"{}"),
    ],
)
def test_what_is_no_directory_is_said(tmp_path: Path, answer: Answer) -> None:
    with authority(tmp_path, lambda *_: answer) as odd:
        assert isinstance(refused(odd), AcmeFailed)


@pytest.mark.parametrize("token", ["../../../etc/cron.d/x", "a/b", "%2e%2e", "a b"])
def test_a_token_that_would_name_another_file_writes_none(tmp_path: Path, token: str) -> None:
    with authority(tmp_path, ordering(token)) as hostile:
        refused(hostile)
    assert [path for path in tmp_path.rglob("*") if "acme-challenge" in str(path)] == []


def test_a_refusal_is_told_in_the_authority_s_words(tmp_path: Path) -> None:
    problem = {"type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many today"}

    def script(url: str, path: str) -> Answer:
        answers = {"/dir": directory(url), "/newNonce": (204, b"")}
        return answers.get(path, (429, json.dumps(problem).encode()))

    with authority(tmp_path, script) as strict:
        assert refused(strict).brief == "The authority refused: too many today"


def test_a_change_of_keys_is_not_taken_for_one_that_was_interrupted(tmp_path: Path) -> None:
    """Two commands at once: the second would throw the key away that the first brings."""
    unknown = {"type": "urn:ietf:params:acme:error:accountDoesNotExist", "detail": "unknown"}
    changing, sessions = threading.Event(), list[threading.Thread]()

    def open_another() -> None:
        with asked.session():
            """It is signed in."""

    def script(url: str, path: str) -> Answer:
        if path == "/dir":
            return directory(url)
        if path == "/newAccount" and changing.is_set():
            return 400, json.dumps(unknown).encode()
        if path == "/keyChange":
            changing.set()
            sessions.append(threading.Thread(target=open_another))
            sessions[0].start()
            # Time for the harm; nothing waits for it that is as it should be.
            sessions[0].join(0.5)
            changing.clear()
        return 201, b'{"status": "valid"}'

    with authority(tmp_path, script) as asked:
        with asked.session():
            (key,) = (tmp_path / "accounts").glob("*.key")
        before = key.read_bytes()
        asked.roll_over()
        sessions[0].join()
        assert key.read_bytes() != before
        assert not key.with_suffix(".next").exists()


def test_the_account_key_is_made_once_and_root_s_alone(tmp_path: Path) -> None:
    with authority(tmp_path, ordering("../x")) as asked:
        refused(asked)
        (key,) = (tmp_path / "accounts").glob("*.key")
        before = key.read_bytes()
        refused(asked)
    assert key.read_bytes() == before
    assert key.stat().st_mode & 0o777 == 0o600
