"""Commits that this program makes itself, of files that did not come by git."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from pathlib import Path

from dulwich.objects import Blob, Commit, ObjectID, Tree
from dulwich.refs import Ref
from dulwich.repo import Repo

from paas.deploy.archive import ArchiveRefused, Member
from paas.deploy.refs import HEADS


def commit_of(repository: Path, members: Iterable[Member], message: str, when: float) -> str:
    """Write the members as blobs, trees and a commit; its id.

    A single directory around everything (as of `git archive --prefix`) is left out. The
    caller decides as whom the files are opened. Raises `ArchiveRefused` when there are none.
    """
    with Repo(str(repository)) as repo:
        blobs: dict[str, tuple[int, ObjectID]] = {}
        for member in members:
            blob = Blob.from_string(member.data)
            repo.object_store.add_object(blob)
            mode = 0o120000 if stat.S_ISLNK(member.mode) else member.mode
            blobs[member.path] = (mode, blob.id)
        if not blobs:
            raise ArchiveRefused("The archive has no files")
        commit = Commit()
        commit.tree = _tree(repo, _unwrapped(blobs))
        commit.author = commit.committer = b"paas <paas@localhost>"
        commit.author_time = commit.commit_time = int(when)
        commit.author_timezone = commit.commit_timezone = 0
        commit.encoding = b"UTF-8"
        commit.message = message.encode()
        repo.object_store.add_object(commit)
        return commit.id.decode()


def branch_at(repository: Path, branch: str) -> str | None:
    """The commit that a branch is at, None when there is no such branch."""
    with Repo(str(repository)) as repo:
        found = repo.refs.read_ref(Ref(f"{HEADS}{branch}".encode("utf-8", "surrogateescape")))
        return found.decode() if found else None


def set_branch(repository: Path, branch: str, commit: str) -> None:
    """Let a branch be at a commit, as a push of it would."""
    with Repo(str(repository)) as repo:
        repo.refs[Ref(f"{HEADS}{branch}".encode())] = ObjectID(commit.encode())


def only_branch(repository: Path, branch: str) -> None:
    """Forget every branch but one."""
    with Repo(str(repository)) as repo:
        for name in repo.refs.subkeys(Ref(HEADS.removesuffix("/").encode())):
            if name != branch.encode("utf-8", "surrogateescape"):
                repo.refs.remove_if_equals(Ref(HEADS.encode() + name), None)


def _unwrapped(blobs: dict[str, tuple[int, ObjectID]]) -> dict[str, tuple[int, ObjectID]]:
    tops = {path.partition("/")[0] for path in blobs}
    if len(tops) > 1 or any("/" not in path for path in blobs):
        return blobs
    return {path.partition("/")[2]: entry for path, entry in blobs.items()}


def _tree(repo: Repo, blobs: dict[str, tuple[int, ObjectID]]) -> ObjectID:
    """The tree of these paths, its subtrees first. Raises `ArchiveRefused` for two of one name."""
    tree = Tree()
    below: dict[str, dict[str, tuple[int, ObjectID]]] = {}
    for path, entry in blobs.items():
        name, slash, rest = path.partition("/")
        if slash:
            below.setdefault(name, {})[rest] = entry
        else:
            tree.add(name.encode("utf-8", "surrogateescape"), *entry)
    for name, entries in below.items():
        raw = name.encode("utf-8", "surrogateescape")
        if raw in tree:
            raise ArchiveRefused(f"{name} is a file of the archive and a directory too")
        tree.add(raw, stat.S_IFDIR, _tree(repo, entries))
    repo.object_store.add_object(tree)
    return tree.id
