"""What a repository declares around its release: config, scripts, tests, health checks."""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from pathlib import Path

import pytest

from tests.push import apps
from tests.push.app import App
from tests.push.outcome import eventually

pytestmark = pytest.mark.turns(2)


def declaring(version: str, document: object, **files: str) -> dict[str, str]:
    return apps.plain(version, **{"app.json": json.dumps(document)}, **files)


def refused(app: App, files: dict[str, str], *words: str) -> str:
    """Push what cannot go live; the old version serves on and the repository forgets it."""
    pushed = app.push(files).failed()
    for word in words:
        assert word in pushed.text
    assert "[remote rejected]" in pushed.text
    app.repository.git("reset", "-q", "--hard", "HEAD~").ok()
    return pushed.text


def test_what_a_script_says_and_does_decides_about_the_push(live: App) -> None:
    releases = live.ssh("releases {}").ok().out
    for where in ("predeploy", "postdeploy"):
        document = {"scripts": {"dokku": {where: f"echo in {where}; exit 7"}}}
        words = (f"in {where}", f"The {where} command exited with code 7")
        refused(live, declaring("2", document), *words)
    assert live.serves("hello 1")
    assert live.ssh("releases {}").ok().out == releases


def test_a_predeploy_is_part_of_the_image_and_a_postdeploy_of_the_deploy(app: App) -> None:
    each = {"predeploy": "echo predeployed > VERSION", "postdeploy": "echo each time"}
    document = {"scripts": {"postdeploy": "echo seeding", "dokku": each}}
    first = app.push(declaring("1", document)).ok().text
    assert app.serves("hello predeployed")
    assert ("each time" in first, "seeding" in first) == (True, True)
    second = app.push(declaring("2", document)).ok().text
    # Heroku's is for the first deploy alone.
    assert ("each time" in second, "\nseeding" in second) == (True, False)
    assert app.ssh("ps:rebuild {}").ok()
    assert app.serves("hello predeployed")
    assert "v3" in app.ssh("releases {}").ok().out


def test_cron_tasks_come_with_a_release_and_go_with_it(live: App) -> None:
    wrong = {"cron": [{"command": "true", "schedule": "61 * * * *"}]}
    text = refused(live, declaring("2", wrong), "cron[0]", "'61 * * * *' is not a cron expression")
    assert "Building" not in text
    command = "echo $GREETING; cat VERSION; exit 4"
    declared = {"cron": [{"command": command, "schedule": "0 0 1 1 *", "timeout": "1m"}]}
    live.ssh("config:set {} --no-restart GREETING='good day'").ok()
    live.push(declaring("1", declared)).ok()
    [task] = json.loads(live.ssh("cron:list {} --format json").ok().out)
    assert (task["command"], task["source"], task["last"]) == (command, "app.json", None)
    attached = live.ssh(f"cron:run {{}} {task['id']}").failed(4)
    assert attached.out == "good day\n1\n"
    assert "failed (exit code 4)" in attached.err
    name = live.ssh(f"cron:run --detach {{}} {task['id']}").ok().out.strip()

    def runs() -> list[str]:
        return [
            run["status"] for run in json.loads(live.ssh("cron:history {} --format json").ok().out)
        ]

    # Nobody waits for it but the supervisor.
    eventually(lambda: runs() == ["failed", "failed"])
    assert live.ssh(f"cron:logs {{}} {name}").ok().out == "good day\n1\n"
    assert f"app[{name}]: good day" in live.ssh("logs {} -p cron").ok().out
    live.push(declaring("1", {})).ok()
    assert json.loads(live.ssh("cron:list {} --format json").ok().out) == []
    assert live.ssh(f"cron:run {{}} {task['id']}").code == 20
    live.ssh("rollback {}").ok()
    [back] = json.loads(live.ssh("cron:list {} --format json").ok().out)
    assert (back["id"], back["last"]["status"]) == (task["id"], "failed")
    live.push(declaring("1", {}, other="cron")).ok()


def test_config_that_is_required_is_asked_for_before_the_build(live: App) -> None:
    document = {"env": {"TOKEN": {"description": "from the vault"}, "MODE": "fast",
                        "KEY": {"generator": "secret"}}}  # fmt: skip
    text = refused(live, declaring("2", document), "TOKEN", "from the vault", "config:set")
    assert "Building" not in text
    live.ssh("config:set {} --no-restart TOKEN=x").ok()
    live.push(declaring("1", document)).ok()
    assert live.get("/env/MODE").text == "fast"
    key = live.get("/env/KEY").text
    assert re.fullmatch("[0-9a-f]{64}", key)
    # It is the app's from now on, and stays what it is.
    assert live.ssh("config:get {} KEY").ok().out.strip() == key
    live.push(declaring("1", document, other="")).ok()
    assert live.get("/env/KEY").text == key


def test_a_push_is_tested_without_the_apps_own_config(live: App) -> None:
    live.ssh("checks:set {} test on").ok()
    test = 'test -z "$TOKEN" || echo with its token; echo CI=$CI; echo assertion failed; exit 3'
    document = {"environments": {"test": {"scripts": {"test": test}}}}
    text = refused(
        live, declaring("2", document), "CI=true", "The test command exited with code 3",
        "Its last lines:", "assertion failed",
    )  # fmt: skip
    assert "\nwith its token" not in text
    addons = {"environments": {"test": {"scripts": {"test": "true"}, "addons": ["postgresql"]}}}
    refused(live, declaring("2", addons), "postgresql", "git push -o no-test")
    live.repository.commit(declaring("1", document))
    live.repository.push("-o", "no-test", "main").ok()
    procfile = "web: exec python3 -u app.py\ntest: echo it is fine\n"
    assert "\nit is fine" in live.push(declaring("1", {}, Procfile=procfile)).ok().text
    live.ssh("checks:set {} test off").ok()


def test_an_images_healthcheck_decides_and_can_be_skipped(live: App) -> None:
    dockerfile = apps.plain()["Dockerfile"] + "HEALTHCHECK CMD echo unwell; exit 1\n"
    live.ssh("checks:set {} boot-seconds 2").ok()
    refused(live, apps.plain("2", Dockerfile=dockerfile), "HEALTHCHECK", "unwell")
    live.ssh("checks:skip {}").ok()
    live.push(apps.plain("3", Dockerfile=dockerfile)).ok()
    # Nothing is waited for, not even that it listens.
    eventually(lambda: live.serves("hello 3"))
    live.ssh("checks:run {}").failed()
    live.ssh("checks:enable {}").ok()
    live.ssh("checks:set {} boot-seconds").ok()
    live.push(apps.plain("1")).ok()
    live.ssh("checks:run {}").ok()


def test_config_of_every_app_reaches_it_and_its_value_no_log(live: App) -> None:
    live.server.paas("config:set", "--global", "SHARED=hunter2hunter2").ok()
    live.ssh("ps:restart {} web.1").ok()
    assert live.get("/env/SHARED").text == "hunter2hunter2"
    live.ssh("config:import {}", input=b"export IMPORTED='hunter3 hunter3'\n").ok()
    assert live.get("/env/IMPORTED").text == "hunter3 hunter3"
    live.server.paas("config:unset", "--global", "SHARED").ok()
    for folder, folders, names in os.walk(live.server.layout.root):
        folders[:] = [name for name in folders if name != "engine"]
        for path in (Path(folder, name) for name in names):
            with suppress(FileNotFoundError):  # a journal of a database comes and goes
                assert not (path.is_file() and b"hunter3" in path.read_bytes()), path
