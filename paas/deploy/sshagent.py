"""An ssh-agent(1) of a build's own, which holds one key and ends with the build."""

from __future__ import annotations

import os
import secrets
import select
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from paas.engine.engine import Engine
from paas.errors import PaasError
from paas.host import files, processes, syscalls
from paas.model.layout import Layout

SECONDS = 10.0
"""For an agent to start, and to take a key."""


class NoAgent(PaasError):
    """There is no agent, or none that takes the key."""


@contextmanager
def agents(engine: Engine, wanted: Mapping[str, Path]) -> Iterator[Mapping[str, Path]]:
    """Sockets of agents, by their ids: what is a socket already, else of one that holds the key.

    Raises `NoAgent`.
    """
    with ExitStack() as stack:
        found = {}
        for name, path in wanted.items():
            if path.is_socket():
                found[name] = path
                continue
            # While it is held, nobody clears away what killed builds left.
            stack.enter_context(engine.layers.lease())
            found[name] = stack.enter_context(holding(engine.layout, path))
        yield found


@contextmanager
def holding(layout: Layout, key: Path) -> Iterator[Path]:
    """The socket of an agent that holds the key of a file, and no other, during the block.

    When its builder is killed it ends too, and leaves a directory that the next sweep of what
    builds left removes. Raises `NoAgent`.
    """
    parent = layout.run / "build"
    parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    folder = parent / f"agent-{secrets.token_hex(8)}"
    folder.mkdir(mode=0o700)
    with ExitStack() as stack:
        stack.callback(files.remove_tree, folder)
        path = folder / "socket"
        _start(stack, path)
        added = processes.run(
            ["ssh-add", "-q", key],
            env={"SSH_AUTH_SOCK": str(path)},
            timeout=SECONDS,
            check=False,
        )
        if added.code != 0:
            raise NoAgent(
                f"ssh-agent does not take {key}",
                added.stderr.decode("utf-8", "replace").splitlines(),
                "Name the socket of an agent, or a private key that has no passphrase.",
            )
        yield path


def _start(stack: ExitStack, path: Path) -> None:
    """An agent that listens at `path` until the stack ends."""
    said, say = os.pipe2(os.O_CLOEXEC)
    try:
        try:
            process = processes.spawn(
                ["ssh-agent", "-D", "-a", path], stdout=say, stderr=say, preexec=_bound(os.getpid())
            )
        finally:
            os.close(say)
        stack.callback(process.wait)
        stack.callback(process.kill)
        # It says where it listens when it does; nobody reads what it says of broken requests.
        words = os.read(said, 4096) if select.select([said], [], [], SECONDS)[0] else b""
    finally:
        os.close(said)
    if not path.is_socket():
        raise NoAgent("ssh-agent did not start", words.decode("utf-8", "replace").splitlines())


def _bound(parent: int) -> Callable[[], None]:
    """Makes a child that is killed with the thread that starts it."""

    def bind() -> None:
        # Debian's ssh-agent is set-group-ID, against tracing by its own user; a program that
        # takes a group on executing outlives its parent (PR_SET_PDEATHSIG(2const)).
        syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
        syscalls.die_with_parent(signal.SIGKILL)
        if os.getppid() != parent:  # it was gone before the kernel was told
            os._exit(1)

    return bind
