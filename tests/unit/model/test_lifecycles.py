"""Deploys and instances: which state may follow which."""

from __future__ import annotations

import itertools

import pytest

from paas.model.app import App
from paas.model.deploy import FINISHED, ORDER, Stage
from paas.model.instance import InstanceState


@pytest.mark.parametrize("stage", sorted(FINISHED, key=str))
def test_nothing_follows_an_end(stage: Stage) -> None:
    assert stage.finished
    assert not any(stage.can_advance(to) for to in Stage)


@pytest.mark.parametrize(("earlier", "later"), list(itertools.combinations(ORDER, 2)))
def test_a_deploy_goes_forward_only(earlier: Stage, later: Stage) -> None:
    assert earlier.can_advance(later)
    assert not later.can_advance(earlier)
    assert not earlier.can_advance(earlier)


@pytest.mark.parametrize("stage", [stage for stage in ORDER if stage not in FINISHED])
def test_a_deploy_can_end_at_any_stage(stage: Stage) -> None:
    assert not stage.finished
    assert not stage.committed
    assert all(stage.can_advance(end) for end in FINISHED)


def test_only_a_deploy_that_has_done_nothing_gives_way() -> None:
    assert [stage for stage in Stage if stage.can_supersede] == [Stage.RECEIVED]
    assert [stage for stage in Stage if stage.committed] == [Stage.LIVE]


def test_only_a_live_instance_serves_and_only_a_wanted_one_restarts() -> None:
    assert [state for state in InstanceState if state.can_serve] == [InstanceState.LIVE]
    assert [state for state in InstanceState if state.can_restart] == [
        InstanceState.LIVE,
        InstanceState.CRASHED,
    ]
    assert not InstanceState.RETIRING.can_retire
    assert not any(state.can_restart and state.is_leftover for state in InstanceState)


@pytest.mark.parametrize(
    ("live", "stopped", "runs"), [(None, False, False), (1, True, False), (1, False, True)]
)
def test_an_app_runs_when_it_was_deployed_and_is_not_stopped(
    live: int | None, stopped: bool, runs: bool
) -> None:
    app = App(1, "x", 0.0, live, stopped=stopped)
    assert app.can_run is runs
    assert app.deployed is (live is not None)
