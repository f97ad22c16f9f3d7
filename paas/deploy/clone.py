"""`apps:clone`: an app with all that another one has been given, and at once what it runs.

One transaction makes the app and everything of it: killed before it there is no clone,
behind it there is a whole one that may not be deployed yet. Its release is of the same
image: nothing is built.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from paas.deploy.announce import announce
from paas.deploy.attempt import Attempt, Attempts
from paas.deploy.creation import create_app
from paas.deploy.draft import Draft, formation_for
from paas.deploy.pipeline import Pipeline
from paas.deploy.repository import Repository
from paas.model.app import App
from paas.model.caller import Caller
from paas.model.report import Report
from paas.model.storage import Mounted

OWN = (
    "canonical-host",
    "default-domain",
    "letsencrypt-auto",
    "maintenance",
    "maintenance-page",
    "ssh-key",
)
"""Settings that are about the names of an app, or about this moment, or that the server's
admin granted to it: a clone has its own."""


@dataclass(frozen=True)
class Cloning:
    """Makes apps out of others."""

    pipeline: Pipeline
    attempts: Attempts

    def clone(self, old: App, new: str, caller: Caller, *, deploy: bool, report: Report) -> App:
        """Make an app called `new` that has what `old` has been given, and deploy it.

        Domains, certificates, links to services and the people stay with the old one.
        Raises `NameTaken`, and with `deploy` what a deploy raises: the app is there then.
        """
        linked = {link.variable for link in self.pipeline.store.links.of_app(old.id)}
        app, shared = self._copy(old, new, caller, linked)
        report.step(f"Cloning {old.name} to {new}")
        for mounted in shared:
            report.detail(f"{mounted} is shared with {old.name}")
        for variable in sorted(linked):
            report.warn(f"{variable} is a link of {old.name}'s alone: link a service to {new}")
        if deploy and old.live is not None:
            with self.attempts.begin(app, caller.actor, report) as attempt:
                self._deploy(old, attempt)
        return self.pipeline.store.apps.get(new)

    def _copy(
        self, old: App, new: str, caller: Caller, left_out: set[str]
    ) -> tuple[App, list[Mounted]]:
        """The new app, and what it has mounted."""
        store = self.pipeline.store
        with store.transaction():
            app = create_app(store, new, caller, f"as a clone of {old.name}")
            config = {k: v for k, v in store.config.get(old.id).items() if k not in left_out}
            store.config.set(app.id, config, caller.actor)
            store.config.set_formation(app.id, store.config.formation(old.id))
            store.settings.copy(old.id, app.id, without=OWN)
            store.processes.copy(old.id, app.id)
            store.cron.copy(old.id, app.id)
            shared = list(store.storage.mounts(old.id))
            for mounted in shared:
                store.storage.mount(app.id, mounted)
        return app, shared

    def _deploy(self, old: App, attempt: Attempt) -> None:
        pipeline = self.pipeline
        # Until a release of the new app names the image, the lease keeps it.
        with pipeline.engine.layers.lease():
            draft = self._draft(old, attempt.app)
            pipeline.router.check_snippet(attempt.app, draft.snippet)
            repository = Repository(pipeline.layout, attempt.app.id)
            if draft.commit is not None:
                repository.take_objects(Repository(pipeline.layout, old.id))
            pipeline.phases.release(attempt.app, draft, attempt.report)
            release = pipeline.launch(attempt, draft)
            branch = pipeline.store.settings.deploy_branch(attempt.app.id)
            if draft.commit is not None and branch is not None:
                # Last: a push of what git knows already would deploy nothing.
                repository.settle(branch, draft.commit)
            announce(pipeline, attempt, release)

    def _draft(self, old: App, app: App) -> Draft:
        """The live release of the old app with what the new one has."""
        live = self.pipeline.drafts.live(old)
        asked = self.pipeline.store.config.formation(app.id)
        draft = replace(
            live,
            number=None,
            formation=formation_for(live.processes, asked, live.formation),
            reason=f"Clone {old.name} v{old.live}",
        )
        return self.pipeline.drafts.present(app, draft)
