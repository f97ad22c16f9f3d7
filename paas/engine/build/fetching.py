"""The remote sources of one ADD: what they are now, and their files."""

from __future__ import annotations

from pathlib import Path

from paas.engine.build.errors import CannotFetch
from paas.engine.build.instructions import Copy
from paas.engine.build.remote import (
    Remotes,
    file_name,
    git_address,
    is_git,
)
from paas.engine.build.select import Selected, select
from paas.engine.build.sources import Source, TreeSource
from paas.host.disk import DiskFull


class Fetching:
    """Raises `StepFailed` for what is not to be had, and `DiskFull`; each with the line."""

    def __init__(self, remotes: Remotes, step: Copy, into_directory: bool) -> None:  # noqa: FBT001
        self._remotes = remotes
        self._step = step
        self._into_directory = into_directory

    def identify(self, address: str) -> str:
        """A name of the contents; part of the key."""
        try:
            if not is_git(address):
                name = file_name(address) if self._into_directory else ""
                return f"{name}@{self._remotes.identify_url(address, self._step.checksum)}"
            git = git_address(address, self._step.checksum, keep_git=self._step.keep_git)
            commit = self._remotes.identify_git(git)
        except (CannotFetch, DiskFull) as error:
            raise self._failure(error) from None
        return f"{git.url}@{commit}:{git.directory}:{git.keep_git}"

    def fetch(self, address: str, identity: str, scratch: Path) -> tuple[Source, list[Selected]]:
        """The files, by the identity they had, in an empty directory."""
        try:
            if is_git(address):
                return self._repository(address, identity, scratch)
            name, _, digest = identity.partition("@")
            path = self._remotes.fetch_url(address, digest, scratch)
        except (CannotFetch, DiskFull) as error:
            raise self._failure(error) from None
        source = TreeSource(scratch)
        item = source.find(path.name)
        if item is None:
            raise AssertionError(f"{path} was just written")
        return source, [Selected(name or "download", item, packed=not self._step.unpack)]

    def _repository(
        self, address: str, identity: str, scratch: Path
    ) -> tuple[Source, list[Selected]]:
        git = git_address(address, self._step.checksum, keep_git=self._step.keep_git)
        commit = identity.removeprefix(f"{git.url}@").partition(":")[0]
        source = TreeSource(self._remotes.fetch_git(git, commit, scratch))
        selected = select(source, git.directory or "/", exclude=self._step.exclude)
        if not selected:
            raise CannotFetch(f"{git.url}: there is no {git.directory} in commit {commit[:12]}")
        return source, selected

    def _failure(self, error: CannotFetch | DiskFull) -> Exception:
        what = f"{self._step.keyword}: {error.brief}"
        if isinstance(error, DiskFull):
            # It is not the step that is to be changed: the kind and what to do stay.
            error.brief = f"{self._step.at}: {what}"
            return error
        return self._step.at.failure(what, error.details, error.resolution)
