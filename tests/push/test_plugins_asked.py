"""Plugins that are asked: what they may touch, and what their failures weigh."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import suppress

import pytest

from paas.engine.container import ContainerNotFound
from paas.engine.engine import Engine
from paas.plugin.foreign import owner_of
from tests.push.app import App, new_app
from tests.push.outcome import Outcome, eventually
from tests.push.plugins import EXAMPLES, SERVE, enabled
from tests.push.processes import children, command_line
from tests.push.server import Server


@pytest.fixture(scope="module")
def shop(server: Server) -> Iterator[App]:
    app = new_app(server, "shop")
    app.push(SERVE).ok()
    yield app
    server.paas("apps:destroy", app.name, "--force").ok()


@pytest.fixture(scope="module")
def gate(server: Server, shop: App) -> Iterator[Outcome]:
    """The one that may refuse, enabled behind the first push."""
    server.paas("plugin:install", str(EXAMPLES / "gate")).ok()
    assert "Asking" not in shop.push({"X": "1"}).ok().text
    done = server.paas("plugin:enable", "gate").ok()
    # What its first run mounts stays as long as it is installed.
    assert "Asking the plugin gate (pre-build)" in shop.push({"X": "2"}).ok().text
    yield done
    server.paas("plugin:uninstall", "gate", "--force").ok()


def test_it_is_shown_with_all_that_it_may_touch_before_it_is_used(gate: Outcome) -> None:
    lines = [line.strip() for line in gate.text.splitlines()]
    start = lines.index("gate, once enabled:")
    assert lines[start + 1 : start + 8] == [
        "reads the files of every push",
        "reads the config var TOKEN of every app",
        "sets the config vars GATED_* of every app",
        "is asked by pre-build, and may refuse",
        "is asked by pre-release, and may refuse",
        "is asked by check-deploy, and may refuse",
        "is asked by pre-destroy, and may refuse",
    ]
    [ready] = [n for n, line in enumerate(lines) if line.startswith("-----> Enabled Gate 1.0 (")]
    assert start < ready


REFUSED = {
    "refuse": ["refuses: not on a Friday", "ask again on Monday"],
    "fail": ["it is broken", "it failed: it exited with code 3"],
    "hang": ["it failed: it took longer than 4 s"],
    "garbage": ["it failed: its answer is not JSON: '<html>what?</html>'"],
    "unknown": ["it failed: its answer has the field 'approve'"],
    "flood": ["it failed: its answer is longer than 256 KiB"],
    "memory": ["it failed: it ran out of its 64 MiB of memory"],
}


@pytest.mark.usefixtures("gate")
@pytest.mark.parametrize("what", REFUSED)
def test_with_a_veto_whatever_it_does_wrong_rejects_the_push_alone(
    server: Server, shop: App, what: str
) -> None:
    before = server.residue()
    release = shop.ssh("releases {}").ok().out
    pushed = shop.push({"GATE": f"pre-build {what}\n"}).failed()
    for line in REFUSED[what]:
        assert line in pushed.text
    assert "plugin:disable gate" in pushed.text
    assert "Building" not in pushed.text
    assert shop.ssh("releases {}").ok().out == release
    assert shop.serves("gated by")
    server.settles_to(before)


@pytest.mark.usefixtures("gate")
def test_a_later_hook_stops_it_as_well_and_nothing_new_is_left(server: Server, shop: App) -> None:
    # One that an earlier deploy replaced may still be on its way out.
    before = len(server.residue()["containers"])
    assert "it may not set 'PATH'" in shop.push({"GATE": "pre-release steal\n"}).failed().text
    shop.push({"GATE": ""}).ok()
    # A change of config is a deploy too: this one's plugin reads the var that is set.
    changed = shop.ssh("config:set {} TOKEN=check-deploy").failed()
    assert "web.1 is healthy" in changed.text
    assert "The plugin gate (check-deploy) refuses: not on a Friday" in changed.text
    assert shop.ssh("config:get {} TOKEN").code != 0
    assert shop.serves("gated by")
    eventually(lambda: len(server.residue()["containers"]) <= before)


def asleep(server: Server, plugin: str) -> int:
    """The first process of a plugin's container whose program sleeps; 0 while there is none."""
    engine = Engine(server.layout)
    for one in engine.containers.list():
        with suppress(ContainerNotFound):
            pid = engine.containers.status(one.id).pid if one.owner == owner_of(plugin) else 0
            for child in children(pid) if pid else ():
                if command_line(child).startswith(b"sleep"):
                    return pid
    return 0


