"""Commands that plugins add: in help and completion, for those whom they name alone."""

from __future__ import annotations

import io
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from paas.cli.access import Access
from paas.cli.plugin_commands import plugin_commands
from paas.model.caller import Caller
from paas.model.layout import Layout
from paas.model.request import TerminalSize
from paas.model.role import Role
from paas.plugin.declaration import parse_declaration
from paas.plugin.installed import Installed, folder_of
from paas.plugin.manifest import InvalidManifest
from paas.plugin.skeleton import skeleton
from tests.unit.cli.caller import KEY, ROOT, Paas, Said

EXAMPLES = Path(__file__).parents[2] / "fixtures/plugins"


class Recorded:
    """Commands of plugins that were run."""

    def __init__(self) -> None:
        self.runs: list[tuple[str, str, str | None, tuple[str, ...]]] = []

    def run(self, plugin: Any, rule: Any, app: Any, words: Any, **streams: Any) -> int:
        self.runs.append((plugin.name, rule.name, app and app.name, tuple(words)))
        streams["output"](b"\x1b]0;title\x07said\n")
        return 42


def add(layout: Layout, paas: Paas, name: str, text: str | None = None) -> None:
    """An enabled plugin, as if it had been installed."""
    shutil.copytree(EXAMPLES / name, folder_of(layout, name, "1"))
    if text is not None:
        (folder_of(layout, name, "1") / "plugin.toml").write_text(text)
    paas.store.plugins.add(name, "x", "", "1", "ann")
    paas.store.plugins.enable(name, "1", "sha256:0", ("is asked by pre-build, and may refuse",))


@pytest.fixture
def greeter(paas: Paas) -> Paas:
    paas.store.apps.create("shop")
    paas.platform.plugin_commands = Recorded()
    add(paas.layout, paas, "greeter")
    return paas


def run(paas: Paas, *argv: str, **more: Any) -> Said:
    dispatcher = replace(
        paas.dispatcher(),
        more=lambda store, table: plugin_commands(paas.layout, store, table.nouns()),
    )
    paas.dispatcher = lambda: dispatcher  # type: ignore[method-assign]
    return paas(*argv, **more)


def test_it_runs_with_its_words_and_its_exit_code(greeter: Paas) -> None:
    said = run(greeter, "greeter:hello", "shop", "-x", "--y", "z")
    assert (said.code, said.out) == (42, "\x1b]0;title\x07said\n")
    assert greeter.platform.plugin_commands.runs == [
        ("greeter", "hello", "shop", ("-x", "--y", "z"))
    ]


def test_help_and_completion_have_it(greeter: Paas) -> None:
    assert "Greet an app" in run(greeter, "help").out
    assert run(greeter, "help", "greeter").lines == [
        "  greeter:hello <app> [WORD...]  Greet an app",
        "  greeter:token <app> [WORD...]  Show the token of an app",
        "  greeter:server [WORD...]       Greet the server",
    ]
    assert "A command of the plugin greeter" in run(greeter, "greeter:hello", "--help").out
    assert run(greeter, "complete", "gre").lines == [
        "greeter:hello", "greeter:server", "greeter:token",
    ]  # fmt: skip
    assert run(greeter, "complete", "greeter:hello", "").lines == ["shop"]


def test_a_disabled_one_has_no_commands(greeter: Paas) -> None:
    greeter.store.plugins.disable("greeter")
    assert run(greeter, "greeter:hello", "shop").code == 1
    assert "greeter" not in run(greeter, "help").out


@pytest.mark.parametrize(
    ("role", "may"),
    [
        (None, []),
        (Role.VIEWER, ["hello"]),
        (Role.DEPLOYER, ["hello", "token"]),
        (Role.OWNER, ["hello", "token"]),
    ],
)
def test_a_role_is_needed_and_no_other_does(
    greeter: Paas, role: Role | None, may: list[str]
) -> None:
    bob = greeter.let_in("bob", admin=False)
    if role is not None:
        greeter.store.users.give("bob", greeter.store.apps.get("shop").id, role)
    for name, words in (("hello", ["shop"]), ("token", ["shop"]), ("server", [])):
        code = run(greeter, f"greeter:{name}", *words, caller=bob).code
        assert (code == 42) is (name in may), name
    assert len(greeter.platform.plugin_commands.runs) == len(may)


@pytest.mark.parametrize("caller", [Caller("hook", "ann"), Caller("key", "removed")])
def test_whoever_nobody_knows_may_nothing(greeter: Paas, caller: Caller) -> None:
    assert run(greeter, "greeter:hello", "shop", caller=caller).code == 1
    assert run(greeter, "greeter:server", caller=caller).code == 1


