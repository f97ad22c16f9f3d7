"""The startup checks of an instance, as small values that can be asked again and again."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from paas.deploy.draft import WEB, Draft
from paas.deploy.running import Running
from paas.engine.healthcheck import Condition
from paas.engine.probes import Probes
from paas.model.health import Healthcheck, Probe

CONNECT_SECONDS = 1.0
LARGEST_BODY_BYTES = 1024 * 1024
PROBE_SECONDS = 1.0
"""A HEALTHCHECK is asked at least so often while a deploy waits for it."""

WORKER_UPTIME_SECONDS = 1.0
"""A process that serves nothing counts as started once it stayed up this long."""


class Check(Protocol):
    """One condition that has to come true once."""

    def holds(self, running: Running, age_s: float) -> bool:
        """Look once, without waiting longer than the check's own timeout."""


@dataclass(frozen=True)
class Listening:
    """Something accepts TCP connections on the instance's address."""

    port: int

    def holds(self, running: Running, age_s: float) -> bool:  # noqa: ARG002
        try:
            with socket.create_connection(
                (str(running.address), self.port), timeout=CONNECT_SECONDS
            ):
                return True
        except OSError:
            # Refused while it boots, timed out while it is overloaded: not yet.
            return False


@dataclass(frozen=True)
class Uptime:
    """The instance has been up for some seconds."""

    seconds: float

    def holds(self, running: Running, age_s: float) -> bool:  # noqa: ARG002
        return age_s >= self.seconds


@dataclass(frozen=True)
class Http:
    """A GET is answered with 2xx or 3xx, and with the wanted content."""

    port: int
    wanted: Healthcheck

    def holds(self, running: Running, age_s: float) -> bool:
        if age_s < self.wanted.initial_delay_s:
            return False
        connection = http.client.HTTPConnection(
            str(running.address), self.port, timeout=self.wanted.timeout_s
        )
        try:
            connection.request("GET", self.wanted.path, headers=dict(self.wanted.headers))
            response = connection.getresponse()
            body = response.read(LARGEST_BODY_BYTES)
        except (OSError, http.client.HTTPException):
            # Not ready yet, or broken: the deadline decides which.
            return False
        finally:
            connection.close()
        return 200 <= response.status < 400 and self.wanted.content.encode() in body


@dataclass
class Probed:
    """The HEALTHCHECK of the image says that the instance is healthy."""

    probes: Probes
    asked_s: float | None = None

    def holds(self, running: Running, age_s: float) -> bool:
        # At once, and then as often as the image wants it while it starts.
        if self.asked_s is not None and age_s - self.asked_s < self._pause_s(running):
            return False
        self.asked_s = age_s
        health = self.probes.probe(running.container)
        return health is None or health.condition is Condition.HEALTHY

    def _pause_s(self, running: Running) -> float:
        plan = self.probes.plan(running.container)
        return min(plan.start_interval, plan.interval, PROBE_SECONDS) if plan else 0.0


def checks_for(
    draft: Draft, process_type: str, probes: Probes | None = None, container: str = ""
) -> Sequence[Check]:
    """The startup checks of one process type: the declared ones, else those of the image
    (`probes` knows `container`'s), else the default.
    """
    declared = [one for one in draft.health.get(process_type, ()) if one.probe is Probe.STARTUP]
    if declared:
        return [_check(one, draft.port) for one in declared]
    if probes is not None and probes.plan(container) is not None:
        return [Probed(probes)]
    if process_type == WEB:
        return [Listening(draft.port)]
    return [Uptime(WORKER_UPTIME_SECONDS)]


def _check(one: Healthcheck, port: int) -> Check:
    if one.uptime_s is not None:
        return Uptime(one.uptime_s)
    if one.listening:
        return Listening(one.port or port)
    return Http(one.port or port, one)
