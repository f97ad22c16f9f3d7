"""The bare repository of an app, and git run on it as the unprivileged git user."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from paas.deploy.commits import branch_at, only_branch, set_branch
from paas.deploy.tree import Objects
from paas.errors import PaasError
from paas.host import syscalls
from paas.host.content import content
from paas.host.disk import Disk
from paas.host.files import FileLock, remove_tree, write_atomic
from paas.host.processes import Process, spawn
from paas.model.layout import Layout

CONFIG = """\
[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = true
"""
# Given on each command line, where no file of the repository can override it.
FORCED = {
    "core.hooksPath": "{hooks}",
    "safe.directory": "{repository}",
    "receive.advertisePushOptions": "true",
    # Continuous integration clones shallowly; all of the tree to deploy is there.
    "receive.shallowUpdate": "true",
    "receive.autogc": "false",
    "receive.denyCurrentBranch": "ignore",
    "receive.maxInputSize": "{most}",
    "gc.auto": "0",
}
MAX_PUSH = 2 << 30
"""Bytes that a push may have, as packed."""
HEAD = "ref: refs/heads/{}\n"
WRITABLE = ("objects", "objects/info", "objects/pack", "refs", "refs/heads", "refs/tags")


MOST_PACKS = 50
MOST_LOOSE = 2000
"""Each push brings one pack or some loose objects, and git looks through all of them."""


class ObjectsNotTaken(PaasError):
    """The objects of another repository could not be linked."""


class Repository:
    """One app's repository.

    Only the git user writes objects and refs. The directory itself, its configuration
    and the hooks are root's: a pack that takes over `git receive-pack` gains neither.
    """

    def __init__(self, layout: Layout, app_id: int) -> None:
        self._layout = layout
        self.path = layout.repo(app_id)

    def ensure(self) -> None:
        """Make the repository unless it is there; killed half-way, the next call ends it."""
        if (self.path / "HEAD").exists():
            return
        git = pwd.getpwnam(self._layout.git_user)
        self.make_directory()
        # Sticky: git makes and renames its own lock files here, and cannot touch root's.
        os.chown(self.path, 0, git.pw_gid)
        self.path.chmod(0o1770)
        for name in WRITABLE:
            (self.path / name).mkdir(mode=0o700, exist_ok=True)
            os.chown(self.path / name, git.pw_uid, git.pw_gid)
        write_atomic(self.path / "config", CONFIG, 0o644)
        # Last, since git takes a directory without HEAD for no repository.
        write_atomic(self.path / "HEAD", HEAD.format("main"), 0o644)

    def make_directory(self) -> None:
        """Make where the repository is to be: `ensure` does the rest."""
        self.path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
        self.path.mkdir(mode=0o755, exist_ok=True)

    def admit(self) -> int:
        """Bytes that a push may have. Raises `DiskFull` when there is no room for any."""
        disk = Disk(self._layout.repos)
        disk.admit("a push")
        return min(MAX_PUSH, max(disk.room(), 1))

    def serve(
        self,
        service: str,
        descriptors: tuple[int, int, int],
        *,
        environment: Mapping[str, str] | None = None,
        pass_fds: tuple[int, ...] = (),
        most: int = MAX_PUSH,
    ) -> Process:
        """Run `git <service>` (`receive-pack`, `upload-pack`) on the caller's descriptors.

        It refuses to receive a pack of more than `most` bytes.
        """
        stdin, stdout, stderr = descriptors
        return spawn(
            ["git", service, self.path],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env={**self._environment(most), **(environment or {})},
            cwd=self.path,
            pass_fds=pass_fds,
            user=self._layout.git_user,
        )

    def _environment(self, most: int) -> dict[str, str]:
        words = {"hooks": content("hooks"), "repository": self.path, "most": most}
        pairs = {key: value.format(**words) for key, value in FORCED.items()}
        environment = {"GIT_CONFIG_COUNT": str(len(pairs)), "HOME": "/nonexistent"}
        environment["GIT_CONFIG_NOSYSTEM"] = "1"
        for number, (key, value) in enumerate(pairs.items()):
            environment[f"GIT_CONFIG_KEY_{number}"] = key
            environment[f"GIT_CONFIG_VALUE_{number}"] = value
        return environment

    def objects(self, own: Path | None = None) -> Objects:
        """The repository's objects, and before them those at `own`.

        Read as the git user: he makes what is in there, links that lead out of it included.
        """
        directory = self.path / "objects"
        return Objects(own or directory, directory, self.as_git)

    def settle(self, branch: str, commit: str | None = None) -> None:
        """Have no branch but the deploy branch, which a clone then checks out.

        With `commit` it is there: git moves it behind a push alone. Another one that stayed
        would be up to date for git when it deploys again.
        """
        with self.as_git():
            only_branch(self.path, branch)
            if commit is not None:
                set_branch(self.path, branch, commit)
        head, text = self.path / "HEAD", HEAD.format(branch)
        if head.read_text() != text:
            write_atomic(head, text, 0o644)

    def at(self, branch: str) -> str | None:
        """The commit that a branch is at, None when there is no such branch."""
        with self.as_git():
            return branch_at(self.path, branch)

    def as_git(self) -> AbstractContextManager[None]:
        """Files are opened as the git user in it."""
        git = pwd.getpwnam(self._layout.git_user)
        return syscalls.opening_as(git.pw_uid, git.pw_gid)

    def take_objects(self, other: Repository) -> None:
        """Have all objects of another app's repository as well, its branches apart.

        Linked, as the git user: what git has written it never changes in place. Raises
        `ObjectsNotTaken`.
        """
        self.ensure()
        with other.receiving(alone=True):
            source, target = f"{other.path}/objects/.", str(self.path / "objects")
            code = spawn(
                ["cp", "-a", "--link", source, target], cwd=self.path, user=self._layout.git_user
            ).wait()
        if code != 0:
            raise ObjectsNotTaken(
                f"The commits of {other.path} could not be copied",
                resolution="See what the disk has left: paas df",
            )

    def receiving(self, *, alone: bool = False) -> FileLock:
        """Held while git receives, by any number of pushes at once."""
        return FileLock(self._layout.locks / f"app-{self.path.stem}.receive", shared=not alone)

    def sweep(self) -> None:
        """Remove what a killed git received and did not keep, or packed and did not end, unless
        one is at work.
        """
        with self._nobody_else() as alone:
            objects = self.path / "objects"
            left = ("tmp_objdir-incoming-*", "pack/.tmp-*", "pack/tmp_*")
            for path in (path for pattern in left if alone for path in objects.glob(pattern)):
                remove_tree(path)

    def is_scattered(self) -> bool:
        """Whether there are more packs or loose objects than git is quick with."""
        objects = self.path / "objects"
        packs = sum(1 for _ in (objects / "pack").glob("*.pack"))
        return packs > MOST_PACKS or sum(1 for _ in objects.glob("??/*")) > MOST_LOOSE

    def pack(self) -> bool:
        """Put what many pushes brought into few packs, unless one is received; whether it did.

        Nothing is dropped: a release may be of a commit that no branch leads to any more.
        """
        with self._nobody_else() as alone:
            if not alone or not self.is_scattered():
                return False
            words = [
                "nice",
                "-n",
                "19",
                "git",
                "-c",
                "pack.threads=1",
                "-c",
                "pack.windowMemory=64m",
            ]
            done = spawn(
                [*words, "repack", "-q", "-d", "--geometric=2"],
                env=self._environment(MAX_PUSH),
                cwd=self.path,
                user=self._layout.git_user,
            )
            return done.wait() == 0

    @contextmanager
    def _nobody_else(self) -> Iterator[bool]:
        """Whether nobody receives, who then cannot begin in the block."""
        nobody = self.receiving(alone=True)
        if not nobody.try_acquire():
            yield False
            return
        try:
            yield True
        finally:
            nobody.release()

    def quarantine(self, environment: Mapping[str, str]) -> Path | None:
        """Where the objects of a push wait, if it is a directory of this repository."""
        named = environment.get("GIT_QUARANTINE_PATH")
        if named is None:
            return None
        path = Path(named).resolve()
        return path if path.parent == (self.path / "objects").resolve() else None
