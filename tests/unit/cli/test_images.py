"""What the commands of images, registries and the disk make of their words."""

from __future__ import annotations

import json

import pytest

from paas.deploy.parts import Parts
from paas.engine.config import History, ImageConfig
from paas.engine.images import Image
from paas.engine.layers import LayerId
from paas.model.request import TerminalSize
from tests.unit.cli.caller import KEY, Paas

TTY = TerminalSize(24, 80)


@pytest.fixture
def images(paas: Paas) -> Parts:
    """The real thing, over a database of the test's own."""
    parts = Parts(paas.layout, paas.store)
    paas.platform.images = parts.images
    return parts


def image(parts: Parts, *names: str, **config: object) -> Image:
    layer = LayerId(f"l{len(parts.engine.layers.list())}")
    parts.engine.database.execute(
        "INSERT INTO layers (layer, bytes, created_at) VALUES (?, 1500, 0)", (layer,)
    )
    made = parts.engine.images.add(ImageConfig(env={"N": layer}, **config), [layer])  # type: ignore[arg-type]
    for name in names:
        parts.engine.images.tag(name, made.id)
    return made


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("images:inspect", "none"), 20, "There is no image none"),
        (("images:remove", "none:v1"), 20, "There is no image none:v1"),
        (("images:history", "0000"), 20, "There is no image 0000"),
        (("images:pull", "Bad Name"), 1, "not the name of an image"),
        (("images:pull", "paas/stack:debian-13"), 1, "this server's own"),
        (("images:tag", "app", "paas/mine"), 1, "this server's own"),
        (("images:prune", "--all"), 1, "There is no terminal to confirm it on"),
        (("images:save", "app", "--format", "zip"), 1, "docker"),
        (("registry:set", "docker.io"), 1, "--mirror"),
        (("registry:set", "no host", "--plain-http", "on"), 1, "not the address of a registry"),
        (("registry:set", "docker.io", "--mirror", "a b"), 1, "not the address of a registry"),
        (("registry:set", "docker.io", "--authority", "/etc/passwd"), 1, "--authority takes -"),
        (("registry:set", "docker.io", "--authority", "-"), 1, "no certificate in PEM"),
        (("registry:set", "docker.io", "--plain-http", "yes"), 1, "yes"),
    ],
)
def test_a_mistake_is_told_and_changes_nothing(
    paas: Paas, images: Parts, words: tuple[str, ...], code: int, said: str
) -> None:
    image(images, "app")
    failed = paas(*words, caller=KEY)
    assert failed.code == code
    assert said in failed.err
    assert "Traceback" not in failed.err
    assert not images.engine.registry.settings_file.exists()
    assert list(images.engine.images.refs()) == ["docker.io/library/app:latest"]


@pytest.mark.parametrize(
    "words",
    [("registry:login", "r.example", "ann"), ("images:save", "app"), ("images:export", "app")],
)
def test_a_terminal_is_no_place_for_a_password_or_an_archive(
    paas: Paas, images: Parts, words: tuple[str, ...]
) -> None:
    image(images, "app")
    failed = paas(*words, caller=KEY, tty=TTY)
    assert failed.code == 1
    assert "<" in failed.err or ">" in failed.err


def test_what_a_release_needs_is_not_removed(paas: Paas, images: Parts) -> None:
    needed = image(images, "app:v1")
    app = paas.store.apps.create("shop")
    paas.store.releases.add(
        app.id, image=needed.id, commit="", config={}, processes={}, formation={}, health={},
        reason="", actor="ann",
    )  # fmt: skip
    for text in ("app:v1", needed.id, needed.id[7:15]):
        failed = paas("images:remove", text, caller=KEY)
        assert failed.code == 1
        assert "by app shop v1" in failed.err
    assert paas("images:tag", "app:v1", "app:v2", caller=KEY).code == 0
    [listed] = json.loads(paas("images:list", "--format", "json", caller=KEY).out)
    assert listed["names"] == ["app:v1", "app:v2"]
    assert listed["used_by"] == ["app shop v1"]
    assert listed["bytes"] == 1500


def test_the_servers_own_images_are_not_pruned(paas: Paas, images: Parts) -> None:
    image(images, "app", "paas/stack:debian-13")
    image(images, "unneeded")
    assert paas("--force", "images:prune", "--all", caller=KEY).code == 0
    assert list(images.engine.images.refs()) == ["paas/stack:debian-13"]


def test_a_list_is_for_people_too(paas: Paas, images: Parts) -> None:
    made = image(images, "app", "quay.io/team/app:v1", created="2026-01-02T03:04:05Z")
    image(images)
    listed = paas("images:list", caller=KEY)
    assert listed.code == 0, listed.err
    lines = listed.lines
    assert lines[1].split() == ["NAME", "ID", "CREATED", "SIZE", "USED", "BY"]
    rows = {line.split()[0]: line.split()[1:] for line in lines[2:]}
    assert rows["app:latest"] == [made.id[7:19], "2026-01-02", "1.5", "kB"]
    assert {*rows} == {"app:latest", "quay.io/team/app:v1", "<none>"}


def test_the_history_has_an_instruction_and_a_size_for_each_layer(
    paas: Paas, images: Parts
) -> None:
    lines = (History("ENV A=1", empty_layer=True), History("COPY . /", comment="files"))
    image(images, "app", history=lines)
    told = json.loads(paas("images:history", "app", "--format", "json", caller=KEY).out)
    assert [(one["created_by"], one["bytes"]) for one in told] == [
        ("COPY . /", 1500),
        ("ENV A=1", 0),
    ]
    # Another tool's image may tell of fewer layers than it has.
    image(images, "silent")
    [untold] = json.loads(paas("images:history", "silent", "--format", "json", caller=KEY).out)
    assert (untold["created_by"], untold["bytes"]) == ("", 1500)


def test_registries_are_set_and_listed(paas: Paas, images: Parts) -> None:
    images.engine.layers.prepare()
    for words in (
        ("docker.io", "--mirror", "m.lan:5000/hub", "--mirror", "n.lan"),
        ("m.lan:5000", "--plain-http", "on"),
    ):
        assert paas("registry:set", *words, caller=KEY).code == 0
    listed = json.loads(paas("registry:list", "--format", "json", caller=KEY).out)
    assert [(one["registry"], one["mirrors"], one["plain_http"]) for one in listed] == [
        ("docker.io", ["m.lan:5000/hub", "n.lan"], False),
        ("m.lan:5000", [], True),
    ]
    assert paas("registry:set", "docker.io", "--mirror", "none", caller=KEY).code == 0
    assert paas("registry:set", "m.lan:5000", "--plain-http", "off", caller=KEY).code == 0
    assert json.loads(paas("registry:list", "--format", "json", caller=KEY).out) == []
