"""What a container is (`ContainerSpec`), and the OCI runtime configuration it becomes.

Pure: everything the host decides comes in as `HostFacts`. Source of the document:
https://github.com/opencontainers/runtime-spec, config.md and config-linux.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from paas.engine import capabilities, sysctls, ulimits
from paas.engine.config import Healthcheck, ImageConfig
from paas.engine.devices import Device, Node
from paas.engine.policy import NEVER, RestartPolicy
from paas.engine.resources import HostFacts, resources
from paas.engine.userns import UserRange
from paas.engine.users import User
from paas.errors import PaasError
from paas.model.env import MAX_ENVIRONMENT_STRING, Secret, fits_environment
from paas.model.limits import MIB, Limits

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

INIT_TARGET = "/dev/init"
"""In a tmpfs of the runtime, so that no file appears in the image."""

INITS = frozenset(
    {"tini", "tini-static", "docker-init", "dumb-init", "catatonit", "s6-svscan", "init", "systemd"}
)
"""Entrypoints that reap and forward signals themselves; `init` is also s6-overlay's."""

SHARED_MEMORY = "/dev/shm"  # noqa: S108  the container's own
SHM_BYTES = 64 * MIB
"""Of it, as in Docker."""

SHELLS = frozenset({("/bin/sh", "-c"), ("sh", "-c"), ("/bin/bash", "-c"), ("bash", "-c")})

MASKED_PATHS = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/fs/selinux",
)
READ_ONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

NETWORK_SYSCTLS = {
    # A container's root may serve on port 80 as any user.
    "net.ipv4.ip_unprivileged_port_start": "0",
    # ping without CAP_NET_RAW, for every group of the container.
    "net.ipv4.ping_group_range": "0 65535",
}


class NothingToRun(PaasError):
    """Neither the image nor the caller says what to run."""


class EnvironmentTooLarge(PaasError):
    """One variable is larger than the kernel hands to a program."""


@dataclass(frozen=True)
class Mount:
    """A directory or file of the host (`source`) at an absolute path of the container.

    With `fill`, one that was never used begins with the image's files at `target`. A volume
    that the image declares within it is the container's own, as in Docker, and goes with it;
    with `whole` that is a part of this one.
    """

    source: Path
    target: str
    read_only: bool = False
    fill: bool = False
    whole: bool = False


@dataclass(frozen=True)
class ContainerSpec:
    """Everything about one container that its image does not say.

    `owner` names the user id range, such as `app:7`. `args` is the whole argv
    (`command_of`). `env` comes on top of the image's. `log` is the file its output goes
    to; None drops it. `stop_timeout` is in seconds. `tmpfs` maps absolute paths to sizes in
    bytes. `publish` is in the words of `docker run -p`. `ulimits` are (soft, hard) by short
    names (`nofile`). `healthcheck` replaces the image's. With `terminal` its first process has
    a pty that can be attached to; with `stdin` its standard input stays open for who attaches.
    """

    id: str
    image: str
    owner: str
    args: tuple[str, ...] | Sequence[str]
    env: Mapping[str, str | Secret] = field(default_factory=dict, repr=False)
    cwd: str = ""
    user: str = ""
    hostname: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    network: Literal["private", "none", "host"] = "private"
    publish: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()
    limits: Limits = field(default_factory=Limits)
    init: bool = True
    no_new_privileges: bool = True
    read_only: bool = False
    stop_signal: str = "SIGTERM"
    stop_timeout: float = 30.0
    log: Path | None = None
    sysctls: Mapping[str, str] = field(default_factory=dict)
    shm_bytes: int = SHM_BYTES
    tmpfs: Mapping[str, int] = field(default_factory=dict)
    ulimits: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    devices: tuple[Device, ...] = ()
    restart: RestartPolicy = NEVER
    healthcheck: Healthcheck | None = None
    terminal: bool = False
    stdin: bool = False


