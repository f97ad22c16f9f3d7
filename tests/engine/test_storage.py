"""The commands of storage over the real volumes, as admins, members and root give them."""

from __future__ import annotations

import io
import os
import re
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from paas.deploy.storage import Storage
from paas.engine.engine import Engine
from paas.engine.volumes import Volumes
from paas.model.limits import MIB
from paas.model.role import Role
from tests.killing import forked
from tests.push.outcome import eventually
from tests.unit.cli.caller import ROOT, Paas


@pytest.fixture
def paas(tmp_path: Path) -> Iterator[Paas]:
    paas = Paas(tmp_path)
    engine = Engine(paas.layout)
    paas.platform.storage = Storage(paas.store, engine)
    for app in ("shop", "unseen"):
        paas.store.apps.create(app)
    yield paas
    engine.database.close()
    paas.store.close()


def archive(name: str, content: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        entry = tarfile.TarInfo(name)
        entry.size, entry.uid, entry.gid = len(content), 33, 44
        tar.addfile(entry, io.BytesIO(content))
    return stream.getvalue()


def test_a_volume_that_is_mounted_is_not_destroyed(paas: Paas) -> None:
    assert paas("storage:create", "data").code == 0
    assert paas("storage:mount", "shop", "data:/app/data").code == 0
    said = paas("storage:destroy", "data", "--force")
    assert "is mounted in shop" in said.err
    assert paas("storage:unmount", "shop", "data:/app/data").code == 0
    assert "no terminal" in paas("storage:destroy", "data").err
    assert paas("storage:destroy", "data", "--force").code == 0
    assert not (paas.layout.engine_fs / "volumes/storage.data").exists()
    assert "There is no volume data" in paas("storage:destroy", "data", "--force").err


def test_a_destroyed_volume_never_comes_back_whoever_was_killed(paas: Paas) -> None:
    volumes = paas.layout.engine_fs / "volumes"
    assert paas("storage:create", "data").code == 0
    (volumes / "storage.data/secret").write_text("s3cr3t")
    # As a kill leaves it: the row is gone, the files are there; or a half of a new one is.
    paas.store.storage.destroy("data")
    (volumes / ".storage.data.4711").mkdir()
    (volumes / ".storage.data.import").mkdir()
    assert paas("storage:create", "data").code == 0
    assert list((volumes / "storage.data").iterdir()) == []
    (volumes / "storage.data/secret").write_text("s3cr3t")
    paas.store.storage.destroy("data")
    paas.platform.storage.sweep()
    assert list(volumes.iterdir()) == []


def test_what_is_imported_is_not_swept_nor_replaced_by_another(paas: Paas) -> None:
    assert paas("storage:create", "data").code == 0
    reader, writer = os.pipe()
    volumes = paas.platform.storage._volumes

    def replace() -> None:
        os.close(writer)
        volumes.replace("storage.data", reader)

    pid = forked(replace)
    os.close(reader)
    beside = paas.layout.engine_fs / "volumes/.storage.data.import"
    eventually(beside.exists)
    paas.platform.storage.sweep()
    assert beside.exists()
    said = paas("storage:import", "data", input=archive("other", b"2"))
    assert "being imported into by somebody else" in said.err
    with os.fdopen(writer, "wb") as stream:
        stream.write(archive("mine", b"1"))
    assert os.waitpid(pid, 0)[1] == 0
    [file] = (paas.layout.engine_fs / "volumes/storage.data").iterdir()
    assert (file.name, file.read_bytes()) == ("mine", b"1")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("create", "Data"), "not a name for a volume"),
        (("create", "../x"), "not a name for a volume"),
        (("create", "data"), "There is a volume data already"),
        (("create", "x", "--chown", "70000"), "is no owner"),
        (("create", "x", "--mode", "rwx"), "is written like 755"),
        (("create", "x", "--size", "big"), "is not a size"),
        (("mount", "shop", "nothing:/data"), "There is no volume nothing"),
        (("mount", "shop", "data"), "is not a mount"),
        (("mount", "shop", "data:relative"), "Nothing can be mounted at 'relative'"),
        (("mount", "shop", "data:/proc/1"), "Nothing can be mounted at '/proc/1'"),
        (("mount", "shop", "data:/a/../etc"), "Nothing can be mounted"),
        (("mount", "shop", "data:/x:rx"), "is not a mount"),
        (("mount", "shop", "data:/x", "--subpath", "../y"), "is not a part of a volume"),
        (("mount", "shop", "/srv/shop:/data"), "by root on the server alone"),
        (("unmount", "shop", "data:/data"), "data is not mounted at /data"),
        (("info", "nothing"), "There is no volume nothing"),
        (("export", "nothing"), "There is no volume nothing"),
    ],
)
def test_refused(paas: Paas, words: tuple[str, ...], complaint: str) -> None:
    paas("storage:create", "data")
    noun, *rest = words
    said = paas(f"storage:{noun}", *rest)
    assert said.code != 0
    assert complaint in said.err
    assert paas.store.storage.mounts(paas.store.apps.get("shop").id) == []


def test_root_mounts_directories_but_not_the_servers_own(paas: Paas) -> None:
    assert paas("storage:mount", "shop", "/srv/shop:/data:ro", caller=ROOT).code == 0
    assert paas("storage:list", "shop", "--quiet").lines == ["/srv/shop:/data (read-only)"]
    for own in ("/", "/etc", "/etc/ssl", "/proc/1", "/srv/../etc", "/var"):
        said = paas("storage:mount", "shop", f"{own}:/other", caller=ROOT)
        assert "the server's own" in said.err, own


