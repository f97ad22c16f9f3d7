"""Checks against a real server, and which of them an instance has to pass."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from paas.deploy.checks import Checks, Command, Http, Listening, Uptime
from paas.deploy.draft import Draft
from paas.deploy.fleet import Member
from paas.deploy.running import Running
from paas.engine.engine import Engine
from paas.host.clock import SystemClock
from paas.model.health import Healthcheck, Probe
from paas.model.layout import Layout


class Handler(BaseHTTPRequestHandler):
    """Answers what it was asked for, or not at all well."""

    def do_GET(self) -> None:
        status = int(self.path.strip("/").partition("/")[0] or 200)
        body = f"host {self.headers['Host']} key {self.headers['X-Key']}".encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


def instance(port: int) -> Running:
    return Running(Member("web", 1), "c", 0, IPv4Address("127.0.0.1"), port, Path("/dev/null"))


def fault(port: int, check: Healthcheck, host: str = "") -> str | None:
    return Http(port, check, host).fault(instance(port), 1.0)


@pytest.mark.parametrize(
    ("check", "words"),
    [
        (Healthcheck(path="/500"), "GET /500 was answered with 500"),
        (Healthcheck(path="/404"), "GET /404 was answered with 404"),
        (Healthcheck(content="welcome"), "GET / is not answered with 'welcome'"),
        (Healthcheck(scheme="https", timeout_s=1), "GET / failed"),
    ],
)
def test_a_bad_answer_is_told(port: int, check: Healthcheck, words: str) -> None:
    assert words in str(fault(port, check))


def test_who_does_not_listen_is_told(port: int) -> None:
    assert "no connection to port 1" in str(Listening(1).fault(instance(1), 1.0))
    assert "failed" in str(fault(1, Healthcheck()))
    assert Listening(port).fault(instance(port), 1.0) is None


def test_a_port_that_is_open_is_not_enough_until_somebody_accepts() -> None:
    """Servers that fork listen before they load the app, and end when it cannot be loaded."""
    with socket.create_server(("0.0.0.0", 0)) as server:
        port = server.getsockname()[1]
        check, one = Listening(port), replace(instance(port), pid=os.getpid())
        for _ in range(3):
            assert "nothing accepts" in str(check.fault(one, 1.0))
        server.accept()[0].close()
        assert check.fault(one, 1.0) is None
        # It has had its one connection: an app that serves is not bothered again.
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_who_listened_and_ended_is_asked_anew() -> None:
    with socket.create_server(("0.0.0.0", 0)) as server:
        port = server.getsockname()[1]
        check, one = Listening(port), replace(instance(port), pid=os.getpid())
        assert check.fault(one, 1.0) is not None
    assert "any more" in str(check.fault(one, 1.0))
    with socket.create_server(("0.0.0.0", port)):
        assert "nothing accepts" in str(check.fault(one, 1.0))


def test_an_answer_may_be_a_redirect_and_carry_what_is_asked_for(port: int) -> None:
    assert fault(port, Healthcheck(path="/301")) is None
    asked = Healthcheck(headers=(("X-Key", "secret"),), content="key secret")
    assert fault(port, asked) is None


def test_the_app_is_asked_by_its_domain_unless_the_check_names_another(port: int) -> None:
    assert fault(port, Healthcheck(content="host shop.example key"), "shop.example") is None
    own = Healthcheck(headers=(("host", "own.example"),), content="host own.example key")
    assert fault(port, own, "shop.example") is None
    assert fault(port, Healthcheck(content=f"host 127.0.0.1:{port}")) is None


def test_uptime_is_a_matter_of_age() -> None:
    assert Uptime(2).fault(instance(1), 1.9) is not None
    assert Uptime(2).fault(instance(1), 2) is None


def draft(*checks: Healthcheck) -> Draft:
    return Draft(
        image="i", commit=None, config={}, processes={"web": "x", "worker": "y"},
        formation={"web": 1}, reason="", health={"web": checks} if checks else {},
    )  # fmt: skip


def test_what_is_declared_takes_the_place_of_the_default(tmp_path: Path) -> None:
    checks = Checks(Engine(Layout.at(tmp_path), SystemClock()))

    def kinds(*declared: Healthcheck, process: str = "web") -> list[type]:
        return [type(one.check) for one in checks.at_start(draft(*declared), process, "")]

    assert kinds() == [Listening]
    assert kinds(process="worker") == [Uptime]
    assert kinds(Healthcheck(), Healthcheck(listening=True)) == [Http, Listening]
    assert kinds(Healthcheck(command=("x",), uptime_s=1)) == [Command]
    # What makes it ready has to hold before it serves; what keeps it alive is for later.
    assert kinds(Healthcheck(probe=Probe.READINESS)) == [Http]
    assert kinds(Healthcheck(probe=Probe.LIVENESS)) == [Listening]
    running = checks.running(draft(Healthcheck(), Healthcheck(probe=Probe.LIVENESS)), "web", "")
    assert [one.declared.probe for one in running] == [Probe.LIVENESS]


def test_a_check_says_how_long_it_may_take() -> None:
    assert Healthcheck().deadline_s(60) == 60
    assert Healthcheck(attempts=3, wait_s=10, initial_delay_s=5).deadline_s(60) == 35
    assert Healthcheck(uptime_s=100).deadline_s(60) == 105
