"""The README names no command that there is not."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from paas.daemon.forced import parse_command
from tests.unit.cli.caller import every_command

README = (Path(__file__).parents[3] / "README.md").read_text()
COMMAND = re.compile(r"`(?:ssh (?:-t )?paas@server |paas )?([a-z-]+(?::[a-z-]+)+)[ `]")

TYPED = re.compile(r"^    ssh paas@server (.+?)(?: +# .*)?$", re.MULTILINE)


def test_every_command_of_the_readme_exists() -> None:
    table = every_command()
    named = set(COMMAND.findall(README))
    assert len(named) > 30
    assert [name for name in sorted(named) if name not in table] == []


def test_what_is_typed_comes_through_both_shells() -> None:
    # ssh(1) joins its words by blanks.
    typed = [parse_command(" ".join(shlex.split(line))) for line in TYPED.findall(README)]
    assert typed == [
        ("config:set", "shop", "GREETING=hello"),
        ("config:set", "shop", "GREETING=hello there"),
    ]
