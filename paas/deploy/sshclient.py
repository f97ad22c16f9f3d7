"""ssh to other servers, for dulwich: OpenSSH's client as the git user, and its key.

A host's keys are those that `git:allow-host` learned; another key, or none, is an error.
"""

from __future__ import annotations

import os
import pwd
import select
import socket
from pathlib import Path

from paas.deploy.outbound import check_address
from paas.errors import PaasError
from paas.host import processes
from paas.host.files import write_atomic
from paas.host.processes import Process, spawn
from paas.model.layout import Layout

SCAN_SECONDS = 15.0
_OPTIONS = {
    "BatchMode": "yes",
    "ConnectTimeout": "15",
    "GlobalKnownHostsFile": "none",
    "IdentitiesOnly": "yes",
    "StrictHostKeyChecking": "yes",
}


class HostUnknown(PaasError):
    """ssh could not connect; most often the host's key is not known."""


class NoKey(PaasError):
    """The server's own ssh key was not made yet."""


class Channel:
    """The program at the other end, as dulwich reads and writes it."""

    def __init__(self, process: Process, to_it: int, from_it: int) -> None:
        self._process = process
        self._to_it = to_it
        self._from_it = from_it

    def read(self, size: int) -> bytes:
        """`size` bytes; fewer at its end only, which dulwich takes for one."""
        data = bytearray()
        while len(data) < size and (piece := os.read(self._from_it, size - len(data))):
            data += piece
        return bytes(data)

    def write(self, data: bytes) -> int:
        """Write all of it."""
        view = memoryview(data)
        while view:
            view = view[os.write(self._to_it, view) :]
        return len(data)

    def can_read(self) -> bool:
        """Whether a read would not wait."""
        return bool(select.select([self._from_it], [], [], 0)[0])

    def close(self) -> None:
        """End it."""
        if self._to_it < 0:
            return
        os.close(self._to_it)
        os.close(self._from_it)
        self._to_it = self._from_it = -1
        self._process.kill()
        self._process.wait()


class Ssh:
    """Starts programs on other servers; dulwich's `SSHVendor`."""

    def __init__(self, layout: Layout, hosts: frozenset[str]) -> None:
        self._layout = layout
        self._hosts = hosts

    def run_command(
        self,
        host: str,
        command: bytes,
        username: str | None = None,
        port: int | None = None,
        **_: object,
    ) -> Channel:
        """Start `command` there. Raises `NotPublic` and `HostUnknown`."""
        address = _resolve(host, port)
        check_address(host, address, self._hosts)
        if host not in self._hosts:
            raise HostUnknown(
                f"The ssh key of {host} is not known",
                resolution=f"Have it learned: paas git:allow-host {host}",
            )
        alias = f"[{host}]:{port}" if port and port != 22 else host
        options = {
            **_OPTIONS,
            "HostKeyAlias": alias,
            "UserKnownHostsFile": str(self._layout.root / "git/known_hosts"),
        }
        words = ["ssh", "-F", "none", "-i", str(key_path(self._layout)), "-p", str(port or 22)]
        for name, value in options.items():
            words += ["-o", f"{name}={value}"]
        words += ["--", f"{username or 'git'}@{address}", command.decode()]
        return self._start(words)

    def _start(self, words: list[str]) -> Channel:
        in_read, in_write = os.pipe2(os.O_CLOEXEC)
        out_read, out_write = os.pipe2(os.O_CLOEXEC)
        null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        try:
            process = spawn(
                words,
                stdin=in_read,
                stdout=out_write,
                stderr=null,
                env={"HOME": "/nonexistent"},
                user=self._layout.git_user,
            )
        finally:
            for descriptor in (in_read, out_write, null):
                os.close(descriptor)
        return Channel(process, in_write, out_read)


def key_path(layout: Layout) -> Path:
    """The key this server has for others; the public one has `.pub` behind its name."""
    return layout.root / "git/id_ed25519"


def make_key(layout: Layout, comment: str) -> str:
    """Make the key unless it is there; the public one."""
    path = key_path(layout)
    git = pwd.getpwnam(layout.git_user)
    path.parent.mkdir(mode=0o711, exist_ok=True)
    if not path.exists():
        processes.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path])
        os.chown(path, git.pw_uid, git.pw_gid)
    return path.with_suffix(".pub").read_text("utf-8").strip()


def server_key(layout: Layout) -> Path:
    """The key's file. Raises `NoKey` when none was made yet: nobody knows it then."""
    path = key_path(layout)
    if not path.exists():
        raise NoKey(
            "This server has no ssh key yet",
            resolution="Have it made, and let it in where the build fetches: paas git:public-key",
        )
    return path


def learn(layout: Layout, host: str, port: int) -> int:
    """Keep the keys that `host` shows now; how many. None for a host without ssh."""
    words = ["ssh-keyscan", "-T", "10", "-p", str(port), host]
    found = processes.run(words, timeout=SCAN_SECONDS, check=False).text.splitlines()
    keys = sorted(line for line in found if line and not line.startswith("#"))
    folder = layout.root / "git"
    folder.mkdir(mode=0o711, exist_ok=True)
    path = folder / "known_hosts"
    before = path.read_text("utf-8").splitlines() if path.exists() else []
    alias = f"[{host}]:{port}" if port != 22 else host
    kept = [line for line in before if line.split()[0] != alias]
    write_atomic(path, "".join(f"{line}\n" for line in [*kept, *keys]), 0o644)
    return len(keys)


def _resolve(host: str, port: int | None) -> str:
    try:
        found = socket.getaddrinfo(host, port or 22, type=socket.SOCK_STREAM)
    except OSError as error:
        raise HostUnknown(f"{host} has no address: {error.strerror}") from None
    return str(found[0][4][0])
