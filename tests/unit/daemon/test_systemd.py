"""The units say what runs, and nothing of their templates is left in them."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest

from paas.daemon.systemd import UNITS, Systemd, render
from paas.model.layout import Layout

LAYOUT = Layout(Path("/srv/100%/paas"))


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_is_filled_in_and_takes_no_specifier_from_a_path(unit: str) -> None:
    text = render((files("paas.daemon") / "units" / unit).read_text(), LAYOUT, "/p/bin/python")
    assert "{{" not in text
    assert "/p/bin/python -I -m paas" in text
    assert "/srv/100%/" not in text


def test_instances_are_delegated_and_never_restarted() -> None:
    text = (files("paas.daemon") / "units" / UNITS[0]).read_text()
    assert "Delegate=yes" in text
    assert "Restart=" not in text


def test_another_root_than_the_default_has_no_units() -> None:
    assert not Systemd(LAYOUT).wanted
    assert not Systemd(LAYOUT).used
