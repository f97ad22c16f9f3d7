"""What containers are, run and use, for people and programs, without their secrets.

Names of fields are Docker's where Docker has them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from paas.engine import stats, top
from paas.engine.bundler import Bundler
from paas.engine.container import ContainerNotFound
from paas.engine.containers import Containers
from paas.engine.probes import Probes
from paas.engine.stats import Stats
from paas.engine.top import Process
from paas.engine.userns import RANGE_SIZE
from paas.errors import PaasError

REDACTED = "[REDACTED]"


class Ambiguous(PaasError):
    """Several containers are meant."""

    def __init__(self, text: str, ids: list[str]) -> None:
        super().__init__(
            f"{text} is the beginning of more than one container's id", ids, "Write more of it."
        )


@dataclass(frozen=True)
class Observer:
    """Looks at the containers of one engine and changes nothing."""

    bundler: Bundler
    containers: Containers
    probes: Probes

    def find(self, text: str) -> str:
        """The id of the container that is meant by its id, the beginning of one, or its name.

        The name of an app's instance is `APP-TYPE-INDEX`, its host name. Raises
        `ContainerNotFound`, `Ambiguous`.
        """
        known = self.containers.list()
        for matches in (
            [one.id for one in known if one.id == text],
            [one.id for one in known if one.hostname == text],
            [one.id for one in known if text and one.id.startswith(text)],
        ):
            if len(matches) == 1:
                return matches[0]
            if matches:
                raise Ambiguous(text, matches)
        raise ContainerNotFound(text)

    def stats(self, container_id: str) -> Stats:
        """What it uses. Raises `ContainerNotFound`."""
        status = self.containers.status(container_id)
        return stats.read(self.bundler.cgroups, container_id, status.pid)

    def top(self, container_id: str) -> list[Process]:
        """Its processes, the oldest first. Raises `ContainerNotFound`."""
        self.containers.get(container_id)
        base = self.bundler.bundles.of(container_id).known_record().base
        pids = self.bundler.cgroups.instance(container_id).processes()
        return top.processes(pids, base, RANGE_SIZE, top.uptime())

    def inspect(self, container_id: str) -> dict[str, Any]:
        """A document of plain values. Raises `ContainerNotFound`."""
        container = self.containers.get(container_id)
        status = self.containers.status(container_id)
        bundle = self.bundler.bundles.of(container_id)
        record, document = bundle.known_record(), bundle.config()
        health, restarts = self.probes.health(container_id), bundle.restarts()
        return {
            "Id": container.id,
            "Created": container.created_at,
            "Image": container.image,
            "Owner": container.owner,
            "Hostname": container.hostname,
            "Labels": dict(container.labels),
            "State": {
                "Status": status.state.value,
                "Pid": status.pid,
                "ExitCode": status.exit_code,
                "OOMKilled": status.oom_killed,
                "StartedAt": status.started_at,
                "FinishedAt": bundle.ended_at(),
                "Health": health.to_json() if health else None,
            },
            "RestartCount": restarts.count,
            "RestartPolicy": record.restart,
            "Monitor": live.monitor.pid if (live := bundle.live()) and live.monitor else None,
            "LogPath": str(container.log) if container.log else None,
            "StopSignal": record.stop_signal,
            "StopTimeout": record.stop_timeout,
            "Healthcheck": record.healthcheck,
            "Config": _configuration(document),
            "Limits": _limits(document),
            "Network": {
                "Mode": record.network,
                "Address": str(container.address) if container.address else None,
            },
            "Mounts": _mounts(document),
            "UserRange": record.base,
        }


def _configuration(document: dict[str, Any]) -> dict[str, Any]:
    process = document.get("process", {})
    return {
        "Args": process.get("args", []),
        "Env": [f"{pair.partition('=')[0]}={REDACTED}" for pair in process.get("env", ())],
        "WorkingDir": process.get("cwd"),
        "User": process.get("user"),
        "Tty": process.get("terminal", False),
        "NoNewPrivileges": process.get("noNewPrivileges"),
        "ReadonlyRootfs": document.get("root", {}).get("readonly", False),
        "Capabilities": process.get("capabilities", {}).get("bounding", []),
        "Ulimits": process.get("rlimits", []),
    }


def _limits(document: dict[str, Any]) -> dict[str, Any]:
    limited = dict(document.get("linux", {}).get("resources", {}))
    return {name: value for name, value in limited.items() if value}


def _mounts(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Those of the caller: the system's own are the same in every container."""
    return [
        {
            "Type": mount["type"],
            "Source": mount["source"],
            "Destination": mount["destination"],
            "RW": "ro" not in mount["options"],
        }
        for mount in document.get("mounts", ())
        if mount["type"] == "bind" or mount["destination"] == "/dev/shm"  # noqa: S108
    ]
