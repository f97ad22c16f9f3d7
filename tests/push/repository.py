"""A developer's work tree: files, commits, real pushes."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.push.outcome import Outcome, run

Files = Mapping[str, str | bytes | Path]
"""Path below the tree to text, bytes, or (a `Path`) the target of a symlink."""


@dataclass(frozen=True)
class Repository:
    """One clone on the developer's side, with a remote called `paas`."""

    folder: Path
    env: Mapping[str, str]

    @classmethod
    def init(cls, folder: Path, env: Mapping[str, str], remote: str) -> Repository:
        repository = cls(folder, env)
        folder.mkdir(parents=True)
        repository.git("init", "-q", "-b", "main").ok()
        repository.git("remote", "add", "paas", remote).ok()
        return repository

    def git(self, *args: str, input: bytes = b"") -> Outcome:
        return run(["git", *args], env=self.env, cwd=self.folder, input=input)

    def write(self, files: Files) -> None:
        """Lay the files, over what is there."""
        for name, content in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            if isinstance(content, Path):
                path.symlink_to(content)
            else:
                path.write_bytes(content.encode() if isinstance(content, str) else content)

    def commit(self, files: Files | None = None, message: str = "change") -> str:
        """Commit the tree with these files laid over it; returns the commit's id."""
        self.write(files or {})
        self.git("add", "-A", "-f").ok()
        self.git("commit", "-q", "--allow-empty", "-m", message).ok()
        return self.head()

    def head(self) -> str:
        return self.git("rev-parse", "HEAD").ok().out.strip()

    def push(self, *refs: str) -> Outcome:
        """`git push paas main`, or other refs and options."""
        return self.git("push", "paas", *(refs or ("main",)))

    def start_push(self, *refs: str) -> subprocess.Popen[bytes]:
        """The same in the background, both streams in one pipe."""
        return subprocess.Popen(
            ["git", "push", "paas", *(refs or ("main",))],
            cwd=self.folder, env=self.env, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip


def heard(push: subprocess.Popen[bytes], marker: bytes) -> str:
    """Read a push's output up to a line that has `marker` and is not the instruction itself;
    what was read."""
    assert push.stdout is not None
    seen = []
    for line in push.stdout:
        seen.append(line)
        if marker in line and b"RUN" not in line:
            return b"".join(seen).decode()
    raise AssertionError(f"the push ended without {marker!r}: {b''.join(seen).decode()}")


def cut(push: subprocess.Popen[bytes]) -> None:
    """What a closed laptop does: git and its ssh are gone at once."""
    os.killpg(push.pid, signal.SIGKILL)
    push.communicate()
