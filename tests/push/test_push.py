"""A push goes live: the main job, on real input."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import threading
from typing import Any

import pytest

from tests.push import apps
from tests.push.app import App
from tests.push.outcome import eventually
from tests.push.repository import cut, heard
from tests.push.server import DOMAIN, Server

INSTALL = apps.fixture("plain")["Dockerfile"].splitlines()[1]
"""The line that every test app shares, so that one build of it serves them all."""

MULTI_STAGE = f"""\
FROM paas/stack:debian-13 AS never
RUN exit 1

FROM paas/stack:debian-13 AS python
{INSTALL}
FROM python AS made
ARG FLAVOUR=plain
RUN echo "$FLAVOUR" > /flavour

FROM python
ENV COLOUR=blue GREETING="hello there"
WORKDIR /srv/app
COPY --from=made /flavour /srv/app/VERSION
COPY app.py ./
RUN useradd --uid 1234 runner
USER runner
EXPOSE 5000
ENTRYPOINT ["python3", "-u"]
CMD ["app.py"]
"""


FOREIGN = ("GIT_", "PIP_", "SSL_", "SSH_", "PYTEST", "PAAS_TEST")


def test_the_first_push_makes_the_app_and_serves_it(app: App) -> None:
    pushed = app.push(apps.plain()).ok()
    assert app.serves("hello 1"), "git push returned before the app was served"
    lines = pushed.text.splitlines()
    assert any(line.startswith("-----> ") for line in lines)
    assert any(re.search(r"-----> Released v1 in \d", line) for line in lines)
    assert f"http://{app.name}.{DOMAIN}" in pushed.text
    assert app.name in app.server.paas("apps:list").ok().out.split()


def test_the_output_stays_within_a_terminal(app: App) -> None:
    """No cursor codes, nothing over 72 columns of ours (PEERS.md, output grammar)."""
    pushed = app.push(apps.plain()).ok()
    assert "\x1b" not in pushed.err
    ours = re.compile(r"(-----> |=====> | !     )")
    assert [line for line in pushed.text.splitlines() if ours.match(line) and len(line) > 72] == []


def test_every_push_is_a_release_and_replaces_what_is_served(app: App) -> None:
    app.push(apps.plain("1")).ok()
    first = app.server.status(app.name)["started"]
    second = app.push(apps.plain("2")).ok()
    assert "v2" in second.text
    assert app.serves("hello 2")
    assert app.server.status(app.name)["started"] > first


def test_the_old_instance_is_stopped_after_it_drained(app: App) -> None:
    before = app.server.residue()["containers"]
    app.push(apps.plain("1")).ok()
    first = app.server.residue()["containers"] - before
    assert first
    app.push(apps.plain("2")).ok()
    eventually(lambda: not first & app.server.residue()["containers"])


def test_pushing_the_live_commit_again_deploys_nothing(app: App) -> None:
    app.push(apps.plain()).ok()
    assert "Everything up-to-date" in app.repository.push().ok().text
    before = app.ssh("releases {}").ok().out
    app.repository.push("--force", "main").ok()
    assert app.ssh("releases {}").ok().out == before


def test_a_forced_push_of_another_history_deploys_it(app: App) -> None:
    app.push(apps.plain("1")).ok()
    app.repository.write(apps.plain("2"))
    app.repository.git("commit", "-q", "-a", "--amend", "-m", "rewritten").ok()
    app.repository.push("--force", "main").ok()
    assert app.serves("hello 2")


def test_a_dockerfile_with_stages_means_what_it_says(app: App) -> None:
    app.repository.commit(apps.plain(Dockerfile=MULTI_STAGE) | {"VERSION": "ignored"})
    app.repository.push().ok()
    assert app.serves("hello plain")
    status = app.server.status(app.name)
    assert status["uid"] == 1234
    assert status["cwd"] == "/srv/app"
    assert app.get("/env/COLOUR").text == "blue"
    assert app.get("/env/GREETING").text == "hello there"


def test_a_rebuild_uses_the_cache(app: App) -> None:
    files = apps.plain("1", Dockerfile=apps.fixture("plain")["Dockerfile"].replace(
        "WORKDIR", "RUN date +%s%N > /built\nWORKDIR"))  # fmt: skip
    app.push(files).ok()
    again = app.push({"VERSION": "2\n"}).ok()
    assert re.search(r"cached", again.text, re.IGNORECASE)
    assert app.serves("hello 2")


def test_config_and_port_are_the_environment(app: App) -> None:
    app.ssh("apps:create {}").ok()
    app.ssh("config:set {} COLOUR=red").ok()
    app.push(apps.plain()).ok()
    assert app.get("/env/COLOUR").text == "red"
    assert app.get("/env/PORT").text == "5000"


def test_nothing_of_the_server_leaks_into_the_environment(app: App) -> None:
    app.push(apps.plain()).ok()
    found = set(app.get("/names").text.split())
    assert "PATH" in found
    foreign = {name for name in found if name.startswith(FOREIGN)} - {"GIT_REV"}  # as Dokku's
    assert not foreign


def test_root_in_the_container_is_nobody_on_the_host(live: App) -> None:
    status = live.server.status(live.name)
    assert status["uid"] == 0
    assert int(status["uid_map"][1]) >= 65536
    assert status["seccomp"] == "2"


def test_an_instance_reaches_neither_the_host_nor_its_neighbours(live: App, app: App) -> None:
    app.push(apps.plain()).ok()
    assert live.get("/connect/169.254.169.254:80").text != "open"
    assert live.server.sshd is not None
    for host in ("127.0.0.1", _host_address()):
        assert live.get(f"/connect/{host}:{live.server.sshd.port}").text != "open"


def _host_address() -> str:
    """The address this machine has towards its default route; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        address: str = probe.getsockname()[0]
        return address


