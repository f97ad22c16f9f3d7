"""Calling hooks: what a plugin does wrong weighs what it declares, and no more."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from paas.errors import PaasError
from paas.host.content import content
from paas.model.env import Secret
from paas.model.report import Lines
from paas.plugin import hooks as module
from paas.plugin.declaration import parse_declaration
from paas.plugin.foreign import Plugin, PluginFailed, Task
from paas.plugin.hooks import Hooks, Refused
from paas.plugin.hookspecs import HOOKS, Answer, Call


class Programs:
    """Answers for programs, as a test says."""

    def __init__(self, **answers: bytes | Exception) -> None:
        self.answers = answers
        self.asked: list[Task] = []

    def ask(self, task: Task, _: object) -> bytes:
        self.asked.append(task)
        answer = self.answers.get(task.plugin.name, b"")
        if isinstance(answer, Exception):
            raise answer
        return answer


def plugin(name: str, *, veto: bool = False, permissions: str = "", python: bool = False) -> Plugin:
    text = f"""
[plugin]
name = "{name}"
title = "{name}"
description = "x"
{"python = true" if python else ""}
[permissions]
{permissions}
[[hook]]
on = "pre-build"
{"" if python else 'run = ["x"]'}
veto = {str(veto).lower()}
"""
    return Plugin(name, "v1", Path("/"), parse_declaration(text, "p", bundled=True))


def hooks(*plugins: Plugin, **answers: bytes | Exception) -> tuple[Hooks, Programs]:
    programs: Any = Programs(**answers)
    return Hooks(lambda: plugins, programs), programs


def call(**more: Any) -> tuple[Call, list[str]]:
    said: list[str] = []
    report = Lines(lambda data: said.append(data.decode().strip()))
    return Call("pre-build", "shop", "ann", {"commit": "c0ffee"}, report, **more), said


def test_nobody_is_asked_when_nobody_has_the_hook() -> None:
    asking, programs = hooks(plugin("a"))
    assert asking.ask(Call("pre-deploy")) == {}
    assert programs.asked == []


def test_all_are_asked_by_name_and_told_the_same() -> None:
    asking, programs = hooks(plugin("a"), plugin("b"))
    asking.ask(call()[0])
    assert [task.plugin.name for task in programs.asked] == ["a", "b"]
    assert programs.asked[0].document == {
        "hook": "pre-build", "app": "shop", "actor": "ann", "commit": "c0ffee",
    }  # fmt: skip


WRONG: dict[str, bytes | Exception] = {
    "its answer is not JSON": b"what",
    "it took longer than 30 s": PluginFailed("it took longer than 30 s"),
    "it could not be run: No room": PaasError("No room"),
    "it raised RuntimeError: bug": RuntimeError("bug"),
}


@pytest.mark.parametrize("why", WRONG)
def test_with_a_veto_a_failure_refuses(why: str) -> None:
    asking, programs = hooks(plugin("a", veto=True), plugin("b"), a=WRONG[why])
    with pytest.raises(Refused) as raised:
        asking.ask(call()[0])
    assert raised.value.brief.startswith(f"The plugin a (pre-build) refuses: it failed: {why}")
    assert "plugin:disable a" in raised.value.resolution
    assert len(programs.asked) == 1


@pytest.mark.parametrize("why", WRONG)
def test_without_one_it_is_a_warning_and_the_next_is_asked(why: str) -> None:
    asking, programs = hooks(plugin("a"), plugin("b"), a=WRONG[why])
    asked, said = call()
    asking.ask(asked)
    assert any(line.startswith(f"!     The plugin a (pre-build) failed: {why}") for line in said)
    assert len(programs.asked) == 2


def test_a_refusal_refuses_only_with_a_veto() -> None:
    asking, _ = hooks(plugin("a", veto=True), a=b'{"refuse": "never\\non Fridays"}')
    with pytest.raises(Refused) as raised:
        asking.ask(call()[0])
    assert raised.value.brief == "The plugin a (pre-build) refuses: never"
    assert raised.value.details == ("on Fridays",)
    asking, _ = hooks(plugin("a"), a=b'{"refuse": "never"}')
    asked, said = call()
    asking.ask(asked)
    assert said[-1] == "!     The plugin a would refuse this: never"


def test_it_gets_the_source_and_the_config_that_it_may_have() -> None:
    config = {"TOKEN": Secret("s3cret"), "OTHER": Secret("hidden")}
    source: Any = SimpleNamespace()
    some = plugin("a", permissions='config = ["TOKEN"]')
    all_of_it = plugin("b", permissions='config = ["*"]\nsource = true')
    asking, programs = hooks(some, all_of_it, plugin("c"))
    asking.ask(call(config=config, source=source)[0])
    assert [task.document.get("config") for task in programs.asked] == [
        {"TOKEN": "s3cret"}, {"TOKEN": "s3cret", "OTHER": "hidden"}, None,
    ]  # fmt: skip
    assert [task.source for task in programs.asked] == [None, source, None]


@pytest.mark.parametrize("veto", [True, False])
@pytest.mark.parametrize(
    "does", [lambda _: 1 / 0, lambda _: (x for x in ()).throw(RecursionError())]
)
def test_a_python_plugin_that_raises_is_like_any(
    monkeypatch: pytest.MonkeyPatch, does: Callable[[Call], Answer], veto: bool
) -> None:
    monkeypatch.setattr(module, "PYTHON", {"py": SimpleNamespace(pre_build=does)})
    asking, _ = hooks(plugin("py", veto=veto, python=True))
    asked, said = call()
    if veto:
        with pytest.raises(Refused, match="it failed: it raised"):
            asking.ask(asked)
    else:
        asking.ask(asked)
        assert "failed: it raised" in said[-1]


def test_an_interrupt_is_no_failure_of_the_plugin_s(monkeypatch: pytest.MonkeyPatch) -> None:
    def leave(_: Call) -> Answer:
        raise SystemExit(129)

    monkeypatch.setattr(module, "PYTHON", {"py": SimpleNamespace(pre_build=leave)})
    with pytest.raises(SystemExit):
        hooks(plugin("py", python=True))[0].ask(call()[0])


def test_there_are_at_most_twenty_and_all_are_documented() -> None:
    assert 10 < len(HOOKS) <= 20
    readme = (content("plugins") / "README.md").read_text()
    for hook in HOOKS.values():
        assert hook.text, hook.name
        first = hook.text.splitlines()[0]
        assert f"| `{hook.name}` | {first} |" in readme, f"plugins/README.md: {hook.name}"
    assert len(re.findall(r"^\| `[a-z-]+` \| ", readme, re.MULTILINE)) == len(HOOKS)


@pytest.mark.parametrize(
    ("what", "names"),
    [
        ("released", {"post-deploy"}),
        ("deploy abandoned", {"deploy-failed"}),
        ("redis:create", {"service-changed"}),
        ("backup failed", {"service-changed"}),
        ("access:add", {"access-changed"}),
        ("run:stop", set()),
        ("certificate renewal failed", {"certificates-changed"}),
        ("domains set", {"domains-changed"}),
        ("maintenance on", {"proxy-changed"}),
    ],
)
def test_an_event_is_heard_by_whom_it_concerns(what: str, names: set[str]) -> None:
    assert {hook.name for hook in HOOKS.values() if hook.hears(what)} == names | {"event"}
