"""A real sshd on a free loopback port, for the keys of one PaaS."""

from __future__ import annotations

import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tests.ports import free_port

START_SECONDS = 60.0

QUICK = " KexAlgorithms curve25519-sha256\n"
"""What OpenSSH 9 prefers (sntrup761) is 80 ms of a processor's work, for each of thousands of
connections. Benchmarks have that, as developers do."""


def wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until something accepts on `port`; the log is shown when its process ends instead."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise AssertionError(f"nothing listens on {port}: {log.read_text()}")


def make_key(path: Path) -> Path:
    """A new ed25519 key without a passphrase; returns the path of its public half."""
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", path.name, "-f", path], check=True
    )
    return path.with_name(path.name + ".pub")


@dataclass(frozen=True)
class Sshd:
    """The server's side of ssh: Debian's configuration with a port and a key file of its own."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    @classmethod
    def start(cls, folder: Path, *, user: str, authorized_keys: Path) -> Sshd:
        """Start one that lets `user` in by the keys of one file, and wait until it listens.

        root may come in too, by the keys of `root_keys` in the folder when there is one: the
        benchmarks push to a plain repository through the same door.
        """
        port = free_port()
        make_key(folder / "host_key")
        config = folder / "sshd_config"
        config.write_text(
            f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {folder}/host_key\nPidFile none\n"
            f"AuthorizedKeysFile {authorized_keys}\nAllowUsers {user} root\nStrictModes yes\n"
            "UsePAM yes\nKbdInteractiveAuthentication no\nPasswordAuthentication no\n"
            "MaxStartups 100\nPrintMotd no\nAcceptEnv LANG LC_*\n"
            f"Match User root\n AuthorizedKeysFile {folder}/root_keys\n"
        )
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        log = folder / "sshd.log"
        process = subprocess.Popen(
            ["/usr/sbin/sshd", "-D", "-f", config, "-E", log],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        wait_for_port(port, process, log)
        return cls(folder, port, process)

    def client(self, folder: Path, *, user: str, key: Path, options: str = QUICK) -> Path:
        """A folder for PATH whose `ssh` knows this server by the name `server`.

        `options` are more lines for it, as of ssh_config(5).
        ssh takes the home directory from the password file, so a HOME cannot lead it to a
        configuration; a one-line program in front of it can.
        """
        folder.mkdir(parents=True, exist_ok=True)
        host_key = (self.folder / "host_key.pub").read_text()
        (folder / "known_hosts").write_text(f"server {host_key}")
        (folder / "config").write_text(
            f"Host server\n HostName 127.0.0.1\n HostKeyAlias server\n Port {self.port}\n"
            f" User {user}\n IdentityFile {key}\n IdentitiesOnly yes\n"
            f" UserKnownHostsFile {folder}/known_hosts\n StrictHostKeyChecking yes\n"
            f" LogLevel ERROR\n{options}"
        )
        program = folder / "ssh"
        program.write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F {folder}/config "$@"\n')
        program.chmod(0o755)
        return folder

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()
