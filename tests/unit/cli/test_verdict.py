"""What would change something waits for the verdict of an upgrade, unless none will come."""

from __future__ import annotations

from pathlib import Path

import pytest

from paas.cli import verdict
from paas.cli.verdict import TRY_AGAIN, BeingUpgraded, CutShort, await_verdict
from paas.host.files import FileLock
from paas.model.layout import Layout
from tests.unit.cli.caller import every_command

CHANGING = ("config:set", "apps:create", "git-receive-pack", "access:add", "plugin:enable")
LOOKING = ("apps:list", "logs", "version", "doctor", "up", "upgrade")


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """Of a server that an upgrade has begun to replace."""
    layout = Layout.at(tmp_path)
    layout.upgrade.mkdir()
    layout.upgrade_record.write_text("{}")
    return layout


@pytest.mark.parametrize("name", CHANGING)
def test_what_nobody_upgrades_any_more_takes_no_change(layout: Layout, name: str) -> None:
    """The next start goes back, and would take it along."""
    with pytest.raises(CutShort, match="cut short") as caught:
        await_verdict(layout, every_command().find(name))
    assert "sudo paas up" in caught.value.resolution
    assert caught.value.code == TRY_AGAIN


@pytest.mark.parametrize("name", LOOKING)
def test_looking_and_what_ends_that_go_on(layout: Layout, name: str) -> None:
    await_verdict(layout, every_command().find(name))


def test_an_upgrade_under_way_is_waited_for(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdict, "SECONDS", 0.0)
    with FileLock(layout.upgrade_lock, "test"), pytest.raises(BeingUpgraded):
        await_verdict(layout, every_command().find("config:set"))


def test_who_upgrades_is_killed_while_a_command_waits(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    upgrading = FileLock(layout.upgrade_lock, "test")
    upgrading.acquire()
    looked = FileLock.try_acquire

    def look(lock: FileLock) -> bool:
        free = looked(lock)
        upgrading.release()
        return free

    monkeypatch.setattr(FileLock, "try_acquire", look)
    with pytest.raises(CutShort):
        await_verdict(layout, every_command().find("config:set"))


def test_a_verdict_spoken_between_two_looks_is_heard(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who upgraded removes the record and lets go, behind the look at the one."""
    looked = FileLock.try_acquire

    def look(lock: FileLock) -> bool:
        layout.upgrade_record.unlink(missing_ok=True)
        return looked(lock)

    monkeypatch.setattr(FileLock, "try_acquire", look)
    await_verdict(layout, every_command().find("config:set"))
