"""The other commands: what they refuse, what they ask of the platform, what they print."""

from __future__ import annotations

import json

import pytest

from paas.deploy.applogs import Wanted
from paas.model.app import App
from paas.model.env import Secret
from paas.model.request import TerminalSize
from paas.model.settings import DOMAIN
from tests.unit.cli.caller import KEY, ROOT, Paas, Status
from tests.unit.model.test_key import LINE

TTY = TerminalSize(80, 24)


@pytest.fixture
def app(paas: Paas) -> App:
    return paas.store.apps.create("x")


# -- apps -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["../x", "-rf", "a" * 64, "Upper", "ünïcode", "", "a b", "x;id"])
def test_a_bad_app_name_is_two_lines(paas: Paas, name: str) -> None:
    for argv in (["apps:create", "--", name], ["git-receive-pack", name]):
        said = paas(*argv)
        assert said.code == 1
        assert said.err.startswith(" !     App name")
        assert len(said.err.splitlines()) == 2
    assert paas.store.apps.list() == []
    assert paas.platform.asked == []


def test_an_app_is_created_once(paas: Paas) -> None:
    assert paas("apps:create", "shop").out == "-----> Creating shop...\n"
    again = paas("apps:create", "shop")
    assert again.code == 1
    assert again.err.startswith(" !     Name is already taken\n")
    assert [(e.actor, e.app, e.what) for e in paas.store.events.tail(5)] == [
        ("ann", "shop", "created")
    ]


def test_exists_is_its_exit_code(paas: Paas, app: App) -> None:
    said = paas("apps:exists", "x")
    assert (said.code, said.out) == (0, "")
    assert paas("apps:exists", "nope").code == 20


def test_list_has_a_form_for_programs(paas: Paas, app: App) -> None:
    assert paas("apps:list", "--format", "json").out == '["x"]\n'


def test_nothing_is_destroyed_without_a_terminal_or_force(paas: Paas, app: App) -> None:
    said = paas("apps:destroy", "x", input=b"x\n")
    assert said.code == 1
    assert said.err.startswith(
        " !     WARNING: Potentially Destructive Action\n"
        " !     This command will destroy x (including all add-ons).\n"
    )
    assert "--force" in said.err
    assert paas.platform.asked == []


@pytest.mark.parametrize("typed", [b"y\n", b"\n", b"", b"X\n", b"xx\n"])
def test_nothing_is_destroyed_when_another_name_is_typed(
    paas: Paas, app: App, typed: bytes
) -> None:
    said = paas("apps:destroy", "x", input=typed, tty=TTY)
    assert said.code == 1
    assert 'To proceed, type "x"' in said.err
    assert paas.platform.asked == []


def test_an_app_is_destroyed_when_its_name_is_typed_or_by_force(paas: Paas, app: App) -> None:
    assert paas("apps:destroy", "x", input=b"x\n", tty=TTY).code == 0
    assert paas("apps:destroy", "x", "--force").code == 0
    assert paas("--force", "apps:destroy", "x").code == 0
    assert paas.platform.asked == [("destroy", "x", "ann")] * 3


def test_a_rename_checks_the_new_name(paas: Paas, app: App) -> None:
    assert paas("apps:rename", "x", "Bad").code == 1
    assert paas("apps:rename", "nope", "y").code == 20
    assert paas("apps:rename", "x", "y").code == 0
    assert paas.platform.asked == [("rename", "x", "y", "ann")]


# -- ps ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "scale", ["web", "web=", "web=-1", "web=x", "web=1.5", "=1", "web=1001", "we b=1", "web=٣"]
)
def test_a_bad_scale_is_refused(paas: Paas, app: App, scale: str) -> None:
    said = paas("ps:scale", "x", "good=1", scale)
    assert said.code == 1
    assert len(said.err.splitlines()) == 2
    assert paas.platform.asked == []


