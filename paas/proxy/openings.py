"""Ports of the server that sites open beside 80 and 443, and which of them cannot be had.

nginx takes a configuration whole or not at all, and one port in use by another program is
reason enough: neither does it start then, nor does it reload. So each such port has a file of
its own, named by it, which is left out while the port is somebody else's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from paas.host.ports import bind_error, why_not
from paas.model.port import Port, Scheme
from paas.proxy.render import Files

LISTEN = re.compile(r"^ *listen [^;\s]*:([0-9]+)([^;]*);", re.MULTILINE)
QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
"""In quotes a repository's directives may say anything."""

FOLDERS = ("sites/", "listeners/", "streams/")
FILE = re.compile(r"(?:listeners|streams)/[^/]+\.([a-z]+)-([0-9]+)\.conf")


@dataclass(frozen=True, order=True)
class Opening:
    """A port of the server, of TCP or of UDP."""

    port: int
    datagrams: bool = False

    @classmethod
    def of(cls, port: Port) -> Opening:
        """That of a port mapping."""
        return cls(port.port, port.scheme is Scheme.UDP)

    def refused(self, addresses: Iterable[str]) -> str | None:
        """Why it cannot be listened to at one of these, IPv6 in brackets; None when it can."""
        for address in addresses:
            error = bind_error(address.strip("[]"), self.port, datagrams=self.datagrams)
            if error is not None:
                return f"Port {self.port} {why_not(error)}"
        return None


@dataclass(frozen=True)
class Closed:
    """A port that is an app's, and that another program has; a sentence says why."""

    app: str
    opening: Opening
    reason: str


def opening(name: str) -> Opening | None:
    """What a file of a tree opens; None for one that opens nothing of its own."""
    match = FILE.fullmatch(name)
    return Opening(int(match[2]), match[1] == "udp") if match else None


def openings(sites: Mapping[str, Files]) -> Iterator[Opening]:
    """All that these listen to, also in files of an older version, which were named otherwise."""
    for files in sites.values():
        for name, text in files.items():
            listens = LISTEN.findall(QUOTED.sub("", text)) if name.startswith(FOLDERS) else ()
            for port, options in listens:
                yield Opening(int(port), "udp" in options.split())


def without_refused(
    sites: Mapping[str, Files],
    held: Collection[Opening],
    refused: Callable[[Opening], str | None],
) -> tuple[dict[str, Files], tuple[Closed, ...]]:
    """The sites without the files of ports that cannot be had, and those.

    What our nginx has open already (`held`) it keeps; that is not asked for.
    """
    found: dict[str, Files] = {}
    closed: list[Closed] = []
    for app, files in sites.items():
        kept = dict(files)
        for name in files:
            one = opening(name)
            reason = refused(one) if one is not None and one not in held else None
            if one is not None and reason is not None:
                closed.append(Closed(app, one, reason))
                del kept[name]
        found[app] = kept
    return found, tuple(closed)
