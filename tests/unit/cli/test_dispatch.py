"""The dispatcher: who may, what is unknown, and how each kind of error ends."""

from __future__ import annotations

import os
from collections import Counter

import pytest

from paas.cli.access import Access
from paas.cli.command import Command, Table
from paas.cli.help import MANY
from paas.errors import PaasError
from paas.model.caller import Caller
from tests.unit.cli.caller import KEY, ROOT, Paas, every_command

# -- deny by default --------------------------------------------------------------------


def test_a_command_that_does_not_say_what_it_needs_cannot_be_registered() -> None:
    with pytest.raises(TypeError, match="access"):
        Command("x:do", "Do it", run=lambda _: None)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="access"):
        Command("x:do", "Do it", None, lambda _: None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="access"):
        Command("x:do", "Do it", "root", lambda _: None)  # type: ignore[arg-type]


def test_a_name_is_registered_once() -> None:
    one = Command("x:do", "Do it", Access.VIEW, lambda _: None)
    with pytest.raises(ValueError, match="x:do"):
        Table([one, one])
    with pytest.raises(ValueError, match="name"):
        Command("X do", "Do it", Access.VIEW, lambda _: None)


def test_what_is_root_s_says_where_to_do_it(paas: Paas) -> None:
    ran: list[str] = []
    paas.table = Table([Command("up", "Start", Access.ROOT, lambda _: ran.append("up"))])
    said = paas("up")
    assert said.code == 1
    assert said.err.splitlines() == [
        " !     `up` is for root on the server alone",
        " !     Log in there and run: sudo paas up",
    ]
    assert ran == []
    assert paas("up", caller=ROOT).code == 0
    assert ran == ["up"]


def test_who_may_not_is_not_told_whether_an_app_exists(paas: Paas) -> None:
    hook = Caller("hook", "ann")
    assert paas("config:show", "nope", caller=hook).err == " !     You may not run `config:show`\n"


# -- unknown and misused ----------------------------------------------------------------


@pytest.mark.parametrize("word", ["foo", "bash", "rsync", "git-shell", "$(id)", "../x"])
def test_an_unknown_command_is_dokku_s_sentence(paas: Paas, word: str) -> None:
    said = paas(word, "x")
    assert said.code == 1
    assert said.out == ""
    assert said.err.splitlines() == [
        f" !     `{word}` is not a paas command.",
        " !     See `paas help` for a list of available commands.",
    ]


def test_an_almost_known_command_is_guessed(paas: Paas) -> None:
    assert "Did you mean `config:set`" in paas("confg:set").err
    assert "git-receive-pack" not in paas("git-receive").err


@pytest.mark.parametrize(
    ("argv", "word"),
    [
        (("config:get", "x"), "KEY"),
        (("config:get", "x", "A", "B"), "(B)"),
        (("config:show",), "specify an app"),
        (("apps:create",), "specify an app"),
        (("apps:list", "--nope"), "--nope"),
        (("apps:list", "--format", "yaml"), "yaml"),
        (("--nope", "apps:list"), "--nope"),
        (("logs", "x", "-n", "many"), "many"),
        (("logs", "x", "-n"), "-n"),
    ],
)
def test_a_misused_command_is_told_its_usage(paas: Paas, argv: tuple[str, ...], word: str) -> None:
    paas.store.apps.create("x")
    said = paas(*argv)
    assert said.code == 1
    assert word in said.err
    assert "Traceback" not in said.err
    assert all(line.startswith(" !     ") for line in said.err.splitlines())
    if argv[0] != "--nope":
        assert f"Usage: paas {argv[0]}" in said.err


# -- how commands end ---------------------------------------------------------------------


def test_an_expected_error_ends_with_its_own_code(paas: Paas) -> None:
    paas.store.apps.create("x")
    paas.platform.raises = PaasError("It broke", ["line 1"], "Mend it.", code=7)
    said = paas("rollback", "x")
    assert said.code == 7
    assert said.err == " !     It broke\n !     line 1\n !     Mend it.\n"


def test_a_bug_is_kept_in_a_file_and_never_shown(paas: Paas) -> None:
    paas.store.apps.create("x")
    paas.platform.raises = RuntimeError("secret detail")
    said = paas("rollback", "x")
    assert said.code == 3
    assert "Traceback" not in said.err
    assert "secret detail" not in said.err
    [kept] = (paas.layout.logs / "bugs").iterdir()
    assert str(kept) in said.err
    assert "RuntimeError: secret detail" in kept.read_text()
    assert kept.stat().st_mode & 0o777 == 0o600
    assert kept.parent.stat().st_mode & 0o777 == 0o700


def test_a_bug_whose_trace_cannot_be_kept_is_still_told(paas: Paas) -> None:
    paas.store.apps.create("x")
    paas.layout.logs.write_text("a file where the directory should be")
    paas.platform.raises = RuntimeError("x")
    said = paas("rollback", "x")
    assert said.code == 3
    assert "RuntimeError" in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    ("error", "code", "word"),
    [
        (KeyboardInterrupt(), 130, ""),
        (SystemExit(143), 143, ""),
        (BrokenPipeError(32, "Broken pipe"), 141, ""),
        (OSError(28, "No space left on device"), 1, "The disk is full"),
    ],
)
def test_other_ends(paas: Paas, error: BaseException, code: int, word: str) -> None:
    paas.store.apps.create("x")
    paas.platform.raises = error
    said = paas("rollback", "x")
    assert said.code == code
    assert word in said.err
    assert bool(said.err) is bool(word)
    assert not (paas.layout.logs / "bugs").exists()


