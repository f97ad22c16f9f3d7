"""Getting commits from other servers, by git's protocol: `git:sync` and buildpacks by URL.

dulwich does it in this process, so nothing of what comes is ever run, and every file it
writes is opened as the git user. Addresses that are not public are refused unless the
administrator named their host: a URL in a repository must not reach what is inside.
"""

from __future__ import annotations

import errno
import os
import pwd
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast
from urllib.parse import urlparse

from dulwich.client import GitClient, HttpGitClient, SSHGitClient, SSHVendor
from dulwich.errors import GitProtocolError, HangupException, NotGitRepository
from dulwich.objects import ObjectID
from dulwich.refs import Ref
from dulwich.repo import Repo

from paas.buildpack.source import GitSource
from paas.deploy.buildpack_clones import BuildpackClones
from paas.deploy.outbound import HttpFailed, connections
from paas.deploy.sshclient import Ssh
from paas.deploy.tree import DAMAGES, GitContext, Objects, peel
from paas.errors import PaasError
from paas.host import syscalls
from paas.host.disk import file_size_limit
from paas.host.files import remove_tree, write_atomic
from paas.host.waiting import TookTooLong, at_most
from paas.model.hiding import url_shown
from paas.model.layout import Layout
from paas.model.report import Report

COMMIT = re.compile(r"[0-9a-f]{40}")
_SCP = re.compile(r"(?:(?P<user>[\w.-]+)@)?(?P<host>[\w.-]+):(?P<path>.+)")
_SSH = re.compile(
    r"(?:git\+)?ssh://(?:(?P<user>[\w.-]+)@)?(?P<host>[\w.-]+)(?::(?P<port>[0-9]+))?(?P<path>/.+)"
)
MAX_PACK = 128 << 20
"""Bytes of what is fetched to be looked at: a plugin is some kilobytes."""

TREE_SECONDS, FETCH_SECONDS = 120.0, 1200.0
"""What a server may take to send that, and to send an app or a buildpack."""

CONFIG = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = true\n"


class FetchFailed(PaasError):
    """A repository could not be fetched; the message names its URL and the reason."""


class Fetcher:
    """Fetches single commits, without their history."""

    def __init__(self, layout: Layout, hosts: Sequence[str] = ()) -> None:
        """`hosts` may be reached although their addresses are not public."""
        self._layout = layout
        self._hosts = frozenset(hosts)

    def buildpack(self, source: GitSource, report: Report) -> GitContext:
        """The files of somebody else's buildpack. Raises `FetchFailed`, `PushRefused`."""
        with BuildpackClones(self._layout).used(source) as path:
            self._prepare(path)
            commit = self.fetch(source, path)
        objects = Objects(path / "objects", path / "objects", self._as_git)
        name, found = peel(objects, commit)
        report.detail(f"Commit {name[:8]}")
        return GitContext(objects, found.id.decode())

    @contextmanager
    def tree(self, source: GitSource, beside: Path, report: Report) -> Iterator[GitContext]:
        """The files of a commit, in a repository in the directory `beside` that is gone
        behind the block, and that can only become so large.

        Raises `FetchFailed`, `PushRefused`.
        """
        path = beside / f".fetch-{os.urandom(6).hex()}.git"
        try:
            self._prepare(path)
            with file_size_limit(MAX_PACK):
                commit = self.fetch(source, path, TREE_SECONDS)
            objects = Objects(path / "objects", path / "objects", self._as_git)
            name, found = peel(objects, commit)
            report.detail(f"Commit {name[:8]}")
            yield GitContext(objects, found.id.decode())
        finally:
            remove_tree(path)

    def fetch(self, source: GitSource, repository: Path, seconds: float = FETCH_SECONDS) -> str:
        """Bring one commit into a bare repository of the git user's; its id.

        Raises `FetchFailed`, also for a ref that is not there, and for a server that has not
        sent it all after so many seconds.
        """
        client, path = self._client(source)
        wants = _Wants(source)
        try:
            with at_most(seconds), self._as_git(), Repo(str(repository)) as target:
                client.fetch(path, target, determine_wants=wants, depth=1)
        except TookTooLong:
            raise FetchFailed(
                f"{source} could not be fetched in {seconds:g} seconds",
                resolution="Check that its server answers, and that the URL is the right one.",
            ) from None
        except (HangupException, GitProtocolError, NotGitRepository, HttpFailed) as error:
            raise FetchFailed(
                f"{source} could not be fetched: {str(error)[:300] or type(error).__name__}",
                resolution="Check the URL and the ref, and for ssh the key: paas git:public-key.",
            ) from error
        except DAMAGES as error:
            if isinstance(error, OSError) and error.errno == errno.EFBIG:
                raise FetchFailed(f"{source} is larger than {MAX_PACK >> 20} MiB") from None
            raise FetchFailed(f"{source}: what came is damaged: {str(error)[:200]}") from error
        return wants.found

    def _client(self, source: GitSource) -> tuple[GitClient, str]:
        parts = urlparse(source.url)
        if parts.scheme in ("http", "https"):
            manager = connections(source.url, self._hosts)
            return HttpGitClient.from_parsedurl(parts, pool_manager=manager), parts.path
        match = _SSH.fullmatch(source.url) or _SCP.fullmatch(source.url)
        if match is None:
            raise FetchFailed(f"{source} is not a URL that git can fetch from here")
        found: Mapping[str, str | None] = match.groupdict()
        port = found.get("port")
        client = SSHGitClient(
            found["host"] or "",
            port=int(port) if port else None,
            username=found["user"],
            vendor=cast(SSHVendor, Ssh(self._layout, self._hosts)),
        )
        return client, found["path"] or ""

    @contextmanager
    def _as_git(self) -> Iterator[None]:
        git = pwd.getpwnam(self._layout.git_user)
        with syscalls.opening_as(git.pw_uid, git.pw_gid):
            yield

    def _prepare(self, path: Path) -> None:
        """Make a bare repository that the git user owns, unless it is there."""
        if (path / "HEAD").exists():
            return
        git = pwd.getpwnam(self._layout.git_user)
        path.parent.mkdir(mode=0o711, exist_ok=True)
        for folder in (path, *(path / name for name in ("objects", "objects/pack", "refs"))):
            folder.mkdir(mode=0o700, exist_ok=True)
            os.chown(folder, git.pw_uid, git.pw_gid)
        for name, text in (("config", CONFIG), ("HEAD", "ref: refs/heads/main\n")):
            write_atomic(path / name, text, 0o644)


class _Wants:
    """Which of a server's refs is wanted; called by dulwich with all of them."""

    def __init__(self, source: GitSource) -> None:
        self._source = source
        self.found = ""

    def __call__(self, refs: Mapping[Ref, ObjectID], depth: int | None = None) -> list[ObjectID]:  # noqa: ARG002
        ref = self._source.ref
        names = ["HEAD"] if ref is None else [ref, f"refs/tags/{ref}", f"refs/heads/{ref}"]
        for name in names:
            if (object_id := refs.get(Ref(name.encode()))) is not None:
                self.found = object_id.decode()
                return [object_id]
        if ref is not None and COMMIT.fullmatch(ref):
            self.found = ref
            return [ObjectID(ref.encode())]
        raise FetchFailed(
            f"{url_shown(self._source.url)} has no {ref or 'HEAD'}",
            resolution="Name a branch, a tag or a whole commit id.",
        )