def test_several_process_types_come_up_together(app: App) -> None:
    procfile = "web: exec python3 -u app.py\nworker: echo working; exec sleep 1000\n"
    app.push(apps.plain(Procfile=procfile)).ok()
    app.ssh("ps:scale {} worker=2").ok()
    listed = app.ssh("ps {}").ok().out
    assert "web.1" in listed
    assert "worker.1" in listed
    assert "worker.2" in listed
    eventually(lambda: "working" in app.ssh("logs {} -p worker").ok().out)


def test_a_release_command_runs_before_the_switch(app: App) -> None:
    procfile = "release: echo migrating with $COLOUR\nweb: exec python3 -u app.py\n"
    app.ssh("apps:create {}").ok()
    app.ssh("config:set {} COLOUR=red").ok()
    pushed = app.push(apps.plain(Procfile=procfile)).ok()
    assert "migrating with red" in pushed.text
    assert "release" not in app.ssh("ps {}").ok().out


class Release:
    """A release command that goes on until it is let go; its words are not in itself."""

    COMMAND = "echo begun $((1+1)); until test -e /tmp/go; do sleep 0.05; done; echo ended $((1+1))"

    def __init__(self, app: App) -> None:
        self._app = app
        self._before = app.server.residue()["containers"]
        procfile = f"release: {self.COMMAND}\nweb: exec python3 -u app.py\n"
        self.commit = app.repository.commit(apps.plain("2", Procfile=procfile))

    def start_push(self) -> subprocess.Popen[bytes]:
        """A push in the middle of it."""
        push = self._app.repository.start_push()
        heard(push, b"begun 2")
        (self._container,) = self._app.server.residue()["containers"] - self._before
        return push

    def let_go(self) -> None:
        self._app.server.paas("containers:exec", self._container, "touch", "/tmp/go").ok()


