"""A real sshd, a login user, and keys that open the thin client and nothing else."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from paas.daemon import ground
from paas.daemon.authorized_keys import write_authorized_keys
from paas.host.cgroups import Cgroups
from paas.host.files import remove_tree
from paas.model.key import Key, parse_public_key
from paas.model.layout import Layout
from tests.engine.daemon.daemon import ENV, Daemon, alive
from tests.push.outcome import eventually
from tests.push.sshd import Sshd, make_key

HOME = Path("/var/lib")
"""sshd reads the keys as the login user: every directory above them lets it through."""


@dataclass
class Ssh:
    """What a developer has."""

    daemon: Daemon
    env: dict[str, str]

    def argv(self, *words: str) -> list[str]:
        return ["ssh", *words]

    def run(self, *words: str, input: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            self.argv(*words), input=input, capture_output=True, env=self.env, timeout=60
        )


@pytest.fixture(scope="module")
def ssh() -> Iterator[Ssh]:
    folder = Path(tempfile.mkdtemp(dir=HOME, prefix="paas-test-ssh-"))
    folder.chmod(0o755)
    layout = Layout.at(folder / "root")
    account = ground.accounts(layout)[0]
    account.ensure()
    try:
        for path, mode in ((layout.root, 0o711), (layout.ssh, 0o755)):
            path.mkdir()
            path.chmod(mode)
        public = parse_public_key(make_key(folder / "id").read_text())
        key = Key("ann", "ann", public.line, public.fingerprint, 0)
        write_authorized_keys(layout, [key])
        daemon = Daemon(layout.root)
        sshd = Sshd.start(folder, user=layout.user, authorized_keys=layout.ssh / "authorized_keys")
        sshd.client(folder / "client", user=layout.user, key=folder / "id")
        try:
            yield Ssh(daemon, ENV | {"PATH": f"{folder}/client:{ENV['PATH']}"})
        finally:
            sshd.stop()
            daemon.process.kill()
            daemon.process.wait()
            Cgroups.detect(layout).remove()
            remove_tree(layout.run)
    finally:
        shutil.rmtree(folder)
        account.remove()


@pytest.mark.parametrize("command", ["'", 'echo "a', "echo a\\"])
def test_what_cannot_be_split_is_one_sentence(ssh: Ssh, command: str) -> None:
    done = ssh.run("server", command)
    assert done.returncode == 1
    assert done.stderr.startswith(b" !     The command cannot be read: no ")
    assert len(done.stderr.splitlines()) == 2


def test_a_key_forwards_nothing(ssh: Ssh) -> None:
    done = ssh.run("-W", "127.0.0.1:22", "server")
    assert done.returncode != 0
    assert b"forwarding failed" in done.stderr


def test_nothing_but_the_client_is_started(ssh: Ssh) -> None:
    for trick in ("echo x; id", "echo $(id)", "echo `id`", "echo x\nid", "echo x | id"):
        assert b"uid=" not in ssh.run("server", trick).stdout
    subsystem = ssh.run("-s", "server", "sftp", input=b"\0\0\0\5\1\0\0\0\3")
    assert subsystem.returncode != 0


def test_an_interactive_login_prints_help(ssh: Ssh) -> None:
    assert ssh.run("server").stdout == b"this is help\n"
    assert ssh.run("-tt", "server").stdout == b"this is help\r\n"


def test_the_key_is_the_caller_whatever_it_says(ssh: Ssh) -> None:
    assert ssh.run("server", "echo", "--key", "root").stdout == b"key ann --key root\n"
    assert ssh.run("server", "'--key' bob echo").returncode == 3


@pytest.mark.parametrize(
    "word", ["a b", "$HOME", "it's", 'say "x"', "line\nline", "ünïcode 🦆", "", "\\", "*"]
)
def test_words_survive_both_shells(ssh: Ssh, word: str) -> None:
    done = ssh.run("server", shlex.join(["words", word]))
    assert done.stdout == f"{(word,)!r}\n".encode()


@pytest.mark.parametrize("code", [0, 1, 7, 255])
def test_code_and_streams_come_back(ssh: Ssh, code: int) -> None:
    done = ssh.run("server", "exit", str(code))
    assert (done.returncode, done.stdout, done.stderr) == (code, b"out\n", b"err\n")


def test_binary_input_passes_unharmed(ssh: Ssh) -> None:
    data = os.urandom(20 * 2**20)
    found = ssh.run("server", "cat", input=data).stdout
    assert hashlib.sha256(found).digest() == hashlib.sha256(data).digest()


@pytest.mark.parametrize("options", [(), ("-tt",)])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_dropped_connection_ends_what_needs_it_and_nothing_else(
    ssh: Ssh, tmp_path: Path, options: tuple[str, ...], number: int
) -> None:
    """Without a terminal sshd signals nobody: the client sees it by its stdout."""
    for what, says in (("wait-with-client", "SystemExit(129)"), ("wait", "closed")):
        end = tmp_path / what
        with subprocess.Popen(
            ssh.argv(*options, "server", f"{what} {end}"),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ssh.env,
        ) as client:  # fmt: skip
            assert client.stdout is not None
            pid = int(client.stdout.readline().split()[1])
            client.send_signal(number)
            client.wait()
        eventually(lambda pid=pid: not alive(pid))
        assert end.read_text() == says


def test_control_c_in_a_terminal_interrupts_the_command(ssh: Ssh, tmp_path: Path) -> None:
    end = tmp_path / "end"
    with subprocess.Popen(
        ssh.argv("-tt", "server", f"wait {end}"),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ssh.env,
    ) as client:  # fmt: skip
        assert client.stdin is not None
        assert client.stdout is not None
        client.stdout.readline()
        client.stdin.write(b"\x03")
        client.stdin.flush()
        assert client.wait(60) == 130
    assert end.read_text() == "KeyboardInterrupt()"
