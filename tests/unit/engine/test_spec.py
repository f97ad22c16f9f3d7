"""What a specification becomes, without a kernel."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from paas.engine import capabilities, seccomp
from paas.engine.config import ImageConfig
from paas.engine.resources import HostFacts
from paas.engine.spec import (
    ContainerSpec,
    EnvironmentTooLarge,
    Mount,
    NothingToRun,
    command_of,
    environment_of,
    oci_config,
)
from paas.engine.userns import UserRange
from paas.engine.users import User
from paas.model.env import Secret

HOST = HostFacts(
    cgroup_version=2,
    controllers=frozenset({"cpu", "io", "memory", "pids"}),
    limits_swap=True,
    io_weights=("io.weight",),
    cgroups_path="/paas/instances/c1",
    rlimits=(("RLIMIT_NOFILE", 20000, 20000),),
    oom_score_adj=100,
    init=Path("/usr/bin/tini-static"),
    seccomp=seccomp.profile(capabilities.DEFAULT, "x86_64"),
)


def spec(**more: Any) -> ContainerSpec:
    values = {"id": "c1", "image": "sha256:0", "owner": "app:1", "args": ("serve",)}
    return ContainerSpec(**{**values, **more})


def config(image: ImageConfig | None = None, **more: Any) -> dict[str, Any]:
    return oci_config(
        spec(**more), image or ImageConfig(), User(), UserRange(700_000), Path("/r"), HOST, files={}
    )


def test_an_image_without_a_command_needs_one() -> None:
    with pytest.raises(NothingToRun, match="neither ENTRYPOINT nor CMD"):
        command_of(ImageConfig())


def test_a_variable_the_kernel_would_refuse_is_named() -> None:
    with pytest.raises(EnvironmentTooLarge, match="HUGE"):
        environment_of(spec(env={"HUGE": "x" * 131_072}), ImageConfig(), User())


@pytest.mark.parametrize(
    ("entrypoint", "cmd", "given", "argv"),
    [
        (None, ("serve",), {}, ("serve",)),
        (("run.sh",), ("serve",), {}, ("run.sh", "serve")),
        (("run.sh",), ("serve",), {"args": ["other"]}, ("run.sh", "other")),
        (None, ("serve",), {"shell_command": "a && b"}, ("/bin/sh", "-c", "a && b")),
        (("run.sh",), None, {"shell_command": "a b"}, ("run.sh", "/bin/sh", "-c", "a b")),
        (("/bin/sh", "-c"), None, {"shell_command": "a b"}, ("/bin/sh", "-c", "a b")),
    ],
)
def test_command(
    entrypoint: tuple[str, ...] | None,
    cmd: tuple[str, ...] | None,
    given: dict[str, Any],
    argv: tuple[str, ...],
) -> None:
    assert command_of(ImageConfig(entrypoint=entrypoint, cmd=cmd), **given) == argv


def test_environment_comes_from_user_image_and_caller_in_this_order() -> None:
    image = ImageConfig(env={"PATH": "/own", "A": "image", "B": "image"})
    found = environment_of(
        spec(hostname="web-1", env={"B": Secret("b"), "HOME": "/h"}), image, User(home="/home/web")
    )
    assert found == {"PATH": "/own", "HOSTNAME": "web-1", "HOME": "/h", "A": "image", "B": "b"}


def test_secrets_show_in_the_configuration_alone() -> None:
    one = spec(env={"TOKEN": Secret("hunter2")})
    assert "hunter2" not in repr(one)
    assert "TOKEN=hunter2" in config(env={"TOKEN": Secret("hunter2")})["process"]["env"]


def test_all_namespaces_and_the_range() -> None:
    linux = config()["linux"]
    kinds = {namespace["type"] for namespace in linux["namespaces"]}
    assert kinds == {"user", "mount", "pid", "ipc", "uts", "cgroup", "network"}
    assert linux["uidMappings"] == linux["gidMappings"]
    assert linux["uidMappings"] == [{"containerID": 0, "hostID": 700_000, "size": 65536}]


def test_the_hosts_network_is_no_namespace_and_no_sysctl() -> None:
    document = config(network="host")
    assert {"type": "network"} not in document["linux"]["namespaces"]
    assert document["linux"]["sysctl"] == {}
    (sys,) = [mount for mount in document["mounts"] if mount["destination"] == "/sys"]
    assert sys["options"][0] == "rbind"


def test_an_init_goes_before_the_command_unless_it_is_one() -> None:
    assert config()["process"]["args"] == ["/dev/init", "--", "serve"]
    assert config(init=False)["process"]["args"] == ["serve"]
    assert config(args=("/usr/bin/tini", "--", "x"))["process"]["args"][0] == "/usr/bin/tini"


def test_privileges_are_few() -> None:
    process = config()["process"]
    assert process["noNewPrivileges"] is True
    assert "CAP_SYS_ADMIN" not in process["capabilities"]["bounding"]
    assert "inheritable" not in process["capabilities"]
    assert "ambient" not in process["capabilities"]
    assert process["rlimits"] == [{"type": "RLIMIT_NOFILE", "soft": 20000, "hard": 20000}]


def test_the_first_group_is_among_the_further_ones() -> None:
    """Or a setgid program would lose it, and pass where its files deny it (CVE-2022-36109)."""
    user = User(uid=1000, gid=1000, groups=(2000,))
    found = oci_config(spec(), ImageConfig(), user, UserRange(700_000), Path("/r"), HOST, files={})
    assert found["process"]["user"]["additionalGids"] == [1000, 2000]


def test_mounts_are_the_callers_last_and_private() -> None:
    mounts = config(mounts=(Mount(Path("/v"), "/data", read_only=True),))["mounts"]
    assert mounts[-1] == {
        "destination": "/data",
        "type": "bind",
        "source": "/v",
        "options": ["rbind", "rprivate", "ro", "nosuid", "nodev"],
    }


def test_what_is_within_another_mount_comes_behind_it() -> None:
    inner = (Mount(Path("/b"), "/data/deep/er"), Mount(Path("/a"), "/data"))
    document = config(mounts=inner, tmpfs={"/data/tmp": 1 << 20})
    targets = [mount["destination"] for mount in document["mounts"]]
    assert targets[-3:] == ["/data", "/data/tmp", "/data/deep/er"]


def test_user_and_working_directory_are_the_images_unless_given() -> None:
    image = ImageConfig(workdir="/app")
    assert config(image)["process"]["cwd"] == "/app"
    assert config(image, cwd="/other")["process"]["cwd"] == "/other"
    assert config()["process"]["cwd"] == "/"


def test_it_is_json() -> None:
    json.dumps(config(labels={"paas.app": "7"}))
