"""The checks of an instance, as small values that can be asked again and again."""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from paas.deploy.draft import WEB, Draft
from paas.deploy.listening import waiting
from paas.deploy.running import Running
from paas.engine.engine import Engine
from paas.engine.healthcheck import Condition
from paas.engine.probes import Probes
from paas.errors import PaasError
from paas.model.health import Healthcheck, Probe

CONNECT_SECONDS = 1.0
LARGEST_BODY_BYTES = 1024 * 1024
WORKER_UPTIME_SECONDS = 1.0
"""A process that serves nothing counts as started once it stayed up this long."""

LAST_OUTPUT_BYTES = 200
_joining = threading.Lock()
"""One process joins a container at a time: who starts them adopts all orphans meanwhile."""


class Check(Protocol):
    """One condition that has to come true."""

    def fault(self, running: Running, age_s: float) -> str | None:
        """Look once, not longer than the check's own timeout. None when it holds, else what
        is wrong in a few words that go on behind the check's name.
        """


@dataclass(frozen=True)
class Listening:
    """A process of the instance takes TCP connections on its address.

    That the kernel completes one is not enough: servers that fork listen before they load
    the app, and end when it cannot be loaded. So of an instance that starts one connection
    has to be accepted (sent nothing, it is no request), which the backlog tells.
    """

    port: int
    _offered: set[str] = field(default_factory=set, compare=False, repr=False)
    """Containers that have had a connection to accept."""

    def fault(self, running: Running, age_s: float) -> str | None:  # noqa: ARG002
        if running.container in self._offered:
            return self._left(running)
        try:
            with socket.create_connection(
                (str(running.address), self.port), timeout=CONNECT_SECONDS
            ):
                if not running.pid:
                    return None
                self._offered.add(running.container)
                return self._left(running)
        except OSError as error:
            # Refused while it boots, timed out while it is overloaded: not yet.
            return f"no connection to port {self.port}: {error.strerror or error}"

    def _left(self, running: Running) -> str | None:
        left = waiting(running.pid, self.port)
        if left is None:
            # Who listened has ended: the next one gets a connection of its own.
            self._offered.discard(running.container)
            return f"nothing listens on port {self.port} any more"
        return f"port {self.port} is open, but nothing accepts connections yet" if left else None


@dataclass(frozen=True)
class Uptime:
    """The instance has been up for some seconds."""

    seconds: float

    def fault(self, running: Running, age_s: float) -> str | None:  # noqa: ARG002
        return None if age_s >= self.seconds else f"not up for {self.seconds:g} seconds yet"


@dataclass(frozen=True)
class Http:
    """A GET is answered with 2xx or 3xx, and with the wanted content."""

    port: int
    wanted: Healthcheck
    host: str = ""
    """The Host header, unless the check has its own: apps refuse requests to an address."""

    def fault(self, running: Running, age_s: float) -> str | None:  # noqa: ARG002
        connection = self._connection(str(running.address))
        headers = {"Host": self.host} if self.host else {}
        declared = dict(self.wanted.headers)
        if any(name.lower() == "host" for name in declared):
            headers = {}
        try:
            connection.request("GET", self.wanted.path, headers={**headers, **declared})
            response = connection.getresponse()
            body = response.read(LARGEST_BODY_BYTES)
        except (OSError, http.client.HTTPException) as error:
            # Not ready yet, or broken: the deadline decides which.
            return f"GET {self.wanted.path} failed: {error or type(error).__name__}"
        finally:
            connection.close()
        if not 200 <= response.status < 400:
            return f"GET {self.wanted.path} was answered with {response.status}"
        if self.wanted.content.encode() not in body:
            return f"GET {self.wanted.path} is not answered with {self.wanted.content!r}"
        return None

    def _connection(self, address: str) -> http.client.HTTPConnection:
        if self.wanted.scheme == "http":
            return http.client.HTTPConnection(address, self.port, timeout=self.wanted.timeout_s)
        # By address: there is no name to verify, and nobody but the app at the other end.
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return http.client.HTTPSConnection(
            address, self.port, timeout=self.wanted.timeout_s, context=context
        )


@dataclass(frozen=True)
class Command:
    """A command in the container ends with 0."""

    args: tuple[str, ...]
    timeout_s: float
    engine: Engine

    def fault(self, running: Running, age_s: float) -> str | None:  # noqa: ARG002
        said: list[bytes] = []
        try:
            with _joining:
                code = self.engine.foreground.exec_reported(
                    running.container, self.args, said.append, timeout_s=self.timeout_s or None
                )
        except PaasError as error:
            return f"{self.args[0]}: {error.brief}"
        if code == 0:
            return None
        text = b"".join(said)[-LAST_OUTPUT_BYTES:].decode("utf-8", "replace").strip()
        return f"{self.args[0]} ended with {code:d}" + (f": {text}" if text else "")


@dataclass(frozen=True)
class Probed:
    """The HEALTHCHECK of the image says that the instance is healthy."""

    probes: Probes

    def fault(self, running: Running, age_s: float) -> str | None:  # noqa: ARG002
        with _joining:
            health = self.probes.probe(running.container)
        if health is None or health.condition is Condition.HEALTHY:
            return None
        text = health.output[-LAST_OUTPUT_BYTES:].strip()
        return f"it exits with code {health.exit_code}" + (f": {text}" if text else "")


@dataclass(frozen=True)
class Wanted:
    """A check and what was declared about it: how often, how long, and if it only warns."""

    check: Check
    declared: Healthcheck

    @property
    def name(self) -> str:
        """As in messages."""
        return self.declared.name or self.declared.kind


class Checks:
    """Makes the checks that a draft's instances have to pass."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def at_start(
        self, draft: Draft, process_type: str, host: str, container: str = ""
    ) -> Sequence[Wanted]:
        """Those before an instance serves: the declared ones, else the HEALTHCHECK that the
        image of `container` has for what it serves, else the default.

        What makes it ready is asked too: nothing that is not goes live.
        """
        declared = [
            one
            for one in draft.health.get(process_type, ())
            if one.probe in (Probe.STARTUP, Probe.READINESS)
        ]
        if declared:
            return [self._wanted(one, draft.port, host) for one in declared]
        probes = self._engine.probes
        if process_type == WEB and container and probes.plan(container) is not None:
            return [Wanted(Probed(probes), OF_IMAGE)]
        default = DEFAULT if process_type == WEB else WORKER
        return [self._wanted(default, draft.port, host)]

    def running(self, draft: Draft, process_type: str, host: str) -> Sequence[Wanted]:
        """Those that go on as long as an instance serves."""
        return [
            self._wanted(one, draft.port, host)
            for one in draft.health.get(process_type, ())
            if one.probe is not Probe.STARTUP
        ]

    def _wanted(self, one: Healthcheck, port: int, host: str) -> Wanted:
        return Wanted(self._check(one, one.port or port, host), one)

    def _check(self, one: Healthcheck, port: int, host: str) -> Check:
        if one.command:
            return Command(one.command, one.timeout_s, self._engine)
        if one.uptime_s is not None:
            return Uptime(one.uptime_s)
        return Listening(port) if one.listening else Http(port, one, host)


DEFAULT = Healthcheck(listening=True)
WORKER = Healthcheck(uptime_s=WORKER_UPTIME_SECONDS)

OF_IMAGE = Healthcheck("HEALTHCHECK", command=("HEALTHCHECK",))
