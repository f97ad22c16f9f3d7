"""plugin.toml: what is read, and how precisely what is wrong is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas.host.content import content
from paas.model.env import Secret
from paas.model.limits import MIB
from paas.model.service import Service, ServiceState
from paas.plugin.catalog import Broken, Catalog, NoSuchPlugin, ServicePlugin
from paas.plugin.manifest import COMMANDS, InvalidManifest, parse_manifest
from paas.plugin.service_image import name_of, version_of
from paas.plugin.service_values import command

GOOD = """
[plugin]
name = "counter"
title = "Counter"
description = "Counts"
[service]
versions = ["1.2"]
port = 7000
data = "/data"
memory = "64m"
[link]
variable = "COUNTER_URL"
prefix = "COUNTER"
scheme = "count"
url = "{scheme}://:{password}@{host}:{port}"
[credentials]
user = "u"
[environment]
SECRET = "{password}"
[commands]
ready = ["true"]
"""


EXTRA = "[[extra]]\nname = 'x'\nsummary = 'x'\nrun = ['x']\n"


def test_what_is_declared_is_what_is_read() -> None:
    manifest = parse_manifest(GOOD, "counter/plugin.toml")
    assert (manifest.name, manifest.port, manifest.data) == ("counter", 7000, "/data")
    assert manifest.memory == 64 * MIB
    assert manifest.commands == {"ready": ("true",)}
    assert manifest.stop_signal == "SIGTERM"
    assert not manifest.keeps_data()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[plugin]", "[plugin", "x/plugin.toml: not valid TOML"),
        ('name = "counter"\n', "", "plugin.name is missing"),
        ('"counter"', '"../x"', "plugin.name cannot be '../x'"),
        ("port = 7000", "port = 70000", "service.port must be a whole number from 1 to 65535"),
        ("port = 7000", 'port = "7000"', "service.port must be a whole number"),
        ("port = 7000", "port = true", "service.port must be a whole number"),
        ("port = 7000", "port = 7000\nprot = 1", "service.prot is not known; there are"),
        ('"64m"', '"lots"', "service.memory cannot be 'lots': write it like 512m or 2g"),
        ('"/data"', '"data"', "service.data cannot be 'data'"),
        ('["1.2"]', "[]", "service.versions must not be empty"),
        ("{password}@", "{pasword}@", "link.url {pasword} is not known; there are"),
        ('SECRET = "{password}"', "SECRET = 3", "environment.SECRET must be a text"),
        ('SECRET = "{password}"', 'SECRET = "{x}"', "environment.SECRET {x} is not known"),
        ('ready = ["true"]', "", "commands.ready is missing"),
        ('ready = ["true"]', 'ready = "true"', "commands.ready must be a list of texts"),
        ("ready =", 'redy = ["x"]\nready =', "commands.redy is no command; there are"),
        ("[commands]", "[surprise]\na = 1\n[commands]", "x/plugin.toml: surprise is not known"),
        ("[link]", "[[extra]]\nname = 'X'\n[link]", "extra[0].name cannot be 'X'"),
        ("[link]", f"{EXTRA}columns = 'name'\n[link]", "extra[0].columns must be a list of texts"),
        ("[link]", f"{EXTRA}columns = ['A B']\n[link]", "extra[0].columns cannot"),
        ('user = "u"', 'user = "{user}"', "credentials.user {user} is not known; there are name"),
        ("port = 7000", "port = 7000\ncommand = ['{x}']", "service.command {x} is not known"),
        ("[link]", "[image]\ncommand = ['{x}']\n[link]", "image.command {x} is not known"),
        ("[link]", "[image]\nneeds = ['a b']\n[link]", "image.needs cannot have 'a b'"),
        ("[link]", "[image]\nkeeps = ['/x']\n[link]", "image.keeps cannot have '/x'"),
        ("[link]", "[image]\nname = 'x'\n[link]", "image.name is not known; there are"),
        ("[link]", "[expose]\ntls = 'us'\n[link]", "expose.tls cannot be 'us'"),
        ("[link]", "[expose]\nport = 1\n[link]", "expose.port is not known; there are"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(old: str, new: str, message: str) -> None:
    assert GOOD.count(old) >= 1
    with pytest.raises(InvalidManifest) as caught:
        parse_manifest(GOOD.replace(old, new, 1), "x/plugin.toml")
    assert message in caught.value.brief
    assert caught.value.brief.startswith("x/plugin.toml: ")
    assert caught.value.resolution


def test_a_broken_plugin_harms_no_other(tmp_path: Path) -> None:
    for name, text in {"counter": GOOD, "torn": GOOD[:60], "letters": "[plugin]\nname='l'"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "plugin.toml").write_text(text)
    (tmp_path / "README.md").write_text("# plugins")
    (tmp_path / "bytes").mkdir()
    (tmp_path / "bytes/plugin.toml").write_bytes(b"\xff\xfe")
    found = list(Catalog(tmp_path).all())
    kinds = {one.name if isinstance(one, Broken) else one.manifest.name: type(one) for one in found}
    assert kinds == {"bytes": Broken, "counter": ServicePlugin, "torn": Broken}
    with pytest.raises(NoSuchPlugin, match="nothing"):
        Catalog(tmp_path).get("nothing")


def test_a_folder_has_its_plugin_s_name(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/plugin.toml").write_text(GOOD)
    with pytest.raises(InvalidManifest, match=r"plugin\.name must be the folder's, other"):
        Catalog(tmp_path).get("other")


def test_every_bundled_datastore_can_be_read_and_does_what_the_engine_asks() -> None:
    found = list(Catalog(content("plugins")).all())
    assert [one for one in found if isinstance(one, Broken)] == []
    for plugin in found:
        assert isinstance(plugin, ServicePlugin)
        assert plugin.has_dockerfile
        manifest = plugin.manifest
        assert set(manifest.commands) <= COMMANDS
        if manifest.keeps_data():
            assert {"load", "place"} & set(manifest.commands)
            assert {"count", "export"} <= set(manifest.commands)


@pytest.mark.parametrize(
    ("addon", "name"),
    [
        ("heroku-postgresql", "postgres"),
        ("heroku-postgresql:standard-0", "postgres"),
        ("postgres", "postgres"),
        ("heroku-redis:mini", "redis"),
    ],
)
def test_an_addon_is_found_by_heroku_s_name(addon: str, name: str) -> None:
    found = Catalog(content("plugins")).by_addon(addon)
    assert found is not None
    assert found.manifest.name == name


def test_an_addon_nobody_makes_is_none() -> None:
    assert Catalog(content("plugins")).by_addon("heroku-kafka") is None


def service(**fields: Any) -> Service:
    """One of that plugin's, with the fields that matter here."""
    given: dict[str, Any] = {
        "id": 1, "plugin": "counter", "name": "c", "image": "sha256:x", "reference": "",
        "version": "1.2", "state": ServiceState.RUNNING, "container": None, "volume": "service-1-1",
        "memory": 64 * MIB, "credentials": {"password": Secret("p")}, "created_at": 0.0,
    }  # fmt: skip
    return Service(**{**given, **fields})


