"""The newcomer's first command, for real: install, demo, upgrade, uninstall, purge."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas.host.files import remove_tree
from paas.model.layout import Layout
from tests.push.residue import residue
from tests.push.sshd import free_port, make_key

CHECKOUT = Path(__file__).parents[2]
PID_FILE = Path("/run/sshd.pid")

pytestmark = pytest.mark.timeout(600)


class Installation:
    """What install.sh makes at a root of its own."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "root"
        self.command = Path(f"{self.root}.program/paas")
        self.port = free_port()
        self.key = make_key(folder / "id")

    def install(self, *options: str) -> str:
        """Run it; everything it says."""
        done = subprocess.run(
            [CHECKOUT / "install.sh", "--root", self.root, *options],
            capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def first(self) -> str:
        return self.install(
            "--http-port", str(self.port), "--domain", "install.test", "--key", str(self.key)
        )

    def paas(self, *words: str) -> str:
        done = subprocess.run(
            [self.command, "--root", self.root, *words], capture_output=True, text=True, check=True
        )
        return done.stdout

    def page(self) -> str:
        argv = ["curl", "-fsS", "-H", "Host: hello.install.test", f"http://127.0.0.1:{self.port}/"]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def installation() -> Iterator[Installation]:
    folder = Path(tempfile.mkdtemp(prefix="paas-install-", dir="/var/lib"))
    folder.chmod(0o711)
    sshd_ran = PID_FILE.exists()
    installation = Installation(folder)
    yield installation
    if installation.command.exists():
        installation.install("--purge")
    remove_tree(folder)
    if not sshd_ran and PID_FILE.exists():
        os.kill(int(PID_FILE.read_text()), signal.SIGTERM)


def pids(installation: Installation) -> list[str]:
    """The processes of the sample app."""
    found = subprocess.run(["pgrep", "-f", "gunicorn.*app:app"], capture_output=True, text=True)
    cgroup = Layout.at(installation.root).id
    return [
        pid for pid in found.stdout.split() if cgroup in Path(f"/proc/{pid}/cgroup").read_text()
    ]


def test_install_demo_upgrade_uninstall_and_purge(installation: Installation) -> None:
    said = installation.first()
    assert "remote: =====> Application deployed:" in said
    assert "Hello, world! This is version 1" in said
    assert f"http://hello.install.test:{installation.port}/" in said
    assert said.count("ssh ") >= 2
    assert "FAIL" not in said
    assert "No SSH public key" not in said
    assert len(installation.paas("ssh-keys:list", "--quiet").splitlines()) == 1

    before = pids(installation)
    assert before
    said = installation.install()
    assert "left as it is" in said
    assert pids(installation) == before
    assert "Hello, world!" in installation.page()

    installation.install("--uninstall")
    assert (installation.root / "paas.db").exists()
    assert not installation.command.exists()
    assert pids(installation) == []

    installation.install("--no-demo")
    assert "hello" in installation.paas("apps:list")

    installation.install("--purge")
    assert not installation.root.exists()
    assert not any(residue(Layout.at(installation.root)).values())
    assert shutil.which("nginx")
