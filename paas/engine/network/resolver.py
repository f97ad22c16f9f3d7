"""The resolver of the containers: dnsmasq in the router's namespace.

It answers for the names of services below `.internal` from a folder that it watches, and
asks the host's own resolvers for the rest. Source: dnsmasq(8).
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path
from typing import Protocol

from paas.engine.network.findings import Finding
from paas.engine.network.policy import TABLE
from paas.host import netlink
from paas.host.files import write_atomic
from paas.host.identity import Identity

DOMAIN = "internal"
"""Reserved for private use by ICANN (2024); nothing on the internet is below it."""

STOP_SECONDS = 5.0

RESOLV_CONF = Path("/etc/resolv.conf")
SYSTEMD_RESOLV_CONF = Path("/run/systemd/resolve/resolv.conf")
"""What systemd-resolved asks itself, when /etc/resolv.conf names its stub on the loopback."""


class Running(Protocol):
    """A started process, as `paas.host.processes.spawn` returns it."""

    pid: int


class Spawn(Protocol):
    """Starts a program in the background; the caller decides on cgroup and session."""

    def __call__(self, argv: tuple[str, ...]) -> Running: ...


def nameservers(text: str) -> tuple[IPv4Address, ...]:
    """The IPv4 servers that a resolv.conf(5) names, in order."""
    found = []
    for line in text.splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver":
            with suppress(AddressValueError):
                found.append(IPv4Address(words[1]))
    return tuple(dict.fromkeys(found))


def upstreams(
    resolv_conf: Path = RESOLV_CONF, behind_stub: Path = SYSTEMD_RESOLV_CONF
) -> tuple[IPv4Address, ...]:
    """The host's resolvers that can be reached from the router: none on the loopback."""
    for source in (resolv_conf, behind_stub):
        try:
            servers = nameservers(source.read_text())
        except FileNotFoundError:
            continue
        reachable = tuple(server for server in servers if not server.is_loopback)
        if reachable:
            return reachable
    return ()


def configuration(
    address: IPv4Address,
    upstream: Path,
    hosts: Path,
    pid_file: Path,
    mirrors: Iterable[str] = (),
    *,
    ipv6: bool = False,
) -> str:
    """The text of dnsmasq's configuration file; `upstream` is a resolv.conf(5) it watches.

    What the names in `mirrors` resolve to is added to the firewall's set of that name, so
    a mirror in a private network can be reached by whoever asked for it by name. `ipv6`
    says that instances reach the internet by it.
    """
    lines = [
        "keep-in-foreground",
        "log-facility=-",
        f"pid-file={pid_file}",
        f"resolv-file={upstream}",
        "no-hosts",
        "bind-interfaces",
        f"listen-address={address}",
        f"hostsdir={hosts}",
        f"local=/{DOMAIN}/",
        "local-ttl=1",
        "cache-size=2000",
        "dns-forward-max=500",
        # Without IPv6 an AAAA answer would only cost instances a failed attempt.
        *(() if ipv6 else ("filter-AAAA",)),
        "all-servers",
        *(f"nftset=/{name}/4#ip#{TABLE}#mirrors" for name in sorted(set(mirrors))),
    ]
    return "\n".join(lines) + "\n"


Names = Mapping[str, IPv4Address | Sequence[IPv4Address]]
"""Names without the domain; one may lead to several addresses, given in turns."""


def hosts_file(names: Names) -> str:
    """A hosts(5) file: one line per name below `.internal` and address."""
    return "".join(
        f"{address} {name}.{DOMAIN}\n"
        for name, found in sorted(names.items())
        for address in ((found,) if isinstance(found, IPv4Address) else sorted(found))
    )


