"""SIGKILL before any effect of any command that changes state: it has happened, or it has not.

One harness over the real dispatcher: a command is run to its end once, then killed before its
first effect, before its second, and so on. Afterwards both databases, and files that are set,
are what they were before the command or what they are behind it, at the latest with the next
look of a supervisor, and nothing keeps the next one from running.
"""

from __future__ import annotations

import os
from functools import partial

import pytest

from paas.model.service import ServiceState
from tests.engine.commands import CASES, Case
from tests.engine.shop import ROOT, Shop, differing
from tests.engine.world import World
from tests.killing import counted_effects, killed_before
from tests.push.outcome import eventually
from tests.turns import in_turn

MOST = int(os.environ.get("PAAS_KILLS", "4"))
"""Times that a command is killed: of what has more effects, at some of them, evenly spread.

PAAS_KILLS=1000 is before each of them, which takes half an hour.
"""


@pytest.fixture(scope="module")
def shop(world: World) -> Shop:
    return Shop(world)


@pytest.mark.parametrize("case", in_turn(CASES, 3), ids=lambda case: case.line)
def test_a_command_killed_before_any_effect_has_happened_or_not(shop: Shop, case: Case) -> None:
    run, events = partial(shop.forth, case), shop.world.parts.store.events
    if case.behind:
        shop.back(case)
    shop.forth(case)
    shop.back(case)
    before, told = shop.state(), events.newest()
    effects = counted_effects(run)
    after = shop.state()
    assert before != after, "it changes nothing"
    assert ROOT.actor in {one.actor for one in events.after(told)}, "nobody hears who did it"
    shop.back(case)
    assert differing(shop.settled(before), before) == []
    step = 1 if effects < MOST else max(case.every, effects // MOST)
    # Not to the last one: what waits for the proxy has one more or less each time.
    for effect in range(0, effects - effects // 8, step):
        killed_before(effect, run)
        now = shop.settled(before, after)
        if now != before:
            assert differing(now, after) == [], f"killed before effect {effect} of {effects}"
            shop.back(case)
    run()
    assert differing(shop.state(), after) == []
    if not case.behind:
        shop.back(case)


def test_a_restart_that_is_killed_goes_on(shop: Shop) -> None:
    """The service is to run all the while, so a supervisor starts its server again."""
    parts, run = shop.world.parts, partial(shop.run, "kv:restart db")
    effects = counted_effects(run)
    for effect in range(0, effects, effects // 6):
        killed_before(effect, run)
        assert parts.services.get("kv", "db").state is ServiceState.RUNNING, effect
        shop.tidied()
        for service in parts.service_care.ailing():
            parts.service_care.heal(service)
        assert parts.services.is_up(parts.services.get("kv", "db")), effect


def test_a_stop_that_is_killed_has_happened_or_not(shop: Shop) -> None:
    """Of instances: a start is a release more, which the harness would take for a change."""
    world, run = shop.world, partial(shop.run, "ps:stop other")
    apps = world.parts.store.apps
    effects = counted_effects(run)
    shop.run("ps:start other")
    outcomes = set()
    for effect in range(0, effects - effects // 8, effects // 6):
        killed_before(effect, run)
        shop.tidied()
        stopped = apps.get("other").stopped
        outcomes.add(stopped)
        if stopped:
            with pytest.raises(ConnectionError, match="503"):
                world.version(apps.get("other"))
            shop.run("ps:start other")
        assert world.version(apps.get("other")) == 1, effect
    assert outcomes == {True, False}


def test_afterwards_all_is_served_and_nothing_is_left(shop: Shop) -> None:
    """What the killed ones left on the machine goes with the next look of the supervisor."""
    layout = shop.world.layout
    keys, key = layout.ssh / "authorized_keys", shop.inputs["KEY"].decode()
    keys.write_text(f"published, and killed before the commit: {key}")
    shop.tidied()
    for name in ("shop", "other"):
        assert shop.world.version(shop.world.parts.store.apps.get(name)) == 1
    shop.run("kv:destroy db --force")
    with shop.world.supervised():
        # Instances that a stop has left are ended in its own time.
        eventually(lambda: shop.world.strays() == [])
    assert key not in keys.read_text()
    assert [path.name for path in (layout.engine_fs / "volumes").glob(".*")] == []
