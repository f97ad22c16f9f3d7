"""What a deploy starts, keeps and retires."""

from __future__ import annotations

from paas.deploy.fleet import Member, members, plan
from paas.model.instance import Instance, InstanceState


def instance(number: int, process_type: str, index: int) -> Instance:
    return Instance(
        id=number,
        app_id=1,
        release=1,
        process_type=process_type,
        index=index,
        container=f"c{number}",
        address="10.0.0.1",
        port=5000,
        state=InstanceState.LIVE,
        deploy=None,
        created_at=0.0,
    )


def test_members_count_from_one_in_order_of_type() -> None:
    assert [str(one) for one in members({"worker": 1, "web": 2})] == ["web.1", "web.2", "worker.1"]


def test_nothing_changes_when_all_is_reusable() -> None:
    running = [instance(1, "web", 1)]
    assert plan(running, {"web": 1}, lambda _: True).empty


def test_a_new_release_replaces_every_instance() -> None:
    running = [instance(1, "web", 1), instance(2, "worker", 1)]
    todo = plan(running, {"web": 1, "worker": 1}, lambda _: False)
    assert todo.start == (Member("web", 1), Member("worker", 1))
    assert [one.id for one in todo.retire] == [1, 2]
    assert todo.keep == ()


def test_scaling_up_keeps_what_runs() -> None:
    todo = plan([instance(1, "web", 1)], {"web": 3}, lambda _: True)
    assert [str(one) for one in todo.start] == ["web.2", "web.3"]
    assert todo.retire == ()


def test_scaling_down_retires_the_highest_and_a_dropped_type() -> None:
    running = [instance(1, "web", 1), instance(2, "web", 2), instance(3, "worker", 1)]
    todo = plan(running, {"web": 1}, lambda _: True)
    assert [one.name for one in todo.retire] == ["web.2", "worker.1"]


def test_of_two_instances_in_one_place_one_is_kept() -> None:
    running = [instance(1, "web", 1), instance(2, "web", 1)]
    todo = plan(running, {"web": 1}, lambda _: True)
    assert len(todo.keep) == len(todo.retire) == 1
