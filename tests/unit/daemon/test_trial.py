"""An upgrade that is killed at any step has happened or not: the next start sees to it."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from paas.cli.verdict import CutShort, await_verdict
from paas.daemon.trial import AlreadyUpgrading, Record, Trial
from paas.daemon.versions import NotInstalled, Versions
from paas.host.database import Database, schema_of
from paas.model.layout import Layout
from tests.killing import killed_at, steps_of
from tests.unit.cli.caller import every_command

STEPS = re.compile(r"/paas/(daemon/(trial|versions)|host/(database|files))\.py")


class Installed:
    """A program of two versions, the older one in use, with the databases it wrote."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.layout = Layout.at(folder / "root")
        self.layout.engine.mkdir(parents=True)
        self.versions = Versions(folder / "program")
        for id in ("old", "new"):
            self.versions.directory(id).mkdir(parents=True)
            (self.versions.directory(id) / "complete").touch()
        self.versions.use("old")
        self.observed = folder / "network.db"
        self.trial = Trial(self.layout, self.observed)
        self.migrate("1")

    def migrate(self, number: str) -> None:
        """Have the databases as a program with one more migration leaves them."""
        folder = self.folder / "migrations"
        folder.mkdir(exist_ok=True)
        (folder / f"000{number}_step.sql").write_text(f"CREATE TABLE t{number} (x TEXT) STRICT")
        for path in self.databases:
            database = Database(path, folder)
            database.execute(f"INSERT INTO t{number} VALUES ('written')")
            database.close()

    @property
    def databases(self) -> tuple[Path, ...]:
        return self.layout.database, self.layout.engine_database, self.observed

    def upgrade(self) -> None:
        """What an upgrade does, up to the verdict."""
        record = Record(str(self.versions.program), "old", "new")
        with self.trial.held("test"):
            self.trial.begin(record)
            self.trial.keep(record)
            self.versions.use("new")
            self.migrate("2")

    def approved(self) -> None:
        """A whole one, with its verdict."""
        self.upgrade()
        with self.trial.held("test"):
            self.trial.end()

    def change(self) -> bool:
        """What a command does that changes something, to the version that runs; whether it may."""
        try:
            await_verdict(self.layout, every_command().find("config:set"))
        except CutShort:
            return False
        database = Database(self.layout.database, self.folder / "migrations")
        database.execute("INSERT INTO t1 VALUES ('done')")
        database.close()
        return True

    @property
    def changes(self) -> int:
        """How many of them are there, to whichever version."""
        with closing(sqlite3.connect(self.layout.database)) as database:
            return len(database.execute("SELECT x FROM t1 WHERE x = 'done'").fetchall())

    def schemas(self) -> list[int]:
        return [schema_of(path) for path in self.databases]

    def written(self, path: Path, table: str) -> list[str]:
        """The rows of a table, as the old program reads them."""
        old = self.folder / "old"
        shutil.copytree(self.folder / "migrations", old, dirs_exist_ok=True)
        (old / "0002_step.sql").unlink(missing_ok=True)
        database = Database(path, old)
        rows = database.execute(f"SELECT x FROM {table}")
        database.close()
        return [row["x"] for row in rows]


@pytest.fixture
def make(tmp_path: Path) -> Callable[[str], Installed]:
    def installed(name: str) -> Installed:
        folder = tmp_path / name
        folder.mkdir()
        return Installed(folder)

    return installed


def no_paasd_runs() -> None:
    """There is none here."""


def test_without_one_there_is_nothing_to_settle(make: Callable[[str], Installed]) -> None:
    assert make("idle").trial.settle(no_paasd_runs) is None


def test_one_at_a_time(make: Callable[[str], Installed]) -> None:
    trial = make("busy").trial
    second = trial.held("process 8")
    with trial.held("process 7"), pytest.raises(AlreadyUpgrading, match="process 7"), second:
        raise AssertionError("two upgrade at once")


