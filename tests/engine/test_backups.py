"""Backups of a real service, and what becomes of them when something else fails."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from paas.deploy.parts import Parts
from paas.deploy.services import Wish
from paas.deploy.services_backup import DAY_SECONDS, BackupDamaged, NotChecked
from paas.deploy.services_candidate import DumpRefused, LoadFailed, OtherDatabases
from paas.deploy.services_copy import AppsNotStarted
from paas.deploy.services_link import LinkWish
from paas.engine.images import ImageNotFound
from paas.model.app import App
from paas.model.backup import Backup, Schedule, Verdict
from paas.model.report import Silent
from paas.model.service import Service
from paas.plugin.backup_target import Folder, TargetUnusable
from paas.plugin.catalog import Catalog
from paas.plugin.s3 import BucketFailed
from paas.plugin.service_runner import NotRunning
from tests.engine.build.rig import Told
from tests.engine.world import SERVE, World
from tests.killing import forked
from tests.push.outcome import eventually
from tests.s3 import KEY, SECRET, ObjectStorage, object_storage

pytestmark = pytest.mark.turns(2)

PLUGINS = Path(__file__).parents[1] / "fixtures/plugins"
CLOSED = "http://127.0.0.1:1"
NUMBERS = count(1)


@pytest.fixture(scope="module")
def parts(world: World) -> Parts:
    """A server with the plugin, and its image under the names of two versions."""
    world.parts.catalog = Catalog(PLUGINS)
    for name in ("paas/shelf:1", "paas/shelf:1.1", "paas/shelf:2"):
        world.parts.engine.images.tag(name, world.image)
    return world.parts


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStorage]:
    with object_storage(tmp_path_factory.mktemp("s3")) as storage:
        storage.make_bucket("kept")
        yield storage


@pytest.fixture
def service(parts: Parts) -> Iterator[Service]:
    with created(parts, f"s{next(NUMBERS)}") as service:
        yield service


@contextmanager
def created(parts: Parts, name: str) -> Iterator[Service]:
    wish = Wish(image="paas/shelf:1")
    service = parts.services.create("shelf", name, wish, actor="test", report=Silent())
    write(parts, service, f"{name}/one")
    try:
        yield service
    finally:
        parts.services.destroy(service, actor="test", report=Silent())


def folder_of(parts: Parts, service: Service) -> Path:
    volume = parts.services.get(service.plugin, service.name).volume
    return parts.layout.engine_fs / "volumes" / volume / "d"


def write(parts: Parts, service: Service, name: str) -> None:
    path = folder_of(parts, service) / name
    path.parent.mkdir(exist_ok=True)
    path.touch()


def held(parts: Parts, service: Service) -> list[str]:
    folder = folder_of(parts, service)
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def back_up(parts: Parts, service: Service, target: Path | str, *, verify: bool = True) -> Backup:
    return parts.service_backups.backup(
        service, str(target), verify=verify, actor="test", report=Silent()
    )


def verify(parts: Parts, service: Service, number: int | None = None) -> Backup:
    return parts.service_backups.verify(service, number, report=Silent())


def given(parts: Parts, app: App) -> str:
    """The URL that the live release of an app was given."""
    now = parts.store.apps.get(app.name)
    return parts.store.releases.get(now.id, now.live or 0).config["SHELF_URL"].reveal()


def verdict(parts: Parts, service: Service) -> Verdict:
    return parts.store.backups.of(service)[0].verdict


def adopted(parts: Parts, service: Service, source: Path) -> Backup:
    return parts.service_backups.adopt(service, str(source), actor="test", report=Silent())


def restored(parts: Parts, service: Service, number: int | None = None) -> None:
    parts.service_backups.restore(service, number, actor="test", report=Silent())


def use_bucket(parts: Parts, service: Service, endpoint: str, secret: str = SECRET) -> None:
    key = {"key": KEY, "secret": secret, "endpoint": endpoint}
    parts.store.backups.set_credentials(service, key)


def tar(path: Path, *names: str) -> Path:
    """A dump that holds these files."""
    with tarfile.open(path, "w") as archive:
        for name in names:
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    return path


# -- verdicts --------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [Verdict.GOOD, Verdict.UNCHECKED])
def test_a_target_that_is_down_says_nothing_of_a_backup(
    parts: Parts, service: Service, storage: ObjectStorage, before: Verdict
) -> None:
    use_bucket(parts, service, storage.endpoint)
    back_up(parts, service, "s3://kept", verify=before is Verdict.GOOD)
    for use, said in (
        (lambda: use_bucket(parts, service, CLOSED), "cannot be reached"),
        (lambda: use_bucket(parts, service, storage.endpoint, "wrong"), "answers 403"),
        (lambda: parts.store.backups.set_credentials(service, {}), "There is no key"),
    ):
        use()
        for ask in (verify, restored):
            with pytest.raises((BucketFailed, TargetUnusable), match=said):
                ask(parts, service)
            assert verdict(parts, service) is before
    use_bucket(parts, service, storage.endpoint)
    assert verify(parts, service).verdict is Verdict.GOOD
    restored(parts, service)


def test_a_folder_that_is_not_mounted_says_nothing_of_a_backup(
    parts: Parts, service: Service, tmp_path: Path
) -> None:
    back_up(parts, service, tmp_path / "disk")
    (tmp_path / "disk").rename(tmp_path / "away")
    for ask in (verify, restored):
        with pytest.raises(TargetUnusable):
            ask(parts, service)
        assert verdict(parts, service) is Verdict.GOOD
    (tmp_path / "away").rename(tmp_path / "disk")
    assert verify(parts, service).verdict is Verdict.GOOD


def test_a_server_that_cannot_be_made_says_nothing_of_a_backup(
    parts: Parts, service: Service, tmp_path: Path
) -> None:
    back_up(parts, service, tmp_path)
    parts.store.services.set_content(service.id, "0" * 64, service.version, service.volume)
    with pytest.raises(ImageNotFound):
        verify(parts, parts.services.existing(service))
    assert verdict(parts, service) is Verdict.GOOD


@pytest.mark.parametrize(
    ("name", "said"),
    [("hungry", "ran out of memory|signal 9"), ("deadly", "the server ended|signal 9")],
)
def test_a_server_that_ends_while_it_loads_says_nothing_of_a_backup(
    parts: Parts, service: Service, tmp_path: Path, name: str, said: str
) -> None:
    write(parts, service, name)
    with pytest.raises(NotChecked) as caught:
        back_up(parts, service, tmp_path)
    [made] = parts.store.backups.of(service)
    assert made.verdict is Verdict.UNCHECKED
    assert made.detail.startswith("could not be checked: The dump could not be loaded: ")
    assert f"backup:verify {service.name} {made.id}" in caught.value.resolution
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(LoadFailed, match=said):
        verify(parts, service)
    assert verdict(parts, service) is Verdict.UNCHECKED


def test_what_is_damaged_or_refused_is_bad(parts: Parts, service: Service, tmp_path: Path) -> None:
    made = back_up(parts, service, tmp_path)
    file = tmp_path / made.file
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(BackupDamaged):
        verify(parts, service)
    assert verdict(parts, service) is Verdict.BAD
    (tmp_path / "none.dump").write_bytes(b"no dump")
    adopted(parts, service, tmp_path / "none.dump")
    with pytest.raises(DumpRefused):
        verify(parts, service)
    assert verdict(parts, service) is Verdict.BAD


def test_an_older_backup_is_checked_by_the_image_that_was_named(
    parts: Parts, service: Service, tmp_path: Path
) -> None:
    for image in ("paas/shelf:1.1", "paas/shelf:2"):
        back_up(parts, service, tmp_path, verify=False)
        parts.service_copies.upgrade(service, "", image, actor="test", report=Silent())
        service = parts.services.existing(service)
        assert verify(parts, service).verdict is Verdict.GOOD
    # What another major version refuses may be as good as it was.
    old = back_up(parts, service, tmp_path, verify=False)
    no_dump = (tmp_path / old.file).read_bytes()[:700]
    (tmp_path / "other.dump").write_bytes(no_dump)
    other = adopted(parts, replace(service, version="1"), tmp_path / "other.dump")
    with pytest.raises(DumpRefused):
        verify(parts, service, other.id)
    assert verdict(parts, service) is Verdict.UNCHECKED


# -- what is kept ----------------------------------------------------------------------------------


def made_by_schedule(
    parts: Parts, service: Service, target: str, *, days: int = 0, keep: tuple[int, int] = (1, 0)
) -> Schedule:
    """A schedule, and one backup by it that is so many days old."""
    backups, clock = parts.store.backups, parts.clock.now
    schedule = parts.service_backups.schedule(
        service, "@daily", target, keep, verify=True, actor="test"
    )
    parts.service_backups.run_due(schedule)
    backups._db.execute(
        "UPDATE backups SET started_at = ? WHERE id = ?",
        (clock() - days * DAY_SECONDS, backups.of(service)[0].id),
    )
    return schedule


def test_retention_by_age_removes_what_is_older_and_never_the_newest_good_one(
    parts: Parts, service: Service, tmp_path: Path
) -> None:
    made = []
    for days in (40, 20, 10):
        made_by_schedule(parts, service, str(tmp_path), days=days, keep=(0, 30))
        made.append(parts.store.backups.of(service)[0])
    assert {path.name for path in tmp_path.iterdir()} == {one.file for one in made[1:]}
    schedule = parts.store.backups.schedules()[-1]
    gone = parts.service_backups.prune(service, replace(schedule, keep_days=15))
    assert [one.id for one in gone] == [made[1].id]
    assert parts.service_backups.prune(service, replace(schedule, keep_days=1)) == []
    assert [path.name for path in tmp_path.iterdir()] == [made[2].file]


def test_bad_ones_take_no_place_and_one_that_was_good_is_not_dropped_for_a_check(
    parts: Parts, service: Service, tmp_path: Path
) -> None:
    made_by_schedule(parts, service, str(tmp_path), days=3)
    [good] = parts.store.backups.of(service)
    file = tmp_path / good.file
    whole = file.read_bytes()
    file.write_bytes(b"")
    with pytest.raises(BackupDamaged):
        verify(parts, service, good.id)
    file.write_bytes(whole)
    schedule = parts.store.backups.schedules()[-1]
    assert parts.service_backups.prune(service, schedule) == []
    assert verify(parts, service, good.id).verdict is Verdict.GOOD
    write(parts, service, "hungry")
    for _ in range(3):
        with pytest.raises(NotChecked):
            parts.service_backups.run_due(schedule)
    # Those whose check could not be made are as many as are kept, and no more.
    assert len(parts.store.backups.of(service)) == len(list(tmp_path.iterdir())) == 1


def test_a_target_that_fails_holds_up_no_other_and_is_no_failed_backup(
    parts: Parts, service: Service, tmp_path: Path, storage: ObjectStorage
) -> None:
    use_bucket(parts, service, storage.endpoint)
    made_by_schedule(parts, service, str(tmp_path / "old"), days=3)
    made_by_schedule(parts, service, "s3://kept", days=2, keep=(9, 9))
    parts.store.backups.set_credentials(service, {})
    schedule = parts.service_backups.schedule(
        service, "@daily", str(tmp_path / "new"), (1, 0), verify=True, actor="test"
    )
    newest = parts.store.events.newest()
    made = parts.service_backups.run_due(schedule)
    assert made is not None
    assert made.verdict is Verdict.GOOD
    assert list((tmp_path / "old").iterdir()) == []
    assert [one.target for one in parts.store.backups.of(service)] == [made.target, "s3://kept"]
    told = [one for one in parts.store.events.after(newest) if one.what == "backups not removed"]
    assert [one.detail for one in told] == [
        f"shelf {service.name} in s3://kept: There is no key for s3://kept"
    ]
    use_bucket(parts, service, storage.endpoint)
    assert len(parts.service_backups.prune(service, schedule)) == 1


def test_a_service_of_the_same_name_prunes_only_its_own(parts: Parts, tmp_path: Path) -> None:
    with created(parts, "again") as first:
        made_by_schedule(parts, first, str(tmp_path), days=3)
    with created(parts, "again") as second:
        made_by_schedule(parts, second, str(tmp_path), days=2)
        made_by_schedule(parts, second, str(tmp_path))
        kept = parts.store.backups.of(second)
        assert [one.service_id for one in kept] == [second.id, first.id]
        assert {path.name for path in tmp_path.iterdir()} == {one.file for one in kept}
        # It can be restored by the new one all the same.
        restored(parts, second, kept[1].id)


# -- that become due -------------------------------------------------------------------------------


def due(parts: Parts, service: Service, target: Path, *, keep: int = 1) -> Schedule:
    """A schedule whose time has come, as the supervisor reads it."""
    parts.service_backups.schedule(
        service, "@daily", str(target), (keep, 0), verify=False, actor="test"
    )
    parts.store.backups._db.execute(
        "UPDATE backup_schedules SET next_at = 1 WHERE service_id = ?", (service.id,)
    )
    [found] = parts.service_backups.due()
    return found


def test_what_is_unscheduled_meanwhile_is_not_backed_up(
    parts: Parts, service: Service, tmp_path: Path
) -> None:
    read = due(parts, service, tmp_path)
    parts.store.backups.unschedule(service.id)
    assert parts.service_backups.run_due(read) is None
    assert parts.store.backups.schedules() == []
    assert parts.store.backups.of(service) == []


def test_what_is_scheduled_meanwhile_is_not_taken_back(
    parts: Parts, service: Service, tmp_path: Path
) -> None:
    read = due(parts, service, tmp_path / "old")
    wanted = parts.service_backups.schedule(
        service, "@weekly", str(tmp_path / "new"), (30, 0), verify=False, actor="test"
    )
    assert parts.service_backups.run_due(read) is None
    assert parts.store.backups.schedules() == [wanted]
    assert parts.store.backups.of(service) == []


@pytest.mark.parametrize(("keep", "kept"), [(30, 3), (None, 3), (1, 1)])
def test_what_is_kept_is_what_is_wanted_when_the_backup_is_made(
    parts: Parts,
    service: Service,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    keep: int | None,
    kept: int,
) -> None:
    for _ in range(2):
        parts.service_backups.run_due(due(parts, service, tmp_path, keep=2))
    assert len(parts.store.backups.of(service)) == 2
    read, store = due(parts, service, tmp_path, keep=1 if keep != 1 else 2), Folder.store

    def change(folder: Folder, name: str, source: int, size: int, sha256: str) -> None:
        if keep is None:
            parts.store.backups.unschedule(service.id)
        else:
            parts.service_backups.schedule(
                service, "@daily", str(tmp_path), (keep, 0), verify=False, actor="test"
            )
        store(folder, name, source, size, sha256)

    monkeypatch.setattr(Folder, "store", change)
    assert parts.service_backups.run_due(read) is not None
    assert len(parts.store.backups.of(service)) == len(list(tmp_path.iterdir())) == kept


def test_a_server_that_is_being_restarted_is_waited_for(
    parts: Parts, service: Service, tmp_path: Path
) -> None:
    read = due(parts, service, tmp_path)
    # As `restart` has it until the next one answers.
    parts.store.services.set_container(service.id, None)
    pid = forked(lambda: parts.service_backups.run_due(read))
    try:
        eventually(lambda: parts.service_backups.due() == [])
    finally:
        parts.store.services.set_container(service.id, service.container)
    assert os.waitpid(pid, 0)[1] == 0
    assert [one.verdict for one in parts.store.backups.of(service)] == [Verdict.UNCHECKED]


def test_a_server_that_does_not_come_back_has_no_backup_and_says_so(
    parts: Parts, service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("paas.deploy.services_backup.AWAY_SECONDS", 0.0)
    read = due(parts, service, tmp_path)
    parts.store.services.set_container(service.id, None)
    try:
        with pytest.raises(NotRunning):
            parts.service_backups.run_due(read)
    finally:
        parts.store.services.set_container(service.id, service.container)
    [bad] = parts.store.backups.of(service)
    assert (bad.verdict, bad.detail) == (
        Verdict.BAD,
        f"shelf service {service.name} is not running",
    )


def test_one_that_is_stopped_is_not_backed_up(
    parts: Parts, service: Service, tmp_path: Path
) -> None:
    read = due(parts, service, tmp_path)
    parts.services.stop(service, actor="test")
    assert parts.service_backups.run_due(read) is None
    assert parts.service_backups.due() == []
    assert parts.store.backups.of(service) == []


# -- into a service of another name ----------------------------------------------------------------


def test_a_dump_of_another_name_brings_its_database_to_who_is_linked(
    parts: Parts, service: Service, world: World, tmp_path: Path
) -> None:
    app = world.app("reader")
    parts.service_links.link(service, app, LinkWish(), actor="test", report=Silent(), restart=False)
    made = adopted(parts, service, tar(tmp_path / "prod.dump", "prod/x", "prod/y"))
    assert verify(parts, service).verdict is Verdict.GOOD
    restored(parts, service, made.id)
    assert held(parts, service) == ["prod", "prod/x", "prod/y"]
    now = parts.services.existing(service)
    assert now.credentials["database"].reveal() == "prod"
    assert parts.store.config.get(app.id)["SHELF_URL"].reveal().endswith(":7777/prod")
    # Its own ones go the same way.
    parts.services.restart(now, actor="test")
    assert held(parts, service) == ["prod", "prod/x", "prod/y"]
    own = adopted(parts, now, tar(tmp_path / "own.dump", f"{service.name}/z"))
    restored(parts, now, own.id)
    assert parts.store.config.get(app.id)["SHELF_URL"].reveal().endswith(f"/{service.name}")
    # One that was killed before it told all apps is repeated.
    old = parts.store.config.get(app.id)["SHELF_URL"].reveal().replace(f"/{service.name}", "/prod")
    parts.store.config.set(app.id, {"SHELF_URL": old})
    restored(parts, now, own.id)
    assert parts.store.config.get(app.id)["SHELF_URL"].reveal().endswith(f"/{service.name}")
    parts.service_links.unlink(service, app, actor="test", report=Silent(), restart=False)


def test_an_app_that_does_not_start_with_the_database_that_came_is_named_behind_the_work(
    parts: Parts, service: Service, world: World, tmp_path: Path
) -> None:
    sour = world.deployed("sour", command=f'case "$SHELF_URL" in */prod) exit 7;; esac; {SERVE}')
    sweet = world.deployed("sweet")
    for app in (sour, sweet):
        parts.service_links.link(
            service, app, LinkWish(), actor="test", report=Silent(), restart=True
        )
    before, volume = given(parts, sour), parts.services.existing(service).volume
    newest = parts.store.events.newest()
    adopted(parts, service, tar(tmp_path / "prod.dump", "prod/x"))
    told = Told()
    with pytest.raises(AppsNotStarted, match="not every linked app runs with it") as caught:
        parts.service_backups.restore(service, None, actor="test", report=told)
    assert caught.value.details == ("sour: web.1 exited with code 7 before it was healthy",)
    assert caught.value.resolution.endswith("paas ps:restart sour")
    # All the work is done: the content is there, who could be told was, the rest waits.
    assert held(parts, service) == ["prod", "prod/x"]
    assert given(parts, sweet).endswith("/prod")
    assert given(parts, sour) == before
    assert parts.store.config.get(sour.id)["SHELF_URL"].reveal() == given(parts, sweet)
    assert (world.version(sour), world.version(sweet)) == (1, 1)
    assert any(f"is kept in the volume {volume}" in line for line in told.details)
    assert any(one.what == "shelf:restored" for one in parts.store.events.after(newest))
    # By the next dump it has its own again.
    adopted(parts, service, tar(tmp_path / "own.dump", f"{service.name}/z"))
    restored(parts, service)
    assert given(parts, sour) == given(parts, sweet) == before
    for app in (sour, sweet):
        parts.service_links.unlink(service, app, actor="test", report=Silent(), restart=False)


@pytest.mark.parametrize(("names", "said"), [(("prod/x", "stage/y"), "prod, stage"), ((), "none")])
def test_a_dump_of_several_other_databases_changes_nothing(
    parts: Parts, service: Service, tmp_path: Path, names: tuple[str, ...], said: str
) -> None:
    adopted(parts, service, tar(tmp_path / "prod.dump", *names))
    before = parts.services.existing(service)
    with pytest.raises(OtherDatabases, match=f"It has: {said}"):
        restored(parts, service)
    assert parts.services.existing(service) == before
    assert held(parts, service) == [service.name, f"{service.name}/one"]
    assert verdict(parts, service) is Verdict.UNCHECKED
    both = adopted(parts, service, tar(tmp_path / "both.dump", "prod/x", f"{service.name}/y"))
    restored(parts, service, both.id)
    assert parts.services.existing(service).credentials == before.credentials
