"""Operating an app as a whole, through real pushes."""

from __future__ import annotations

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
