"""checks, resource, ps:set, config and releases: what is refused, set and shown."""

from __future__ import annotations

import json
from typing import Any

import pytest

from paas.engine.build.errors import StepFailed
from paas.model.app import App
from paas.model.env import Secret
from paas.model.limits import MIB, Limits
from paas.model.processes import CHECKS, MEMORY_LIMIT, STOP_TIMEOUT, Checks
from paas.model.role import Role
from paas.model.settings import BOOT_SECONDS, DRAIN_SECONDS, KEEP_RELEASES, TEST
from tests.unit.cli.caller import Paas


@pytest.fixture
def app(paas: Paas) -> App:
    return paas.store.apps.create("x")


@pytest.mark.parametrize(
    "argv",
    [
        ("checks:set", "x", "boot-seconds", "soon"),
        ("checks:set", "x", "nothing", "1"),
        ("checks:set", "x", "test", "perhaps"),
        ("checks:skip", "x", "we b"),
        ("ps:set", "x", "restart-policy", "sometimes"),
        ("ps:set", "x", "update-order", "first"),
        ("ps:set", "x", "stop-timeout-seconds", "-1", "--process-type", "web"),
        ("resource:limit", "x", "--memory", "much"),
        ("resource:limit", "x", "--cpu", "0"),
        ("resource:reserve", "x", "--memory", "1", "--process-type", "../x"),
        ("releases:retain", "x", "0"),
        ("config:import", "x", "/etc/passwd"),
        ("ps:restart", "x", "web.0"),
    ],
)
def test_what_cannot_be_is_refused_in_words(paas: Paas, app: App, argv: tuple[str, ...]) -> None:
    said = paas(*argv)
    assert said.code == 1
    assert "Something went wrong" not in said.err
    assert paas.platform.asked == []
    assert paas.store.processes.list(app.id) == {}


def test_an_unknown_property_is_exit_20_with_those_there_are(paas: Paas, app: App) -> None:
    said = paas("ps:set", "x", "colour", "red")
    assert said.code == 20
    assert "restart-policy" in said.err


def test_patience_is_set_for_an_app_and_for_all(paas: Paas, app: App) -> None:
    other, value = paas.store.apps.create("y"), paas.store.settings.value
    paas("checks:set", "--global", "boot-seconds", "9")
    paas("checks:set", "x", "boot-seconds", "5")
    paas("checks:set", "x", "wait-to-retire", "7")
    assert (value(BOOT_SECONDS, app.id), value(BOOT_SECONDS, other.id)) == (5, 9)
    assert value(DRAIN_SECONDS, app.id) == 7
    paas("checks:set", "x", "boot-seconds")
    assert value(BOOT_SECONDS, app.id) == 9
    paas("checks:set", "x", "test", "on")
    assert value(TEST, app.id)
    report = json.loads(paas("checks:report", "x", "--format", "json").out)
    assert report == {
        "disabled-list": "none",
        "skipped-list": "none",
        "boot-seconds": "9",
        "drain-seconds": "7",
        "test": "on",
    }
    assert paas("checks:report", "x", "--checks-drain-seconds").out == "7\n"
    assert paas("checks:report", "x", "--checks-test", "--format", "json").code == 1


def test_checks_are_turned_off_by_type_and_on_for_all(paas: Paas, app: App) -> None:
    def mode(kind: str) -> Checks:
        return paas.store.processes.value(CHECKS, app.id, kind)

    paas("checks:skip", "x", "worker,cron")
    paas("checks:disable", "x", "web")
    modes = [mode(kind) for kind in ("web", "worker", "cron", "other")]
    assert modes == [Checks.DISABLED, Checks.SKIPPED, Checks.SKIPPED, Checks.ENABLED]
    assert "web" in paas("checks:report", "x", "--checks-disabled-list").out
    paas("checks:enable", "x")
    assert {mode(kind) for kind in ("web", "worker")} == {Checks.ENABLED}
    assert paas("checks:run", "x").code == 0
    paas.platform.code = 2
    assert paas("checks:run", "x", "web").code == 1
    assert paas.platform.asked == [("check", "x", None), ("check", "x", "web")]