def test_pushes_of_one_app_queue_and_the_newest_wins(app: App) -> None:
    app.push(apps.plain("1")).ok()
    release = Release(app)
    first = release.start_push()
    app.repository.commit(apps.plain("3"))
    overtaken = app.repository.start_push()
    heard(overtaken, b"Waiting for the push of ")
    app.repository.commit(apps.plain("4", Procfile="web: exec python3 -u app.py\n"))
    newest = app.repository.start_push()
    said = overtaken.communicate()[0].decode()
    release.let_go()
    assert overtaken.returncode != 0
    assert " !     A newer push of this app is waiting, so this one is skipped" in said
    assert "fatal: remote error: A newer push of this app is waiting" in said
    first.communicate()
    assert first.returncode == 0
    said = newest.communicate()[0].decode()
    assert newest.returncode == 0, said
    assert app.serves("hello 4")
    assert "v4" not in app.ssh("releases {}").ok().out


def test_two_apps_are_pushed_at_the_same_time(server: Server, app: App, live: App) -> None:
    app.repository.commit(apps.plain("7"))
    live.repository.commit(apps.plain("1"), "again")
    outcomes = []
    threads = [
        threading.Thread(target=lambda one=one: outcomes.append(one.repository.push()))
        for one in (app, live)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for outcome in outcomes:
        outcome.ok()
    assert app.serves("hello 7")
    assert live.serves("hello 1")


def building_for_ever(app: App) -> subprocess.Popen[bytes]:
    """A push in the middle of its build."""
    app.repository.commit(
        apps.plain("2", Dockerfile=apps.STACK + "RUN echo now; sleep 300\nCMD true\n")
    )
    push = app.repository.start_push()
    heard(push, b"now")
    return push


def test_a_push_whose_connection_dies_in_the_build_leaves_nothing(app: App) -> None:
    app.push(apps.plain("1")).ok()
    before = app.server.residue()
    push = building_for_ever(app)
    assert newest_build(app)["status"] == "building"
    cut(push)
    # Whoever comes back is told that it has ended, and how.
    said = app.ssh("builds:output {} -t").failed()
    assert "now" in said.out
    app.server.settles_to(before)
    assert newest_build(app)["status"] == "failed"
    assert app.serves("hello 1")
    app.push(apps.plain("3")).ok()
    assert app.serves("hello 3")


def newest_build(app: App) -> dict[str, Any]:
    found: list[dict[str, Any]] = json.loads(app.ssh("builds:list {} --format json").ok().out)
    return found[0]


def test_a_push_that_lost_its_connection_behind_its_build_is_re_attached_to(app: App) -> None:
    app.push(apps.plain("1")).ok()
    release = Release(app)
    push = release.start_push()
    cut(push)
    under_way = newest_build(app)
    assert (under_way["status"], under_way["commit"]) == ("releasing", release.commit)
    with subprocess.Popen(
        ["ssh", "server", "--", f"builds:output {app.name} -t"],
        env=app.server.env, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as follower:  # fmt: skip
        # From its beginning to its end, which came behind the connection's.
        assert "Building" in heard(follower, b"begun 2")
        release.let_go()
        said = follower.communicate()[0].decode()
    assert follower.returncode == 0
    assert said.index("ended 2") < said.index("Released v2")
    assert app.serves("hello 2")
    ended = newest_build(app)
    assert (ended["build"], ended["status"], ended["release"]) == (under_way["build"], "live", "v2")
    # git knows of it, too: the same push again has nothing to do.
    assert "Everything up-to-date" in app.repository.push().ok().text


def test_a_build_is_canceled_from_another_connection(app: App) -> None:
    app.push(apps.plain("1")).ok()
    before = app.server.residue()
    push = building_for_ever(app)
    number = newest_build(app)["build"]
    assert f"Canceling build {number} of" in app.ssh("builds:cancel {}").ok().text
    said = push.communicate(timeout=100)[0].decode()
    assert push.returncode != 0
    assert "The deploy was canceled by dev" in said
    app.server.settles_to(before)
    canceled = newest_build(app)
    assert (canceled["build"], canceled["release"]) == (number, None)
    assert "canceled by dev" in canceled["error"]
    assert "under way" in app.ssh("builds:cancel {}").failed().text
    assert app.serves("hello 1")


def test_an_unknown_host_gets_no_answer(live: App) -> None:
    with pytest.raises(OSError, match=r"(?i)closed|reset|empty|disconnect"):
        live.server.get(live.name, host="unknown.example")
