"""Operating an app as a whole, through real pushes."""

from __future__ import annotations

import json

from tests.push import apps
from tests.push.app import App
from tests.push.server import Server


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


def test_a_clone_serves_what_the_old_app_does_with_a_life_of_its_own(
    server: Server, live: App
) -> None:
    new = f"{live.name}-clone"
    live.push(apps.plain("3")).ok()
    for command in (
        f"config:set {live.name} COLOUR=red",
        f"ps:scale {live.name} web=2",
        f"builder:set {live.name} build-seconds 77",
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
        assert "77" in server.ssh(f"builder:report {new}").ok().out
        assert "shop.test.example" not in server.ssh(f"domains:report {new}").ok().out
        # It has the commits, so it builds and takes pushes as the old one does.
        server.ssh(f"ps:rebuild {new}").ok()
        server.repository(new, apps.plain("4")).push().failed()
        again = server.ssh(f"apps:clone {live.name} {new}").failed()
        assert "Name is already taken" in again.text
    finally:
        server.paas("apps:destroy", new, "--force")
    assert live.get().status == 200
