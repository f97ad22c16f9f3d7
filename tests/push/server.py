"""A complete second PaaS on this machine, with an sshd of its own, as its users see it."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paas.daemon.services import STACK
from paas.model.layout import Layout
from tests.ports import free_port
from tests.push.outcome import Outcome, eventually, run
from tests.push.repository import Files, Repository
from tests.push.residue import Residue, difference, mounts, residue
from tests.push.sshd import QUICK, Sshd, make_key
from tests.push.stacks import borrow

CHECKOUT = Path(__file__).parents[2]

CLIENT = CHECKOUT / "paas/daemon/client.py"

HOME = Path("/var/lib/paas-test")
"""On the file system of the real root, and without a world-writable parent: sshd's
StrictModes refuses keys below one."""

DOMAIN = "test.example"
UP_SECONDS = 100.0
ANSWER_SECONDS = 60.0
"""What a page may take whose app waits for something."""
PURGE_SECONDS = 600.0

BOOT_LIMIT_SECONDS = 8
"""Far more than `plain` needs on a busy machine."""

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Page:
    """An answer through the proxy."""

    status: int
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")


class Server:
    """One PaaS: what its administrator and its developers can do with it."""

    def __init__(self, folder: Path, root: Path | None = None) -> None:
        """With `root` it keeps its data there instead of in its folder."""
        self.folder = folder
        self.layout = Layout.at(root or folder / "root")
        self.http_port = free_port()
        self.https_port = free_port()
        self.env = self._environment()
        self.sshd: Sshd | None = None
        self._repositories = 0

    @classmethod
    def start(cls, root: Path | None = None) -> Server:
        """Bring one up from nothing: the PaaS, a developer's key, sshd."""
        HOME.mkdir(mode=0o755, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=HOME, prefix="s"))
        folder.chmod(0o711)
        server = cls(folder, root)
        try:
            server.install()
            server.up()
            borrow(server.layout, STACK)
            server.give_up_soon()
            server.let_in()
        except BaseException:
            server.destroy()
            raise
        return server

    def _environment(self) -> dict[str, str]:
        """What a developer's shell has; nothing of pytest's."""
        return {
            "PATH": f"{self.folder}/client:{PATH}",
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "Dev",
            "GIT_AUTHOR_EMAIL": "dev@test.example",
            "GIT_COMMITTER_NAME": "Dev",
            "GIT_COMMITTER_EMAIL": "dev@test.example",
        }

    # -- the administrator ----------------------------------------------------------------

    def paas(self, *args: str, input: bytes = b"", timeout: float = 100.0) -> Outcome:
        """`paas ARGS` on the server, as root."""
        return run(self.command(*args), env=admin_environment(), input=input, timeout=timeout)

    def command(self, *args: str) -> list[str]:
        """The argv of `paas ARGS` on the server."""
        return [str(self.program / "current/paas"), "--root", str(self.layout.root), *args]

    @property
    def program(self) -> Path:
        """Where the program is installed, in versions beside each other."""
        return self.folder / "program"

    def install(self) -> None:
        """Lay the program out as install.sh does, its code being this checkout's."""
        self.lay_out("first", CHECKOUT)
        (self.program / "current").symlink_to("versions/first")

    def lay_out(self, id: str, checkout: Path) -> None:
        """Make a version of the code in `checkout`: an environment and the command before it."""
        version = self.program / "versions" / id
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", version], check=True)
        packages = next(version.glob("lib/python3*/site-packages"))
        (packages / "checkout.pth").write_text(f"{checkout}\n{sysconfig.get_path('purelib')}\n")
        (version / "client").symlink_to(checkout / "paas/daemon")
        shim = (checkout / "hooks/paas").read_text()
        (version / "paas").write_text(shim.replace("@PROGRAM@", str(self.program / "current")))
        (version / "paas").chmod(0o755)
        (version / "complete").touch()

    def up(self) -> Outcome:
        """Start every process of it, without the stack; harmless when they run."""
        ports = ("--http-port", str(self.http_port), "--https-port", str(self.https_port))
        options = (*ports, "--domain", DOMAIN, "--no-stack")
        done = self.paas("up", *options, timeout=UP_SECONDS).ok()
        # The supervisor settles in on its own: what it mounts is nobody's residue.
        daemon = self.daemon_pid()
        eventually(lambda: any("/idmap/" in point for point in mounts(self.layout, daemon)))
        return done

    def give_up_soon(self) -> None:
        """Shorten how long an app may take to come up: tests push many that never will."""
        self.paas("checks:set", "--global", "boot-seconds", str(BOOT_LIMIT_SECONDS)).ok()

    def let_in(self) -> None:
        """Make the developer's key, register it, and open the door it fits."""
        public = make_key(self.folder / "id")
        self.paas("ssh-keys:add", "dev", input=public.read_bytes()).ok()
        self.sshd = Sshd.start(
            self.folder,
            user=self.layout.user,
            authorized_keys=self.layout.ssh / "authorized_keys",
        )
        self.know_server()

    def know_server(self, options: str = QUICK) -> None:
        """Have the developer's ssh know this server, with more `options` of ssh_config(5)."""
        assert self.sshd is not None
        folder, key = self.folder / "client", self.folder / "id"
        self.sshd.client(folder, user=self.layout.user, key=key, options=options)

    def let_in_as_root(self) -> None:
        """Let the developer's key in as root as well, for what a PaaS is compared with."""
        keys = self.folder / "root_keys"
        keys.write_bytes((self.folder / "id.pub").read_bytes())
        keys.chmod(0o600)

    def down(self) -> Outcome:
        return self.paas("down")

    def destroy(self) -> None:
        """Take it all away; what cannot be taken away is an error of the test run."""
        if self.sshd is not None:
            self.sshd.stop()
        # A workshop's layers are gigabytes, and the disk is others' first.
        purged = self.paas("down", "--purge", "--force", timeout=PURGE_SECONDS)
        shutil.rmtree(self.folder, ignore_errors=purged.code != 0)
        purged.ok()

    # -- the developer ----------------------------------------------------------------------

    def ssh(self, command: str, *options: str, input: bytes = b"") -> Outcome:
        """`ssh paas@server COMMAND`, typed the way a person quotes it for a remote."""
        return run(["ssh", *options, "server", "--", command], env=self.env, input=input)

    def remote(self, app: str) -> str:
        return f"{self.layout.user}@server:{app}"

    def repository(self, app: str, files: Files | None = None) -> Repository:
        """A new work tree with a remote for `app`, and one commit when there are files."""
        self._repositories += 1
        folder = self.folder / "work" / f"{self._repositories}-{app[:20].strip('./-') or 'x'}"
        repository = Repository.init(folder, self.env, self.remote(app))
        if files is not None:
            repository.commit(files)
        return repository

    def push(self, app: str, files: Files) -> Outcome:
        """Push these files as an app, from a fresh repository."""
        return self.repository(app, files).push()

    def get(self, app: str, path: str = "/", *, host: str | None = None) -> Page:
        """GET through nginx; an unknown host gets a closed connection, an `OSError` here."""
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=ANSWER_SECONDS)
        try:
            connection.request("GET", path, headers={"Host": host or f"{app}.{DOMAIN}"})
            answer = connection.getresponse()
            return Page(answer.status, answer.read())
        except http.client.HTTPException as error:
            raise ConnectionError(repr(error)) from error
        finally:
            connection.close()

    def status(self, app: str) -> dict[str, Any]:
        """What `plain` says about the container it runs in."""
        page = self.get(app, "/status")
        assert page.status == 200, page
        found: dict[str, Any] = json.loads(page.body)
        return found

    def serves(self, app: str, text: str) -> bool:
        """True when the app's front page is a 200 with this text."""
        page = self.get(app)
        return page.status == 200 and text in page.text

    # -- the machine ----------------------------------------------------------------------

    def daemon_pid(self) -> int:
        """The process that listens on the socket (SO_PEERCRED, unix(7))."""
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(self.layout.socket))
            size = struct.calcsize("3i")
            credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        pid: int = struct.unpack("3i", credentials)[0]
        return pid

    def logs(self) -> list[Path]:
        """What the server's own processes wrote, for a failed test to show."""
        folders = (self.layout.logs, self.layout.proxy / "logs", self.folder)
        return sorted(path for folder in folders for path in folder.glob("*.log"))

    def residue(self) -> Residue:
        return residue(self.layout)

    def settles_to(self, before: Residue) -> None:
        """Until nothing is there that was not there before."""
        eventually(lambda: difference(before, self.residue()) == {} or self._show(before))

    def _show(self, before: Residue) -> bool:
        raise AssertionError(f"left over: {difference(before, self.residue())}")

    def processes(self) -> dict[int, str]:
        """Every process that names this PaaS's folders: pid to command line."""
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                line = (
                    (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                )
            except (FileNotFoundError, ProcessLookupError):
                continue
            if str(self.layout.root) in line or f"{self.layout.run}/" in line:
                found[int(entry.name)] = line
        return found


def admin_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Root's shell: PATH, and the machine's own settings for mirrors and certificates."""
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))}
    return {"PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8"} | kept | dict(extra or {})


def stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """End what a test started, and collect it."""
    for process in processes:
        process.kill()
        process.wait()
