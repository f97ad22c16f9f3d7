"""Which lines of an app's output are shown, and what of it is kept."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from paas.cli.logs import parse_since
from paas.cli.parsing import Misused
from paas.deploy.applogs import NoSuchProcess, Releases, Wanted, ended, prune, show
from paas.model.layout import Layout
from paas.store.store import Store


def write(folder: Path, name: str, *lines: tuple[int, str]) -> Path:
    path = folder / f"{name}.log"
    path.write_text(
        "".join(f"1970-01-01T00:00:{at:02}.000000000+00:00 stdout F {text}\n" for at, text in lines)
    )
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "web.1.aaaa", (1, "boot"), (3, "GET /a 200"), (7, "GET /b 500"))
    write(tmp_path, "web.1.bbbb", (6, "boot"), (8, "GET /c 200"))
    write(tmp_path, "run.c0de.cccc", (5, "migrated"))
    return tmp_path


SPANS = {"aaaa": [(2.0, 1), (4.0, 2)], "bbbb": [(7.0, 3)]}


def texts(folder: Path, wanted: Wanted) -> list[str]:
    said: list[bytes] = []
    show(folder, wanted, Releases(lambda: SPANS), said.append)
    return [line.decode().split(": ", 1)[1].rstrip("\n") for line in said]


def test_what_wrote_nothing_is_named(folder: Path) -> None:
    with pytest.raises(NoSuchProcess, match="no output of worker"):
        texts(folder, Wanted(9, process="worker"))


def test_logs_go_on_across_releases(folder: Path) -> None:
    everything = texts(folder, Wanted(99))
    assert everything == [
        "boot", "GET /a 200", "migrated", "boot", "GET /b 500", "GET /c 200",
    ]  # fmt: skip
    assert texts(folder, Wanted(2)) == everything[-2:]
    assert texts(folder, Wanted(0)) == []


def test_the_last_lines_are_those_that_match(folder: Path) -> None:
    get = re.compile("GET").search
    assert texts(folder, Wanted(2, matches=get)) == ["GET /b 500", "GET /c 200"]
    assert texts(folder, Wanted(9, matches=get, since=7.5)) == ["GET /c 200"]
    assert texts(folder, Wanted(0, matches=get)) == []


def test_a_line_is_of_the_release_that_wrote_it(folder: Path) -> None:
    assert texts(folder, Wanted(9, release=1)) == ["boot", "GET /a 200"]
    assert texts(folder, Wanted(9, release=2)) == ["GET /b 500"]
    assert texts(folder, Wanted(9, release=3)) == ["boot", "GET /c 200"]


def test_json_is_one_object_a_line(folder: Path) -> None:
    said: list[bytes] = []
    show(folder, Wanted(2, json=True), Releases(lambda: SPANS), said.append)
    assert json.loads(said[0]) == {
        "time": "1970-01-01T00:00:07.000000+00:00",
        "process": "web.1",
        "stream": "stdout",
        "release": "v2",
        "text": "GET /b 500",
    }


@pytest.mark.parametrize("text", ["soon", "", "2026-13-01", "1w", "999999999999d"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(Misused):
        parse_since(text, 0.0)


def test_times_are_ago_or_dates() -> None:
    assert parse_since("15m", 1000.0) == 100.0
    assert parse_since("1970-01-01T00:01:00Z", 0.0) == 60.0
    assert parse_since("1970-01-01", 0.0) == 0.0


@pytest.mark.parametrize(
    ("limits", "kept"),
    [
        ({}, {"new", "middle", "old", "running"}),
        ({"count": 1}, {"new", "running"}),
        ({"size": 120}, {"new", "running"}),
        ({"oldest": 25.0}, {"new", "running"}),
    ],
)
def test_logs_are_kept_by_count_size_and_age(
    tmp_path: Path, limits: dict[str, float], kept: set[str]
) -> None:
    for at, container in ((1, "running"), (10, "old"), (20, "middle"), (30, "new")):
        path = write(tmp_path, f"web.1.{container}", (at, "x" * 30))
        os.utime(path, (at, at))
    given = {"count": 9, "size": 999, "oldest": 0.0} | limits
    prune(ended(tmp_path, {"running"}), **given)  # type: ignore[arg-type]
    assert {path.name.split(".")[2] for path in tmp_path.glob("*.log")} == kept


def test_the_release_of_a_container_outlives_its_instance(tmp_path: Path) -> None:
    store = Store(Layout.at(tmp_path))
    app = store.apps.create("x")
    one = store.instances.add(
        app.id, release=1, process_type="web", index=1, container="aaaa", address="10.0.0.1",
        port=0, deploy=None,
    )  # fmt: skip
    store.instances.set_release(one.id, 1)
    store.instances.set_release(one.id, 2)
    store.instances.remove(one.id)
    assert [number for _, number in store.instances.releases(app.id)["aaaa"]] == [1, 2]
    store.instances.forget_releases(app.id, [])
    assert store.instances.releases(app.id) == {}
    store.close()
