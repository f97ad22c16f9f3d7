"""A machine that install.sh cannot serve gets one sentence, and nothing is changed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path

import pytest

from paas.host.files import remove_tree

INSTALL = Path(__file__).parents[2] / "install.sh"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


THEIRS = "#!/bin/sh\n# The administrator's own.\nexit 0\n"
"""What a machine may say of the services of new packages (invoke-rc.d(8))."""

KILL = """
set -o functrace
commands=0
trap 'case ${FUNCNAME-} in keep_services_down | let_services_start)
    [ $((commands += 1)) -le MOST ] || kill -9 $$ ;; esac' DEBUG
"""
"""What bash reads before a script: it is killed in those two functions, behind so many commands."""


class Machine:
    """This machine, looking like another one through programs that come first on PATH."""

    def __init__(self, folder: Path) -> None:
        self.shims = folder / "shims"
        self.shims.mkdir()
        self.root = folder / "root"
        # Whatever changes something is noted here, should it be called.
        for name in ("apt-get", "useradd", "systemctl", "pip"):
            self.pretend({name: f"echo {name} >>{folder}/changed"})
        self._changed = folder / "changed"
        self.policy = folder / "sbin/policy-rc.d"
        self.policy.parent.mkdir()
        self.said = ""
        """What the last run said of its progress."""

    @property
    def policies(self) -> dict[str, str]:
        """What is where the policy is, by name."""
        return {path.name: path.read_text() for path in self.policy.parent.iterdir()}

    def pretend(self, programs: Mapping[str, str]) -> None:
        """Put a shell script in front of each program; REAL is the real one."""
        for name, script in programs.items():
            shim = self.shims / name
            shim.write_text(f'#!/bin/sh\nREAL="env PATH={PATH} {name}"\n{script}\n')
            shim.chmod(0o755)

    def run(self, *options: str, **env: str) -> subprocess.CompletedProcess[str]:
        """Run install.sh to whichever end."""
        return subprocess.run(
            [INSTALL, "--root", self.root, *options],
            env={"PATH": f"{self.shims}:{PATH}", "PAAS_POLICY_RC_D": str(self.policy), **env},
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def install(self, *options: str, **env: str) -> str:
        """Run install.sh, which has to give up; its words."""
        before = self.policies
        done = self.run(*options, **env)
        assert done.returncode == 1, done
        assert not self._changed.exists(), self._changed.read_text()
        assert not self.root.exists()
        assert not Path(f"{self.root}.program").exists()
        assert self.policies == before
        self.said = done.stdout
        return done.stderr


@pytest.fixture
def machine() -> Iterator[Machine]:
    folder = Path(tempfile.mkdtemp(prefix="paas-install-", dir="/var/lib"))
    yield Machine(folder)
    remove_tree(folder)


@pytest.mark.parametrize(
    ("programs", "words"),
    [
        ({"id": "echo 1000"}, "Run it as root: sudo ./install.sh"),
        ({"uname": '[ "$1" = -r ] && echo 5.10.0-30-amd64 || $REAL "$@"'}, "5.19 or newer"),
        ({"uname": '[ "$1" = -m ] && echo riscv64 || $REAL "$@"'}, "riscv64"),
        ({"stat": '[ "$1" = -f ] && echo zfs || $REAL "$@"'}, "is on zfs"),
        ({"stat": '[ "$1" = -f ] && echo overlayfs || $REAL "$@"'}, "is on overlayfs"),
        ({"df": "printf 'x\\nx x x 100 x x\\n'"}, "100 MiB are free"),
        ({"grep": "exit 1", "modprobe": "exit 1"}, "no overlayfs"),
        ({"sed": "echo 24.10"}, "Debian 12, Debian 13 and Ubuntu 24.04"),
    ],
)
def test_a_machine_that_will_not_do(
    machine: Machine, programs: Mapping[str, str], words: str
) -> None:
    machine.pretend(programs)
    (line,) = machine.install().splitlines()
    assert line.startswith(" !     ")
    assert words in line


def test_packages_that_cannot_be_had_leave_everything_as_it_was(machine: Machine) -> None:
    machine.pretend({
        "dpkg-query": '[ "$4" = skopeo ] && exit 1 || $REAL "$@"',
        "apt-get": "echo 'E: Unable to locate package skopeo'; exit 100",
    })  # fmt: skip
    said = machine.install()
    assert "E: Unable to locate package skopeo" in said
    assert said.endswith(" !     apt-get failed; its last lines are above\n")


def test_another_apt_get_is_waited_for(machine: Machine) -> None:
    asked = machine.shims / "asked"
    machine.pretend({
        "dpkg-query": '[ "$4" = skopeo ] && exit 1 || $REAL "$@"',
        "apt-get": f"""echo "$1" >>{asked}
            case $(grep -c . {asked}) in
            1 | 2) echo 'E: Could not get lock /var/lib/apt/lists/lock.' \
                'It is held by process 7 (apt)' ;;
            3) exit 0 ;;
            4) echo 'E: Could not get lock /var/lib/dpkg/lock-frontend.' \
                'It is held by process 8 (u)' ;;
            *) echo 'E: Unable to locate package skopeo' ;;
            esac
            exit 100""",
    })  # fmt: skip
    said = machine.install()
    assert asked.read_text().split() == ["update"] * 3 + ["install"] * 2
    assert said.endswith(" !     apt-get failed; its last lines are above\n")
    waited = [line.strip() for line in machine.said.splitlines() if "Waiting" in line]
    assert waited == [
        "Waiting for another apt-get: held by process 7 (apt)",
        "Waiting for another apt-get: held by process 8 (u)",
    ]


@pytest.mark.parametrize("theirs", [{}, {"policy-rc.d": THEIRS}], ids=["none", "theirs"])
def test_services_start_again_behind_an_install_killed_at_any_command(
    machine: Machine, theirs: Mapping[str, str]
) -> None:
    """Or no package of the machine would ever start one again."""
    for name, text in theirs.items():
        (machine.policy.parent / name).write_text(text)
    kill = machine.shims / "kill"
    # Both runs end early: the one with its packages, the other when it is about to build.
    machine.pretend({"apt-get": "exit 100", "sha256sum": "exit 1"})
    for commands in count():
        kill.write_text(KILL.replace("MOST", str(commands)))
        machine.pretend({"dpkg-query": '[ "$4" = skopeo ] || echo installed'})
        killed = machine.run(BASH_ENV=str(kill))
        assert killed.returncode in {1, -signal.SIGKILL}, killed
        assert set(theirs.values()) <= set(machine.policies.values()), commands
        machine.pretend({"dpkg-query": "echo installed"})
        again = machine.run()
        assert "All packages are installed" in again.stdout, again
        assert machine.policies == theirs, commands
        if killed.returncode == 1:
            break
    assert commands > 10


def test_what_an_administrator_has_in_place_of_ours_is_never_lost(machine: Machine) -> None:
    """They made another one, and the one before is still kept."""
    machine.policy.write_text(THEIRS)
    kept = machine.policy.with_name("policy-rc.d.before-paas")
    kept.write_text("#!/bin/sh\nexit 104\n")
    machine.pretend({
        "dpkg-query": '[ "$4" = skopeo ] && exit 1 || $REAL "$@"',
        "apt-get": "exit 100",
    })  # fmt: skip
    assert f"{kept} is there" in machine.install()


def test_a_program_that_cannot_be_built_leaves_nothing_of_itself(machine: Machine) -> None:
    said = machine.install(PIP_NO_INDEX="1", PIP_CONFIG_FILE="/dev/null")
    assert "No matching distribution found" in said
    assert said.endswith(" !     pip failed; its last lines are above\n")


def test_a_taken_port_names_who_has_it(machine: Machine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        (line,) = machine.install("--http-port", str(port)).splitlines()
    assert f"Port {port} is taken by" in line
    assert f"(process {os.getpid()})" in line
    assert "--http-port" in line


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--bogus"], "There is no option --bogus"),
        (["--domain"], "--domain needs a value"),
        (["--http-port", "99999"], "99999 is not a port"),
        (["--http-port", "x"], "x is not a port"),
        (["--key", "/etc/passwd"], "/etc/passwd is no SSH public key"),
        (["--key", "/nowhere"], "/nowhere is no SSH public key"),
        (["--root", "/var/lib/a b"], "A root may have"),
    ],
)
def test_an_option_that_makes_no_sense(machine: Machine, options: list[str], words: str) -> None:
    (line,) = machine.install(*options).splitlines()
    assert words in line


def test_purging_what_is_not_there_is_fine(machine: Machine) -> None:
    done = machine.run("--purge")
    assert done.returncode == 0, done


def test_every_package_is_one_line() -> None:
    listed = subprocess.run([INSTALL, "--packages"], capture_output=True, text=True, check=True)
    names = listed.stdout.splitlines()
    assert {"nginx", "crun", "conmon", "git"} <= set(names)
    assert all(name == name.strip() and " " not in name for name in names)
