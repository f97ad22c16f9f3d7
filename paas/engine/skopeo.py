"""Running skopeo: the one way in which images travel, and where it has its settings from.

skopeo reads nothing of the host's: its registries, authorities and logins are those of this
engine (containers-registries.conf(5), containers-certs.d(5), containers-auth.json(5)). A
password reaches it on its standard input or in a file of mode 0600, never in its arguments.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import select
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from paas.engine import registries
from paas.engine.outside import Outside
from paas.engine.registries import InvalidRegistry
from paas.errors import PaasError
from paas.host import processes, syscalls
from paas.host.disk import LOOK_SECONDS
from paas.host.processes import Completed, Process, ProcessFailed, ProcessTimedOut
from paas.model.report import Report

TRANSFER_SECONDS = 3600.0
LOGIN_SECONDS = 60.0
TELL_SECONDS = 2.0
"""How often a transfer that goes on says how far it is."""

Progress = Callable[[], None]


class LoginFailed(PaasError):
    """A registry did not take the name and the password."""


@dataclass(frozen=True)
class Login:
    """Who is logged in where; the password stays in its file."""

    registry: str
    username: str


class Skopeo:
    """skopeo, with the settings and logins below one directory."""

    def __init__(self, engine: Path) -> None:
        self._engine = engine

    @property
    def settings_file(self) -> Path:
        """Mirrors, plain HTTP and authorities; see `paas.engine.registries`."""
        return self._engine / "registries.json"

    @property
    def credentials_file(self) -> Path:
        """Logins, in the format of containers-auth.json(5); mode 0600."""
        return self._engine / "auth.json"

    def copy(
        self,
        scratch: Path,
        registry: str,
        words: Sequence[str],
        progress: Progress,
        outside: Outside | None = None,
    ) -> None:
        """`skopeo copy` with `words`; `progress` is called every `LOOK_SECONDS`, and ends it by
        what it raises. Raises `ProcessFailed`, `ProcessTimedOut`.

        `scratch` is a directory of this transfer's own, `registry` the host that is spoken
        to, or nothing; `outside`, if it is given, with the network of a container.
        """
        login = [f"--authfile={self.credentials_file}"] if self.credentials_file.exists() else []
        certificates = self._certificates(scratch, registry)
        side = "src" if any(word.startswith("docker://") for word in words[:-1]) else "dest"
        trust = [f"--{side}-cert-dir={certificates}"] if certificates else []
        quiet = ["copy", "--quiet", "--retry-times=2"]
        argv = [*self._skopeo(scratch), f"--tmpdir={scratch}", *quiet, *login, *trust, *words]
        if outside is None:
            run_watched(argv, scratch / "stderr", progress)
        else:
            outside.run(argv, timeout_s=TRANSFER_SECONDS, progress=progress)

    def login(self, scratch: Path, registry: str, username: str, password: str) -> None:
        """Try a login and keep it. Raises `LoginFailed`; then an earlier one stays."""
        trust = self._certificates(scratch, registry)
        done = processes.run(
            [
                *(*self._skopeo(scratch), "login", f"--authfile={self.credentials_file}"),
                *([f"--cert-dir={trust}"] if trust else []),
                *("--username", username, "--password-stdin", "--", registry),
            ],
            input=password.encode(),
            timeout=LOGIN_SECONDS,
            check=False,
        )
        if done.code != 0:
            raise LoginFailed(
                f"{registry} does not take the login of {username}",
                done.stderr.decode("utf-8", "replace").splitlines()[-1:],
                "Check name and password; a registry without TLS, or with a certificate of its "
                "own, is set first: see `paas help registry:set`.",
            )
        self.credentials_file.chmod(0o600)

    def logout(self, scratch: Path, registry: str) -> None:
        """Forget a login. Raises `InvalidRegistry` when there is none."""
        if registry not in {login.registry for login in self.logins()}:
            raise InvalidRegistry(
                f"Nobody is logged in to {registry}",
                resolution="See `paas registry:list`.",
            )
        authfile = f"--authfile={self.credentials_file}"
        processes.run([*self._skopeo(scratch), "logout", authfile, "--", registry])

    def logins(self) -> list[Login]:
        """Who is logged in where."""
        try:
            document = json.loads(self.credentials_file.read_text("utf-8"))
            entries = document.get("auths") or {}
            return [Login(name, _username(entry)) for name, entry in sorted(entries.items())]
        except FileNotFoundError:
            return []
        except (AttributeError, ValueError) as error:
            raise InvalidRegistry(
                f"{self.credentials_file} is malformed", resolution="Remove it, and log in again."
            ) from error

    def _skopeo(self, scratch: Path) -> list[str]:
        conf = scratch / "registries.conf"
        conf.write_text(registries.load(self.settings_file).registries_conf())
        return ["skopeo", "--insecure-policy", f"--registries-conf={conf}"]

    def _certificates(self, scratch: Path, registry: str) -> Path | None:
        """A directory in the form of containers-certs.d(5), if there is something to trust."""
        pem = registries.load(self.settings_file).authorities_for(registry)
        if not pem:
            return None
        folder = scratch / "certs"
        folder.mkdir(exist_ok=True)
        (folder / "ca.crt").write_text(pem)
        return folder


class Counter:
    """Tells how many bytes have come, as they come; every `TELL_SECONDS` at most."""

    def __init__(self, report: Report, measure: Callable[[], int]) -> None:
        self._report = report
        self._measure = measure
        self.most = 0
        self._next = 0.0

    def tell(self) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + TELL_SECONDS
        now = self._measure()
        if now > self.most:
            self.most = now
            self._report.detail(f"{now / 1e6:.1f} MB so far")

    def end(self, verb: str) -> None:
        self._report.detail(f"{verb} {self._measure() / 1e6:.1f} MB")


def run_watched(argv: Sequence[str], stderr: Path, progress: Progress) -> None:
    """Run a program that ends with this process; `progress` is called every `LOOK_SECONDS`.

    Raises `ProcessFailed` and `ProcessTimedOut`.
    """
    with stderr.open("wb") as told:
        process = processes.spawn(
            argv, stderr=told.fileno(), preexec=lambda: syscalls.die_with_parent(signal.SIGKILL)
        )
    try:
        _watch(process, progress)
    except BaseException:
        process.kill()
        process.wait()
        raise
    if (code := process.wait()) != 0:
        raise ProcessFailed(Completed(tuple(argv), code, b"", stderr.read_bytes()))


def _watch(process: Process, progress: Progress) -> None:
    deadline = time.monotonic() + TRANSFER_SECONDS
    ended = select.poll()
    ended.register(process.pidfd, select.POLLIN)
    while not ended.poll(LOOK_SECONDS * 1000):
        progress()
        if time.monotonic() > deadline:
            raise ProcessTimedOut(process.argv, TRANSFER_SECONDS)


def bytes_below(*folders: Path) -> int:
    """Bytes on disk in the files of some folders, whatever comes and goes there meanwhile."""
    total = 0
    for folder in folders:
        for path, _, names in os.walk(folder):
            for name in names:
                try:
                    total += os.lstat(os.path.join(path, name)).st_blocks * 512  # noqa: PTH118
                except FileNotFoundError:
                    continue
    return total


def _username(entry: dict[str, str]) -> str:
    try:
        return base64.b64decode(entry.get("auth", "")).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""
