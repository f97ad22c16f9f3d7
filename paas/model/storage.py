"""Storage that outlives instances: volumes, and where apps have them mounted."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass

from paas.errors import PaasError
from paas.model.names import shown
from paas.model.proxysettings import parse_size

VOLUME_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
OWNERS = {"herokuish": 32767, "heroku": 1000, "paketo": 2000, "root": 0}
"""Dokku's names for the users of builders (storage:create --chown)."""

MAX_ID = 65535
LEAST_QUOTA = 1 << 20
"""A file system hands out blocks: with much less, a few directories are all."""

NOT_BELOW = ("/", "/proc", "/sys", "/dev", "/etc", "/bin", "/usr", "/lib")
"""In a container: its own, or the system of its image."""

HOSTS_OWN = ("/", "/bin", "/boot", "/dev", "/etc", "/lib", "/proc", "/root", "/run", "/sbin",
             "/sys", "/usr", "/var")  # fmt: skip


class InvalidStorage(PaasError):
    """What was typed about storage cannot be."""


@dataclass(frozen=True)
class Volume:
    """A named directory of the server's. `bytes` is how large it should stay, `quota` how large
    the kernel lets it become; None: any.
    """

    name: str
    bytes: int | None
    created_at: float
    quota: int | None = None


@dataclass(frozen=True)
class Mounted:
    """A volume, or a directory of the host, at a path of an app's containers.

    `process_type` is empty for all of them; `subpath` names a part of a volume.
    """

    source: str
    target: str
    read_only: bool = False
    process_type: str = ""
    subpath: str = ""

    @property
    def is_directory(self) -> bool:
        """Whether it is of the host, by its path."""
        return self.source.startswith("/")

    def __str__(self) -> str:
        return f"{self.source}:{self.target}" + (":ro" if self.read_only else "")


def parse_mount(text: str) -> Mounted:
    """`NAME:/path`, `/host:/path`, each with `:ro` behind it. Raises `InvalidStorage`."""
    source, _, rest = text.partition(":")
    target, _, mode = rest.partition(":")
    if mode not in ("", "ro", "rw") or not source or not target:
        raise InvalidStorage(
            f"{shown(text)} is not a mount",
            resolution="Write it like NAME:/path/in/the/app, or NAME:/path:ro.",
        )
    return Mounted(_source(source), _target(target), mode == "ro")


def parse_volume_name(text: str) -> str:
    """`text` if it can name a volume. Raises `InvalidStorage`."""
    if VOLUME_NAME.fullmatch(text):
        return text
    raise InvalidStorage(
        f"{shown(text)} is not a name for a volume",
        resolution="Use 1 to 63 lower-case letters, digits, dots, dashes and underscores.",
    )


def parse_quota(text: str) -> int | None:
    """`5g` in bytes, `0` being none. Raises `InvalidStorage`, `InvalidSetting`."""
    found = parse_size(text)
    if 0 < found < LEAST_QUOTA:
        raise InvalidStorage(
            f"{shown(text)} is less than a volume takes",
            resolution="Give it a quota of 1m or more.",
        )
    return found or None


def parse_owner(text: str) -> tuple[int, int]:
    """User and group of a container: `heroku`, `1000` or `1000:2000`. Raises `InvalidStorage`."""
    if text in OWNERS:
        return OWNERS[text], OWNERS[text]
    user, _, group = text.partition(":")
    group = group or user
    if not (user.isdecimal() and group.isdecimal() and max(int(user), int(group)) <= MAX_ID):
        raise InvalidStorage(
            f"{shown(text)} is no owner",
            resolution=f"Use {', '.join(OWNERS)}, or numbers up to {MAX_ID} such as 1000:1000.",
        )
    return int(user), int(group)


def parse_subpath(text: str) -> str:
    """A part of a volume, by its path in there. Raises `InvalidStorage`."""
    path = posixpath.normpath(text)
    if path in (".", "..") or path.startswith(("/", "../")) or "\0" in path:
        raise InvalidStorage(
            f"{shown(text)} is not a part of a volume",
            resolution="Name a directory below its top, such as uploads/2026.",
        )
    return path


def _source(text: str) -> str:
    if not text.startswith("/"):
        return parse_volume_name(text)
    path = _normal(text)
    if path in HOSTS_OWN or path.startswith(("/proc/", "/sys/", "/dev/", "/etc/")):
        raise InvalidStorage(
            f"{path} is the server's own",
            resolution="Mount a directory that was made for the app, such as /srv/APP.",
        )
    return path


def _target(text: str) -> str:
    path = _normal(text)
    system = (part for part in NOT_BELOW[1:4] if path.startswith(f"{part}/"))
    if not path.startswith("/") or path in NOT_BELOW or any(system):
        raise InvalidStorage(
            f"Nothing can be mounted at {shown(text)} in the app",
            resolution="Name a directory of its own, such as /app/storage or /data.",
        )
    return path


def _normal(path: str) -> str:
    if not path.isprintable() or "," in path:
        raise InvalidStorage(f"{shown(path)} has characters that a path here may not have")
    return "/" + posixpath.normpath(path).lstrip("/") if path.startswith("/") else path
