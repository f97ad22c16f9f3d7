"""Limits of a container's processes: setrlimit(2), by the short names of Docker's `--ulimit`."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterable, Mapping

from paas.errors import PaasError

NAMES = (
    "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc",
    "rss", "rtprio", "rttime", "sigpending", "stack",
)  # fmt: skip

Rlimit = tuple[str, int, int]
"""Name in OCI's words, soft and hard."""


class InvalidUlimit(PaasError):
    """A limit that the kernel does not know, or one above itself."""


def hard_limit(name: str) -> int:
    """The most that this process may hand down; RLIM_INFINITY is -1."""
    # RLIMIT_LOCKS is history: the kernel keeps it, Python has no name for it.
    number = getattr(resource, name, None)
    return resource.RLIM_INFINITY if number is None else resource.getrlimit(number)[1]


def merged(
    defaults: Iterable[Rlimit],
    asked: Mapping[str, tuple[int, int]],
    most: Callable[[str], int] = hard_limit,
) -> list[Rlimit]:
    """The defaults, and above them what is `asked` (soft, hard), at most `most`.

    Without CAP_SYS_RESOURCE (some hosts) no limit can be above the host's hard one.
    Raises `InvalidUlimit`.
    """
    found = {name: (soft, hard) for name, soft, hard in defaults}
    for short, (soft, hard) in asked.items():
        if short not in NAMES or not 0 <= soft <= hard:
            raise InvalidUlimit(
                f"The ulimit {short}={soft}:{hard} cannot be set",
                resolution=f"Use SOFT:HARD with one of {', '.join(NAMES)}.",
            )
        name = f"RLIMIT_{short.upper()}"
        ceiling = most(name)
        capped = hard if ceiling == resource.RLIM_INFINITY else min(hard, ceiling)
        found[name] = (min(soft, capped), capped)
    return [(name, soft, hard) for name, (soft, hard) in found.items()]
