"""The OCI configuration of images."""

from __future__ import annotations

import pytest

from paas.engine.config import Healthcheck, History, ImageConfig, InvalidImage

FULL = ImageConfig(
    env={"PATH": "/bin", "A": "x=y", "EMPTY": ""},
    entrypoint=("/entry",),
    cmd=(),
    workdir="/app",
    user="app:users",
    exposed_ports=("80/tcp", "53/udp"),
    labels={"a": "b"},
    stop_signal="SIGINT",
    volumes=("/data",),
    healthcheck=Healthcheck(("CMD-SHELL", "true"), interval=0.5, timeout=3, retries=2),
    onbuild=("RUN true",),
    shell=("/bin/bash", "-c"),
    author="me",
    created="2026-01-02T03:04:05Z",
    architecture="arm64",
    variant="v8",
    history=(History("COPY", "2026-01-02T03:04:05Z"), History("ENV", empty_layer=True)),
)


@pytest.mark.parametrize(
    "document",
    [
        {"config": {"Entrypoint": "/bin/sh"}},
        {"config": {"Env": [1]}},
        {"config": ["x"]},
        {"config": {"Labels": ["a"]}},
        {"config": {"Healthcheck": {"Interval": "30s"}}},
        {"history": ["x"]},
    ],
)
def test_refuses_another_shape(document: dict[str, object]) -> None:
    with pytest.raises(InvalidImage, match="malformed"):
        ImageConfig.from_json(document)


def test_comes_back_as_it_was_written() -> None:
    assert ImageConfig.from_json(FULL.to_json(["sha256:x"])) == FULL


def test_writes_the_names_of_the_specification() -> None:
    document = FULL.to_json(["sha256:x"])
    assert document["rootfs"] == {"type": "layers", "diff_ids": ["sha256:x"]}
    assert document["config"]["Env"] == ["PATH=/bin", "A=x=y", "EMPTY="]
    assert document["config"]["Healthcheck"]["Interval"] == 500_000_000
    assert document["config"]["ExposedPorts"] == {"80/tcp": {}, "53/udp": {}}


def test_keeps_an_empty_command_apart_from_none() -> None:
    assert ImageConfig(cmd=()).to_json()["config"] == {"Cmd": []}
    assert ImageConfig().to_json()["config"] == {}


def test_reads_nulls_as_docker_writes_them() -> None:
    document = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Env": None, "Cmd": None, "Entrypoint": None, "Labels": None, "Volumes": None},
        "history": None,
    }
    assert ImageConfig.from_json(document) == ImageConfig(architecture="amd64")
