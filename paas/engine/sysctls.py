"""Kernel parameters that a container may have of its own: those of its namespaces alone.

Any other would be the host's. Sources: proc(5), ipc_namespaces(7), network_namespaces(7).
"""

from __future__ import annotations

from collections.abc import Mapping

from paas.errors import PaasError

IPC = frozenset(
    f"kernel.{name}"
    for name in (
        "msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced",
    )
)  # fmt: skip
"""Of the ipc namespace, beside `fs.mqueue.*`."""


class SysctlRefused(PaasError):
    """A kernel parameter that is not of a namespace of the container."""


def check(sysctls: Mapping[str, str], *, own_network: bool) -> None:
    """See to it that each is the container's own. Raises `SysctlRefused`.

    `own_network` says that it has a network namespace.
    """
    for name in sysctls:
        if "/" in name or ".." in name:
            raise _refusal(name, "it is not a name")
        if name.startswith("net."):
            if not own_network:
                raise _refusal(name, "the container shares the host's network")
        elif name not in IPC and not name.startswith("fs.mqueue."):
            raise _refusal(name, "it belongs to no namespace, so it would be the host's")


def _refusal(name: str, reason: str) -> SysctlRefused:
    return SysctlRefused(
        f"The sysctl {name} cannot be set for a container: {reason}",
        resolution="Use net.*, fs.mqueue.* or those of System V IPC (kernel.shmmax, kernel.sem).",
    )
