"""SIGKILL at every step of what is done to containers: after recovery there is nothing of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from paas.engine.bundler import Content
from paas.engine.commit import Commits
from paas.engine.container import State
from paas.engine.network.publish import parse_all
from paas.model.limits import MIB
from tests.engine.dying import deaths, dies_before, effects_of, is_effect
from tests.engine.machine import Machine
from tests.killing import EFFECTS_TURNS, unseen
from tests.push.outcome import eventually
from tests.turns import in_turn, numbers_in_turn

LOOP = ("sh", "-c", "echo run >> /runs; exec sleep 60")


@pytest.fixture(autouse=True)
def warm(machine: Machine) -> None:
    """What is made once (a mount per uid range, the trial of the runtime) is no step of each."""
    assert machine.run("true").code == 0


def test_a_creation_killed_at_any_step_leaves_nothing(machine: Machine) -> None:
    for steps in numbers_in_turn(0, EFFECTS_TURNS):
        spec = machine.spec(*LOOP)
        if not dies_before(steps, partial(machine.containers.create, spec)):
            break
        machine.containers.recover()
        if machine.containers.list():
            # The last steps: it was made, and only its maker did not hear of it.
            machine.containers.start(spec.id)
            machine.containers.remove(spec.id)
        assert machine.traces() == [], steps
    machine.containers.remove(spec.id)
    assert steps > 15


def test_a_one_off_killed_at_any_step_leaves_nothing(machine: Machine) -> None:
    """From where it differs from any container on: when its bundle is made."""
    spec = machine.spec("true")
    content = Content(machine.image.config, machine.image.layers)
    made = effects_of(lambda: machine.bundler.make(spec, content))
    machine.containers.remove(spec.id)
    steps = 0
    for steps in deaths(lambda: machine.run("true"), made):
        machine.containers.recover()
        assert machine.traces() == [], steps
    assert steps - made > 15


def started(machine: Machine, container: str) -> None:
    machine.containers.start(container)


ACTS: dict[str, tuple[int, Callable[[Machine, str], object]]] = {
    "start": (3, started),
    "stop": (3, lambda machine, container: machine.containers.stop(container, 5)),
    "kill": (2, lambda machine, container: machine.containers.kill(container)),
    "restart": (15, lambda machine, container: machine.containers.restart(container, 5)),
    "pause": (1, lambda machine, container: machine.containers.pause(container)),
    "remove": (8, lambda machine, container: machine.containers.remove(container)),
}
"""How many steps there are at least, and what is done to a container that runs."""


@pytest.mark.parametrize("name", in_turn(list(ACTS), 2))
def test_an_act_killed_at_any_step_can_be_done_again(machine: Machine, name: str) -> None:
    least, act = ACTS[name]
    for steps in numbers_in_turn(0, EFFECTS_TURNS):
        with machine.created(machine.spec(*LOOP)) as container:
            runs = machine.storage.rootfs.written(container.id) / "runs"
            if name != "start":
                machine.containers.start(container.id)
                eventually(runs.exists)
            if not dies_before(steps, partial(act, machine, container.id)):
                break
            machine.containers.recover()
            if name == "remove":
                machine.containers.remove(container.id)
            else:
                # Whatever it came to: it can be ended, it runs again, and has what it wrote.
                machine.containers.stop(container.id, 0.1)
                machine.containers.start(container.id)
                assert machine.containers.status(container.id).state is State.RUNNING, steps
                assert name == "start" or runs.exists(), steps
        assert machine.traces() == [], steps
    assert steps >= least


def test_no_effect_on_containers_is_left_out(machine: Machine) -> None:
    def life() -> None:
        with machine.running(*LOOP) as container:
            machine.containers.pause(container.id)
            machine.containers.unpause(container.id)
            machine.containers.restart(container.id, 0.1)
            machine.containers.stop(container.id, 0.1)

    assert unseen(life, is_effect) == set()


def test_ports_published_by_who_is_killed_lead_nowhere(machine: Machine) -> None:
    network, ports = machine.network, parse_all(["80"])

    def life() -> None:
        network.prepare("kill", owner="app:1", ports=ports)
        network.detach("kill")

    steps = 0
    for steps in deaths(life):
        network.ensure()
        network.detach("kill")
        assert machine.traces() == [], steps
    assert steps > 5


def test_a_disk_made_by_who_is_killed_is_gone(machine: Machine) -> None:
    rootfs, layers = machine.storage.rootfs, machine.image.layers

    def life() -> None:
        rootfs.mount("kill", layers, machine.storage.range, disk_bytes=16 * MIB)
        rootfs.unmount("kill")

    steps = 0
    for steps in deaths(life):
        machine.containers.recover()
        assert machine.traces() == [], steps
    assert steps > 10


@pytest.fixture
def commits(machine: Machine) -> Iterator[Commits]:
    storage = machine.storage
    known = {image.id for image in storage.images.list()}
    yield Commits(
        machine.bundler, machine.containers, storage.images, storage.layers, storage.rootfs,
        machine.clock,
    )  # fmt: skip
    assert storage.collector.collect(images=lambda: known) is not None


def test_a_commit_killed_at_any_step_leaves_a_whole_image_or_none(
    machine: Machine, commits: Commits
) -> None:
    storage = machine.storage
    with machine.running("sh", "-c", "echo x > /made; echo up; sleep 60") as container:
        machine.wait_for_line(container.id, "up")
        steps = 0
        for steps in deaths(lambda: commits.commit(container.id)):
            machine.containers.recover()
            # It goes on, and what came of it is an image or nothing.
            assert machine.exec(container.id, "cat", "/made").text == "x\n", steps
            images = storage.images.list()
            for image in images:
                assert all(storage.layers.damage(layer) is None for layer in image.layers), steps
            kept = {image.id for image in images}
            assert storage.collector.collect(images=lambda kept=kept: kept) is not None
            named = {layer for one in images for layer in one.layers}
            assert set(storage.layers.list()) == named, steps
            on_disk = {path.name for path in (machine.layout.engine_fs / "l").iterdir()}
            assert on_disk - {"0"} == named, steps
            assert list((machine.layout.engine_fs / "tmp").iterdir()) == [], steps
        assert steps > 8
