"""Settings about registries."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from paas.engine.registries import InvalidRegistry, RegistrySettings, load, save


@pytest.mark.parametrize("text", ["[]", "{", '{"mirrors": []}', '{"plain_http": 3}'])
def test_refuses_a_malformed_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "registries.json"
    path.write_text(text)
    with pytest.raises(InvalidRegistry, match="malformed"):
        load(path)


def test_refuses_what_would_be_another_line_of_the_file() -> None:
    with pytest.raises(InvalidRegistry):
        RegistrySettings(plain_http=('x"\ninsecure = true',))


def test_no_file_is_no_settings(tmp_path: Path) -> None:
    assert load(tmp_path / "registries.json") == RegistrySettings()


def test_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    settings = RegistrySettings({"docker.io": ("m.lan:5000/hub",)}, ("m.lan:5000", "r.lan"))
    save(tmp_path / "registries.json", settings)
    assert load(tmp_path / "registries.json") == settings


def test_tells_skopeo_of_mirrors_and_plain_http() -> None:
    settings = RegistrySettings({"docker.io": ("m.lan:5000/hub", "n.lan")}, ("m.lan:5000", "r.lan"))
    document = tomllib.loads(settings.registries_conf())
    assert document["registry"] == [
        {
            "location": "docker.io",
            "insecure": False,
            "mirror": [
                {"location": "m.lan:5000/hub", "insecure": True},
                {"location": "n.lan", "insecure": False},
            ],
        },
        {"location": "m.lan:5000", "insecure": True},
        {"location": "r.lan", "insecure": True},
    ]