def command_of(
    config: ImageConfig,
    *,
    args: Sequence[str] | None = None,
    shell_command: str | None = None,
) -> tuple[str, ...]:
    """The argv of a container.

    As in Docker, an ENTRYPOINT stays and what is given replaces CMD. A `shell_command` (a
    Procfile's) is given to a shell; an entrypoint that is itself only a shell takes it
    directly. Raises `NothingToRun`.
    """
    entrypoint = tuple(config.entrypoint or ())
    if shell_command is not None:
        words: tuple[str, ...] = ("/bin/sh", "-c", shell_command)
        if entrypoint in SHELLS:
            words = (shell_command,)
    elif args is not None:
        words = tuple(args)
    else:
        words = tuple(config.cmd or ())
    if not entrypoint + words:
        raise NothingToRun(
            "The image does not say what to run: it has neither ENTRYPOINT nor CMD",
            resolution="Add a CMD to the Dockerfile, or a Procfile with a line `web: COMMAND`.",
        )
    return entrypoint + words


def hostname_of(spec: ContainerSpec) -> str:
    """Its host name: as in Docker, the beginning of its id unless it has one."""
    return spec.hostname or spec.id[:12]


def needs_init(spec: ContainerSpec) -> bool:
    """Whether an init goes before the command: wanted, and the command is not one itself."""
    return spec.init and spec.args[0].rsplit("/", 1)[-1] not in INITS


def environment_of(spec: ContainerSpec, config: ImageConfig, user: User) -> dict[str, str]:
    """The plain variables: the image's, then the caller's. Raises `EnvironmentTooLarge`."""
    variables = {
        "PATH": DEFAULT_PATH,
        "HOSTNAME": hostname_of(spec),
        "HOME": user.home,
        **config.env,
    }
    for key, value in spec.env.items():
        secret = value if isinstance(value, Secret) else Secret(value)
        if not fits_environment(key, secret):
            raise EnvironmentTooLarge(
                f"The variable {key} is larger than the {MAX_ENVIRONMENT_STRING // 1024} KiB"
                " that Linux hands to a program",
                resolution="Ship it as a file in the image or on a volume.",
            )
        variables[key] = secret.reveal()
    return variables


def process(
    spec: ContainerSpec,
    config: ImageConfig,
    user: User,
    host: HostFacts,
    *,
    terminal: bool = False,
    init: bool | None = None,
) -> dict[str, Any]:
    """The `process` of the OCI configuration, also of one that joins a running container."""
    variables = environment_of(spec, config, user)
    if terminal:
        variables.setdefault("TERM", "xterm")
    with_init = needs_init(spec) if init is None else init
    allowed = list(capabilities.DEFAULT)
    return {
        "terminal": terminal,
        "user": {
            "uid": user.uid,
            "gid": user.gid,
            # The first too: otherwise a setgid program drops it, and passes where a file is
            # denied to that group (CVE-2022-36109).
            "additionalGids": list(dict.fromkeys((user.gid, *user.groups))),
        },
        "args": [*((INIT_TARGET, "--") if with_init else ()), *spec.args],
        "env": [f"{key}={value}" for key, value in variables.items()],
        "cwd": spec.cwd or config.workdir or "/",
        "capabilities": {"bounding": allowed, "effective": allowed, "permitted": allowed},
        "noNewPrivileges": spec.no_new_privileges,
        "rlimits": [
            {"type": name, "soft": soft, "hard": hard}
            for name, soft, hard in ulimits.merged(host.rlimits, spec.ulimits)
        ],
        "oomScoreAdj": host.oom_score_adj,
    }


