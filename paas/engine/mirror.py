"""Which Debian mirror the stack is made from: the host's own, if the host is Debian.

Reads both formats of sources.list(5). A server that reaches packages through a mirror or
a proxy of its network reaches the stack's the same way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from paas.host import processes

DEFAULT = "http://deb.debian.org/debian"
DEFAULT_SECURITY = "http://deb.debian.org/debian-security"

_USED_OPTIONS = re.compile(
    r"Acquire::(?:https?::.*|Retries|ForceIPv[46]|Check-Valid-Until|Check-Date|Max-FutureTime) "
)


@dataclass(frozen=True)
class Mirror:
    """Where packages and security updates of Debian come from."""

    main: str = DEFAULT
    security: str = DEFAULT_SECURITY

    def sources(self, suite: str) -> list[str]:
        """One-line entries for a release and its updates."""
        return [
            f"deb {self.main} {suite} main",
            f"deb {self.main} {suite}-updates main",
            f"deb {self.security} {suite}-security main",
        ]


@dataclass(frozen=True)
class Source:
    """One archive that apt on this host reads."""

    uri: str
    suite: str
    components: tuple[str, ...]


def host_mirror(etc: Path = Path("/etc")) -> Mirror:
    """The mirror this host is set to use, or Debian's own where it is no Debian."""
    release = _os_release((etc / "os-release").read_text("utf-8"))
    if release.get("ID") != "debian":
        return Mirror()
    return choose(read_sources(etc / "apt"), release.get("VERSION_CODENAME", ""))


def choose(sources: Iterable[Source], codename: str) -> Mirror:
    """The mirror among a host's sources that has its own release and updates."""
    main, security = DEFAULT, DEFAULT_SECURITY
    for source in reversed([item for item in sources if "main" in item.components]):
        if source.suite in (codename, "stable"):
            main = source.uri
        elif source.suite in (f"{codename}-security", "stable-security"):
            security = source.uri
    return Mirror(main, security)


def read_sources(apt: Path) -> list[Source]:
    """What apt reads from `sources.list` and `sources.list.d`."""
    found: list[Source] = []
    paths = [apt / "sources.list"]
    folder = apt / "sources.list.d"
    paths += sorted(folder.iterdir()) if folder.is_dir() else []
    for path in paths:
        if path.suffix == ".list" and path.is_file():
            found += parse_one_line(path.read_text("utf-8"))
        elif path.suffix == ".sources" and path.is_file():
            found += parse_deb822(path.read_text("utf-8"))
    return found


def parse_one_line(text: str) -> Iterator[Source]:
    """`deb [options] uri suite component…`, over http or https."""
    for line in text.splitlines():
        words = re.sub(r"\[[^]]*\]", " ", line.partition("#")[0]).split()
        if len(words) > 3 and words[0] == "deb" and _fetched(words[1]):
            yield Source(words[1].rstrip("/"), words[2], tuple(words[3:]))


def parse_deb822(text: str) -> Iterator[Source]:
    """Stanzas of `Types`, `URIs`, `Suites` and `Components`, over http or https."""
    for stanza in re.split(r"\n[ \t]*\n", text):
        fields = _fields(stanza)
        if "deb" not in fields.get("types", "").split() or fields.get("enabled") == "no":
            continue
        components = tuple(fields.get("components", "").split())
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                if _fetched(uri):
                    yield Source(uri.rstrip("/"), suite, components)


def host_options() -> str:
    """The host's apt settings about fetching (proxies, certificates), as apt.conf text."""
    dump = processes.run(["apt-config", "dump"]).text
    lines = (line for line in dump.splitlines() if _USED_OPTIONS.match(line))
    return "".join(f"{line}\n" for line in lines if not line.endswith(' "";'))


def _fetched(uri: str) -> bool:
    return uri.startswith(("http://", "https://"))


def _fields(stanza: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    name = ""
    for line in stanza.splitlines():
        if line.startswith("#"):
            continue
        if line[:1] in (" ", "\t"):
            fields[name] = f"{fields.get(name, '')} {line.strip()}"
        else:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            fields[name] = value.strip()
    return fields


def _os_release(text: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {name: value.strip().strip("\"'") for name, _, value in pairs}
