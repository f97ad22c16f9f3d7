"""The README names no command that there is not."""

from __future__ import annotations

import re
from pathlib import Path

from tests.unit.cli.caller import every_command

CHECKOUT = Path(__file__).parents[3]
COMMAND = re.compile(r"`(?:ssh (?:-t )?paas@server |paas )?([a-z-]+(?::[a-z-]+)+)[ `]")


def test_every_command_of_the_readme_exists() -> None:
    table = every_command()
    named = set(COMMAND.findall((CHECKOUT / "README.md").read_text()))
    assert len(named) > 30
    assert [name for name in sorted(named) if name not in table] == []
