"""The OCI runtime: which one works on this host, and how its commands are written.

crun starts a container in a third of runc's time, but not every version works on every
host; so each candidate runs a real container once, and the verdict is kept in <run>.
Source of the commands: https://github.com/opencontainers/runtime-spec, runtime.md, and
the manual pages crun(1) and runc(8).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from paas.engine import spec as specs
from paas.engine.config import ImageConfig
from paas.engine.resources import HostFacts
from paas.engine.spec import ContainerSpec, Mount
from paas.engine.userns import UserRange
from paas.engine.users import User
from paas.errors import PaasError
from paas.host import files, processes, syscalls
from paas.host.cgroups import Cgroups
from paas.model.layout import Layout
from paas.model.limits import MIB, Limits

SHIM = Path(__file__).with_name("oci-shim.sh")
PROBE_SECONDS = 20.0

TRIAL_RANGE = UserRange(0x7000_0000)
"""The trial owns no file that lasts, so any range will do."""


class NoRuntime(PaasError):
    """No installed OCI runtime can run a container here."""


class RuntimeFailed(PaasError):
    """The OCI runtime refused a container."""


@dataclass(frozen=True)
class Runtime:
    """A working OCI runtime. `state` is where it keeps what it runs, one directory each.

    `hidden` is a directory it must not see. `takes_streams` says that it changes the owner
    of the files it is given as standard streams.
    """

    program: str
    state: str
    hidden: str = ""
    takes_streams: bool = False

    def command(self, *words: str | Path, creating: bool = False) -> list[str]:
        """The argv of one call; `creating` when it makes a container.

        Other calls look at no hierarchy, and need nothing before them.
        """
        prefix, program = self.split() if creating else ([], self._program)
        return [*prefix, *program, *(str(word) for word in words)]

    def split(
        self, *, empty_stdin: bool = False, no_stdout: bool = False
    ) -> tuple[list[str], list[str]]:
        """What goes before a creating call, and the runtime itself with its own options.

        With `empty_stdin` and `no_stdout` a runtime that takes the streams it has gets none
        of the host's.
        """
        prefix: list[str] = []
        options: list[str] = []
        if self.hidden:
            prefix = ["unshare", "--mount", "--propagation", "slave", "--"]
            options = ["-u", self.hidden]
        if empty_stdin and self.takes_streams:
            options.append("-n")
        if no_stdout and self.takes_streams:
            options.append("-o")
        if options:
            prefix += ["/bin/sh", str(SHIM), *options]
        return prefix, self._program

    def hiding(self) -> Callable[[], None] | None:
        """What a child of ours does before it becomes a creating call without the prefix.

        The same, and 6 ms sooner than by the three programs of it.
        """
        return self._hide if self.hidden else None

    def _hide(self) -> None:
        syscalls.unshare(syscalls.CLONE_NEWNS)
        syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_SLAVE)
        syscalls.umount(self.hidden)

    @property
    def _program(self) -> list[str]:
        return [processes.locate(self.program), "--root", self.state]


class Runtimes:
    """Finds the runtime of this host."""

    def __init__(self, layout: Layout, cgroups: Cgroups) -> None:
        self._run = layout.run
        self._state = layout.run / "oci"
        self._verdict = layout.run / "runtime.json"
        self._cgroups = cgroups

    def state_of(self, container_id: str) -> Path:
        """The runtime's directory about one container: all that it leaves on disk."""
        return self._state / container_id

    def choose(self, host: HostFacts) -> Runtime:
        """The fastest that works; tried once per start of the machine. Raises `NoRuntime`."""
        known = self._known()
        if known is not None:
            return known
        self._run.mkdir(mode=0o711, parents=True, exist_ok=True)
        with files.FileLock(self._run / "runtime.lock"):
            return self._known() or self._try_all(host)

    def candidates(self) -> list[Runtime]:
        """In the order of preference."""
        unified = self._cgroups.mounts.get("") if self._cgroups.version == 1 else None
        state = str(self._state)
        found = [Runtime("crun", state, takes_streams=True)]
        if unified is not None:
            found.append(Runtime("crun", state, hidden=str(unified), takes_streams=True))
        return [*found, Runtime("runc", state)]

    def _try_all(self, host: HostFacts) -> Runtime:
        reasons = []
        for candidate in self.candidates():
            reason = self.trial(candidate, host)
            if reason is None:
                document = {**asdict(candidate), "stamp": _stamp(candidate)}
                files.write_atomic(self._verdict, json.dumps(document))
                return candidate
            reasons.append(f"{candidate.program}: {reason}")
        raise NoRuntime(
            "No OCI runtime can run a container on this host",
            reasons,
            "Install crun or runc and run `paas doctor`.",
        )

    def trial(self, candidate: Runtime, host: HostFacts) -> str | None:
        """Run a container of nothing but the init; why it failed, or None."""
        try:
            processes.locate(candidate.program)
        except processes.ProgramMissing as error:
            return error.brief
        name = f"probe-{os.getpid()}"
        directory = self._run / name
        host = replace(host, cgroups_path=self._cgroups.instance_path(name))
        try:
            _write_trial(directory, host)
            ended = processes.run(
                candidate.command("run", "--bundle", directory, name, creating=True),
                timeout=PROBE_SECONDS,
                check=False,
            )
        except processes.ProcessTimedOut as error:
            return error.brief
        finally:
            self._cgroups.instance(name).remove()
            files.remove_tree(directory)
            files.remove_tree(self.state_of(name))
        if ended.code == 0:
            return None
        return ended.stderr.decode("utf-8", "replace").strip() or f"exit code {ended.code}"

    def _known(self) -> Runtime | None:
        try:
            document = json.loads(self._verdict.read_text())
        except FileNotFoundError:
            return None
        stamp = document.pop("stamp")
        known = Runtime(**document)
        # An upgrade of the program is tried again.
        return known if stamp == _stamp(known) else None


