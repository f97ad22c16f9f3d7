"""`paas doctor`: does this machine still give what the server needs? One line per check.

Each check tries the real thing, on the side, and leaves nothing behind.
"""

from __future__ import annotations

import os
import platform
import re
import socket
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from paas.daemon.systemd import BOOTED, Systemd
from paas.deploy.parts import Parts
from paas.engine import capabilities, seccomp
from paas.engine.resources import host_facts
from paas.engine.runtime import TRIAL_RANGE, Runtimes
from paas.errors import PaasError
from paas.host import netlink
from paas.host.firewall import Firewall
from paas.host.processes import ProgramMissing, run
from paas.host.waiting import wait_until
from paas.model.certificate import Certificate

OLDEST_KERNEL = (5, 19)
"""The first whose overlayfs takes idmapped layers."""

NEEDED_CONTROLLERS = ("cpu", "memory", "pids")
FREE_BYTES = 2 * 2**30
FREE_INODES = 50_000
ANSWER_S = 3.0
ENDING_S = 21 * 86400.0
"""A certificate that ends sooner is worth a word; renewal should have come by then."""

KEEP_TIME = "apt-get install systemd-timesyncd"


@dataclass(frozen=True)
class Check:
    """The outcome of one check; `remedy` is what to do when it is not `ok`."""

    name: str
    ok: bool
    text: str
    remedy: str = ""


class Unwell(Exception):
    """Raised inside a check: what is wrong, and the remedy."""

    def __init__(self, text: str, remedy: str) -> None:
        super().__init__(text)
        self.text = text
        self.remedy = remedy


