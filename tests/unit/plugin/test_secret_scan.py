"""The bundled plugin that refuses credentials."""

from __future__ import annotations

from pathlib import Path

import pytest

from paas.engine.build.context import DirectoryContext
from paas.model.report import Silent
from paas.plugin.bundled.secret_scan import pre_build
from paas.plugin.hookspecs import Call

KEY = "-----BEGIN OPENSSH " + "PRIVATE KEY-----\n"


def reason(folder: Path, **files: str) -> str:
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    answer = pre_build(Call("pre-build", "x", source=DirectoryContext(folder, Silent())))
    return answer.refuse if answer else ""


def test_a_clean_tree_is_nothing_to_say(tmp_path: Path) -> None:
    assert reason(tmp_path, app__py="import os\nKEY = os.environ['AWS_KEY']\n") == ""


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (KEY, "a private key"),
        ("-----BEGIN " + "PRIVATE KEY-----", "a private key"),
        ("x = 'AKIA" + "ABCDEFGHIJKLMNOP'", "an AWS access key"),
        ("ghp_" + "a" * 36, "a GitHub token"),
        ("glpat-" + "a" * 20, "a GitLab token"),
        ("sk_live_" + "a" * 24, "a live Stripe key"),
        ("npm_" + "a" * 36, "an npm token"),
    ],
)
def test_a_credential_is_named_with_its_file(tmp_path: Path, text: str, kind: str) -> None:
    said = reason(tmp_path, conf__py=f"\n\n{text}\n")
    assert f"'conf.py' has {kind}" in said
    assert text not in said


def test_what_is_meant_to_be_there_can_be_named(tmp_path: Path) -> None:
    ignore = {"__secret-scan-ignore": "# of tests\ntest*.pem\n"}
    assert reason(tmp_path, test1__pem=KEY, **ignore) == ""
    assert "'other.pem'" in reason(tmp_path, other__pem=KEY)


def test_only_some_of_many_are_told(tmp_path: Path) -> None:
    said = reason(tmp_path, **{f"k{number:02}": KEY for number in range(30)})
    assert "and 20 more" in said
    assert len(said.splitlines()) == 13