class Resolver:
    """Starts, stops and feeds the resolver of one PaaS; its state is below `directory`."""

    def __init__(self, directory: Path, address: IPv4Address, router: Path) -> None:
        self.directory = directory
        self.address = address
        self._router = router

    @property
    def resolv_conf(self) -> str:
        """What a container's /etc/resolv.conf says."""
        # So that `shop` is found as `shop.internal`; a name with a dot is first what it says.
        return f"nameserver {self.address}\nsearch {DOMAIN}\n"

    @property
    def hosts(self) -> Path:
        return self.directory / "hosts"

    @property
    def upstream(self) -> Path:
        return self.directory / "resolv.conf"

    @property
    def configuration_file(self) -> Path:
        """What dnsmasq was started with: it reads it once."""
        return self.directory / "dnsmasq.conf"

    @property
    def wanted_file(self) -> Path:
        """What it is to be started with."""
        return self.directory / "wanted.conf"

    @property
    def pid_file(self) -> Path:
        return self.directory / "dnsmasq.pid"

    def configure(
        self, upstream: Iterable[IPv4Address], mirrors: Iterable[str], *, ipv6: bool = False
    ) -> None:
        """Write the configuration; `current` says whether dnsmasq has to be started with it.

        It sees other servers by itself, and reads the rest only when it starts. All it
        reads later is readable by the user that it becomes.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        self.directory.chmod(0o755)
        self.hosts.mkdir(exist_ok=True)
        self.hosts.chmod(0o755)
        servers = "".join(f"nameserver {server}\n" for server in upstream)
        if _text(self.upstream) != servers:
            write_atomic(self.upstream, servers, mode=0o644)
        text = configuration(
            self.address, self.upstream, self.hosts, self.pid_file, mirrors, ipv6=ipv6
        )
        if _text(self.wanted_file) != text:
            write_atomic(self.wanted_file, text)

    def publish(self, names: Names, part: str = "services") -> None:
        """Answer for exactly these names (without the domain) from now on.

        Each `part` is a file of its own, so that who knows of some names needs no others.
        dnsmasq sees the file change by inotify; the file is written beside the folder so
        that it never reads a temporary one.
        """
        text, target = hosts_file(names), self.hosts / part
        if _text(target) == text:
            return
        beside = self.directory / part
        write_atomic(beside, text, mode=0o644)
        beside.rename(target)

    def start(self, spawn: Spawn) -> Running:
        """Start dnsmasq in the router's namespace. Raises what `spawn` raises.

        The child inherits the namespace; this process is back in its own afterwards.
        """
        write_atomic(self.configuration_file, _text(self.wanted_file))
        with netlink.inside(self._router):
            return spawn(("dnsmasq", f"--conf-file={self.configuration_file}"))

    def running(self) -> int | None:
        """The pid of our dnsmasq, if it runs."""
        try:
            pid = int(_text(self.pid_file))
        except ValueError:
            return None
        # A pid may be another process's by now.
        return pid if self._ours(pid) else None

    def _ours(self, pid: int) -> bool:
        try:
            argv = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError):
            return False
        return os.fsencode(f"--conf-file={self.configuration_file}") in argv

    @property
    def current(self) -> bool:
        """Whether our dnsmasq runs, and with the configuration that it should have."""
        same = _text(self.configuration_file) == _text(self.wanted_file)
        return same and self.running() is not None

    def reload(self) -> None:
        """Have it forget its cache, so that the set of mirrors fills again."""
        process = self._process()
        if process is not None:
            process.signal(signal.SIGHUP)

    def stop(self) -> None:
        """End it; it is gone when this returns. One that does not run is fine.

        So is one whose pid file is gone: it would keep the address from the next one.
        """
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and self._ours(int(entry.name)):
                process = Identity.of(int(entry.name))
                if process is not None:
                    process.end(STOP_SECONDS)

    def _process(self) -> Identity | None:
        pid = self.running()
        return None if pid is None else Identity.of(pid)


def findings(own: Resolver, resolv_conf: Path) -> list[Finding]:
    """What keeps instances from resolving names."""
    found = []
    if not upstreams(resolv_conf):
        found.append(
            Finding(
                "The host names only resolvers on its loopback, which instances cannot reach",
                f"Name another server in {resolv_conf}, or let the local one listen on an"
                " address of the host that is not on the loopback and name that.",
            )
        )
    if own.running() is None:
        found.append(Finding("The resolver of the instances does not run", "paas up"))
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""
