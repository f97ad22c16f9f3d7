"""The commands that look back: builds and events."""

from __future__ import annotations

import json
import os
import pty
from collections.abc import Iterator

import pytest

from paas.deploy.attempt import OWNER, Attempts
from paas.deploy.builds import Builds
from paas.deploy.receive import LOG
from paas.host.clock import SystemClock
from paas.model.app import App
from paas.model.deploy import Stage
from paas.model.report import Silent
from paas.model.role import Role
from tests.unit.cli.caller import Paas


@pytest.fixture
def app(paas: Paas) -> App:
    attempts = Attempts(paas.layout, paas.store, SystemClock())
    paas.platform.builds = Builds(paas.store, attempts, SystemClock())
    app = paas.store.apps.create("x")
    with attempts.begin(app, "ann", Silent(), "c" * 40) as attempt:
        (attempt.directory / OWNER).unlink()  # its process is this one, which goes on
        (attempt.directory / LOG).write_bytes(b"\x1b]0;owned\x07-----> Building\n\xff\n")
    return app


@pytest.fixture
def screen() -> Iterator[tuple[int, int]]:
    ours, theirs = pty.openpty()
    yield ours, theirs
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize("argv", [("x", "0"), ("x", "-1"), ("x", "abc")])
def test_what_is_no_number_of_a_build_is_refused(paas: Paas, app: App, argv: list[str]) -> None:
    assert paas("builds:output", *argv).code == 1
    assert paas("builds:cancel", *argv).code == 1


def test_a_build_that_is_not_there_is_20(paas: Paas, app: App) -> None:
    said = paas("builds:output", "x", "99")
    assert (said.code, "no build 99" in said.err) == (20, True)


def test_builds_are_listed_with_how_they_ended(paas: Paas, app: App) -> None:
    [found] = json.loads(paas("builds:list", "x", "--format", "json").out)
    assert (found["status"], found["actor"], found["commit"]) == ("live", "ann", "c" * 40)
    assert found["output"] is True
    assert "cccccccc" in paas("builds:list", "x").out


def test_output_is_as_it_was_for_programs(paas: Paas, app: App) -> None:
    said = paas("builds:output", "x")
    assert (said.code, said.stdout) == (0, b"\x1b]0;owned\x07-----> Building\n\xff\n")


def test_output_sets_no_title_of_a_terminal(paas: Paas, app: App, screen: tuple[int, int]) -> None:
    assert paas("builds:output", "x", "-t", stdout=screen[1]).code == 0
    assert os.read(screen[0], 4096) == "-----> Building\r\n\ufffd\r\n".encode()


def test_attaching_to_a_build_that_failed_ends_with_1(paas: Paas, app: App) -> None:
    deploy = paas.store.deploys.start(app.id, None, "ann")
    paas.store.deploys.finish(deploy.id, Stage.FAILED, "no")
    directory = paas.layout.deploys / str(deploy.id)
    directory.mkdir()
    (directory / LOG).write_text("-----> Failing\n")
    assert paas("builds:output", "x", "-t").code == 1
    assert paas("builds:output", "x").code == 0


def test_events_name_their_actor(paas: Paas, app: App) -> None:
    paas.store.events.add("ann", "x", "config:set", "A\x1b]0;t\x07")
    paas.store.events.add("supervisor", "", "freed", "1 layer")
    [both] = [json.loads(paas("events", "--format", "json", "-n", "2").out)]
    assert [one["app"] for one in both] == ["x", None]
    [line] = paas("events", "x", "-n", "1").lines
    assert line.endswith("x  ann  config:set  A")


def test_events_of_other_apps_are_not_shown(paas: Paas, app: App) -> None:
    paas.store.apps.create("other")
    for name in ("x", "other", ""):
        paas.store.events.add("ann", name, "done")
    bob = paas.let_in("bob", admin=False)
    assert paas("events", caller=bob).lines == []
    paas.store.users.give("bob", app.id, Role.VIEWER)
    [line] = paas("events", caller=bob).lines
    assert line.endswith("x  ann  done")
    assert paas("events", "other", caller=bob).code == 1


def test_a_follower_sees_only_what_comes_later(paas: Paas) -> None:
    events = paas.store.events
    events.add("ann", "x", "old")
    seen = events.newest()
    events.add("ann", "x", "new")
    events.add("ann", "y", "other")
    assert [one.what for one in events.after(seen)] == ["new", "other"]
    assert [one.what for one in events.after(seen, ["x"])] == ["new"]
    assert events.after(events.newest()) == []
