"""Building the live commit again: after a changed base image, buildpack or build setting."""

from __future__ import annotations

from dataclasses import dataclass

from paas.deploy.attempt import Attempts
from paas.deploy.build import builder_options, read_source
from paas.deploy.drafts import NotDeployed
from paas.deploy.pipeline import Pipeline
from paas.deploy.repository import Repository
from paas.deploy.tree import GitContext
from paas.model.app import App
from paas.model.release import Release
from paas.model.report import Report


@dataclass(frozen=True)
class Rebuilding:
    """`ps:rebuild`: a push of what was pushed before."""

    pipeline: Pipeline
    attempts: Attempts

    def rebuild(self, app: App, *, actor: str, report: Report) -> Release:
        """Build and deploy the commit of the live release. Raises `NotDeployed`."""
        store = self.pipeline.store
        with self.attempts.begin(app, actor, report) as attempt:
            app = attempt.app
            live = self.pipeline.drafts.live(app)
            if live.commit is None:
                raise NotDeployed(app)
            objects = Repository(self.pipeline.layout, app.id).objects()
            builder = builder_options(store.settings, app.id)
            tree = GitContext(objects, live.commit)
            source = read_source(tree, builder, self.pipeline.builders)
            return self.pipeline.push(attempt, source, store.settings.deploy_branch(app.id))