def kill(server: Server, plugin: str) -> None:
    """SIGKILL to what is asked, in the middle of it."""
    os.kill(eventually(lambda: asleep(server, plugin)), signal.SIGKILL)


@pytest.mark.usefixtures("gate")
def test_one_that_is_killed_while_it_is_asked_refuses_if_it_may(server: Server, shop: App) -> None:
    before = server.residue()
    shop.repository.commit({"GATE": "pre-release hang\n"})
    push = shop.repository.start_push()
    kill(server, "gate")
    said = push.communicate(timeout=100)[0].decode()
    assert push.returncode != 0
    assert "The plugin gate (pre-release) refuses: it failed: it exited with code 137" in said
    assert shop.serves("gated by")
    server.settles_to(before)


@pytest.mark.usefixtures("gate")
def test_one_that_is_killed_and_may_not_refuse_is_a_warning(server: Server, shop: App) -> None:
    with enabled(server, "watch"):
        shop.push({"GATE": ""}).ok()
        shop.repository.commit({"WATCH": "wait"})
        push = shop.repository.start_push()
        kill(server, "watch")
        said = push.communicate(timeout=100)[0].decode()
        assert push.returncode == 0, said
        assert "The plugin watch (pre-release) failed: it exited with code 137" in said
        containers = Engine(server.layout).containers
        eventually(lambda: owner_of("watch") not in {one.owner for one in containers.list()})
    shop.push({"WATCH": ""}).ok()


@pytest.mark.usefixtures("gate")
def test_it_sees_and_touches_what_was_shown_and_nothing_else(server: Server, shop: App) -> None:
    server.ssh("plugin:set gate GREETING=-", input=b"hello\n").ok()
    shop.ssh("config:set --no-restart {} SECRET=hidden").ok()
    said = shop.push({"GATE": "pre-build limits\npre-release call\n"}).ok().text
    for line in (
        "user 0, greeting hello",
        "Dockerfile",
        "cannot touch '/plugin/x': Read-only file system",
        "cannot touch '/etc/x': Read-only file system",
        "cannot touch '/source/x': Read-only file system",
        "tmp is writable",
        "no network",
    ):
        assert line in said
    [call] = [json.loads(line) for line in said.splitlines() if line.strip().startswith("{")]
    assert call["config_keys"] == ["SECRET"]
    assert "hidden" not in said
    assert (call["hook"], call["app"], call["actor"]) == ("pre-release", shop.name, "dev")
    assert call["processes"] == {"web": "exec perl serve.pl"}


@pytest.mark.usefixtures("gate")
def test_it_adds_config_of_the_names_that_it_may_set(shop: App) -> None:
    shop.push({"GATE": "pre-release config\n"}).ok()
    assert shop.serves("gated by gate")
    assert shop.ssh("config:get {} GATED_BY").ok().out.strip() == "gate"


@pytest.mark.usefixtures("gate")
def test_nothing_it_says_reprograms_a_terminal(shop: App) -> None:
    pushed = shop.push({"GATE": "pre-build terminal\n"}).ok()
    assert "clean" in pushed.text
    assert "\x1b" not in pushed.text


@pytest.mark.usefixtures("gate")
def test_it_may_keep_an_app_from_being_destroyed(server: Server) -> None:
    server.ssh("apps:create kept1").ok()
    assert "this one is kept" in server.ssh("apps:destroy kept1 --force").failed().text
    server.paas("plugin:disable", "gate").ok()
    server.ssh("apps:destroy kept1 --force").ok()
    server.paas("plugin:enable", "gate").ok()
