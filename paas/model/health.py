"""Health checks of a process type, with the fields and defaults of Dokku's app.json."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NoReturn

from paas.errors import PaasError

Json = Mapping[str, object]
TRIES = 3
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class InvalidHealthcheck(PaasError):
    """A health check that cannot be carried out; the message names its place."""


class Probe(Enum):
    """When a check runs: before the release goes live, or ever after."""

    STARTUP = "startup"
    READINESS = "readiness"
    LIVENESS = "liveness"


@dataclass(frozen=True)
class Healthcheck:
    """One check. Durations are seconds. `port` None is the instance's own PORT.

    What is checked: that `command` exits 0, else that the process lives for
    `uptime_s`, else that the port is listened on, else that an HTTP GET of `path`
    gives a 2xx or 3xx answer that contains `content`. `attempts` None leaves a startup
    check until the app's boot-seconds, and others three.
    """

    name: str = ""
    probe: Probe = Probe.STARTUP
    attempts: int | None = None
    timeout_s: float = 5
    wait_s: float = 5
    initial_delay_s: float = 0
    port: int | None = None
    path: str = "/"
    scheme: str = "http"
    content: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    command: tuple[str, ...] = ()
    listening: bool = False
    uptime_s: float | None = None
    warn: bool = False

    @property
    def tries(self) -> int:
        """Failures in a row that count as one of the instance."""
        return self.attempts or TRIES

    @property
    def kind(self) -> str:
        """What it does, in Dokku's words."""
        if self.command:
            return "command"
        if self.uptime_s is not None:
            return "uptime"
        return "listening" if self.listening else "path"

    def deadline_s(self, boot_s: float) -> float:
        """Seconds after its start until which an instance has to pass it as a startup check."""
        if self.attempts is not None:
            return self.initial_delay_s + self.attempts * max(self.wait_s, self.timeout_s)
        return max(boot_s, self.initial_delay_s + (self.uptime_s or 0) + self.timeout_s)

    def to_json(self) -> dict[str, object]:
        """The check in the fields of app.json; `parse_healthcheck` reads it back."""
        return {
            "name": self.name,
            "type": self.probe.value,
            "attempts": self.attempts,
            "timeout": self.timeout_s,
            "wait": self.wait_s,
            "initialDelay": self.initial_delay_s,
            "port": self.port,
            "path": self.path,
            "scheme": self.scheme,
            "content": self.content,
            "httpHeaders": [{"name": name, "value": value} for name, value in self.headers],
            "command": list(self.command),
            "listening": self.listening,
            "uptime": self.uptime_s,
            "warn": self.warn,
        }


def parse_healthcheck(json: object, place: str) -> Healthcheck:
    """One entry of `healthchecks.<type>`; `place` is named in errors.

    Unknown fields are left to newer versions. Raises `InvalidHealthcheck`.
    """
    fields = _Fields(json, place)
    return Healthcheck(
        name=fields.text("name", ""),
        probe=fields.probe(),
        attempts=None
        if fields.absent("attempts")
        else fields.whole("attempts", 1, least=1, most=1000),
        timeout_s=fields.seconds("timeout", 5),
        wait_s=fields.seconds("wait", 5),
        initial_delay_s=fields.seconds("initialDelay", 0),
        port=None if fields.absent("port") else fields.whole("port", 0, least=1, most=65535),
        path=fields.path(),
        scheme=fields.scheme(),
        content=fields.text("content", ""),
        headers=fields.headers(),
        command=fields.command(),
        listening=fields.flag("listening"),
        uptime_s=None if fields.absent("uptime") else fields.seconds("uptime", 0),
        warn=fields.flag("warn"),
    )


class _Fields:
    """Typed access to the fields of one check; a wrong type is the user's error."""

    def __init__(self, json: object, place: str) -> None:
        if not isinstance(json, Mapping):
            raise InvalidHealthcheck(f"{place}: a health check must be an object")
        self._json: Json = json
        self._place = place

    def absent(self, field: str) -> bool:
        return self._json.get(field) is None

    def text(self, field: str, default: str) -> str:
        value = default if self.absent(field) else self._json[field]
        if not isinstance(value, str):
            self._wrong(field, "a string")
        return value

    def flag(self, field: str) -> bool:
        value = False if self.absent(field) else self._json[field]
        if not isinstance(value, bool):
            self._wrong(field, "true or false")
        return value

    def whole(self, field: str, default: int, *, least: int, most: int) -> int:
        value = default if self.absent(field) else self._json[field]
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            self._wrong(field, f"a whole number from {least} to {most}")
        return value

    def seconds(self, field: str, default: float) -> float:
        value = default if self.absent(field) else self._json[field]
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 86400:
            self._wrong(field, "a number of seconds from 0 to 86400")
        return value

    def probe(self) -> Probe:
        kind = self.text("type", Probe.STARTUP.value)
        if kind not in {probe.value for probe in Probe}:
            self._wrong("type", "one of startup, readiness, liveness")
        return Probe(kind)

    def path(self) -> str:
        path = self.text("path", "/")
        # It becomes part of a request line (RFC 9112, section 3).
        if not path.startswith("/") or not path.isprintable() or " " in path:
            self._wrong("path", "a URL path that begins with /")
        return path

    def scheme(self) -> str:
        scheme = self.text("scheme", "http").lower()
        if scheme not in ("http", "https"):
            self._wrong("scheme", "http or https")
        return scheme

    def command(self) -> tuple[str, ...]:
        value = [] if self.absent("command") else self._json["command"]
        if not isinstance(value, Sequence) or isinstance(value, str):
            self._wrong("command", "a list of strings")
        words = [word for word in value if isinstance(word, str)]
        if len(words) != len(value):
            self._wrong("command", "a list of strings")
        return tuple(words)

    def headers(self) -> tuple[tuple[str, str], ...]:
        value = [] if self.absent("httpHeaders") else self._json["httpHeaders"]
        if not isinstance(value, Sequence) or isinstance(value, str):
            self._wrong("httpHeaders", 'a list of {"name": …, "value": …}')
        return tuple(self._header(header) for header in value)

    def _header(self, json: object) -> tuple[str, str]:
        fields = _Fields(json, f"{self._place}.httpHeaders")
        name, value = fields.text("name", ""), fields.text("value", "")
        # A line break here would smuggle a second request (RFC 9110, section 5.5).
        if not HEADER_NAME.fullmatch(name) or not value.isprintable():
            self._wrong("httpHeaders", "names and values of HTTP headers")
        return name, value

    def _wrong(self, field: str, expected: str) -> NoReturn:
        raise InvalidHealthcheck(
            f"{self._place}: '{field}' must be {expected}",
            resolution="Correct the field, commit and push again.",
        )
