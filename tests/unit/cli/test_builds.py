"""The commands that look back: builds and events."""

from __future__ import annotations

import json
import os
import pty
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from paas.deploy.attempt import OWNER, Attempts
from paas.deploy.builds import Builds
from paas.deploy.receive import LOG
from paas.host.clock import SystemClock
from paas.model.app import App
from paas.model.deploy import Stage
from paas.model.logsettings import EVENTS_AGE, EVENTS_COUNT
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


@contextmanager
def followed(paas: Paas, app: str) -> Iterator[Callable[[], str]]:
    """What `events -t` of an app says, the last event first, a line a call."""
    reader, writer = os.pipe()

    def follow() -> None:
        paas("events", app, "-t", "-n", "1", stdout=writer)
        os.close(writer)

    thread = threading.Thread(target=follow)
    thread.start()
    with os.fdopen(reader) as lines:
        yield lambda: lines.readline().rstrip("\n").split("  ")[-1]
    while thread.is_alive():
        # It ends with the next line that it has for nobody.
        paas.store.events.add("ann", app, "end")
        thread.join(0.05)


def test_who_follows_the_journal_misses_nothing_while_it_is_pruned(
    paas: Paas, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("paas.cli.events.FOLLOW_SECONDS", 0.01)
    events = paas.store.events
    events.add("ann", app.name, "before")
    with followed(paas, app.name) as next_line:
        assert next_line() == "before"
        for number in range(3):
            # All of it goes, also the event that was shown last.
            events.keep(count=1, oldest=time.time() + 1)
            assert events.tail(9) == []
            events.add("ann", app.name, f"{number}")
            assert next_line() == f"{number}"


def test_how_much_of_the_journal_is_kept_is_an_admin_s_to_say(paas: Paas, app: App) -> None:
    bob = paas.let_in("bob", admin=False)
    paas.store.users.give("bob", app.id, Role.OWNER)
    assert "may not run" in paas("events:set", "retain-count", "1", caller=bob).err
    for line in (("retain-count", "0"), ("retain-age", "never"), ("retain-colour", "1")):
        assert paas("events:set", *line).code != 0, line
    value = paas.store.settings.value
    assert (value(EVENTS_COUNT), value(EVENTS_AGE)) == (10_000, 365 * 86400.0)
    assert paas("events:set", "retain-count", "7").code == 0
    assert paas("events:set", "retain-age", "30d").code == 0
    assert (value(EVENTS_COUNT), value(EVENTS_AGE)) == (7, 30 * 86400.0)
    assert paas("events:set", "retain-age").code == 0
    assert value(EVENTS_AGE) == 365 * 86400.0
    assert [one.what for one in paas.store.events.tail(3)] == ["events:set"] * 3
