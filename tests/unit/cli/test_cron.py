"""The commands of cron over the real tasks; what runs is the engine's ring."""

from __future__ import annotations

import json
from typing import Any

import pytest

from paas.deploy.cron import Cron
from paas.host.clock import SystemClock
from paas.model.app import App
from paas.model.cron import CronTask, RunStatus
from tests.unit.cli.caller import Paas


@pytest.fixture
def app(paas: Paas) -> App:
    paas.platform.cron = Cron(paas.store, SystemClock())
    app = paas.store.apps.create("x")
    release = paas.store.releases.add(
        app.id, image="i", commit=None, config={}, processes={}, formation={}, health={},
        reason="r", actor="a", cron=[CronTask("rake declared", "@daily")],
    )  # fmt: skip
    paas.store.apps.set_live(app.id, release.number)
    return paas.store.apps.get("x")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("x", "* * * *", "true"), "not a cron expression"),
        (("x", "* * * * *"), "COMMAND"),
        (("x", "*", "*", "*", "true"), "not a cron expression"),
        (("x", "30", "3", "*", "*", "rake", "tidy"), "'30 3 * * rake' is not a cron"),
        (("x", "* * * * *", "--"), "specify a command"),
        (("--timezone", "Mars", "x", "@daily", "true"), "not a time zone"),
        (("--timeout", "0", "x", "@daily", "true"), "not a length of time"),
        (("--concurrency-policy", "queue", "x", "@daily", "true"), "concurrency policy"),
        (("--missed", "all", "x", "@daily", "true"), "missed runs"),
        (("x", "@daily", "rake declared"), "has this cron task already"),
    ],
)
def test_what_cannot_be_added_is_said_and_adds_nothing(
    paas: Paas, app: App, words: tuple[str, ...], says: str
) -> None:
    said = paas("cron:add", *words)
    assert says in said.err
    assert (said.code, said.out) == (1, "")
    assert len(paas.store.cron.planned(app.id)) == 1


def test_a_task_is_added_suspended_resumed_and_removed(paas: Paas, app: App) -> None:
    said = paas("--quiet", "cron:add", "--timezone", "Asia/Tokyo", "x", "30 3 * * *", "echo", "a b")
    [task] = said.lines
    assert paas.platform.asked == [("wake",)]
    listed = {one["id"]: one for one in json.loads(paas("cron:list", "x", "--format=json").out)}
    assert listed[task]["command"] == "echo 'a b'"
    assert (listed[task]["timezone"], listed[task]["source"]) == ("Asia/Tokyo", "cron:add")
    assert paas("cron:suspend", "x", task).code == 0
    [line] = [line for line in paas("cron:list", "x").lines if line.startswith(task)]
    assert line.split()[6:8] == ["true", "maintenance"]
    assert paas("cron:resume", "x", task).code == 0
    assert paas("cron:remove", "x", task).code == 0
    assert paas("cron:remove", "x", task).code == 20
    told = [one.what for one in paas.store.events.tail(9, "x")]
    assert told == ["cron added", "cron suspended", "cron resumed", "cron removed"]


def test_a_schedule_that_ssh_took_apart_is_one(paas: Paas, app: App) -> None:
    paas("cron:add", "x", "30", "3", "*", "*", "MON-FRI", "rake", "tidy")
    task = paas.store.cron.planned(app.id)[1].task
    assert (task.schedule, task.command) == ("30 3 * * MON-FRI", "rake tidy")


def test_a_shells_words_in_one_word_stay_as_they_are(paas: Paas, app: App) -> None:
    paas("cron:add", "x", "@hourly", "rake tidy && echo $DONE")
    assert paas.store.cron.planned(app.id)[1].task.command == "rake tidy && echo $DONE"


def test_what_the_repository_declares_is_not_removed_here(paas: Paas, app: App) -> None:
    task = paas.store.cron.planned(app.id)[0].task.id
    said = paas("cron:remove", "x", task)
    assert said.code == 1
    assert f"cron:suspend x {task}" in said.err


def test_properties_are_set_for_an_app_and_for_all(paas: Paas, app: App) -> None:
    assert paas("cron:set", "x", "timezone", "Nowhere").code == 1
    assert paas("cron:set", "x", "mailto", "a@b").code == 20
    assert paas("cron:set", "--global", "timezone", "Europe/Berlin").code == 0
    assert paas("cron:report", "x", "--cron-timezone").lines == ["Europe/Berlin"]
    assert paas("cron:set", "x", "maintenance", "true").code == 0
    report: dict[str, Any] = json.loads(paas("cron:report", "x", "--format=json").out)
    assert (report["maintenance"], report["task-count"]) == ("true", "1")
    assert paas("cron:set", "x", "maintenance").code == 0
    assert paas("cron:report", "x", "--cron-maintenance").lines == ["false"]


def test_the_history_says_how_runs_went(paas: Paas, app: App) -> None:
    task = paas.store.cron.planned(app.id)[0].task
    run = paas.store.cron.begin(app.id, task, container="c", release=1, due=None, actor="ann")
    paas.store.cron.finish(run, RunStatus.FAILED, 3)
    paas.store.cron.note(app.id, task, RunStatus.SKIPPED, 60.0, "run 1 still ran")
    skipped, failed = json.loads(paas("cron:history", "x", "--format=json").out)
    assert (failed["status"], failed["exit_code"], failed["actor"]) == ("failed", 3, "ann")
    assert (skipped["detail"], skipped["log"]) == ("run 1 still ran", None)
    said = paas("cron:history", "x", task.id, "-n", "1").lines
    assert "skipped (run 1 still ran)" in said[-1]
    assert "failed (exit code 3)" in paas("cron:history", "x").lines[-1]
    assert paas("cron:history", "x", "other").lines[2:] == []
    assert "run 1," in paas("cron:report", "x", "--cron-last-failed").out


@pytest.mark.parametrize("number", ["x", "1;id", "-1", "9" * 40, "²"])
def test_only_runs_are_stopped_and_read_as_such(paas: Paas, app: App, number: str) -> None:
    for command in ("cron:stop", "cron:logs"):
        assert paas(command, "x", "--", number).code == 1
        assert paas(command, "x", "7").code == 20
