"""What an image says about running it: the OCI image configuration.

Read from and written to the JSON of https://github.com/opencontainers/image-spec,
config.md, with Docker's `Healthcheck`, `OnBuild` and `Shell` beside it.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from paas.errors import PaasError

NANOSECONDS = 1_000_000_000
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


class InvalidImage(PaasError):
    """What a registry or an archive delivered is not an image this engine can run."""


def host_architecture() -> str:
    """The architecture of this machine in Go's words (`amd64`, `arm64`)."""
    machine = platform.machine()
    return _ARCHITECTURES.get(machine, machine)


@dataclass(frozen=True)
class Healthcheck:
    """Docker's HEALTHCHECK. Durations are seconds; None stands for Docker's default."""

    test: tuple[str, ...]
    """`NONE`, or `CMD` and an argv, or `CMD-SHELL` and a command."""
    interval: float | None = None
    timeout: float | None = None
    start_period: float | None = None
    start_interval: float | None = None
    retries: int | None = None

    def to_json(self) -> dict[str, Any]:
        durations = {
            "Interval": self.interval,
            "Timeout": self.timeout,
            "StartPeriod": self.start_period,
            "StartInterval": self.start_interval,
        }
        found: dict[str, Any] = {"Test": list(self.test)}
        for name, seconds in durations.items():
            if seconds is not None:
                found[name] = round(seconds * NANOSECONDS)
        if self.retries is not None:
            found["Retries"] = self.retries
        return found

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Healthcheck:
        def seconds(name: str) -> float | None:
            return data[name] / NANOSECONDS if data.get(name) else None

        return cls(
            tuple(data.get("Test") or ()),
            seconds("Interval"),
            seconds("Timeout"),
            seconds("StartPeriod"),
            seconds("StartInterval"),
            data.get("Retries") or None,
        )


@dataclass(frozen=True)
class History:
    """One line of how the image came to be; `created` is RFC 3339."""

    created_by: str
    created: str | None = None
    comment: str | None = None
    empty_layer: bool = False

    def to_json(self) -> dict[str, Any]:
        return _without_nothing(
            {
                "created": self.created,
                "created_by": self.created_by,
                "comment": self.comment,
                "empty_layer": self.empty_layer,
            }
        )


@dataclass(frozen=True)
class ImageConfig:
    """The configuration of an image. Nothing set is None or empty, as in the JSON."""

    env: Mapping[str, str] = field(default_factory=dict)
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    workdir: str = ""
    user: str = ""
    """As the Dockerfile's USER: name or id, and a group after a colon."""
    exposed_ports: tuple[str, ...] = ()
    """`80/tcp`, in the order given."""
    labels: Mapping[str, str] = field(default_factory=dict)
    stop_signal: str | None = None
    volumes: tuple[str, ...] = ()
    healthcheck: Healthcheck | None = None
    onbuild: tuple[str, ...] = ()
    shell: tuple[str, ...] | None = None
    author: str | None = None
    created: str | None = None
    """RFC 3339."""
    architecture: str = field(default_factory=host_architecture)
    os: str = "linux"
    variant: str | None = None
    history: tuple[History, ...] = ()

    def to_json(self, diff_ids: Sequence[str] = ()) -> dict[str, Any]:
        """The OCI document; `diff_ids` are the sha256 of the layers' tars, lowest first."""
        runtime: dict[str, Any] = {
            "User": self.user,
            "ExposedPorts": {port: {} for port in self.exposed_ports},
            "Env": [f"{name}={value}" for name, value in self.env.items()],
            "Entrypoint": _list(self.entrypoint),
            "Cmd": _list(self.cmd),
            "Volumes": {path: {} for path in self.volumes},
            "WorkingDir": self.workdir,
            "Labels": dict(self.labels),
            "StopSignal": self.stop_signal,
            "Healthcheck": self.healthcheck.to_json() if self.healthcheck else None,
            "OnBuild": list(self.onbuild),
            "Shell": _list(self.shell),
        }
        document = {
            "created": self.created,
            "author": self.author,
            "architecture": self.architecture,
            "os": self.os,
            "variant": self.variant,
            "history": [entry.to_json() for entry in self.history],
        }
        return {
            **_without_nothing(document),
            "config": _without_nothing(runtime),
            "rootfs": {"type": "layers", "diff_ids": list(diff_ids)},
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> ImageConfig:
        """Read an OCI document. Raises `InvalidImage` for one of another shape."""
        try:
            return cls._read(document, document.get("config") or {})
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise InvalidImage(
                f"The configuration of the image is malformed: {error}",
                resolution="Rebuild or repull the image.",
            ) from error

    @classmethod
    def _read(cls, document: Mapping[str, Any], runtime: Mapping[str, Any]) -> ImageConfig:
        pairs = (entry.partition("=") for entry in runtime.get("Env") or ())
        health = runtime.get("Healthcheck")
        return cls(
            env={name: value for name, _, value in pairs},
            entrypoint=_tuple(runtime.get("Entrypoint")),
            cmd=_tuple(runtime.get("Cmd")),
            workdir=runtime.get("WorkingDir") or "",
            user=runtime.get("User") or "",
            exposed_ports=tuple(runtime.get("ExposedPorts") or ()),
            labels=dict(runtime.get("Labels") or {}),
            stop_signal=runtime.get("StopSignal") or None,
            volumes=tuple(runtime.get("Volumes") or ()),
            healthcheck=Healthcheck.from_json(health) if health else None,
            onbuild=tuple(runtime.get("OnBuild") or ()),
            shell=_tuple(runtime.get("Shell")),
            author=document.get("author") or None,
            created=document.get("created") or None,
            architecture=document.get("architecture") or host_architecture(),
            os=document.get("os") or "linux",
            variant=document.get("variant") or None,
            history=tuple(
                History(
                    entry.get("created_by") or "",
                    entry.get("created") or None,
                    entry.get("comment") or None,
                    bool(entry.get("empty_layer")),
                )
                for entry in document.get("history") or ()
            ),
        )


def _list(words: tuple[str, ...] | None) -> list[str] | None:
    return None if words is None else list(words)


def _tuple(words: Sequence[str] | None) -> tuple[str, ...] | None:
    if isinstance(words, str):
        raise TypeError(f"{words!r} is not a list")
    return None if words is None else tuple(words)


def _without_nothing(document: Mapping[str, Any]) -> dict[str, Any]:
    """Without what is not set; an empty Entrypoint or Cmd is kept, it means "none"."""
    return {
        name: value
        for name, value in document.items()
        if value or (name in ("Entrypoint", "Cmd") and value is not None)
    }