def test_without_an_app_only_who_may_view_anything_or_all_may(paas: Paas) -> None:
    text = (EXAMPLES / "greeter/plugin.toml").read_text().replace('"deployer"', '"owner"')
    add(paas.layout, paas, "greeter", text.replace('app = "required"', 'app = "optional"'))
    found = {each.name: each.access for each in plugin_commands(paas.layout, paas.store, ())}
    assert found == {
        "greeter:hello": Access.VIEW,
        "greeter:token": Access.ADMIN,
        "greeter:server": Access.ADMIN,
    }


def test_one_that_cannot_be_read_harms_no_other_command(greeter: Paas) -> None:
    add(greeter.layout, greeter, "gate", "no TOML [")
    assert run(greeter, "greeter:hello", "shop").code == 42
    assert run(greeter, "apps:list").lines[1:] == ["shop"]
    assert run(greeter, "help").code == 0
    installed = Installed(greeter.layout, greeter.store.plugins)
    # But it might have refused a deploy: that is not passed by.
    with pytest.raises(InvalidManifest, match="not valid TOML"):
        installed.with_hooks()
    greeter.store.plugins.enable("gate", "1", "", ("is told by event",))
    assert installed.with_hooks() == []


def test_nothing_of_ours_is_replaced(paas: Paas) -> None:
    text = (EXAMPLES / "greeter/plugin.toml").read_text().replace('name = "greeter"', 'name = "ps"')
    shutil.copytree(EXAMPLES / "greeter", folder_of(paas.layout, "ps", "1"))
    (folder_of(paas.layout, "ps", "1") / "plugin.toml").write_text(text)
    paas.store.plugins.add("ps", "x", "", "1", "ann")
    paas.store.plugins.enable("ps", "1", "", ())
    assert list(plugin_commands(paas.layout, paas.store, paas.table.nouns())) == []


def test_an_installed_datastore_has_the_commands_of_any(paas: Paas) -> None:
    add(paas.layout, paas, "parrot")
    found = {each.name for each in plugin_commands(paas.layout, paas.store, paas.table.nouns())}
    ours = {
        name.partition(":")[2]
        for name in (each.name for each in paas.table)
        if "memcached:" in name
    }
    assert found == {f"parrot:{verb}" for verb in ours}


# -- the skeleton ------------------------------------------------------------------------------


def test_a_skeleton_is_a_plugin(paas: Paas) -> None:
    archive = paas("plugin:new", "my-policy").stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        modes = {entry.name: entry.mode for entry in tar}
        text = tar.extractfile("my-policy/plugin.toml")
        assert text is not None
        found = parse_declaration(text.read().decode(), "x")
    assert (found.name, found.title) == ("my-policy", "My policy")
    for rule in (*found.hooks, *found.commands):
        assert modes[f"my-policy/{rule.program.run[0]}"] == 0o755


def test_root_has_it_in_a_directory_and_nobody_else(paas: Paas) -> None:
    said = paas("plugin:new", "x", "a/b", caller=ROOT)
    assert said.code == 0, said.err
    assert (paas.folder / "a/b/bin/pre-build").stat().st_mode & 0o777 == 0o755
    assert paas("plugin:new", "x", "a/b", caller=ROOT).code == 1
    refused = paas("plugin:new", "x", "/etc/x", caller=KEY)
    assert (refused.code, "Only root" in refused.err) == (1, True)


@pytest.mark.parametrize("name", ["", "X", "../x", "a b", "x" * 31])
def test_a_name_that_is_none_makes_none(paas: Paas, name: str) -> None:
    assert paas("plugin:new", name).code == 1


def test_every_hook_is_explained(paas: Paas) -> None:
    said = paas("plugin:hooks").out
    assert "pre-build (may refuse)\n    A push is about to be built." in said
    assert "post-deploy (told of: released)" in said


def test_the_programs_of_the_skeleton_are_shell(tmp_path: Path) -> None:
    for path, text in skeleton("x").items():
        if path.startswith("bin/"):
            assert text.startswith("#!/bin/sh\n"), path


def test_a_setting_is_key_and_value(paas: Paas) -> None:
    asked: list[Any] = []

    class Plugins:
        def configure(self, *words: Any, **_: Any) -> None:
            asked.append(words)

    paas.platform.plugins = Plugins()
    assert paas("plugin:set", "webhook", "URL=-", "OLD=", input=b"s3cret\n").code == 0
    [(name, values)] = asked
    assert name == "webhook"
    assert values["URL"].reveal() == "s3cret"
    assert values["OLD"] is None
    assert paas("plugin:set", "webhook", "URL", tty=TerminalSize(80, 24)).code == 1
