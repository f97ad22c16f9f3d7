"""`paas` on a developer's machine: finds server and app from the git remote, goes over ssh."""

from __future__ import annotations

from pathlib import Path

from tests.push.app import App
from tests.push.outcome import Outcome, run
from tests.push.server import CLIENT


def paas(live: App, *args: str, cwd: Path | None = None, **env: str) -> Outcome:
    """The thin client by the link that the README has a developer make."""
    link = live.server.folder / "bin/paas"
    if not link.is_symlink():
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(CLIENT)
    return run([link, *args], env=live.server.env | env, cwd=cwd or live.repository.folder)


def test_the_app_is_the_one_of_the_remote(live: App) -> None:
    paas(live, "config:set", "--no-restart", "FROM=a laptop").ok()
    assert live.ssh("config:get {} FROM").ok().out == "a laptop\n"
    assert paas(live, "config:get", "FROM").ok().out == "a laptop\n"


def test_the_app_can_be_named(live: App, app: App) -> None:
    app.ssh("apps:create {}").ok()
    paas(live, "--app", app.name, "config:set", "--no-restart", "WHOSE=other").ok()
    assert app.ssh("config:get {} WHOSE").ok().out == "other\n"


def test_the_server_can_be_named(live: App, tmp_path: Path) -> None:
    host = f"{live.server.layout.user}@server"
    listed = paas(live, "apps:list", cwd=tmp_path, PAAS_HOST=host).ok()
    assert live.name in listed.out.split()


def test_outside_of_a_repository_it_says_what_is_missing(live: App, tmp_path: Path) -> None:
    outcome = paas(live, "config:show", cwd=tmp_path)
    assert outcome.code == 20
    assert "PAAS_HOST" in outcome.err
    assert "Traceback" not in outcome.err


def test_exit_codes_and_quoting_survive_the_way(live: App) -> None:
    paas(live, "run", "sh", "-c", "exit 9").failed(9)
    value = 'it\'s $HOME "x"\nline'
    paas(live, "config:set", "--no-restart", f"HARD={value}").ok()
    assert paas(live, "config:get", "HARD").ok().out == value + "\n"