def test_limits_go_through_the_platform_and_defaults_into_the_store(paas: Paas, app: App) -> None:
    paas("resource:limit", "x", "--memory", "256", "--cpu", "clear", "--process-type", "web")
    paas("resource:reserve", "x", "--cpu", "0.5", "--no-restart")
    assert paas.platform.asked == [
        ("limit", "x", {("web", "limit-memory"): "256", ("web", "limit-cpu"): None}, "ann", True),
        ("limit", "x", {("", "reserve-cpu"): "0.5"}, "ann", False),
    ]
    paas("resource:limit", "--global", "--memory", "1g")
    assert paas.store.processes.limits(app.id, "web").memory_bytes == 1024 * MIB
    assert "memory:  1g" in paas("resource:limit", "--global").out
    paas("resource:limit-clear", "--global")
    assert paas.store.processes.list(None) == {}
    paas.store.processes.set(app.id, "web", MEMORY_LIMIT.name, "99m")
    paas.store.config.set_formation(app.id, {"web": 1})
    report = json.loads(paas("resource:report", "x", "--format", "json").out)
    assert report["x"]["web"]["limit-memory"] == str(99 * MIB)


def test_how_processes_stop_is_set_by_type(paas: Paas, app: App) -> None:
    paas("ps:set", "x", "stop-timeout-seconds", "5")
    paas("ps:set", "x", "stop-timeout-seconds", "60", "--process-type", "worker")
    stop = [paas.store.processes.value(STOP_TIMEOUT, app.id, kind) for kind in ("web", "worker")]
    assert stop == [5, 60]
    shown = paas("ps:report", "x", "--ps-stop-timeout-seconds").out
    assert shown == "5 worker=60\n"
    assert json.loads(paas("ps:report", "x", "--format", "json").out)["deployed"] == "false"
    assert "Ps restart policy:" in paas("ps:report", "x").out


def test_one_instance_can_be_restarted_and_an_app_rebuilt(paas: Paas, app: App) -> None:
    paas("ps:restart", "x", "web.2")
    paas("ps:rebuild", "x")
    assert paas.platform.asked == [("restart", "x", "web.2", "ann"), ("rebuild", "x", "ann")]
    assert json.loads(paas("ps:inspect", "x").out) == [{"id": "c0ffee"}]