class Doctor:
    """Examines the machine for the PaaS that `parts` are of."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._layout = parts.layout

    def examine(self) -> Iterator[Check]:
        """Every check, one after another, as it is done."""
        checks: Mapping[str, Callable[[], str]] = {
            "kernel": lambda: kernel(platform.release()),
            "cgroups": self._cgroups,
            "OCI runtime": self._runtime,
            "overlay idmap": self._overlay,
            "nftables": nftables,
            "forwarding": self._forwarding,
            "disk": lambda: disk(os.statvfs(self._layout.root), self._layout.root),
            "sshd": lambda: sshd(self._layout.user),
            "proxy": self._proxy,
            "certificates": self._certificates,
            "resolver": self._resolver,
            "paasd": self._paasd,
            "supervisor": self._supervisor,
            "clock": lambda: clock(time.time(), Path(__file__).stat().st_mtime),
        }
        for name, check in checks.items():
            yield outcome(name, check)

    def _cgroups(self) -> str:
        cgroups = self._parts.engine.cgroups
        missing = [name for name in NEEDED_CONTROLLERS if name not in cgroups.controllers]
        if missing:
            raise Unwell(
                f"version {cgroups.version}, without {', '.join(missing)}",
                "Boot with the kernel parameter cgroup_enable=memory; in a container, let it "
                "have the controllers (systemd: Delegate=yes).",
            )
        return f"version {cgroups.version}, {', '.join(sorted(cgroups.controllers))}"

    def _runtime(self) -> str:
        engine = self._parts.engine
        runtimes = Runtimes(self._layout, engine.cgroups)
        facts = host_facts(engine.cgroups, "doctor", seccomp.profile(capabilities.DEFAULT))
        found = runtimes.choose(facts)
        reason = runtimes.trial(found, facts)
        if reason is not None:
            raise Unwell(f"{found.program}: {reason}", "apt-get install --reinstall crun runc")
        return f"{found.program} runs containers"

    def _overlay(self) -> str:
        rootfs, name = self._parts.engine.rootfs, f"doctor-{os.getpid()}"
        try:
            target = rootfs.mount(name, (), TRIAL_RANGE)
            trial = target / "trial"
            trial.mkdir()
            os.chown(trial, TRIAL_RANGE.base, TRIAL_RANGE.base)
            owner = trial.stat().st_uid
        finally:
            rootfs.unmount(name)
            rootfs.release(TRIAL_RANGE)
        if owner != TRIAL_RANGE.base:
            raise Unwell(f"a file of its root belongs to {owner}", "Use Linux 5.19 or newer.")
        return f"mounted and written to below {self._layout.engine_fs}"

    def _forwarding(self) -> str:
        findings = self._parts.engine.network.findings()
        if findings:
            raise Unwell(findings[0].problem, findings[0].remedy)
        return f"instances reach the internet through {self._parts.engine.network.interface}"

    def _proxy(self) -> str:
        if not self._parts.proxy.running():
            raise Unwell(
                "nginx does not answer", f"paas up; its log is {self._layout.logs}/proxy/error.log"
            )
        return "nginx answers"

    def _certificates(self) -> str:
        parts = self._parts
        return certificates(
            (
                (app.name, served.certificate)
                for app in parts.store.apps.list()
                for served in parts.certificates.of(app)
                if served.domains
            ),
            parts.clock.now(),
        )

    def _resolver(self) -> str:
        resolver = self._parts.engine.network.resolver
        if not resolver.running():
            raise Unwell("dnsmasq does not run", "paas up")
        with netlink.inside(self._layout.run / "netns" / "router"):
            if not answers(str(resolver.address), "doctor.internal"):
                raise Unwell("dnsmasq does not answer", "paas up --restart network")
            if not answers(str(resolver.address), "debian.org"):
                raise Unwell(
                    "dnsmasq answers, but the resolvers it asks do not",
                    "See the nameservers in /etc/resolv.conf, then run: paas up",
                )
        return f"answers at {resolver.address}"

    def _paasd(self) -> str:
        with socket.socket(socket.AF_UNIX) as connection:
            try:
                connection.connect(str(self._layout.socket))
            except OSError as error:
                raise Unwell(f"{self._layout.socket}: {error.strerror}", "paas up") from error
        return "answers"

    def _supervisor(self) -> str:
        if not wait_until(lambda: takes_datagrams(self._layout.supervisor_socket), ANSWER_S):
            told = f"{self._layout.logs}/paasd.log"
            if Systemd(self._layout).used:
                told = "journalctl -u 'paas*'"
            raise Unwell("does not run", f"See why: {told}")
        return "watches the instances"


def outcome(name: str, check: Callable[[], str]) -> Check:
    """Run one check; whatever of the expected it raises is its failure."""
    try:
        return Check(name, ok=True, text=check())
    except Unwell as problem:
        return Check(name, ok=False, text=problem.text, remedy=problem.remedy)
    except PaasError as error:
        text = "; ".join((error.brief, *error.details[:1]))
        return Check(name, ok=False, text=text, remedy=error.resolution)
    except OSError as error:
        return Check(name, ok=False, text=str(error), remedy="Run it as root on the server.")


def kernel(release: str) -> str:
    """Judge a `uname -r`."""
    found = re.match(r"(\d+)\.(\d+)", release)
    if found is None or (int(found[1]), int(found[2])) < OLDEST_KERNEL:
        raise Unwell(f"{release} is too old", "Install Linux 5.19 or newer and restart.")
    return release


def disk(status: os.statvfs_result, root: Path) -> str:
    """Judge the file system below the root."""
    free = status.f_bavail * status.f_frsize
    if free < FREE_BYTES:
        raise Unwell(
            f"{free / 2**30:.1f} GiB free below {root}",
            f"Make room: 2 GiB are needed for a build. See: du -xh -d2 {root} | sort -h | tail",
        )
    # Some file systems (btrfs) make inodes as they go, and say 0.
    if status.f_files and status.f_favail < FREE_INODES:
        raise Unwell(f"{status.f_favail} inodes free below {root}", "Remove files nobody needs.")
    return f"{free / 2**30:.1f} GiB free below {root}"


def nftables() -> str:
    """Make a table in the host's namespace and delete it, in one transaction."""
    name = f"paas_doctor_{os.getpid()}"
    firewall = Firewall()
    try:
        firewall.apply(f"add table ip {name}\ndelete table ip {name}\n")
    finally:
        firewall.close()
    return "takes changes"


def sshd(user: str) -> str:
    """Ask sshd what it would do with the login user, and whether it listens."""
    try:
        done = run(["sshd", "-T", "-C", f"user={user},host=localhost,addr=127.0.0.1"], check=False)
    except ProgramMissing as error:
        raise Unwell("not installed", "apt-get install openssh-server") from error
    if done.code != 0:
        raise Unwell(done.stderr.decode(errors="replace").strip(), "Mend /etc/ssh/sshd_config.")
    options = sshd_options(done.text)
    problem = keys_refused(options, user)
    if problem is not None:
        raise Unwell(*problem)
    port = int(options.get("port", ["22"])[0])
    if not greets(port):
        remedy = "systemctl start ssh" if BOOTED.is_dir() else "/usr/sbin/sshd"
        raise Unwell(f"nobody answers on port {port}", f"Start it: {remedy}")
    return f"answers on port {port} and takes keys of {user}"


