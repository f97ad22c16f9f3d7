"""What is set for process types: the nearest place wins."""

from __future__ import annotations

import pytest

from paas.model.limits import MIB, Limits
from paas.model.processes import (
    CHECKS,
    CPU_LIMIT,
    CPU_RESERVE,
    MEMORY_LIMIT,
    RESTART_POLICY,
    UPDATE_ORDER,
    Checks,
    RestartPolicy,
    UpdateOrder,
    parse_cpus,
    parse_disk,
    parse_memory,
    parse_restart_policy,
)
from paas.model.settings import InvalidSetting
from paas.store.store import Store


def test_the_nearest_place_wins(store: Store) -> None:
    app = store.apps.create("shop")
    value = store.processes.value

    def worker() -> int:
        return value(MEMORY_LIMIT, app.id, "worker") // MIB

    assert worker() == 512
    for scope, kind, text, expected in (
        (None, "", "100m", 100),
        (None, "worker", "200m", 200),
        (app.id, "", "300m", 300),
        (app.id, "worker", "400m", 400),
    ):
        store.processes.set(scope, kind, MEMORY_LIMIT.name, text)
        assert worker() == expected
    assert value(MEMORY_LIMIT, app.id, "web") == 300 * MIB
    store.processes.set(app.id, "worker", MEMORY_LIMIT.name, None)
    assert worker() == 300
    assert store.processes.list(app.id) == {("", "limit-memory"): "300m"}


def test_limits_are_those_of_the_type(store: Store) -> None:
    app = store.apps.create("shop")
    assert store.processes.limits(app.id, "web") == Limits()
    store.processes.set(app.id, "web", CPU_LIMIT.name, "1.5")
    store.processes.set(app.id, "web", CPU_RESERVE.name, "0.5")
    assert store.processes.limits(app.id, "web") == Limits(cpus=1.5, cpu_weight=50)
    assert store.processes.limits(app.id, "worker") == Limits()


def test_an_app_takes_its_settings_along(store: Store) -> None:
    app = store.apps.create("shop")
    store.processes.set(app.id, "", CHECKS.name, "skipped")
    assert store.processes.value(CHECKS, app.id, "web") is Checks.SKIPPED
    store.apps.destroy(app)
    assert store.processes.list(app.id) == {}


@pytest.mark.parametrize(
    ("text", "mib"), [("512", 512), ("512m", 512), ("1g", 1024), ("64MB", 64), ("8192k", 8)]
)
def test_memory_is_written_as_in_dokku(text: str, mib: int) -> None:
    assert parse_memory(text) == mib * MIB


@pytest.mark.parametrize("text", ["", "-1", "1.5g", "many", "3m", "1000b", "9" * 30, "1 g"])
def test_what_is_no_memory_is_refused(text: str) -> None:
    with pytest.raises(InvalidSetting, match="amount of memory"):
        parse_memory(text)


def test_a_disk_is_large_enough_for_a_file_system() -> None:
    assert [parse_disk(text) for text in ("16m", "2g")] == [16 * MIB, 2048 * MIB]
    with pytest.raises(InvalidSetting, match="amount of disk"):
        parse_disk("15m")


def test_processors_come_in_fractions_and_thousandths() -> None:
    assert [parse_cpus(text) for text in ("2", "0.5", "250m")] == [2, 0.5, 0.25]
    for text in ("", "0", "0.001", "-1", "nan", "inf", "1e3", "2000"):
        with pytest.raises(InvalidSetting, match="processors"):
            parse_cpus(text)


def test_a_restart_policy_decides_by_exit_code_and_count() -> None:
    assert parse_restart_policy("unless-stopped") == RestartPolicy("always")
    twice = parse_restart_policy("on-failure:2")
    assert [twice.restarts(1, n) for n in range(4)] == [True, True, False, False]
    assert not twice.restarts(0, 0)
    assert twice.restarts(None, 0)
    assert not parse_restart_policy("no").restarts(1, 0)
    assert parse_restart_policy("always").restarts(0, 1000)
    for text in ("", "sometimes", "always:3", "on-failure:", "on-failure:x"):
        with pytest.raises(InvalidSetting, match="restart policy"):
            parse_restart_policy(text)


def test_an_order_is_one_of_two() -> None:
    assert UPDATE_ORDER.parse("stop-first") is UpdateOrder.STOP_FIRST
    assert RESTART_POLICY.default == RestartPolicy("always")
    with pytest.raises(InvalidSetting, match="start-first, stop-first"):
        UPDATE_ORDER.parse("whatever")