def test_scale_is_set_and_shown(paas: Paas, app: App) -> None:
    paas("ps:scale", "x", "web=2", "worker=0")
    assert paas.platform.asked == [("scale", "x", {"web": 2, "worker": 0}, "ann", True)]
    paas.store.config.set_formation(app.id, {"web": 2})
    assert paas("ps:scale", "x").lines == [
        "-----> Scaling for x",
        "proctype:  qty",
        "--------:  ---",
        "web:       2",
    ]
    assert json.loads(paas("ps:scale", "x", "--format", "json").out) == {"web": 2}


def test_scale_shows_what_the_live_release_runs(paas: Paas, app: App) -> None:
    add_release(paas, app, formation={"web": 1, "worker": 0})
    paas.store.apps.set_live(app.id, 1)
    paas.store.config.set_formation(app.id, {"web": 3})
    assert paas("--quiet", "ps:scale", "x").lines[2:] == ["web:       3", "worker:    0"]


def test_ps_shows_each_instance(paas: Paas, app: App) -> None:
    paas.platform.statuses = [Status("web", 1), Status("worker", 2, "crashed", restarts=1)]
    first, second = paas("ps", "x").lines[1:]
    assert first.split()[:3] == ["web.1:", "up", "v3"]
    assert second.split()[:3] == ["worker.2:", "crashed", "v3"]
    assert "1970-01-01 00:00:00 UTC" in first
    assert second.endswith("1 restart")
    [entry, _] = json.loads(paas("ps", "--format", "json").out)
    assert entry["app"] == "x"
    assert entry["process"] == "web.1"


def test_ps_of_nothing_says_why(paas: Paas, app: App) -> None:
    assert paas("ps", "x").lines == ["=====> x processes", "Nothing is running"]
    paas.store.apps.set_stopped(app.id, stopped=True)
    assert paas("ps").lines == ["=====> x processes", "Stopped"]
    assert paas("ps", "nope").code == 20


@pytest.mark.parametrize("verb", ["restart", "stop", "start"])
def test_processes_are_changed_all_or_one_type(paas: Paas, app: App, verb: str) -> None:
    paas(f"ps:{verb}", "x")
    paas(f"ps:{verb}", "x", "worker")
    assert paas(f"ps:{verb}", "x", "../x").code == 1
    assert paas.platform.asked == [(verb, "x", None, "ann"), (verb, "x", "worker", "ann")]


# -- logs, run -----------------------------------------------------------------------------


def test_logs_are_bytes_and_end_unless_followed(paas: Paas, app: App) -> None:
    paas.platform.output = b"\xff\x00raw\n"
    said = paas("logs", "x")
    assert said.stdout == b"\xff\x00raw\n"
    assert not paas.channel.ends_with_client
    paas("logs", "x", "-t", "-n", "5", "-p", "web")
    paas("logs", "--tail", "--num=5", "--ps", "web", "x")
    assert paas.channel.ends_with_client
    assert paas.platform.asked == [
        ("logs", "x", Wanted(100)),
        ("logs", "x", Wanted(5, follow=True, process="web")),
        ("logs", "x", Wanted(5, follow=True, process="web")),
    ]


@pytest.mark.parametrize(
    "argv",
    [
        ("-n", "-1"),
        ("-n", "x"),
        ("-p", "../x"),
        ("--since", "soon"),
        ("--release", "x"),
        ("--grep", "("),
    ],
)
def test_bad_log_options_are_refused(paas: Paas, app: App, argv: tuple[str, ...]) -> None:
    assert paas("logs", "x", *argv).code == 1
    assert paas.platform.asked == []