def test_one_thing_at_one_place(paas: Paas) -> None:
    paas("storage:create", "data")
    paas("storage:create", "other")
    mount = ("storage:mount", "shop")
    assert paas(*mount, "data:/app/data").code == 0
    assert paas(*mount, "data:/app/data").code == 0
    assert "Something is mounted at /app/data" in paas(*mount, "other:/app/data/").err
    assert paas(*mount, "other:/data", "--process-type", "worker", "--subpath", "a/b").code == 0
    assert paas("storage:list", "shop", "--quiet").lines == [
        "data:/app/data",
        "other:/data (only worker, of it a/b)",
    ]


def test_a_member_sees_the_volumes_of_their_apps_alone(paas: Paas) -> None:
    for name, app in (("mine", "shop"), ("secret", "unseen")):
        paas("storage:create", name)
        paas("storage:mount", app, f"{name}:/data")
    paas("storage:create", "spare")
    bob = paas.let_in("bob", admin=False)
    paas.store.users.give("bob", paas.store.apps.get("shop").id, Role.OWNER)
    assert [line.split()[0] for line in paas("storage:list", "--quiet", caller=bob).lines] == [
        "NAME", "mine",
    ]  # fmt: skip
    assert paas("storage:info", "mine", caller=bob).code == 0
    for command in (("info", "secret"), ("info", "spare"), ("list", "unseen")):
        assert paas(f"storage:{command[0]}", command[1], caller=bob).code != 0
    assert "You may not" in paas("storage:mount", "shop", "secret:/x", caller=bob).err
    assert "You may not" in paas("storage:export", "secret", caller=bob).err
    assert paas("storage:unmount", "shop", "mine:/data", caller=bob).code == 0
    assert [line.split()[0] for line in paas("storage:list", "--quiet").lines] == [
        "NAME", "mine", "secret", "spare",
    ]  # fmt: skip


def test_a_backup_there_and_back(paas: Paas) -> None:
    paas("storage:create", "data", "--chown", "heroku", "--mode", "750", "--size", "1k")
    top = paas.layout.engine_fs / "volumes/storage.data"
    assert (top.stat().st_uid, top.stat().st_mode & 0o7777) == (1000, 0o750)
    said = paas("storage:import", "data", input=archive("kept", b"x" * 3000))
    assert said.code == 0, said.err
    assert (top / "kept").stat().st_gid == 44
    backup = paas("storage:export", "data").stdout
    assert "not empty" in paas("storage:import", "data", input=archive("new", b"")).err
    assert paas("storage:import", "data", "--force", input=backup[:1500]).code == 1
    assert paas("storage:import", "data", "--force", input=archive("new", b"")).code == 0
    assert [path.name for path in top.iterdir()] == ["new"]
    assert paas("storage:import", "data", "--force", input=backup).code == 0
    assert [path.name for path in top.iterdir()] == ["kept"]
    assert (top.stat().st_uid, top.stat().st_mode & 0o7777) == (1000, 0o750)
    assert "of 1.0 kB (too large)" in paas("storage:list", "--quiet").out


@pytest.mark.parametrize(
    "make", [Path.touch, lambda path: path.symlink_to("/"), lambda path: os.mkfifo(path)]
)
def test_what_takes_no_room_is_not_replaced_unasked(
    paas: Paas, make: Callable[[Path], object]
) -> None:
    paas("storage:create", "data")
    top = paas.layout.engine_fs / "volumes/storage.data"
    make(top / "kept")
    assert "0 B" in paas("storage:info", "data").out
    assert "not empty" in paas("storage:import", "data", input=archive("new", b"")).err
    assert [path.name for path in top.iterdir()] == ["kept"]


def test_a_volume_that_grew_too_large_is_said_once_a_day(paas: Paas) -> None:
    storage, events = paas.platform.storage, paas.store.events
    paas("storage:create", "data", "--size", "1k")
    paas("storage:mount", "shop", "data:/data")
    paas("storage:create", "any")
    storage.warn()
    assert events.last("shop", "volume too large") is None
    for name in ("data", "any"):
        paas("storage:import", name, "--force", input=archive("kept", b"x" * 3000))
    storage.warn()
    storage.warn()
    [event] = [one for one in events.tail(99) if one.what == "volume too large"]
    assert event.app == "shop"
    assert re.fullmatch(r"data has [0-9,]+ bytes, of 1,[0-9]{3}", event.detail)


@pytest.mark.parametrize("changed", ["a", "b"])
def test_a_sweep_bounds_a_volume_as_somebody_has_changed_it_meanwhile(
    paas: Paas, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    """While it is at work on the first, whose tree may be large."""
    storage, store = paas.platform.storage, paas.store.storage
    bounds: dict[str, int | None] = {}

    def bound(_: Volumes, name: str, quota: int | None) -> None:
        if name == "storage.a" and store.get(changed).quota is None:
            storage.change(replace(store.get(changed), quota=4 * MIB), actor="ann")
        bounds[name] = quota

    for name in ("a", "b"):
        assert paas("storage:create", name).code == 0
    monkeypatch.setattr(Volumes, "bound", bound)
    storage.sweep()
    assert bounds == {f"storage.{name}": 4 * MIB if name == changed else None for name in "ab"}


def test_an_apps_mounts_end_with_it_and_its_volume_stays(paas: Paas) -> None:
    paas("storage:create", "data")
    paas("storage:mount", "shop", "data:/data")
    paas.store.apps.destroy(paas.store.apps.get("shop"))
    assert paas("storage:destroy", "data", "--force").code == 0