def test_all_apps_of_commits_are_rebuilt_and_one_that_fails_holds_none_up(
    paas: Paas, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("broken", "image", "never", "whole")
    apps = {name: paas.store.apps.create(name) for name in names} | {"x": app}
    for name in ("broken", "image", "whole", "x"):
        changed = {"commit": None} if name == "image" else {}
        release(paas, apps[name], f"sha256:{name}", **changed)
        paas.store.apps.set_live(apps[name].id, 1)
    rebuild = paas.platform.rebuild

    def failing(app: App, **more: Any) -> int:
        if app.name == "broken":
            raise StepFailed("Dockerfile:2: RUN x: exit code 1")
        return rebuild(app, **more)

    monkeypatch.setattr(paas.platform, "rebuild", failing)
    said = paas("ps:rebuild", "--all")
    assert said.code == 1
    assert paas.platform.asked == [("rebuild", "whole", "ann"), ("rebuild", "x", "ann")]
    assert "broken: Dockerfile:2: RUN x: exit code 1" in said.err
    assert "Not rebuilt: broken" in said.err
    assert "image is no commit's" in said.out
    assert "--all" in paas("ps:rebuild").err


def test_a_member_rebuilds_the_apps_of_the_role_and_no_other(paas: Paas, app: App) -> None:
    bob = paas.let_in("bob", admin=False)
    for name, role in (("mine", Role.DEPLOYER), ("seen", Role.VIEWER), ("theirs", None)):
        one = paas.store.apps.create(name)
        release(paas, one, f"sha256:{name}")
        paas.store.apps.set_live(one.id, 1)
        if role is not None:
            paas.store.users.give("bob", one.id, role)
    for name in ("seen", "theirs"):
        assert paas("ps:rebuild", name, caller=bob).code != 0
    assert paas.platform.asked == []
    assert paas("ps:rebuild", "--all", caller=bob).code == 0
    assert paas.platform.asked == [("rebuild", "mine", "bob")]


def test_a_file_is_imported_in_one_go_and_may_replace(paas: Paas, app: App) -> None:
    paas.store.config.set(app.id, {"OLD": "1", "B": "1"})
    said = paas("config:import", "--replace", "x", input=b"A='x y'\nB=2\n")
    assert said.code == 0
    assert "x y" not in said.out
    assert paas.platform.asked == [
        ("apply_config", "x", {"A": "x y", "B": "2"}, ["OLD"], "ann", True)
    ]
    for bad in (b"A=1\nhunter2\n", b"A-B=1\n", b"\xff", b"A='1"):
        said = paas("config:import", "x", input=bad)
        assert said.code == 1
        assert "hunter2" not in said.err
    assert len(paas.platform.asked) == 1


def test_what_every_app_has_is_set_by_global_and_shown_merged(paas: Paas, app: App) -> None:
    paas("config:set", "--global", "SHARED=1", "BOTH=global")
    paas.store.config.set(app.id, {"BOTH": "own"})
    assert paas("config:get", "--global", "SHARED").out == "1\n"
    assert paas("config:keys", "x").lines == ["BOTH"]
    merged = json.loads(paas("config:export", "x", "--merged", "--format", "json").out)
    assert merged == {"BOTH": "own", "SHARED": "1"}
    paas("config:unset", "--global", "SHARED")
    told = json.loads(paas("config:history", "--global", "--format", "json").out)
    assert [(one["actor"], one["what"], one["key"]) for one in told] == [
        ("ann", "unset", "SHARED"),
        ("ann", "set", "BOTH"),
        ("ann", "set", "SHARED"),
    ]
    assert paas.platform.asked == []


def release(paas: Paas, app: App, image: str, **changed: object) -> None:
    fields = {
        "commit": "c" * 40, "config": {"A": Secret("hunter2")}, "processes": {"web": "serve"},
        "formation": {"web": 1}, "health": {}, "reason": "Deploy", "actor": "ann",
        "limits": {"web": Limits()},
    }  # fmt: skip
    paas.store.releases.add(app.id, image=image, **(fields | changed))  # type: ignore[arg-type]


def test_two_releases_are_compared_without_values(paas: Paas, app: App) -> None:
    release(paas, app, "sha256:1")
    release(
        paas, app, "sha256:1", config={"A": Secret("hunter3"), "B": Secret("x")},
        formation={"web": 3}, limits={"web": Limits(memory_bytes=MIB)},
    )  # fmt: skip
    paas.store.apps.set_live(app.id, 2)
    said = paas("releases:diff", "x", "v1")
    assert "hunter" not in said.out + said.err
    changes = json.loads(paas("releases:diff", "x", "1", "2", "--format", "json").out)
    assert [one["what"] for one in changes] == [
        "config A",
        "config B",
        "formation web",
        "limits web",
    ]
    assert (changes[2]["before"], changes[2]["after"]) == ("1", "3")
    assert paas("releases:diff", "x", "v9").code == 20


def test_only_so_many_releases_are_kept(paas: Paas, app: App) -> None:
    for number in range(5):
        release(paas, app, f"sha256:{number}")
    paas.store.apps.set_live(app.id, 1)
    paas("releases:retain", "x", "2")
    assert [one.number for one in paas.store.releases.list(app.id)] == [5, 4, 1]
    assert paas.store.settings.value(KEEP_RELEASES, app.id) == 2
    assert paas("releases:retain", "x").out == "2\n"
    assert paas.store.releases.images() == {"sha256:4", "sha256:3", "sha256:0"}