@pytest.mark.parametrize(
    ("argv", "command", "env"),
    [
        (("x", "ls", "-la", "--help"), ("ls", "-la", "--help"), {}),
        (("x", "--", "ls"), ("ls",), {}),
        (("--app", "x", "sh", "-c", "exit 9"), ("sh", "-c", "exit 9"), {}),
        (("-e", "A=b c", "--env", "B=", "x", "env"), ("env",), {"A": "b c", "B": ""}),
        (("x", "grep", "--", "--app"), ("grep", "--", "--app"), {}),
        (("x", "echo", ""), ("echo", ""), {}),
    ],
)
def test_what_follows_the_app_is_the_command_s_own(
    paas: Paas, app: App, argv: tuple[str, ...], command: tuple[str, ...], env: dict[str, str]
) -> None:
    paas("run", *argv)
    assert paas.platform.asked == [("run", "x", command, env, False)]


def test_a_default_app_does_not_eat_the_command(paas: Paas, app: App) -> None:
    paas("--app", "x", "run", "ls", "-l", "--quiet")
    assert paas.platform.asked == [("run", "x", ("ls", "-l", "--quiet"), {}, False)]


@pytest.mark.parametrize("code", [0, 7, 130, 255])
def test_run_ends_with_the_command_s_code(paas: Paas, app: App, code: int) -> None:
    paas.platform.code = code
    assert paas("run", "x", "true").code == code
    assert paas.channel.ends_with_client


@pytest.mark.parametrize(
    "argv", [("x",), ("x", "--"), ("-e", "A", "x", "ls"), ("-e", "1=2", "x", "ls")]
)
def test_a_run_of_nothing_is_refused(paas: Paas, app: App, argv: tuple[str, ...]) -> None:
    assert paas("run", *argv).code == 1
    assert paas.platform.asked == []


# -- releases --------------------------------------------------------------------------------


def add_release(paas: Paas, app: App, formation: dict[str, int] | None = None) -> None:
    paas.store.releases.add(
        app.id, image="sha256:1", commit="c" * 40, config={"TOKEN": Secret("hunter2")},
        processes={"web": None, "worker": "work"}, formation=formation or {"web": 1}, health={},
        reason="Deploy cccccccc", actor="ann", created_at=0.0,
    )  # fmt: skip


def test_releases_are_listed_newest_first(paas: Paas, app: App) -> None:
    add_release(paas, app)
    add_release(paas, app)
    paas.store.apps.set_live(app.id, 1)
    assert paas("releases", "x").lines == [
        "=====> x releases",
        "v2  Deploy cccccccc  ann  1970-01-01 00:00:00 UTC",
        "v1  Deploy cccccccc  ann  1970-01-01 00:00:00 UTC  (live)",
    ]
    [newest, live] = json.loads(paas("releases", "x", "--format", "json").out)
    assert (newest["version"], newest["live"], live["live"]) == ("v2", False, True)


def test_a_release_shows_everything_but_the_values_of_its_config(paas: Paas, app: App) -> None:
    add_release(paas, app)
    for argv in (("v1",), ("1",), ("v1", "--format", "json")):
        said = paas("releases:info", "x", *argv)
        assert "TOKEN" in said.out
        assert "hunter2" not in said.out
        assert "sha256:1" in said.out
    assert paas("releases:info", "x", "v2").code == 20


@pytest.mark.parametrize("version", ["v0", "0", "-1", "vv1", "latest", "v1.5", "1e9", "v٣"])
def test_what_is_no_release_is_refused(paas: Paas, app: App, version: str) -> None:
    assert paas("rollback", "x", "--", version).code == 1
    assert paas.platform.asked == []


def test_rollback_names_a_release_or_takes_the_one_before(paas: Paas, app: App) -> None:
    for argv in (("x",), ("x", "v3"), ("x", "3"), ("--app", "x", "v3")):
        assert paas("rollback", *argv).code == 0
    assert [asked[2] for asked in paas.platform.asked] == [None, 3, 3, 3]


# -- domains -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "domain", ["a b.example", "-x.example", "a;b", "x{}", "http://a.example", ""]
)
def test_a_bad_domain_adds_none_of_them(paas: Paas, app: App, domain: str) -> None:
    said = paas("domains:add", "x", "--", "good.example", domain)
    assert said.code == 1
    assert "domain" in said.err
    assert paas.platform.asked == []