def test_a_reader_that_left_ends_a_listing_quietly(paas: Paas) -> None:
    paas.store.apps.create("x")
    read, write = os.pipe()
    os.close(read)
    said = paas("--quiet", "apps:list", stdout=write)
    os.close(write)
    assert said.code == 141
    assert said.err == ""


def test_a_reader_that_left_does_not_end_a_change(paas: Paas) -> None:
    paas.store.apps.create("x")
    read, write = os.pipe()
    os.close(read)
    assert paas("config:set", "x", "A=1", stdout=write).code == 0
    os.close(write)
    assert paas.platform.asked


# -- flags that every command knows -------------------------------------------------------


@pytest.mark.parametrize(
    "argv",
    [
        ("config:get", "x", "A"),
        ("--app", "x", "config:get", "A"),
        ("--app=x", "config:get", "A"),
        ("config:get", "--app", "x", "A"),
        ("config:get", "A", "--app", "x"),
        ("--app", "other", "config:get", "x", "A"),
        ("--app", "other", "config:get", "--app", "x", "A"),
    ],
)
def test_the_app_is_the_first_word_or_a_flag(paas: Paas, argv: tuple[str, ...]) -> None:
    app = paas.store.apps.create("x")
    paas.store.apps.create("other")
    paas.store.config.set(app.id, {"A": "value"})
    assert paas(*argv).out == "value\n"


def test_the_app_can_come_from_the_caller_s_environment(paas: Paas) -> None:
    app = paas.store.apps.create("x")
    paas.store.config.set(app.id, {"A": "value"})
    assert paas("config:get", "A", env={"PAAS_APP": "x"}).out == "value\n"
    assert paas("apps:create", "y", env={"PAAS_APP": "x"}).code == 0
    assert paas("apps:list", env={"PAAS_APP": "x"}).lines[1:] == ["x", "y"]


def test_quiet_is_data_alone_before_and_after_the_command(paas: Paas) -> None:
    paas.store.apps.create("x")
    assert paas("apps:list").out == "=====> My Apps\nx\n"
    assert paas("--quiet", "apps:list").out == "x\n"
    assert paas("apps:list", "--quiet").out == "x\n"


# -- help -----------------------------------------------------------------------------------


@pytest.mark.parametrize("argv", [(), ("help",), ("--help",), ("-h",)])
def test_help_names_every_command_that_people_type(paas: Paas, argv: tuple[str, ...]) -> None:
    said = paas(*argv)
    assert said.code == 0
    shown = [command for command in every_command() if not command.hidden]
    many = {noun for noun, count in Counter(one.noun for one in shown).items() if count > MANY}
    for command in every_command():
        alone = not command.hidden and command.noun not in many
        assert (f"  {command.name} " in said.out) is alone
    assert all(f"  {noun}:* " in said.out for noun in many)
    assert "postgres" in many


def test_what_the_list_of_all_shortens_is_shown_by_its_noun(paas: Paas) -> None:
    said = paas("help", "postgres")
    for command in every_command():
        if command.noun == "postgres" and not command.hidden:
            assert f"  {command.name} " in said.out


@pytest.mark.parametrize("argv", [("config:help",), ("config",), ("help", "config")])
def test_a_noun_explains_its_commands(paas: Paas, argv: tuple[str, ...]) -> None:
    said = paas(*argv)
    assert said.code == 0
    assert "config:set [--no-restart] [--encoded] <app>|--global KEY=VALUE..." in said.out
    assert "apps:create" not in said.out


@pytest.mark.parametrize(
    "argv", [("help", "config:set"), ("config:set", "--help"), ("config:set", "x", "-h")]
)
def test_a_command_explains_itself(paas: Paas, argv: tuple[str, ...]) -> None:
    said = paas(*argv)
    assert said.code == 0
    assert said.out.startswith("Usage: paas config:set [--no-restart]")
    assert "--no-restart" in said.out
    assert "standard input" in said.out
    assert paas.platform.asked == []


def test_help_on_a_noun_that_is_a_command_explains_both(paas: Paas) -> None:
    for argv in (("ps:help",), ("help", "ps")):
        said = paas(*argv)
        assert said.out.startswith("Usage: paas ps")
        assert "ps:scale" in said.out


def test_help_for_nothing_known_is_an_error(paas: Paas) -> None:
    assert paas("help", "nope").code == 1
    assert paas("nope:help").code == 1


def test_every_command_can_be_explained(paas: Paas) -> None:
    for command in every_command():
        words = ("help", command.name) if command.verbatim else (command.name, "--help")
        said = paas(*words, caller=ROOT)
        assert said.out.startswith(f"Usage: paas {command.usage}\n"), said


@pytest.mark.parametrize("argv", [("version",), ("--version",), ("-v",)])
def test_the_version_is_one_line(paas: Paas, argv: tuple[str, ...]) -> None:
    assert paas(*argv, caller=KEY).out.startswith("paas ")
