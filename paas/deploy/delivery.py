"""Deploys of what did not come by `git push`: images, archives, other servers' commits."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from paas.buildpack.source import parse_git
from paas.deploy.announce import announce
from paas.deploy.archive import MAX_BYTES, ArchiveRefused, members, opened
from paas.deploy.attempt import Attempt, Attempts
from paas.deploy.build import builder_options, read_source
from paas.deploy.commits import commit_of
from paas.deploy.draft import WEB, Draft, formation_for
from paas.deploy.fetching import Fetcher
from paas.deploy.outbound import download
from paas.deploy.pipeline import Pipeline
from paas.deploy.repository import Repository
from paas.deploy.spool import spool
from paas.deploy.tree import GitContext
from paas.engine.images import Image
from paas.model.app import App
from paas.model.buildpacks import GIT_HOSTS
from paas.model.hiding import url_shown
from paas.model.report import Report

CHUNK = 1 << 20
MAIN = "main"


@dataclass(frozen=True)
class Delivery:
    """Brings code or an image to an app, and deploys it."""

    pipeline: Pipeline
    attempts: Attempts

    def image(self, app: App, ref: str, *, actor: str, report: Report) -> None:
        """Deploy an image of a registry. Raises `PullFailed` and what a deploy raises."""
        self._image(
            app, ref, actor, report, lambda: self.pipeline.engine.registry.pull(ref, report)
        )

    def load(self, app: App, ref: str, stdin: int, *, actor: str, report: Report) -> None:
        """Deploy the image `ref` out of an archive of `docker save` on `stdin`."""
        registry = self.pipeline.engine.registry
        with self._spooled(lambda take: _read(stdin, take)) as (path, _):
            self._image(app, ref, actor, report, lambda: registry.load(path, ref, report))

    def archive(
        self, app: App, url: str | None, kind: str, stdin: int, *, actor: str, report: Report
    ) -> None:
        """Deploy the files of an archive at `url`, or on `stdin` when that is None."""
        allowed = self.pipeline.store.settings.value(GIT_HOSTS)
        hosts = frozenset(allowed)
        repository = self._repository(app)
        shown = url_shown(url) if url else None
        report.step(f"Fetching {shown}" if shown else "Reading the archive")
        fetch: Callable[[Callable[[bytes], None]], None] = (
            (lambda take: download(url, hosts, take)) if url else (lambda take: _read(stdin, take))
        )
        with (
            self._spooled(fetch) as (_, descriptor),
            opened(descriptor) as file,
            repository.as_git(),
        ):
            message = f"Archive {shown or 'from standard input'}"
            now = self.pipeline.clock.now()
            commit = commit_of(repository.path, members(file, kind), message, now)
        self._commit(app, repository, commit, actor, report)

    def sync(self, app: App, url: str, ref: str | None, *, report: Report) -> str:
        """Fetch a commit of another server, which `deploy` then may take; its id."""
        source = parse_git(f"{url}#{ref}" if ref else url)
        hosts = self.pipeline.store.settings.value(GIT_HOSTS)
        report.step(f"Fetching {source}")
        repository = self._repository(app)
        commit = Fetcher(self.pipeline.layout, hosts).fetch(source, repository.path)
        report.detail(f"Commit {commit[:8]}")
        # Between pushes: git refuses one whose branch has moved, behind its hook and live.
        pushes = repository.receiving(alone=True)
        if not pushes.try_acquire():
            report.step(f"Waiting for the push of {app.name} that goes on")
            pushes.acquire()
        try:
            repository.settle(self._branch(app), commit)
        finally:
            pushes.release()
        return commit

    def deploy(self, app: App, commit: str, *, actor: str, report: Report) -> None:
        """Build and deploy a commit of the app's repository."""
        self._commit(app, self._repository(app), commit, actor, report)

    def _repository(self, app: App) -> Repository:
        repository = Repository(self.pipeline.layout, app.id)
        repository.ensure()
        return repository

    def _branch(self, app: App) -> str:
        return self.pipeline.store.settings.deploy_branch(app.id) or MAIN

    def _commit(
        self, app: App, repository: Repository, commit: str, actor: str, report: Report
    ) -> None:
        with self.attempts.begin(app, actor, report) as attempt:
            builder = builder_options(self.pipeline.store.settings, app.id)
            tree = GitContext(repository.objects(), commit)
            source = read_source(tree, builder, self.pipeline.builders)
            branch = self._branch(attempt.app)
            release = self.pipeline.push(attempt, source, branch)
            repository.settle(branch, commit)
            announce(self.pipeline, attempt, release)

    def _image(
        self, app: App, ref: str, actor: str, report: Report, get: Callable[[], Image]
    ) -> None:
        with self.attempts.begin(app, actor, report) as attempt:
            report.step(f"Deploying {app.name} from the image {ref}")
            with self.pipeline.engine.layers.lease():
                release = self.pipeline.launch(attempt, self._draft(attempt, get(), ref))
            announce(self.pipeline, attempt, release)

    def _draft(self, attempt: Attempt, image: Image, ref: str) -> Draft:
        store, app = self.pipeline.store, attempt.app
        draft = Draft(
            image=image.id,
            commit=None,
            config={},
            processes={WEB: None},
            formation=formation_for({WEB: None}, store.config.formation(app.id)),
            reason=f"Deploy image {ref}",
        )
        return self.pipeline.drafts.present(app, draft)

    @contextmanager
    def _spooled(
        self, fetch: Callable[[Callable[[bytes], None]], None]
    ) -> Iterator[tuple[Path, int]]:
        """What is fetched: a path to it for other programs, and a descriptor. Raises
        `ArchiveRefused`.
        """
        size = 0

        def take(data: bytes) -> None:
            nonlocal size
            size += len(data)
            if size > MAX_BYTES:
                raise ArchiveRefused(f"It is larger than {MAX_BYTES >> 20} MiB")
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]

        with spool(self.pipeline.layout) as descriptor:
            fetch(take)
            yield Path(f"/proc/{os.getpid()}/fd/{descriptor}"), descriptor


def _read(descriptor: int, take: Callable[[bytes], None]) -> None:
    while data := os.read(descriptor, CHUNK):
        take(data)
