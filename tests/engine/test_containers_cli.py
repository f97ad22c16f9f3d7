"""`paas containers:*` over a real engine: what is refused, then each command once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas.engine.engine import Engine
from paas.engine.spec import ContainerSpec
from tests.engine.machine import Machine
from tests.push.outcome import eventually
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
            ranges=machine.storage.ranges, network=machine.network,
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
    script = "echo x > /new; echo up; exec sleep 600"
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


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["-v", "data"], "VOLUME:/PATH"),
        (["-v", "/var/lib/nothing-there:/data"], "cannot be mounted"),
        (["-e", "A"], "KEY=VALUE"),
        (["--tmpfs", "x"], "/PATH"),
        (["--shm-size", "0"], "not a size"),
        (["--ulimit", "nofile"], "NAME=SOFT"),
        (["--device", "/etc/passwd"], "/dev/NAME"),
        (["--device", "/dev/nothing"], "cannot be given"),
        (["--sysctl", "vm.swappiness=1"], "would be the host's"),
        (["--restart", "sometimes"], "restart policy"),
        (["-p", "0"], "which port"),
        (["-p", "80", "--network", "none"], "no ports to publish"),
        (["-m", "1k"], "amount of memory"),
        (["--name", "Not_a_name"], "lower-case"),
        (["--stop-signal", "HARD"], "signal"),
    ],
)
def test_what_cannot_be_made_is_said_and_leaves_nothing(
    root: Root, machine: Machine, words: list[str], complaint: str
) -> None:
    said = root("containers:create", *words, machine.image.id, "true")
    assert said.code != 0
    assert complaint in said.err
    assert machine.traces() == []


def test_a_policy_needs_somebody_else_to_wait_and_a_command_to_be_there(
    root: Root, machine: Machine
) -> None:
    said = root("containers:run", "--restart", "always", machine.image.id, "true")
    assert "--detach" in said.err
    for more in ([], ["-d"]):
        said = root("containers:run", *more, machine.image.id, "no-such-command")
        assert said.code == 127, said
    assert machine.traces() == []


def test_one_is_made_with_all_that_it_is_asked_for(
    root: Root, machine: Machine, tmp_path: Path
) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o777)
    script = (
        "echo $A; id -u; pwd; ulimit -n;"
        " cat /proc/sys/net/ipv4/tcp_keepalive_time; touch /x 2>/dev/null || echo read-only;"
        " echo kept > /data/f; echo out > /shared/f; touch /scratch/x; hostname; exec sleep 600"
    )
    made = root.text(
        "containers:create", "--name", "tool", "-e", "A=b", "-u", "web", "-w", "/tmp",
        "--ulimit", "nofile=99:100", "--sysctl", "net.ipv4.tcp_keepalive_time=77", "--read-only",
        "-v", "data:/data", "-v", f"{tmp_path}/shared:/shared", "--tmpfs", "/scratch:size=1m",
        "-m", "64m", "--cpus", "0.5", "--pids-limit", "50", "--disk", "32m", "-p", "127.0.0.1::80",
        "--restart", "on-failure:2", "--stop-timeout", "1", "-l", "team=ours",
        machine.image.id, "--", "sh", "-c", script,
    ).strip()  # fmt: skip
    try:
        again = root("containers:create", "--name", "tool", machine.image.id, "true")
        assert "A container is called tool" in again.err
        assert root.text("containers:start", "tool").strip() == made
        log = machine.layout.logs / "containers" / f"{made}.log"
        eventually(lambda: "tool" in root.text("containers:logs", "tool"))
        assert root.text("containers:logs", "tool").split() == [
            "b", "1000", "/tmp", "99", "77", "read-only", "tool",
        ]  # fmt: skip
        assert (tmp_path / "shared/f").read_text() == "out\n"
        document = json.loads(root.text("containers:inspect", "tool"))
        assert document["Limits"]["memory"]["limit"] == 64 << 20
        assert document["Labels"]["team"] == "ours"
        root.text("containers:remove", "--force", "tool")
        assert not log.exists()
    finally:
        machine.containers.remove(made)
        machine.volumes.remove("data")


def test_one_is_run_to_its_end_or_left_running(root: Root, machine: Machine) -> None:
    image = machine.make_image(cmd=("echo", "said"), entrypoint=("/bin/echo", "first"))
    assert root.text("containers:run", image.id) == "first echo said\n"
    assert root.text("containers:run", image.id, "mine") == "first mine\n"
    assert root.text("containers:run", "--entrypoint", "cat", image.id, "/etc/hostname") != ""
    said = root("containers:run", machine.image.id, "sh", "-c", "cat; exit 3", input=b"in")
    assert (said.code, said.stdout) == (3, b"in")
    assert machine.traces() == []
    made = root.text("containers:run", "-d", machine.image.id, "sleep", "600").strip()
    assert made[:12] in root.text("containers:list")
    root.text("containers:remove", "--force", made)


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


def test_the_image_of_a_container_has_its_name_when_the_collector_comes_by(
    root: Root, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, layers = machine.storage.images, machine.storage.layers
    kept, kept_layers = {image.id for image in images.list()}, layers.list()
    add = machine.bundler.events.add

    def collecting(action: str, container: str, **attributes: str) -> None:
        if action == "commit":
            collected = machine.storage.collector.collect(
                images=lambda: kept, layers=lambda: kept_layers
            )
            assert collected is not None
        add(action, container, **attributes)

    with machine.created(_spec(machine)) as container:
        monkeypatch.setattr(machine.bundler.events, "add", collecting)
        image = root.text("containers:commit", container.id, "shop:named").strip()
    assert images.find("shop:named").id == image
    images.untag("shop:named")