def _stamp(runtime: Runtime) -> list[int]:
    try:
        status = Path(processes.locate(runtime.program)).stat()
    except processes.ProgramMissing:
        return []
    return [status.st_size, status.st_mtime_ns]


def _write_trial(directory: Path, host: HostFacts) -> None:
    """A bundle whose only program is the init, which prints its version."""
    owner = TRIAL_RANGE.base
    rootfs = directory / "rootfs"
    directory.mkdir(mode=0o711)
    for path in (rootfs, *(rootfs / name for name in ("proc", "dev", "sys"))):
        path.mkdir(mode=0o755)
        os.chown(path, owner, owner)
    spec = ContainerSpec(
        id="probe",
        image="",
        owner="",
        args=(specs.INIT_TARGET, "--version"),
        mounts=(Mount(host.init, specs.INIT_TARGET, read_only=True),),
        limits=Limits(memory_bytes=64 * MIB, cpus=1.0, pids=16, io_weight=20, cpu_weight=20),
    )
    document = specs.oci_config(spec, ImageConfig(), User(), TRIAL_RANGE, rootfs, host, files={})
    files.write_atomic(directory / "config.json", json.dumps(document))


def failure(message: str, command: Sequence[str]) -> RuntimeFailed:
    """The runtime's own words, which name the cause."""
    return RuntimeFailed(
        "The container could not be started",
        [line for line in message.strip().splitlines() if line],
        f"If the words above do not help, see `paas doctor`. The command was {command[0]}.",
    )


def invoke(runtime: Runtime, *words: str | Path) -> None:
    """Run one command of the runtime to its end. Raises `RuntimeFailed` with its words.

    Not `processes.run`, whose threads cost more than the command.
    """
    output = os.memfd_create("runtime", os.MFD_CLOEXEC)
    try:
        command = runtime.command(*words)
        code = processes.spawn(command, stdout=output, stderr=output).wait()
        if code != 0:
            size = os.fstat(output).st_size
            raise failure(os.pread(output, size, 0).decode("utf-8", "replace"), command)
    finally:
        os.close(output)
