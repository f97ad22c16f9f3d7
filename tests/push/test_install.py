"""The newcomer's first command, for real: install, demo, upgrade, uninstall, purge."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from paas.host.files import remove_tree
from paas.model.layout import Layout
from tests.ports import free_port
from tests.push import apps
from tests.push.repository import Repository
from tests.push.residue import residue
from tests.push.sshd import make_key

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

    def paas(self, *words: str, **env: str) -> str:
        argv = [self.command, "--root", self.root, *words]
        done = subprocess.run(
            argv, capture_output=True, text=True, check=True, env={**os.environ, **env}
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
    return [pid for pid in found.stdout.split() if cgroup in content(Path(f"/proc/{pid}/cgroup"))]


def content(path: Path) -> str:
    """Of a file of a process, which may have ended: others' run here too."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def second_push(installation: Installation) -> str:
    """What a developer sees of a one-line change of the sample app, without git's blanks."""
    options = subprocess.run(["/usr/sbin/sshd", "-T"], capture_output=True, text=True, check=True)
    [port] = re.findall(r"^port (\d+)$", options.stdout, re.MULTILINE)
    config = installation.root.parent / "ssh_config"
    config.write_text(
        f"Host server\nHostName 127.0.0.1\nPort {port}\nUser {Layout.at(installation.root).user}\n"
        f"IdentityFile {installation.key.with_suffix('')}\nStrictHostKeyChecking no\n"
        "UserKnownHostsFile /dev/null\nLogLevel ERROR\n"
    )
    names = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b"}
    names |= {key.replace("AUTHOR", "COMMITTER"): value for key, value in names.items()}
    env = {"PATH": os.environ["PATH"], "GIT_SSH_COMMAND": f"ssh -F {config}", **names}
    repository = Repository.init(installation.root.parent / "work", env, "server:hello")
    files = apps.fixture("hello-flask")
    repository.commit(files | {"app.py": files["app.py"].replace('VERSION = "1"', 'VERSION = "2"')})
    pushed = repository.push("--force", "main").ok()
    return "".join(f"{line.rstrip()}\n" for line in pushed.err.splitlines())


def blurred(transcript: str) -> str:
    """A transcript without what no two of them share."""
    text = re.sub(r"in [0-9.]+ s$", "in S s", transcript, flags=re.MULTILINE)
    text = re.sub(r"http://hello\.\S+", "URL", text)
    return re.sub(r" [ +] \w{7}\.{2,3}\w{7} +main -> main( \(forced update\))?", "MOVED", text)


def in_readme() -> str:
    """The transcript that the README opens with, without its indent and its first line."""
    text = (CHECKOUT / "README.md").read_text().split("$ git push paas main\n")[1]
    return "".join(f"{line[4:]}\n" for line in text.split("\n\n")[0].splitlines())


def newer_checkout(folder: Path) -> Path:
    """What `git pull` makes of a checkout: the same program, of a later version."""
    ignored = shutil.ignore_patterns("__pycache__", ".git", "tests")
    shutil.copytree(CHECKOUT, folder, symlinks=True, ignore=ignored)
    version = folder / "paas/model/version.py"
    version.write_text(version.read_text().replace('VERSION = "', 'VERSION = "9.'))
    return folder


def test_install_demo_upgrade_uninstall_and_purge(installation: Installation) -> None:
    said = installation.first()
    assert "remote: =====> Application deployed:" in said
    assert "Hello, world! This is version 1" in said
    assert f"http://hello.install.test:{installation.port}/" in said
    assert said.count("ssh ") >= 2
    assert "FAIL" not in said
    assert "No SSH public key" not in said
    assert "own network" not in said
    assert len(installation.paas("ssh-keys:list", "--quiet").splitlines()) == 1

    before = pids(installation)
    assert before
    said = installation.install()
    assert "left as it is" in said
    assert "No SSH public key" not in said
    assert pids(installation) == before
    assert "Hello, world!" in installation.page()

    newer = newer_checkout(installation.root.parent / "newer")
    # Of the same libraries: where there are packages it need not know.
    said = installation.paas("upgrade", str(newer), PIP_NO_INDEX="1", PIP_CONFIG_FILE="/dev/null")
    assert "Upgraded to 9." in said
    assert installation.paas("version").startswith("paas 9.")
    assert pids(installation) == before
    assert "Hello, world!" in installation.page()

    assert blurred(second_push(installation)) == blurred(in_readme())
    assert "This is version 2" in installation.page()

    installation.install("--uninstall")
    assert (installation.root / "paas.db").exists()
    assert not installation.command.exists()
    assert pids(installation) == []

    said = installation.install("--no-demo", "--domain", "172.31.5.6.sslip.io")
    # What a cloud gives a machine, which translates another one to it.
    assert "Only the machine's own network reaches 172.31.5.6." in said
    assert "hello" in installation.paas("apps:list")
    assert "hello.172.31.5.6.sslip.io" in installation.paas("domains:report", "hello")

    installation.install("--purge")
    assert not installation.root.exists()
    assert not any(residue(Layout.at(installation.root)).values())
    assert shutil.which("nginx")
