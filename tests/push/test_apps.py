"""Operating an app as a whole, through real pushes."""

from __future__ import annotations

import json

import pytest

from tests.push import apps
from tests.push.app import App
from tests.push.outcome import Outcome, run
from tests.push.server import Server
from tests.push.sshd import make_key


class Member:
    """Somebody who is no admin, with a key of their own."""

    def __init__(self, server: Server, name: str) -> None:
        self._server, self._name = server, name
        key = server.folder / name
        server.paas("ssh-keys:add", name, "--member", input=make_key(key).read_bytes()).ok()
        assert server.sshd is not None
        client = server.folder / f"{name}-client"
        self.ssh = server.sshd.client(client, user=server.layout.user, key=key) / "ssh"

    def asks(self, command: str) -> Outcome:
        return run([str(self.ssh), "server", "--", command], env=self._server.env)

    def leave(self) -> None:
        self._server.paas("ssh-keys:remove", self._name).ok()


def test_a_locked_app_refuses_pushes_and_commands_and_serves_on(server: Server, live: App) -> None:
    server.ssh(f"apps:lock {live.name} --reason freeze").ok()
    try:
        refused = live.push(apps.plain("2")).failed(128)
        locked = f"{live.name} currently has a deploy lock in place: by dev since 20"
        assert f"fatal: remote error: {locked}" in refused.text
        for command in ("config:set {} A=b", "ps:restart {}", "ps:rebuild {}", "rollback {}"):
            said = server.ssh(command.format(live.name)).failed()
            assert locked in said.text, command
        assert "A" not in server.ssh(f"config:keys {live.name}").ok().text.split()
        server.ssh(f"config:set {live.name} --no-restart A=b").ok()
        assert live.get().status == 200
    finally:
        server.ssh(f"apps:unlock {live.name}").ok()
    live.push(apps.plain("2")).ok()


def test_a_branch_is_tried_in_a_clone_and_the_app_never_hears_of_it(
    server: Server, live: App
) -> None:
    """What a preview is for: an address of its own, the app's config, and an end."""
    branch = f"{live.name}-topic"
    live.push(apps.plain("5")).ok()
    server.ssh(f"config:set {live.name} COLOUR=red").ok()
    live.repository.git("checkout", "-q", "-b", "topic").ok()
    live.repository.commit(apps.plain("6"))
    try:
        # Pushed to the app it is no preview, and no success that did nothing.
        refused = live.repository.push("topic").failed().text
        assert "git push paas topic:main" in refused
        assert "paas apps:clone APP NEW" in refused
        server.ssh(f"apps:clone {live.name} {branch}").ok()
        live.repository.git("push", server.remote(branch), "topic:main").ok()
        assert server.serves(branch, "hello 6")
        assert server.get(branch, "/env/COLOUR").text == "red"
        server.ssh(f"config:set {branch} COLOUR=blue").ok()
        assert live.serves("hello 5")
        assert live.get("/env/COLOUR").text == "red"
        assert branch not in live.ssh("releases {}").ok().out
    finally:
        live.repository.git("checkout", "-q", "main").ok()
        server.ssh(f"apps:destroy {branch} --force")
    with pytest.raises(OSError, match=r"(?i)closed|reset|empty|disconnect"):
        server.get(branch)
    assert live.serves("hello 5")


def test_a_program_with_a_key_of_its_own_deploys_one_app_and_sees_no_other(
    server: Server, live: App, app: App
) -> None:
    """What an API token of a CI is for: everything as JSON, codes that tell, and no more."""
    app.push(apps.plain("1")).ok()
    robot = Member(server, "robot")
    asks = robot.asks
    try:
        assert json.loads(asks("apps:list --format json").ok().out) == []
        server.ssh(f"access:add {live.name} robot deployer").ok()
        assert json.loads(asks("apps:list --format json").ok().out) == [live.name]
        live.repository.commit(apps.plain("8"))
        env = {**server.env, "GIT_SSH": str(robot.ssh), "GIT_SSH_VARIANT": "ssh"}
        pushed = run(["git", "push", "paas", "main"], env=env, cwd=live.repository.folder).ok()
        assert "Released v" in pushed.text
        [newest, *_] = json.loads(asks(f"releases {live.name} --format json").ok().out)
        assert (newest["actor"], newest["commit"]) == ("robot", live.repository.head())
        [built, *_] = json.loads(asks(f"builds:list {live.name} --format json").ok().out)
        assert (built["status"], built["actor"]) == ("live", "robot")
        assert json.loads(asks(f"ps:scale {live.name} --format json").ok().out) == {"web": 1}
        asks(f"run {live.name} -- sh -c 'exit 7'").failed(7)
        asks("apps:report nosuch --format json").failed(20)
        for denied in (
            f"releases {app.name} --format json",
            f"config:get {app.name} A",
            f"apps:destroy {live.name} --force",
            f"access:add {live.name} dev viewer",
            "ssh-keys:list",
            "events:set retain-count 1",
        ):
            assert "You may not run" in asks(denied).failed().err, denied
    finally:
        robot.leave()
    assert asks("apps:list").code == 255