def test_domains_are_added_and_removed(paas: Paas, app: App) -> None:
    assert paas("domains:add", "x", "A.example", "b.example").lines == [
        "-----> Added a.example to x",
        "-----> Added b.example to x",
    ]
    paas("domains:remove", "x", "a.example")
    assert [(asked[0], list(map(str, asked[2]))) for asked in paas.platform.asked] == [
        ("add_domains", ["a.example", "b.example"]),
        ("remove_domains", ["a.example"]),
    ]


def test_domains_begin_with_the_one_the_app_has_by_itself(paas: Paas, app: App) -> None:
    paas.store.settings.set(None, DOMAIN.name, "example.com")
    paas.store.domains.add(app.id, "www.shop.example")
    names = ["x.example.com", "www.shop.example"]
    assert paas("--quiet", "domains:list", "x").lines == names
    assert json.loads(paas("domains:list", "x", "--format", "json").out) == names


# -- keys --------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [b"", b"\n", b"hello\n", b"ssh-ed25519 AAAA\n", b"\xff\n"])
def test_what_is_no_key_is_not_published(paas: Paas, text: bytes) -> None:
    said = paas("ssh-keys:add", "bob", input=text)
    assert said.code == 1
    assert "key" in said.err
    assert paas.published == []


def test_a_file_of_the_server_is_root_s_to_name(paas: Paas) -> None:
    (paas.folder / "bob.pub").write_text(LINE)
    denied = paas("ssh-keys:add", "bob", "bob.pub", caller=KEY)
    assert denied.code == 1
    assert "standard input" in denied.err
    assert paas("ssh-keys:add", "bob", "bob.pub", caller=ROOT).out.startswith("SHA256:")
    assert paas("ssh-keys:add", "eve", "nope.pub", caller=ROOT).code == 20
    assert [key.name for key in paas.store.keys.list()] == ["ann", "bob"]


def test_keys_are_published_as_they_change(paas: Paas) -> None:
    added = paas("ssh-keys:add", "bob", input=LINE.encode())
    assert paas("ssh-keys:list").lines[1] == f'{added.out.strip()}  NAME="bob"'
    assert paas("ssh-keys:add", "eve", input=LINE.encode()).code == 1
    paas("ssh-keys:remove", "bob")
    assert paas.published == [["ann", "bob"], ["ann"]]
    assert paas("ssh-keys:remove", "bob").code == 20
    assert [event.what for event in paas.store.events.tail(9)] == [
        "ssh-keys:add",
        "ssh-keys:remove",
    ]


def test_a_key_that_cannot_be_published_is_not_registered(paas: Paas) -> None:
    def broken(_: object) -> None:
        raise OSError(28, "No space left on device")

    paas.published = type("Broken", (list,), {"append": broken})()
    assert paas("ssh-keys:add", "bob", input=LINE.encode()).code != 0
    assert [key.name for key in paas.store.keys.list()] == ["ann"]
    assert paas.store.users.find("bob") is None


# -- git -----------------------------------------------------------------------------------------


def test_a_push_is_the_platform_s(paas: Paas) -> None:
    paas.platform.code = 1
    assert paas("git-receive-pack", "new").code == 1
    assert paas.platform.asked == [("receive", "new", "ann")]


def test_a_fetch_is_of_an_app_there_is(paas: Paas, app: App) -> None:
    assert paas("git-upload-pack", "nope").code == 20
    assert paas("git-upload-pack", "x").code == 0
    assert paas.platform.asked == [("upload_pack", "x", "ann")]


def test_standard_output_of_a_terminal_is_asked_for_a_key(paas: Paas) -> None:
    said = paas("ssh-keys:add", "bob", input=LINE.encode(), tty=TTY)
    assert "Paste the public key" in said.out