def oci_config(
    spec: ContainerSpec,
    config: ImageConfig,
    user: User,
    user_range: UserRange,
    rootfs: Path,
    host: HostFacts,
    *,
    files: Mapping[str, Path],
    nodes: Sequence[Node] = (),
) -> dict[str, Any]:
    """The whole config.json.

    `files` maps absolute paths such as /etc/hosts to the files of the host bound there;
    `nodes` are the devices of the specification, found. Raises `SysctlRefused`,
    `InvalidUlimit`.
    """
    sysctls.check(spec.sysctls, own_network=spec.network != "host")
    limited = resources(spec.limits, host)
    limited["devices"] += [node.rule for node in nodes]
    ids = [{"containerID": 0, "hostID": user_range.base, "size": user_range.size}]
    return {
        "ociVersion": "1.0.2",
        "process": process(spec, config, user, host, terminal=spec.terminal),
        "root": {"path": str(rootfs), "readonly": spec.read_only},
        "hostname": hostname_of(spec),
        "mounts": [
            *_system_mounts(spec),
            *_bind_mounts(spec, host, files),
            *_own_mounts(spec),
        ],
        "annotations": dict(spec.labels),
        "linux": {
            "namespaces": _namespaces(spec),
            "uidMappings": ids,
            "gidMappings": ids,
            "cgroupsPath": host.cgroups_path,
            "resources": limited,
            "devices": [node.entry for node in nodes],
            "sysctl": {**(NETWORK_SYSCTLS if spec.network != "host" else {}), **spec.sysctls},
            "seccomp": dict(host.seccomp),
            "maskedPaths": list(MASKED_PATHS),
            "readonlyPaths": list(READ_ONLY_PATHS),
        },
    }


def _namespaces(spec: ContainerSpec) -> list[dict[str, str]]:
    kinds = ["user", "mount", "pid", "ipc", "uts", "cgroup"]
    if spec.network != "host":
        kinds.append("network")
    return [{"type": kind} for kind in kinds]


def _system_mounts(spec: ContainerSpec) -> list[dict[str, Any]]:
    if spec.network == "host":
        # sysfs belongs to the network namespace: one that is not ours cannot be mounted.
        # Private: what is mounted below it would appear in the host's too, where that is shared
        # (systemd): the container's view of control groups over the host's own.
        sys = _mount("/sys", "none", "/sys", "rbind", "rprivate", "nosuid", "noexec", "nodev", "ro")
    else:
        sys = _mount("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", "ro")
    return [
        _mount("/proc", "proc", "proc", "nosuid", "noexec", "nodev"),
        _mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=1m"),
        _mount(
            "/dev/pts", "devpts", "devpts",
            "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5",
        ),
        _mount(
            SHARED_MEMORY, "tmpfs", "shm",
            "nosuid", "noexec", "nodev", "mode=1777", f"size={spec.shm_bytes}",
        ),
        _mount("/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev"),
        sys,
        _mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", "ro"),
    ]  # fmt: skip


def _bind_mounts(
    spec: ContainerSpec, host: HostFacts, files: Mapping[str, Path]
) -> list[dict[str, Any]]:
    bound = [
        _mount(target, "bind", str(source), "bind", "rprivate", "nosuid", "nodev", "noexec")
        for target, source in files.items()
    ]
    if needs_init(spec):
        init = _mount(INIT_TARGET, "bind", str(host.init), "bind", "ro", "nosuid", "nodev")
        bound.append(init)
    return bound


def _own_mounts(spec: ContainerSpec) -> list[dict[str, Any]]:
    """The caller's. One that is within another comes behind it: it would be hidden."""
    own = [
        _mount(target, "tmpfs", "tmpfs", "nosuid", "nodev", "mode=1777", f"size={size}")
        for target, size in spec.tmpfs.items()
    ]
    for mount in spec.mounts:
        mode, source = "ro" if mount.read_only else "rw", str(mount.source)
        own.append(
            _mount(mount.target, "bind", source, "rbind", "rprivate", mode, "nosuid", "nodev")
        )
    return sorted(own, key=lambda mount: len(Path(mount["destination"]).parts))


def _mount(target: str, kind: str, source: str, *options: str) -> dict[str, Any]:
    return {"destination": target, "type": kind, "source": source, "options": list(options)}
