"""Requests while an app is deployed, restarted and scaled: none of them fails."""

from __future__ import annotations

import http.client
import threading

from tests.push import apps
from tests.push.app import App
from tests.push.server import DOMAIN


class Visitor(threading.Thread):
    """One keep-alive connection that asks for the front page until it is told to stop."""

    def __init__(self, app: App, done: threading.Event) -> None:
        super().__init__()
        self.app = app
        self.done = done
        self.answers: list[int | str] = []

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.app.server.http_port, timeout=10)
        while not self.done.is_set():
            try:
                connection.request("GET", "/", headers={"Host": f"{self.app.name}.{DOMAIN}"})
                answer = connection.getresponse()
                answer.read()
                self.answers.append(answer.status)
            except (OSError, http.client.HTTPException) as error:
                self.answers.append(repr(error))
                connection.close()
        connection.close()


def test_no_request_fails_over_three_deploys_a_restart_and_a_scale(live: App) -> None:
    done = threading.Event()
    visitors = [Visitor(live, done) for _ in range(4)]
    for visitor in visitors:
        visitor.start()
    try:
        for version in ("2", "3", "1"):
            live.push(apps.plain(version)).ok()
        live.ssh("ps:restart {}").ok()
        live.ssh("ps:scale {} web=2").ok()
        live.ssh("ps:scale {} web=1").ok()
    finally:
        done.set()
        for visitor in visitors:
            visitor.join()
    answers = [answer for visitor in visitors for answer in visitor.answers]
    assert len(answers) > 50
    assert [answer for answer in answers if answer != 200] == []


def test_a_request_under_way_is_answered_by_the_version_it_met(live: App) -> None:
    got: list[str] = []
    asking = threading.Thread(target=lambda: got.append(live.get("/slow").text))
    asking.start()
    live.push(apps.plain("2")).ok()
    asking.join()
    assert got == ["slow 1\n"] or got == ["slow 2\n"]
    live.push(apps.plain("1")).ok()
