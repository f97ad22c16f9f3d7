"""Platforms: this engine builds for the machine it runs on, and says so otherwise."""

from __future__ import annotations

from paas.engine.build.errors import Location
from paas.engine.config import host_architecture

_ALIASES = {
    "x86_64": "amd64",
    "x86-64": "amd64",
    "aarch64": "arm64",
    "armv8": "arm64",
}


def platform_args() -> dict[str, str]:
    """The platform arguments in the global scope (Dockerfile reference, ARG)."""
    architecture = host_architecture()
    found = {"TARGETSTAGE": ""}
    for side in ("BUILD", "TARGET"):
        found |= {
            f"{side}PLATFORM": f"linux/{architecture}",
            f"{side}OS": "linux",
            f"{side}ARCH": architecture,
            f"{side}VARIANT": "",
        }
    return found


def check_platform(at: Location, platform: str) -> None:
    """Raise `DockerfileError` unless `platform` is this machine's."""
    parts = platform.lower().split("/")
    if len(parts) == 1:
        parts = ["linux", parts[0]] if parts[0] != "linux" else ["linux", host_architecture()]
    system, architecture = parts[0], _ALIASES.get(parts[1], parts[1])
    if (system, architecture) != ("linux", host_architecture()):
        raise at.error(
            f"--platform={platform}: this server is linux/{host_architecture()} and builds for"
            " no other",
            resolution="Leave the platform out, or build on such a machine.",
        )
