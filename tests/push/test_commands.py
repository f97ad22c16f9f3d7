"""`ssh paas@server COMMAND` and `paas COMMAND`: what they print and how they end."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from paas.daemon.services import STACK
from tests.push import apps
from tests.push.app import App
from tests.push.outcome import eventually
from tests.push.server import DOMAIN, Server
from tests.push.sshd import make_key

# -- mistakes first ---------------------------------------------------------------------


def test_an_unknown_command_is_one_sentence(server: Server) -> None:
    outcome = server.ssh("frobnicate now").failed()
    assert "`frobnicate` is not a paas command" in outcome.err
    assert "help" in outcome.err
    assert outcome.err.startswith(" !     ")


@pytest.mark.parametrize(
    "command", ["config:show", "ps", "releases", "logs", "ps:scale", "run nope ls"]
)
def test_a_missing_app_is_exit_20(server: Server, command: str) -> None:
    words = command.split()
    outcome = server.ssh(" ".join([words[0], *(words[1:] or ["nope"])])).failed(20)
    assert "nope does not exist" in outcome.err


@pytest.mark.parametrize(
    "name", ["../x", "-rf", "a" * 64, "Upper", "'ünïcode'", "''", "'a b'", "'x;id'"]
)
def test_a_bad_app_name_is_one_sentence(server: Server, name: str) -> None:
    outcome = server.ssh(f"apps:create -- {name}").failed()
    assert "App name" in outcome.err
    assert len(outcome.err.splitlines()) <= 3


def test_a_shell_is_not_to_be_had(server: Server) -> None:
    for command in (
        "bash",
        "sh -c id",
        "$(id)",
        "`id`",
        "ps; id",
        "git-upload-archive x",
        "scp -t /",
    ):
        outcome = server.ssh(command)
        assert outcome.code != 0
        assert "uid=" not in outcome.text


def test_an_unbalanced_quote_is_one_sentence(server: Server) -> None:
    outcome = server.ssh("config:set x A='b").failed()
    assert "quot" in outcome.err.lower()


def test_a_key_nobody_registered_opens_nothing(server: Server) -> None:
    assert server.sshd is not None
    stranger = server.folder / "stranger"
    make_key(stranger)
    client = server.sshd.client(
        server.folder / "stranger-client", user=server.layout.user, key=stranger
    )
    done = subprocess.run(
        [str(client / "ssh"), "server", "apps:list"], capture_output=True, check=False
    )
    assert done.returncode == 255
    assert b"Permission denied" in done.stderr


@pytest.mark.parametrize("command", ["up", "down", "down --purge"])
def test_a_key_may_not_do_what_is_root_s(server: Server, command: str) -> None:
    assert "root on the server" in server.ssh(command).failed().err
    server.ssh("apps:list").ok()


# -- apps ----------------------------------------------------------------------------------


def test_an_app_is_created_listed_renamed_and_destroyed(server: Server) -> None:
    assert "-----> Creating shop..." in server.ssh("apps:create shop").ok().out
    assert "Name is already taken" in server.ssh("apps:create shop").failed().err
    server.ssh("apps:exists shop").ok()
    server.ssh("apps:rename shop store").ok()
    assert "store" in server.ssh("apps:list").ok().out.split()
    server.ssh("apps:exists shop").failed(20)
    unasked = server.ssh("apps:destroy store", input=b"no\n")
    assert unasked.code != 0
    assert "Potentially Destructive" in unasked.err
    server.ssh("apps:destroy store --force").ok()
    server.ssh("apps:exists store").failed(20)


def test_a_list_for_scripts_is_names_alone(live: App) -> None:
    assert live.ssh("apps:list").ok().out.startswith("=====> ")
    assert live.name in live.ssh("--quiet apps:list").ok().out.splitlines()
    assert "=====>" not in live.ssh("--quiet apps:list").ok().out


def test_a_destroyed_app_leaves_nothing_and_its_name_is_free(server: Server, app: App) -> None:
    before = server.residue()
    app.push(apps.plain("1")).ok()
    app.get("/their-secret")
    eventually(lambda: "/their-secret" in app.ssh("proxy:access-logs {}").ok().out)
    app.ssh("apps:destroy {} --force").ok()
    app.ssh("apps:create {}").ok()
    assert app.ssh("proxy:access-logs {}").ok().out == ""
    assert app.ssh("proxy:error-logs {}").ok().out == ""
    app.ssh("apps:destroy {} --force").ok()
    server.settles_to(before)
    with pytest.raises(OSError, match=r".*"):
        app.get()
    app.push({"VERSION": "2\n"}).ok()
    assert app.serves("hello 2")
    assert "v1" in app.ssh("releases {}").ok().out


def test_a_renamed_app_is_served_under_its_new_name(server: Server, app: App) -> None:
    app.push(apps.plain("1")).ok()
    renamed = app.name + "-new"
    app.get("/before")
    eventually(lambda: "/before" in app.ssh("proxy:access-logs {}").ok().out)
    app.ssh(f"apps:rename {{}} {renamed}").ok()
    try:
        assert "/before" in server.ssh(f"proxy:access-logs {renamed}").ok().out
        eventually(lambda: server.serves(renamed, "hello 1"))
        app.repository.git("remote", "set-url", "paas", server.remote(renamed)).ok()
        app.push(apps.plain("2")).ok()
        assert server.serves(renamed, "hello 2")
    finally:
        server.paas("apps:destroy", renamed, "--force").ok()


# -- config ----------------------------------------------------------------------------------

VALUES = {
    "SPACES": "a  b c ",
    "QUOTES": 'it\'s "quoted"',
    "DOLLAR": "$HOME `id` $(id) \\n",
    "LINES": "one\ntwo\n\nthree",
    "UNICODE": "grüße 🚀",
    "EQUALS": "a=b=c",
    "EMPTY": "",
}


@pytest.mark.parametrize("key", VALUES)
def test_a_value_comes_through_as_it_was_typed(live: App, key: str) -> None:
    quoted = "'" + VALUES[key].replace("'", "'\\''") + "'"
    live.ssh(f"config:set --no-restart {{}} {key}={quoted}").ok()
    assert live.ssh(f"config:get {{}} {key}").ok().out == VALUES[key] + "\n"
    exported = json.loads(live.ssh("config:export {} --format json").ok().out)
    assert exported[key] == VALUES[key]


def test_an_export_is_shell_that_means_the_same(live: App) -> None:
    for key, value in VALUES.items():
        live.ssh(f"config:set --no-restart {{}} {key}=-", input=value.encode()).ok()
    exported = live.ssh("config:export {}").ok().out
    done = subprocess.run(
        ["bash", "-c", f'{exported}\nprintf "%s\\0" "$LINES" "$QUOTES" "$DOLLAR"'],
        capture_output=True, check=True,
    )  # fmt: skip
    assert done.stdout.decode().split("\0")[:3] == [
        VALUES["LINES"],
        VALUES["QUOTES"],
        VALUES["DOLLAR"],
    ]


def test_a_megabyte_goes_in_by_stdin_and_out_again(app: App) -> None:
    app.ssh("apps:create {}").ok()
    value = b"0123456789abcdef" * 65536
    app.ssh("config:set {} BIG=-", input=value).ok()
    assert app.ssh("config:get {} BIG").ok().stdout == value + b"\n"


def test_config_set_restarts_and_the_app_sees_it(live: App) -> None:
    out = live.ssh("config:set {} COLOUR=green").ok().out
    assert "Setting config vars" in out
    assert live.get("/env/COLOUR").text == "green"
    live.ssh("config:unset {} COLOUR").ok()
    assert live.get("/env/COLOUR").status == 404


def test_config_set_can_wait_for_the_next_deploy(live: App) -> None:
    before = live.server.status(live.name)["started"]
    live.ssh("config:set --no-restart {} LATER=yes").ok()
    assert live.get("/env/LATER").status == 404
    assert live.server.status(live.name)["started"] == before


def test_an_unset_value_is_exit_1_and_no_output(live: App) -> None:
    assert live.ssh("config:get {} NOWHERE").failed().out == ""


@pytest.mark.parametrize("pair", ["1A=x", "A-B=x", "=x", "novalue"])
def test_a_bad_key_is_one_sentence(live: App, pair: str) -> None:
    assert "Traceback" not in live.ssh(f"config:set {{}} {pair}").failed().err


def test_a_config_change_that_breaks_the_app_keeps_the_old_one(live: App) -> None:
    assert "exited with code 4" in live.ssh("config:set {} BROKEN=yes").failed().err
    assert live.serves("hello 1")
    live.ssh("config:get {} BROKEN").failed()


def test_config_show_is_aligned(live: App) -> None:
    live.ssh("config:set --no-restart {} A=1 LONGER=2").ok()
    out = live.ssh("config:show {}").ok().out
    assert out.startswith(f"=====> {live.name} env vars")
    lines = [line for line in out.splitlines() if line.startswith(("A:", "LONGER:"))]
    column = {line.index(value) for line, value in zip(lines, "12", strict=True)}
    assert len(column) == 1


# -- processes -------------------------------------------------------------------------------


def test_scaling_up_and_down_keeps_serving(live: App) -> None:
    live.ssh("ps:scale {} web=3").ok()
    hosts = {live.server.status(live.name)["hostname"] for _ in range(40)}
    assert len(hosts) == 3
    live.ssh("ps:scale {} web=1").ok()
    eventually(lambda: len({live.server.status(live.name)["hostname"] for _ in range(10)}) == 1)
    assert re.search(r"web:\s+1", live.ssh("ps:scale {}").ok().out)


def test_stopped_is_a_503_and_started_is_served(live: App) -> None:
    live.ssh("ps:stop {}").ok()
    assert live.get().status == 503
    live.ssh("ps:start {}").ok()
    assert live.serves("hello 1")


def test_a_restart_is_a_new_instance(live: App) -> None:
    before = live.server.status(live.name)["started"]
    live.ssh("ps:restart {}").ok()
    assert live.server.status(live.name)["started"] > before


@pytest.mark.parametrize("scale", ["web=-1", "web=x", "nosuch=1", "web"])
def test_a_bad_scale_is_one_sentence(live: App, scale: str) -> None:
    assert "Traceback" not in live.ssh(f"ps:scale {{}} {scale}").failed().err
    assert live.serves("hello 1")


def test_a_crashed_instance_comes_back(live: App) -> None:
    with suppress(OSError):
        live.get("/crash")
    eventually(lambda: live.serves("hello 1"))


# -- logs ----------------------------------------------------------------------------------


def test_logs_are_the_instance_s_output(live: App) -> None:
    eventually(lambda: "serving version 1" in live.ssh("logs {}").ok().out)
    assert len(live.ssh("logs {} -n 1").ok().out.splitlines()) == 1
    assert "web.1" in live.ssh("logs {} -p web").ok().out


def send_much(app: App, path: str) -> None:
    """Announce more than the proxy takes."""
    connection = http.client.HTTPConnection("127.0.0.1", app.server.http_port, timeout=10)
    headers = {"Host": f"{app.name}.{DOMAIN}", "Content-Length": str(1 << 50)}
    connection.request("POST", path, headers=headers)
    assert connection.getresponse().status == 413
    connection.close()


@pytest.mark.parametrize(
    ("command", "visit"),
    [
        ("logs", App.get),
        ("proxy:access-logs", App.get),
        ("proxy:error-logs", send_much),
    ],
)
def test_a_tail_follows_and_ends_with_its_connection(
    live: App, command: str, visit: Callable[[App, str], object]
) -> None:
    before = live.server.processes()
    visit(live, "/first-to-be-logged")
    tail = subprocess.Popen(
        ["ssh", "server", "--", f"{command} {live.name} -t -n 1"], env=live.server.env,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert tail.stdout is not None
    assert tail.stdout.readline()
    visit(live, "/nowhere-to-be-logged")
    for line in tail.stdout:
        if b"nowhere-to-be-logged" in line:
            break
    tail.terminate()
    tail.communicate()
    eventually(lambda: not [line for pid, line in live.server.processes().items()
                            if pid not in before and f" {command} " in line])  # fmt: skip


# -- run -------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [0, 1, 7, 130])
def test_run_ends_with_the_command_s_code(live: App, code: int) -> None:
    live.ssh(f"run {{}} sh -c 'exit {code}'").failed(code)


def test_run_has_the_app_s_image_config_and_both_streams(live: App) -> None:
    live.ssh("config:set --no-restart {} COLOUR=violet").ok()
    done = live.ssh("run {} sh -c 'echo $COLOUR; pwd; echo wrong >&2'").ok()
    assert done.out == "violet\n/app\n"
    assert "wrong" in done.err


def test_run_streams_its_input_bytes_unharmed(live: App) -> None:
    data = bytes(range(256)) * 4096
    assert live.ssh("run {} cat", input=data).ok().stdout == data


def test_run_without_such_a_program_is_127(live: App) -> None:
    outcome = live.ssh("run {} no-such-program")
    assert outcome.code == 127
    assert "no-such-program" in outcome.err


def test_run_has_a_terminal_only_when_asked_for_one(live: App) -> None:
    assert live.ssh("run {} sh -c 'test -t 0 && echo tty || echo none'").ok().out == "none\n"
    assert "tty" in live.ssh("run {} sh -c 'test -t 0 && echo tty || echo none'", "-tt").ok().out
    live.ssh("run {} sh -c 'exit 5'", "-tt").failed(5)


def test_run_leaves_nothing_and_dies_with_its_connection(live: App) -> None:
    before = live.server.residue()
    live.ssh("run {} true").ok()
    live.server.settles_to(before)
    one_off = subprocess.Popen(
        ["ssh", "server", "--", f"run {live.name} sh -c 'echo up; sleep 300'"], env=live.server.env,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert one_off.stdout is not None
    assert one_off.stdout.readline() == b"up\n"
    one_off.kill()
    one_off.communicate()
    live.server.settles_to(before)


# -- releases --------------------------------------------------------------------------------


def test_rollback_brings_back_code_and_config_without_a_build(app: App) -> None:
    app.ssh("apps:create {}").ok()
    app.ssh("config:set {} COLOUR=red").ok()
    app.push(apps.plain("1")).ok()
    first = _newest(app)
    app.ssh("config:set --no-restart {} COLOUR=blue").ok()
    app.push(apps.plain("2")).ok()
    assert app.get("/env/COLOUR").text == "blue"

    rolled = app.ssh("rollback {}").ok()
    assert "Building" not in rolled.text
    assert app.serves("hello 1")
    assert app.get("/env/COLOUR").text == "red"
    assert _newest(app) != first, "a rollback is a release of its own"
    app.ssh(f"rollback {{}} {first}").ok()
    assert app.serves("hello 1")


def test_a_rollback_to_nothing_is_one_sentence(app: App) -> None:
    app.ssh("apps:create {}").ok()
    assert "Traceback" not in app.ssh("rollback {}").failed().err
    app.push(apps.plain("1")).ok()
    unknown = app.ssh("rollback {} v99")
    assert unknown.code in (1, 20)
    assert "v99" in unknown.err
    assert app.serves("hello 1")


def _newest(app: App) -> str:
    """The name of the newest release, `v3`."""
    names: list[str] = re.findall(r"\bv\d+\b", app.ssh("releases {}").ok().out)
    return max(names, key=lambda name: int(name[1:]))


# -- domains, keys, doctor, help -----------------------------------------------------------


def test_a_domain_is_served_until_it_is_removed(live: App) -> None:
    live.ssh("domains:add {} www.shop.example").ok()
    assert live.server.get(live.name, host="www.shop.example").text == "hello 1\n"
    live.ssh("domains:remove {} www.shop.example").ok()
    with pytest.raises(OSError, match=r".*"):
        live.server.get(live.name, host="www.shop.example")


def test_a_domain_has_one_owner(live: App, app: App) -> None:
    app.ssh("apps:create {}").ok()
    live.ssh("domains:add {} mine.example").ok()
    taken = app.ssh("domains:add {} mine.example").failed()
    assert live.name in taken.err
    live.ssh("domains:remove {} mine.example").ok()


@pytest.mark.parametrize(
    "domain", ["'a b.example'", "-x.example", "'a;b'", "'x{}'", "http://a.example", "''"]
)
def test_a_bad_domain_is_one_sentence_and_breaks_no_proxy(live: App, domain: str) -> None:
    outcome = live.server.ssh(f"domains:add {live.name} -- {domain}").failed()
    assert "domain" in outcome.err
    assert live.serves("hello 1")


def test_a_key_opens_the_door_until_it_is_removed(server: Server) -> None:
    public = make_key(server.folder / "second").read_bytes()
    server.paas("ssh-keys:add", "second", input=public).ok()
    assert server.sshd is not None
    client = server.sshd.client(
        server.folder / "second-client", user=server.layout.user, key=server.folder / "second"
    )
    enter = [str(client / "ssh"), "server", "apps:list"]
    assert subprocess.run(enter, capture_output=True, check=False).returncode == 0
    assert "second" in server.paas("ssh-keys:list").ok().out
    server.paas("ssh-keys:add", "third", input=public).failed()
    server.paas("ssh-keys:remove", "second").ok()
    assert subprocess.run(enter, capture_output=True, check=False).returncode == 255


@pytest.mark.parametrize(
    "text", [b"", b"hello\n", b"ssh-ed25519 AAAA\n", b'command="x" ssh-ed25519 AAAA x\n']
)
def test_what_is_no_public_key_is_one_sentence(server: Server, text: bytes) -> None:
    outcome = server.paas("ssh-keys:add", "bad", input=text).failed()
    assert "key" in outcome.err


def test_a_private_key_is_refused_by_name(server: Server) -> None:
    outcome = server.paas("ssh-keys:add", "bad", input=(server.folder / "id").read_bytes()).failed()
    assert "private" in outcome.err


def test_doctor_says_one_line_for_each_part(server: Server) -> None:
    out = server.paas("doctor").text.lower()
    for part in ("kernel", "cgroup", "runtime", "overlay", "nftables", "forward", "disk", "sshd",
                 "proxy", "resolver", "clock"):  # fmt: skip
        assert part in out, part


def measured(*trees: Path) -> int:
    """What du(1) counts on one file system below directories, themselves not."""
    argv = ["du", "-sxc", "--block-size=1", *trees]
    done = subprocess.run(argv, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr  # something went while it looked
    lines = done.stdout.decode().splitlines()
    return int(lines[-1].split()[0]) - sum(tree.stat().st_blocks * 512 for tree in trees)


def test_sizes_are_those_of_du_while_containers_write(live: App) -> None:
    """Holes take nothing, a linked file counts once, what is mounted at its file."""
    server, mib = live.server, 1 << 20
    server.paas("storage:create", "ledger").ok()
    words = ("-d", "-v", "storage.ledger:/data", "--disk", "64m", STACK, "sleep", "600")
    container = server.paas("containers:run", *words).ok().out.strip()
    script = """
        dd if=/dev/zero of=/data/file bs=1M count=3 conv=fsync
        ln /data/file /data/link
        truncate -s 1G /data/sparse
        dd if=/dev/zero of=/written bs=1M count=5 conv=fsync
    """
    server.paas("containers:exec", container, "sh", "-c", script).ok()
    layout = server.layout
    volume = layout.engine_fs / "volumes/storage.ledger"
    trees = {
        ("containers",): (layout.engine_fs / "u", layout.engine / "disks"),
        ("volumes",): (layout.engine_fs / "volumes",),
        ("repositories", "deploys"): (layout.repos, layout.deploys),
        ("logs",): (layout.logs,),
    }

    def agrees() -> bool:
        said = json.loads(server.paas("df", "--format", "json").ok().out)
        found = {one["kind"]: one["bytes"] for one in said["usage"]}
        for kinds, places in trees.items():
            # A log may grow between the two.
            assert sum(found[kind] for kind in kinds) == measured(*places), kinds
        return True

    eventually(agrees)
    listed = json.loads(server.paas("storage:info", "ledger", "--format", "json").ok().out)
    assert listed["bytes"] == measured(volume) == 3 * mib
    assert measured(layout.engine / "disks") > 0
    server.paas("containers:remove", "--force", container).ok()
    server.paas("storage:destroy", "ledger", "--force").ok()


def test_help_names_every_command(server: Server) -> None:
    out = server.ssh("help").ok().out
    for command in ("apps:create", "config:set", "ps:scale", "logs", "run", "releases", "rollback",
                    "domains:add", "ssh-keys:add", "doctor"):  # fmt: skip
        assert command in out, command
    assert f"{DOMAIN}" not in out
    assert "config:set" in server.ssh("config:help").ok().out