def test_a_member_takes_no_visitors_from_an_app_that_is_another_s(
    server: Server, live: App, app: App
) -> None:
    app.push(apps.plain("1")).ok()
    live.push(apps.plain("7")).ok()
    live.ssh("domains:add {} shop.example *.wild.example paths.example/mine").ok()
    robber = Member(server, "robber")
    try:
        server.ssh(f"access:add {app.name} robber owner").ok()
        for route in (
            "shop.example/login",
            "*.wild.example/login",
            "one.wild.example",
            "one.wild.example/login",
            "*.one.wild.example",
            "paths.example",
            "paths.example/login",
            f"{live.name}.test.example/login",
        ):
            for command in (f"domains:add {app.name} free.example {route}",
                            f"domains:set {app.name} free.example {route}"):  # fmt: skip
                told = robber.asks(command).failed().err
                verb = command.partition(" ")[0]
                assert f"You may not run `{verb}` on {live.name}" in told, command
                assert told.count("You may not") == 1
        for source in ("one.wild.example", "paths.example"):
            refused = robber.asks(f"redirects:add {app.name} {source} https://evil.example")
            assert "You may not run `redirects:add`" in refused.failed().err
        assert server.ssh(f"--quiet domains:list {app.name}").ok().out.split() == [
            f"{app.name}.test.example"
        ]
        for host, path in (("one.wild.example", "/"), ("paths.example", "/mine")):
            assert server.get(live.name, path, host=host).text == "hello 7\n", host
        # The owner knows no such path; who is mounted there is asked for its first page.
        assert server.get(live.name, "/login", host="shop.example").text == "nothing here\n"
        # With the right to deploy both it is theirs to say.
        server.ssh(f"access:add {live.name} robber deployer").ok()
        robber.asks(f"domains:add {app.name} shop.example/login").ok()
        assert server.get(live.name, "/login", host="shop.example").text == "hello 1\n"
        server.ssh(f"access:remove {live.name} robber").ok()
        # What it has it keeps, and whose host it is too.
        robber.asks(f"domains:set {app.name} shop.example/login {app.name}.test.example").ok()
        live.ssh("domains:set {} shop.example").ok()
    finally:
        robber.leave()
        server.ssh(f"domains:reset {live.name}").ok()


def test_a_clone_serves_what_the_old_app_does_with_a_life_of_its_own(
    server: Server, live: App
) -> None:
    new = f"{live.name}-clone"
    live.push(apps.plain("3")).ok()
    for command in (
        f"config:set {live.name} COLOUR=red",
        f"ps:scale {live.name} web=2",
        f"builder:set {live.name} build-seconds 77",
        f"builder:set {live.name} ssh-key on",
        f"domains:add {live.name} shop.test.example",
    ):
        server.ssh(command).ok()
    try:
        said = server.ssh(f"apps:clone {live.name} {new}").ok()
        assert f"http://{new}.test.example" in said.text
        assert server.get(new).text == live.get().text
        told = json.loads(server.ssh(f"apps:report {new} --format json").ok().out)
        assert (told["release"], told["formation"]) == ("v1", "web=2")
        assert "red" in server.ssh(f"config:get {new} COLOUR").ok().out
        built = json.loads(server.ssh(f"builder:report {new} --format json").ok().out)[new]
        # An admin let the old app use the server's key, not this one.
        assert (built["build-seconds"], built["ssh-key"]) == (77, False)
        assert "shop.test.example" not in server.ssh(f"domains:report {new}").ok().out
        # It has the commits, so it builds and takes pushes as the old one does.
        server.ssh(f"ps:rebuild {new}").ok()
        server.repository(new, apps.plain("4")).push().failed()
        again = server.ssh(f"apps:clone {live.name} {new}").failed()
        assert "Name is already taken" in again.text
    finally:
        server.paas("apps:destroy", new, "--force")
        server.ssh(f"builder:set {live.name} ssh-key").ok()
    assert live.get().status == 200
