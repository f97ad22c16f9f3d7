"""Every bundled buildpack on its fixture apps: built by the engine, verified from inside.

They are built beside all other tests of the ring (`workshop`), so these come last of them.
"""

from __future__ import annotations

import pytest

from tests.push.workshop import ALL, BUILT, Workshop

pytestmark = pytest.mark.timeout(600)


@pytest.mark.parametrize("name", BUILT)
def test_it_is_built_and_verifies_itself(workshop: Workshop, name: str) -> None:
    assert workshop.made(name).error == ""


def test_every_language_has_three() -> None:
    languages = [name.partition("-")[0] for name in ALL]
    assert {name: languages.count(name) for name in set(languages)} == dict.fromkeys(
        ("apt", "go", "java", "node", "php", "python", "ruby", "static"), 3
    )
