"""Deploys and instances."""

from __future__ import annotations

import pytest

from paas.host.database import Unique
from paas.model.deploy import Stage
from paas.model.instance import InstanceState
from paas.store.store import Store


def test_a_stage_that_cannot_follow_is_a_bug(store: Store) -> None:
    app = store.apps.create("shop")
    deploy = store.deploys.start(app.id, "c" * 40, "ann")
    store.deploys.advance(deploy.id, Stage.STARTING)
    with pytest.raises(ValueError, match="cannot go"):
        store.deploys.advance(deploy.id, Stage.BUILDING)
    store.deploys.finish(deploy.id, Stage.FAILED, "it broke")
    with pytest.raises(ValueError, match="cannot go"):
        store.deploys.finish(deploy.id, Stage.LIVE)
    assert store.deploys.get(deploy.id).error == "it broke"


def test_what_was_not_finished_is_found_again(store: Store) -> None:
    app = store.apps.create("shop")
    deploys = [store.deploys.start(app.id, None, "ann") for _ in range(4)]
    store.deploys.advance(deploys[0].id, Stage.LIVE)
    store.deploys.advance(deploys[1].id, Stage.CHECKING)
    store.deploys.finish(deploys[2].id, Stage.SUPERSEDED)
    assert [deploy.id for deploy in store.deploys.unfinished()] == [deploys[1].id, deploys[3].id]
    live = store.deploys.get(deploys[0].id)
    assert live.stage.committed
    assert live.ended_at is not None
    assert live.ended_at > live.started_at
    assert [deploy.id for deploy in store.deploys.list(app.id)] == [d.id for d in deploys[::-1]]


def test_a_deploy_names_the_release_it_made(store: Store) -> None:
    app = store.apps.create("shop")
    deploy = store.deploys.start(app.id, "c" * 40, "ann")
    assert (deploy.stage, deploy.release, deploy.commit) == (Stage.RECEIVED, None, "c" * 40)
    store.deploys.set_release(deploy.id, 7)
    assert store.deploys.get(deploy.id).release == 7


def add_instance(store: Store, app_id: int, container: str, index: int = 1) -> int:
    return store.instances.add(
        app_id, release=1, process_type="web", index=index, container=container,
        address="10.0.0.1", port=5000, deploy=None,
    ).id  # fmt: skip


def test_a_container_is_one_instance(store: Store) -> None:
    app = store.apps.create("shop")
    add_instance(store, app.id, "c0ffee")
    with pytest.raises(Unique):
        add_instance(store, app.id, "c0ffee", 2)
    assert store.instances.by_container("nothing") is None


def test_an_instance_is_found_by_app_container_and_deploy(store: Store) -> None:
    app, other = store.apps.create("shop"), store.apps.create("other")
    second = add_instance(store, app.id, "b", 2)
    first = add_instance(store, app.id, "a", 1)
    add_instance(store, other.id, "c")
    assert [instance.id for instance in store.instances.list(app.id)] == [first, second]
    assert len(store.instances.list()) == 3
    found = store.instances.by_container("b")
    assert found is not None
    assert (found.name, found.state) == ("web.2", InstanceState.STARTING)
    deploy = store.deploys.start(app.id, None, "ann")
    mine = store.instances.add(
        app.id, release=2, process_type="web", index=1, container="d",
        address="10.0.0.9", port=5000, deploy=deploy.id,
    )  # fmt: skip
    assert store.instances.of_deploy(deploy.id) == [mine]


def test_an_instance_changes_state_and_address_and_goes(store: Store) -> None:
    app = store.apps.create("shop")
    instance_id = add_instance(store, app.id, "a")
    store.instances.set_state(instance_id, InstanceState.LIVE)
    store.instances.set_address(instance_id, "10.0.0.2")
    [instance] = store.instances.list(app.id)
    assert (instance.state, instance.address) == (InstanceState.LIVE, "10.0.0.2")
    store.instances.remove(instance_id)
    store.instances.remove(instance_id)
    assert store.instances.list() == []
