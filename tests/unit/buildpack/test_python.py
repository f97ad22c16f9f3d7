"""What the Python buildpack tells uv: the real programs, and a uv that says what it was told."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from paas.host.content import content

UV = """\
#!/bin/bash
case $1 in
    venv) mkdir -p "${!#}/lib/python3/site-packages" ;;
    sync | pip) env -0 > "$TOLD" ;;
esac
"""

MAIN, EXTRA = "https://main.corp/simple", "https://extra.corp/simple"
TOLD = ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_INSECURE_HOST")


def told(
    folder: Path, config: dict[str, str], host: dict[str, str], file: str = "requirements.txt"
) -> dict[str, str]:
    """Where uv is told to find packages, when an app with this config is compiled."""
    for name in ("bin", "build", "cache", "config"):
        (folder / name).mkdir()
    pack = shutil.copytree(content("buildpacks") / "python", folder / "pack")
    (folder / "bin/uv").write_text(UV)
    (folder / "bin/uv").chmod(0o755)
    (folder / "build" / file).touch()
    for name, value in config.items():
        (folder / "config" / name).write_text(value)
    environment = {"PATH": f"{folder}/bin:{os.defpath}", "TOLD": str(folder / "told"), **host}
    arguments = [folder / name for name in ("build", "cache", "config")]
    subprocess.run([pack / "bin/compile", *arguments], env=environment, check=True)
    pairs = (folder / "told").read_text().rstrip("\0").split("\0")
    found = dict(pair.split("=", 1) for pair in pairs)
    return {name: found[name] for name in TOLD if name in found}


@pytest.mark.parametrize(
    ("config", "host", "expected"),
    [
        ({}, {}, {}),
        ({}, {"PIP_INDEX_URL": MAIN}, {"UV_DEFAULT_INDEX": MAIN}),
        ({"PIP_INDEX_URL": MAIN}, {"UV_DEFAULT_INDEX": "x"}, {"UV_DEFAULT_INDEX": MAIN}),
        (
            {"PIP_EXTRA_INDEX_URL": f"{EXTRA}\nhttps://b.corp ", "PIP_TRUSTED_HOST": "a b"},
            {"PIP_INDEX_URL": MAIN},
            {
                "UV_DEFAULT_INDEX": MAIN,
                "UV_INDEX": f"{EXTRA} https://b.corp",
                "UV_INSECURE_HOST": "a b",
            },
        ),
        # What an app says to uv itself is what counts, in its older words too.
        (
            {"UV_INDEX": "u", "UV_DEFAULT_INDEX": "d"},
            {"PIP_INDEX_URL": MAIN, "PIP_EXTRA_INDEX_URL": EXTRA},
            {"UV_DEFAULT_INDEX": "d", "UV_INDEX": "u"},
        ),
        (
            {"UV_INDEX_URL": "d", "UV_EXTRA_INDEX_URL": "u"},
            {"PIP_INDEX_URL": MAIN, "PIP_EXTRA_INDEX_URL": EXTRA},
            {},
        ),
    ],
)
def test_uv_looks_where_pip_is_told_to(
    tmp_path: Path, config: dict[str, str], host: dict[str, str], expected: dict[str, str]
) -> None:
    assert told(tmp_path, config, host) == expected


def test_a_lock_file_keeps_the_index_that_it_was_made_from(tmp_path: Path) -> None:
    """uv refuses one whose index is not among those that it is told."""
    host = {"PIP_INDEX_URL": MAIN}
    assert told(tmp_path, {"PIP_EXTRA_INDEX_URL": EXTRA}, host, "uv.lock") == {"UV_INDEX": EXTRA}
