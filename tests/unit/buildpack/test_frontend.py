"""Which package.json is that of a front-end, to be built and served as files."""

from __future__ import annotations

import json

import pytest

from paas.buildpack.frontend import is_front_end

VITE = {"scripts": {"build": "vite build"}, "devDependencies": {"vite": "^7"}}


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "{",
        "[]",
        '{"scripts": []}',
        json.dumps({"scripts": {"build": "tsc"}, "dependencies": {"typescript": "5"}}),
        json.dumps(VITE | {"scripts": {"build": "vite build", "start": "node server.js"}}),
        json.dumps(VITE | {"scripts": {"dev": "vite"}}),
    ],
)
def test_what_may_have_a_server_is_none(text: str | None) -> None:
    assert not is_front_end(text)


def test_a_bundler_without_a_server_is_one() -> None:
    assert is_front_end(json.dumps(VITE))


def test_a_bottomless_one_is_none() -> None:
    assert not is_front_end("[" * 100_000)
