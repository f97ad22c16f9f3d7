"""One-offs that are detached, and how long one may run."""

from __future__ import annotations

import pytest

from paas.model.app import App
from paas.model.duration import InvalidDuration, parse_duration
from tests.unit.cli.caller import Paas


@pytest.fixture
def app(paas: Paas) -> App:
    return paas.store.apps.create("x")


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5h", "1w", "h", "99999999d", "1 m", "²"])
def test_what_is_no_time_is_refused(paas: Paas, app: App, text: str) -> None:
    with pytest.raises(InvalidDuration):
        parse_duration(text)
    if text:
        said = paas("run", f"--ttl={text}", "x", "true")
        assert (said.code, paas.platform.asked) == (1, [])
        assert "not a length of time" in said.err


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("5s", 5), ("2m", 120), ("1d", 86400)])
def test_times_are_seconds_unless_they_say_else(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


def test_a_run_may_be_limited(paas: Paas, app: App) -> None:
    paas("run", "--ttl-seconds", "90", "x", "true")
    assert paas.platform.asked == [("run", "x", ("true",), {}, False, 90.0)]


def test_a_detached_run_prints_its_name_and_is_in_the_journal(paas: Paas, app: App) -> None:
    said = paas("run:detached", "-e", "SECRET=hush", "x", "rake", "--all", "hush")
    assert said.lines == ["run.c0de"]
    assert paas.platform.asked == [
        ("run_detached", "x", ("rake", "--all", "hush"), {"SECRET": "hush"}, 86400.0)
    ]
    [event] = paas.store.events.tail(9, "x")
    assert (event.actor, event.what, event.detail) == ("ann", "run:detached", "run.c0de")


@pytest.mark.parametrize("name", ["web.1", "run.1; id", "../run.abcd", "run.12345"])
def test_only_one_offs_are_stopped_as_such(paas: Paas, app: App, name: str) -> None:
    assert paas("run:stop", "x", name).code == 20
