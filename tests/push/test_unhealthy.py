"""An app that does not come up: the push is refused, says why, and changes nothing."""

from __future__ import annotations

import pytest

from tests.push import apps
from tests.push.app import App

pytestmark = pytest.mark.turns(2)

BROKEN = {
    "never listens": (apps.NEVER_LISTENS, ["did not listen on port 5000", "thinking"]),
    "cannot be loaded": (apps.CANNOT_BE_LOADED, ["exited with code 1", "no module named shop"]),
    "never accepts": (apps.NEVER_ACCEPTS, ["listens on port 5000, but accepted no connection"]),
    "on loopback": (apps.ON_LOOPBACK, ["127.0.0.1:5000", "0.0.0.0"]),
    "another port": (apps.ON_ANOTHER_PORT, ["8080", "5000", "$PORT"]),
    "exits with 0": (apps.EXITS_WITH_0, ["exited with code 0", "all done"]),
    "exits with 3": (apps.EXITS_WITH_3, ["exited with code 3", "cannot find my config"]),
    "eats memory": (apps.EATS_MEMORY, ["memory limit"]),
    "no such program": (apps.with_command("/no/such/program"), ["/no/such/program"]),
}

UNTIL_THE_DEADLINE = frozenset({"never listens", "never accepts", "on loopback", "another port"})
PATIENCE_SECONDS, LONG_SECONDS = 5, 60
"""For those of them that only the deadline ends, and for those that end by themselves."""


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_version_is_refused_and_the_old_one_keeps_serving(live: App, name: str) -> None:
    files, words = BROKEN[name]
    seconds = PATIENCE_SECONDS if name in UNTIL_THE_DEADLINE else LONG_SECONDS
    live.ssh(f"checks:set {{}} boot-seconds {seconds}").ok()
    before = live.server.residue()
    releases = live.ssh("releases {}").ok().out

    pushed = live.push(files).failed()

    for word in words:
        assert word in pushed.text
    assert "[remote rejected] main -> main (pre-receive hook declined)" in pushed.text
    assert live.serves("hello 1")
    assert live.ssh("releases {}").ok().out == releases
    live.server.settles_to(before)
    live.repository.git("reset", "-q", "--hard", "HEAD~").ok()


def test_a_first_push_that_fails_leaves_an_app_that_the_next_push_repairs(app: App) -> None:
    app.push(apps.EXITS_WITH_3).failed()
    app.push(apps.plain("2")).ok()
    assert app.serves("hello 2")


def test_one_broken_process_type_holds_back_all_of_them(live: App) -> None:
    before = live.server.residue()
    files = apps.plain("2", Procfile="web: exec python3 -u app.py\nworker: echo no; exit 7\n")
    files["app.json"] = '{"formation": {"worker": {"quantity": 1}}}'
    pushed = live.push(files).failed()
    assert "worker" in pushed.text
    assert "exited with code 7" in pushed.text
    assert live.serves("hello 1")
    live.server.settles_to(before)
    live.repository.git("reset", "-q", "--hard", "HEAD~").ok()


def test_a_failing_release_command_refuses_the_push(live: App) -> None:
    before = live.server.residue()
    files = apps.plain(
        "2", Procfile="release: echo migrating; exit 9\nweb: exec python3 -u app.py\n"
    )
    pushed = live.push(files).failed()
    assert "migrating" in pushed.text
    assert "9" in pushed.text
    assert live.serves("hello 1")
    live.server.settles_to(before)
    live.repository.git("reset", "-q", "--hard", "HEAD~").ok()
