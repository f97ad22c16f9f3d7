"""What a shell is offered, and that the shells take it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from paas.model.env import Secret
from tests.unit.cli.caller import KEY, ROOT, Paas


@pytest.fixture
def shop(paas: Paas) -> Paas:
    app = paas.store.apps.create("shop")
    paas.store.apps.create("shed")
    paas.store.domains.add(app.id, "www.shop.dev")
    paas.store.config.set(app.id, {"SECRET_KEY": Secret("x"), "SALT": Secret("y")})
    return paas


def offered(paas: Paas, *words: str) -> list[str]:
    said = paas("complete", *words)
    assert said.code == 0
    return said.lines


@pytest.mark.parametrize(
    "words",
    [
        ("no-such-command", ""),
        ("config:get", "no-such-app", ""),
        ("config:get", "../x", ""),
        ("apps:list", ""),
        ("config:get", "shop", "SALT", ""),
    ],
)
def test_where_nothing_can_follow_nothing_is_offered(shop: Paas, words: tuple[str, ...]) -> None:
    assert offered(shop, *words) == []


def test_commands_are_offered_as_far_as_the_caller_may(shop: Paas) -> None:
    assert offered(shop, "config:s") == ["config:set", "config:show"]
    assert "up" not in offered(shop, "")
    assert "up" in shop("complete", "", caller=ROOT).lines
    assert "git-receive-pack" not in offered(shop, "")
    assert offered(shop, "help", "rollb") == ["rollback"]


def test_the_app_comes_first_unless_it_was_named(shop: Paas) -> None:
    assert offered(shop, "config:get", "") == ["shed", "shop"]
    assert offered(shop, "--quiet", "config:get", "shop", "S") == ["SALT", "SECRET_KEY"]
    for words in (("--app", "shop", "config:get"), ("config:get", "--app=shop")):
        assert offered(shop, *words, "SE") == ["SECRET_KEY"]


def test_arguments_are_offered_by_what_they_are(shop: Paas) -> None:
    assert offered(shop, "config:set", "shop", "SA") == ["SALT="]
    assert offered(shop, "domains:remove", "shop", "") == ["www.shop.dev"]
    assert offered(shop, "ps:scale", "shop", "") == []
    assert "--format" in offered(shop, "domains:list", "shop", "--f")
    assert offered(shop, "--qu") == ["--quiet"]


def test_no_value_is_ever_offered(shop: Paas) -> None:
    for words in (("config:set", "shop", ""), ("config:get", "shop", "")):
        assert not any(line.endswith(("x", "y")) for line in offered(shop, *words))


def test_another_shell_is_told_which_there_are(paas: Paas) -> None:
    said = paas("completion", "fish")
    assert said.code == 1
    assert "bash and zsh" in said.err


def test_bash_completes_behind_a_colon_and_an_equals_sign(paas: Paas, tmp_path: Path) -> None:
    made = tmp_path / "paas.bash"
    made.write_bytes(paas("completion", "bash", caller=KEY).stdout)
    ask = (
        f'. {made}; compopt() {{ echo "compopt $*"; }}; '
        'paas() { [ "$*" = "complete config:s" ] && printf "config:set\\nconfig:show\\n"; '
        '[ "$*" = "complete config:set shop SA" ] && echo SALT=; return 0; }; '
        'for COMP_LINE in "paas config:s" "paas config:set shop SA"; do '
        'COMP_POINT=${#COMP_LINE}; _paas; printf "%s\\n" "${COMPREPLY[*]}"; done'
    )
    done = subprocess.run(["bash", "-c", ask], capture_output=True, check=True)
    assert done.stdout.decode().splitlines() == ["set show", "compopt -o nospace", "SALT="]


def test_zsh_hands_both_kinds_to_its_own_completion(paas: Paas, tmp_path: Path) -> None:
    if shutil.which("zsh") is None:
        pytest.skip("zsh is not installed")
    made = tmp_path / "paas.zsh"
    made.write_bytes(paas("completion", "zsh", caller=KEY).stdout)
    ask = (
        f'. {made}; compadd() {{ echo "$*"; }}; '
        'paas() { [[ "$*" == "complete config:set shop S" ]] && printf "SALT=\\nSIDE\\n"; }; '
        "words=(paas config:set shop S); CURRENT=4; _paas"
    )
    done = subprocess.run(["zsh", "-fc", ask], capture_output=True, check=True)
    assert done.stdout.decode().splitlines() == ["-S  -- SALT=", "-- SIDE"]