def test_what_is_kept_is_for_root_alone(make: Callable[[str], Installed]) -> None:
    one = make("private")
    record = Record(str(one.versions.program), "old", "new")
    one.trial.begin(record)
    one.trial.keep(record)
    one.trial.copies()
    databases = list(one.layout.upgrade.rglob("*.db"))
    assert len(databases) == 5
    assert {path.stat().st_mode & 0o777 for path in databases} == {0o600}


def test_nobody_goes_back_while_somebody_upgrades(make: Callable[[str], Installed]) -> None:
    one = make("live")
    with one.trial.held("test"):
        one.trial.begin(Record(str(one.versions.program), "old", "new"))
        assert Trial(one.layout).settle(no_paasd_runs) is None
        assert one.trial.pending


def test_what_is_observed_keeps_the_rows_that_came_meanwhile(
    make: Callable[[str], Installed],
) -> None:
    one = make("observed")
    one.upgrade()
    for path in one.databases:
        database = Database(path, one.folder / "migrations")
        database.execute("ALTER TABLE t1 ADD COLUMN y TEXT NOT NULL DEFAULT ''")
        database.execute("INSERT INTO t1 VALUES ('meanwhile', 'of a new column')")
        database.close()
    one.trial.settle(no_paasd_runs)
    assert one.written(one.layout.database, "t1") == ["written"]
    assert one.written(one.observed, "t1") == ["written", "meanwhile"]


def test_what_a_reboot_has_removed_is_not_put_back(make: Callable[[str], Installed]) -> None:
    one = make("rebooted")
    one.upgrade()
    one.observed.unlink()
    one.trial.settle(no_paasd_runs)
    assert not one.observed.exists()


def test_an_upgrade_killed_at_any_step_is_taken_back(make: Callable[[str], Installed]) -> None:
    steps = steps_of(make("whole").upgrade, STEPS)
    assert len(steps) > 10
    for number, step in enumerate(steps[::2]):
        one = make(f"killed{number}")
        before = one.schemas()
        assert killed_at(step, one.upgrade, STEPS), step
        one.trial.settle(no_paasd_runs)
        assert (one.versions.in_use, one.schemas()) == ("old", before), step
        assert not one.layout.upgrade.exists()


def test_what_is_changed_behind_an_upgrade_killed_at_any_step_stays(
    make: Callable[[str], Installed],
) -> None:
    first = make("first")
    steps = steps_of(first.approved, STEPS)
    assert first.change()
    outcomes = set()
    for number, step in enumerate(steps):
        one = make(f"changed{number}")
        assert killed_at(step, one.approved, STEPS), step
        outcomes.add(changed := one.change())
        one.trial.settle(no_paasd_runs)
        assert one.changes == changed, step
        assert one.change(), step
    assert outcomes == {True, False}


def test_what_was_cut_short_is_nobody_s(make: Callable[[str], Installed]) -> None:
    one = make("nobody's")
    assert not one.trial.abandoned
    one.upgrade()
    with one.trial.held("test"):
        assert not one.trial.abandoned
    assert one.trial.abandoned
    one.trial.settle(no_paasd_runs)
    assert not one.trial.abandoned


def test_a_way_back_killed_at_any_step_is_gone_again(make: Callable[[str], Installed]) -> None:
    def settle(one: Installed) -> None:
        one.trial.settle(no_paasd_runs)

    first = make("first")
    before = first.schemas()
    first.upgrade()
    steps = steps_of(lambda: settle(first), STEPS)
    assert len(steps) > 5
    for number, step in enumerate(steps[::2]):
        one = make(f"back{number}")
        one.upgrade()
        assert killed_at(step, lambda one=one: settle(one), STEPS), step
        settle(one)
        assert (one.versions.in_use, one.schemas()) == ("old", before), step


def test_what_install_sh_did_not_finish_is_no_version(make: Callable[[str], Installed]) -> None:
    versions = make("staged").versions
    with pytest.raises(NotInstalled, match="No new version"):
        _ = versions.staged
    (versions.program / "staged").symlink_to("versions/new")
    assert versions.staged == "new"
    (versions.directory("new") / "complete").unlink()
    with pytest.raises(NotInstalled):
        _ = versions.staged
