"""Cron tasks: how they are declared, and what is refused."""

from __future__ import annotations

import json

import pytest

from paas.errors import PaasError
from paas.model.appjson import InvalidAppJson, parse_app_json
from paas.model.cron import Concurrency, CronTask, Missed, parse_task

GOOD = {"command": "rake tidy", "schedule": "30 3 * * *"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schedule": "hourly"}, "not a cron expression"),
        ({"schedule": None}, "a command and a schedule"),
        ({"command": " "}, "not a command"),
        ({"command": "a\0b"}, "not a command"),
        ({"command": "x" * 5000}, "not a command"),
        ({"command": ["rake"]}, "a command and a schedule"),
        ({"concurrency_policy": "queue"}, "not a concurrency policy"),
        ({"concurrency_policy": 1}, "must be a text"),
        ({"missed": "all"}, "not what happens to missed runs"),
        ({"maintenance": "yes"}, "true or false"),
        ({"timezone": "Mars"}, "not a time zone"),
        ({"timeout": "soon"}, "not a length of time"),
        ({"timeout": True}, "timeout must be"),
        ({"timeout": -5}, "not a length of time"),
        ({"timeout": float("nan")}, "not a length of time"),
    ],
)
def test_what_cannot_be_is_refused_by_name(change: dict[str, object], words: str) -> None:
    with pytest.raises(PaasError, match=words):
        parse_task({**GOOD, **change}, "cron[0]")
    text = json.dumps({"cron": [GOOD, {**GOOD, **change}]})
    with pytest.raises(InvalidAppJson, match=r"app\.json: cron\[1\]"):
        parse_app_json(text)


@pytest.mark.parametrize("cron", [{}, "x", [1], [GOOD, GOOD]])
def test_what_is_no_list_of_tasks_is_refused(cron: object) -> None:
    with pytest.raises(InvalidAppJson, match=r"app\.json: cron"):
        parse_app_json(json.dumps({"cron": cron}))


def test_a_task_is_read_with_dokkus_fields_and_ours() -> None:
    declared = {
        "command": "rake tidy",
        "schedule": "@daily",
        "concurrency_policy": "Forbid",
        "maintenance": True,
        "timezone": "Europe/Berlin",
        "timeout": "15m",
        "missed": "once",
        "mailto": "left alone",
    }
    [task] = parse_app_json(json.dumps({"cron": [declared]})).cron
    assert task == CronTask(
        "rake tidy", "@daily", Concurrency.FORBID, Missed.ONCE, 900.0, "Europe/Berlin", True
    )
    assert CronTask.from_json(json.loads(json.dumps(task.to_json()))) == task


def test_the_id_is_that_of_the_command_and_its_times() -> None:
    task = parse_task(GOOD, "x")
    assert parse_task({**GOOD, "timeout": 5, "maintenance": True}, "x").id == task.id
    assert parse_task({**GOOD, "schedule": "31 3 * * *"}, "x").id != task.id
    assert parse_task({**GOOD, "timezone": "Asia/Tokyo"}, "x").id != task.id
