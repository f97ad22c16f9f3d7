"""`paas containers:*` over a real engine: what is refused, then each command once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas.engine.engine import Engine
from paas.engine.spec import ContainerSpec
from tests.engine.machine import Machine
from tests.unit.cli.caller import ROOT, Paas, Said


class Root:
    """Root's commands, on the engine of the tests."""

    def __init__(self, folder: Path, machine: Machine) -> None:
        self.paas = Paas(folder)
        engine = Engine(machine.layout, machine.clock)
        # The same parts: what they know of the network is theirs alone.
        engine.__dict__.update(
            database=machine.storage.db, bundler=machine.bundler, containers=machine.containers,
            foreground=machine.foreground, images=machine.storage.images,
            layers=machine.storage.layers, rootfs=machine.storage.rootfs,
        )  # fmt: skip
        self.paas.platform.engine = engine

    def __call__(self, *argv: str, input: bytes = b"") -> Said:
        return self.paas(*argv, caller=ROOT, input=input)

    def text(self, *argv: str, input: bytes = b"") -> str:
        said = self(*argv, input=input)
        assert (said.code, said.err) == (0, ""), said
        return said.stdout.decode()


@pytest.fixture
def root(machine: Machine, tmp_path: Path) -> Iterator[Root]:
    root = Root(tmp_path, machine)
    yield root
    root.paas.store.close()


def _spec(machine: Machine) -> ContainerSpec:
    script = "echo up; echo x > /new; exec sleep 600"
    return machine.spec("sh", "-c", script, hostname="shop-web-1", env={"TOKEN": "hunter2"})


def test_they_are_for_root_alone(root: Root) -> None:
    for command in root.paas.table.of_noun("containers"):
        words = ["x"] * max(2, command.most_words or 2)
        said = root.paas(command.name, *words)
        assert said.code != 0
        assert "for root on the server alone" in said.err, command.name


def test_what_is_not_there_is_code_20(root: Root) -> None:
    for name in ("inspect", "top", "stop", "pause", "wait", "logs", "diff", "commit"):
        assert root(f"containers:{name}", "nobody").code == 20, name


def test_each_looks_and_acts(root: Root, machine: Machine, tmp_path: Path) -> None:
    with machine.created(_spec(machine)) as container:
        machine.containers.start(container.id)
        machine.wait_for_line(container.id, "up")
        (listed,) = json.loads(root.text("containers:list", "--format", "json"))
        assert (listed["id"], listed["name"], listed["state"]) == (
            container.id, "shop-web-1", "running",
        )  # fmt: skip
        name = container.id[:6]
        document = root.text("containers:inspect", name)
        assert json.loads(document)["Id"] == container.id
        assert "hunter2" not in document
        assert "sleep 600" in root.text("containers:top", "shop-web-1")
        stats = json.loads(root.text("containers:stats", name, "--no-stream", "--format", "json"))
        assert stats["pids"] == 2
        assert root.text("containers:logs", name) == "up\n"
        assert root.text("containers:diff", name) == "A /new\n"
        # An answer of the command's own goes through, whatever it is.
        assert root("containers:exec", name, "sh", "-c", "exit 7").code == 7
        (tmp_path / "in").write_text("copied")
        root.text("containers:cp", "in", f"{name}:/tmp/there")
        root.text("containers:cp", f"{name}:/tmp/there", "out")
        assert (tmp_path / "out").read_text() == "copied"
        image = root.text("containers:commit", name, "shop:mine", "-c", "ENV A=b").strip()
        assert machine.storage.images.refs()["docker.io/library/shop:mine"] == image
        assert root.text("containers:pause", name).strip() == container.id
        assert root("containers:remove", name).code != 0
        assert "paused" in root.text("containers:list")
        root.text("containers:unpause", name)
        root.text("containers:kill", "-s", "TERM", name)
        assert root.text("containers:wait", name) == "143\n"
        root.text("containers:restart", name)
        root.text("containers:stop", name, "-t", "0.1")
        assert root.text("containers:list").count("\n") == 1
        assert container.id[:12] in root.text("containers:list", "--all")
        root.text("containers:start", name)
        root.text("containers:remove", "--force", name)
        told = [
            json.loads(line)["action"]
            for line in root.text("containers:events", "--format", "json").splitlines()
            if container.id in line
        ]
        assert {"create", "start", "pause", "commit", "kill", "die", "destroy"} <= set(told)
    machine.storage.images.untag("shop:mine")