def sshd_options(text: str) -> dict[str, list[str]]:
    """What `sshd -T` prints: option to its values, in order."""
    options: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        options.setdefault(name.lower(), []).append(value)
    return options


def keys_refused(options: Mapping[str, Iterable[str]], user: str) -> tuple[str, str] | None:
    """Why sshd would admit nobody as `user`, and the remedy; None when it would."""
    config = "in /etc/ssh/sshd_config, then: systemctl reload ssh"
    if list(options.get("pubkeyauthentication", ["yes"])) != ["yes"]:
        return "PubkeyAuthentication is off", f"Switch it on {config}"
    files = " ".join(options.get("authorizedkeysfile", [])).split()
    if files and not any(name.endswith(".ssh/authorized_keys") for name in files):
        return (
            f"it does not read .ssh/authorized_keys, but {' '.join(files)}",
            f"Add .ssh/authorized_keys to AuthorizedKeysFile {config}",
        )
    if user in options.get("denyusers", []):
        return f"DenyUsers names {user}", f"Take it out {config}"
    allowed = list(options.get("allowusers", []))
    if allowed and user not in allowed and "*" not in allowed:
        return f"AllowUsers does not name {user}", f"Add it {config}"
    return None


def greets(port: int) -> bool:
    """Whether an SSH server says its first line (RFC 4253, section 4.2)."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), ANSWER_S) as connection:
        connection.settimeout(ANSWER_S)
        return connection.recv(64).startswith(b"SSH-2.0-")
    return False


def takes_datagrams(path: Path) -> bool:
    """Whether a process has this socket open; its file outlives it."""
    gone = suppress(FileNotFoundError, ConnectionRefusedError)
    with gone, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
        connection.connect(str(path))
        return True
    return False


def answers(server: str, name: str) -> bool:
    """Whether a DNS server answers a question for an A record, whatever it says.

    Only a SERVFAIL or REFUSED is no answer (RFC 1035, section 4.1.1).
    """
    question = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    query = struct.pack("!6H", os.getpid() & 0xFFFF, 0x0100, 1, 0, 0, 0) + question + b"\0\0\1\0\1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
        connection.settimeout(ANSWER_S)
        connection.connect((server, 53))
        connection.send(query)
        with suppress(OSError):
            answer = connection.recv(512)
            return answer[:2] == query[:2] and answer[3] & 0xF not in (2, 5)
    return False


def certificates(served: Iterable[tuple[str, Certificate]], now: float) -> str:
    """Whether those that serve an app, by its name, will for a while."""
    known = list(served)
    ending = [
        f"{app}: {one.names[0]} {'expired' if one.not_after < now else 'expires'} "
        f"{time.strftime('%Y-%m-%d', time.gmtime(one.not_after))}"
        for app, one in known
        if one.not_after - now < min(ENDING_S, (one.not_after - one.not_before) / 4)
    ]
    if ending:
        raise Unwell(
            "; ".join(ending),
            "Give a new one with certs:add; letsencrypt:list tells why one was not renewed.",
        )
    return f"{len(known)} served" if known else "none"


def clock(now: float, built: float) -> str:
    """Judge the time: certificates and tokens are refused when it is wrong.

    That nothing keeps it right is worth a word, but no failure: a virtual machine may take
    it from its host, and a network may let no time server through.
    """
    if now < built - 86400:
        raise Unwell(f"{time.ctime(now)} is before paas was installed", KEEP_TIME)
    shown = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now))
    return shown if synchronised() else f"{shown}; no time server sets it: {KEEP_TIME}"


def synchronised() -> bool:
    """Whether the kernel was told the time of a server; where systemd runs not, nobody asks."""
    if not BOOTED.is_dir():
        return True
    with suppress(ProgramMissing):
        shown = run(["timedatectl", "show", "-p", "NTPSynchronized", "--value"], check=False)
        return shown.text != "no"
    return True
