"""A service: a database made by a plugin, and how apps are linked to it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from paas.model.env import Secret
from paas.model.names import InvalidName, shown

SERVICE_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
"""With the plugin's name before it, a DNS label (RFC 1123, section 2.1)."""


class ServiceState(Enum):
    """CREATING → RUNNING ⇄ STOPPED or PAUSED; any → DESTROYING → (row removed)."""

    CREATING = "creating"
    RUNNING = "running"
    STOPPED = "stopped"
    PAUSED = "paused"
    DESTROYING = "destroying"

    @property
    def should_run(self) -> bool:
        """The supervisor starts its container again when it is not there."""
        return self is ServiceState.RUNNING

    @property
    def is_half_made(self) -> bool:
        """Whoever makes or ends it is at work, or was killed."""
        return self in (ServiceState.CREATING, ServiceState.DESTROYING)


CPU_WEIGHT = 1000
"""Ten times an instance's: an app waits for its database, never the other way round.

By the kernel's equal shares a database and what asks it take the processors from each other with
every query: of what the same server does on the host `pgbench -S` lost a third, and loses nothing
with this weight, as sysbench does. What mostly commits loses an eighth by it (pgbench's TPC-B):
clients are answered one by one, so that fewer commits share a sync. It counts only while
processors are short."""


@dataclass(frozen=True)
class Service:
    """A row of the services table.

    `image` is the id of what it runs, `reference` the name that was asked for (empty for
    the plugin's own), `volume` holds its data; `memory` is in bytes, `cpu_weight` in the weights
    of control groups version 2. `options` are further words of its command, `environment`
    further variables. `outdated` are credentials that are yet to be revoked: some app may still
    have their URL.
    """

    id: int
    plugin: str
    name: str
    state: ServiceState
    image: str
    reference: str
    version: str
    volume: str
    container: str | None
    memory: int
    credentials: Mapping[str, Secret]
    created_at: float
    options: tuple[str, ...] = ()
    environment: Mapping[str, Secret] = field(default_factory=dict)
    restarts: int = 0
    cpu_weight: int = CPU_WEIGHT
    outdated: tuple[Mapping[str, Secret], ...] = ()

    @property
    def hostname(self) -> str:
        """The label below `.internal` under which linked apps find it."""
        return f"{self.plugin}-{self.name}"


@dataclass(frozen=True)
class Link:
    """One config variable of one app that holds the URL of a service.

    `scheme`, `query` and `database` replace what the URL has by itself, unless empty.
    """

    app_id: int
    variable: str
    service_id: int
    scheme: str = ""
    query: str = ""
    database: str = ""


def parse_service_name(text: str) -> str:
    """`text` if it can name a service. Raises `InvalidName`."""
    if SERVICE_NAME.fullmatch(text):
        return text
    raise InvalidName(
        f"{shown(text)} is not a name for a service",
        resolution="Use 1 to 40 lower case letters, digits and dashes.",
    )