def test_an_image_that_is_named_has_a_command_of_its_own() -> None:
    both = GOOD.replace("[link]", "[image]\ncommand = ['serve', '{memory_mb}']\n[link]")
    manifest = parse_manifest(both.replace("port", "command = ['ours']\nport", 1), "x")
    assert command(manifest, service()) == ("ours",)
    assert command(manifest, service(reference="docker.io/counter:1")) == ("serve", "64")
    assert command(parse_manifest(GOOD, "x"), service(reference="counter:1")) == ()


@pytest.mark.parametrize(
    ("reference", "name", "version"),
    [
        ("", "", "latest"),
        ("postgres", "docker.io/library/postgres", "latest"),
        ("postgres:16.3-alpine", "docker.io/library/postgres", "16.3"),
        ("[::1]:5000/a/b:2", "[::1]:5000/a/b", "2"),
        ("paas/redis:8", "paas/redis", "8"),
        (f"sha256:{'a' * 64}", f"sha256:{'a' * 64}", "latest"),
    ],
)
def test_the_name_of_an_image_tells_its_maker(reference: str, name: str, version: str) -> None:
    assert (name_of(reference), version_of(reference)) == (name, version)


LINES = GOOD.splitlines()
TOML = st.one_of(
    st.integers().map(str),
    st.booleans().map(lambda value: str(value).lower()),
    st.text().map(json.dumps),
    st.lists(st.text()).map(json.dumps),
    st.sampled_from(["{}", "[[]]", "1979-05-27", "nan", "inf", "-1e400", "[" * 5000]),
)


@given(st.sampled_from(range(len(LINES))), TOML)
def test_a_field_of_any_other_value_is_read_or_refused(line: int, value: str) -> None:
    key, equals, _ = LINES[line].partition("=")
    changed = [*LINES]
    changed[line] = f"{key}{equals}{value}"
    read_or_refused("\n".join(changed))


@given(st.text() | st.sampled_from(["a=" + "[" * 100_000, "[" * 100_000, GOOD * 2]))
def test_any_text_is_read_or_refused(text: str) -> None:
    read_or_refused(text)


def read_or_refused(text: str) -> None:
    try:
        manifest = parse_manifest(text, "x/plugin.toml")
    except InvalidManifest as error:
        assert error.brief.startswith("x/plugin.toml: ")
    else:
        assert manifest.commands["ready"]
