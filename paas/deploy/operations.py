"""What is done to an app between two pushes; each change is the same launch as a push."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from paas.deploy.attempt import Attempts
from paas.deploy.draft import Draft, formation_for, of
from paas.deploy.pipeline import Pipeline
from paas.deploy.wake import wake_supervisor
from paas.errors import PaasError
from paas.model.app import App
from paas.model.env import Secret
from paas.model.instance import InstanceState
from paas.model.release import Release
from paas.model.report import Report


class NotDeployed(PaasError):
    """There is nothing to run yet."""

    def __init__(self, app: App) -> None:
        super().__init__(
            f"App {app.name} has not been deployed",
            resolution="Deploy it first: git push paas main",
        )


class UnknownProcess(PaasError):
    """The app's Procfile has no such process type."""


@dataclass(frozen=True)
class Operations:
    """Changes an app's config, scale and release."""

    pipeline: Pipeline
    attempts: Attempts

    def apply_config(
        self,
        app: App,
        values: Mapping[str, str],
        unset: Iterable[str],
        *,
        actor: str,
        report: Report,
        restart: bool,
    ) -> Release | None:
        """Set and unset config vars as one release; nothing is changed if it does not start.

        Without `restart`, before the first deploy and while the app is stopped, the values
        wait for the next release and None is returned.
        """
        store = self.pipeline.store
        changes: dict[str, Secret | None] = {key: Secret(value) for key, value in values.items()}
        changes |= dict.fromkeys(unset)
        if not restart or not app.can_run:
            self._store_config(app, changes)
            return None
        with self.attempts.begin(app, actor, report) as attempt:
            if not attempt.app.can_run:
                self._store_config(app, changes)
                return None
            merged = {**store.config.get(app.id), **changes}
            config = {key: value for key, value in merged.items() if value is not None}
            reason = f"{'Set' if values else 'Unset'} {', '.join(sorted(changes))}"
            draft = replace(self._next(attempt.app, reason), config=config)
            return self.pipeline.launch(
                attempt, draft, also=lambda: self._store_config(app, changes)
            )

    def _store_config(self, app: App, changes: Mapping[str, Secret | None]) -> None:
        config = self.pipeline.store.config
        with self.pipeline.store.transaction():
            config.set(app.id, {k: v for k, v in changes.items() if v is not None})
            config.unset(app.id, [key for key, value in changes.items() if value is None])

    def _next(self, app: App, reason: str) -> Draft:
        """The live release as the draft of the one after it."""
        if app.live is None:
            raise NotDeployed(app)
        live = of(self.pipeline.store.releases.get(app.id, app.live))
        return replace(live, number=None, reason=reason)

    def scale(
        self, app: App, quantities: Mapping[str, int], *, actor: str, report: Report
    ) -> Release | None:
        """Run so many instances of some process types; others keep theirs."""
        store = self.pipeline.store
        if not app.can_run:
            store.config.set_formation(app.id, quantities)
            return None
        with self.attempts.begin(app, actor, report) as attempt:
            if not attempt.app.can_run:
                store.config.set_formation(app.id, quantities)
                return None
            draft = self._next(attempt.app, f"Scale {_formation(quantities)}")
            self._known(draft, quantities)
            formation = {**draft.formation, **quantities}
            return self.pipeline.launch(
                attempt,
                replace(draft, formation=formation),
                also=lambda: store.config.set_formation(app.id, quantities),
            )

    def _current(self, app: App) -> Draft:
        """The live release, or its successor when config or scale were set to wait."""
        store = self.pipeline.store
        draft = self._next(app, "Take up waiting config and scale")
        config = store.config.get(app.id)
        asked = store.config.formation(app.id)
        formation = {kind: asked.get(kind, count) for kind, count in draft.formation.items()}
        if config == draft.config and formation == draft.formation:
            return of(store.releases.get(app.id, app.live or 0))
        return replace(draft, config=config, formation=formation)

    def _known(self, draft: Draft, process_types: Iterable[str]) -> None:
        unknown = sorted(set(process_types) - set(draft.formation))
        if unknown:
            raise UnknownProcess(
                f"There is no process type {unknown[0]}",
                resolution=f"The app has: {', '.join(sorted(draft.formation))}.",
            )

    def restart(self, app: App, process: str | None, *, actor: str, report: Report) -> None:
        """Replace the instances of one process type, or of all, without losing a request."""
        if app.live is None:
            raise NotDeployed(app)
        with self.attempts.begin(app, actor, report) as attempt:
            draft = self._current(attempt.app)
            if process is not None:
                self._known(draft, [process])
            self.pipeline.launch(attempt, draft, restart=lambda one: process in (None, one))

    def start(self, app: App, *, actor: str, report: Report) -> None:
        """Run a stopped app again."""
        if app.live is None:
            raise NotDeployed(app)
        with self.attempts.begin(app, actor, report) as attempt:
            self.pipeline.launch(attempt, self._current(attempt.app))

    def stop(self, app: App, *, actor: str, report: Report) -> None:
        """Stop all instances until `start`; a deploy under way ends first."""
        store = self.pipeline.store
        with self.attempts.begin(app, actor, report):
            with store.transaction():
                store.apps.set_stopped(app.id, stopped=True)
                for instance in store.instances.list(app.id):
                    store.instances.set_state(instance.id, InstanceState.RETIRING)
            try:
                self.pipeline.router.switch([app])
                self.pipeline.router.publish(report)
            finally:
                wake_supervisor(self.pipeline.layout)

    def rollback(self, app: App, number: int | None, *, actor: str, report: Report) -> Release:
        """Make the code, config and commands of an earlier release live again: a new one.

        Without `number` it is the release that was live before the present one. Nothing
        is built. Raises `ReleaseNotFound`.
        """
        store = self.pipeline.store
        if app.live is None:
            raise NotDeployed(app)
        with self.attempts.begin(app, actor, report) as attempt:
            app = attempt.app
            target = store.releases.get(app.id, number) if number else self._previous(app)
            draft = replace(
                of(target),
                number=None,
                reason=f"Rollback to {target.version}",
                # The scale is the load's, not the code's: as in Heroku it stays.
                formation=formation_for(
                    target.processes, store.config.formation(app.id), self._formation(app)
                ),
            )
            report.step(f"Rolling {app.name} back to {target.version}")
            return self.pipeline.launch(
                attempt, draft, also=lambda: store.config.replace(app.id, draft.config)
            )

    def _formation(self, app: App) -> Mapping[str, int]:
        return self.pipeline.store.releases.get(app.id, app.live or 0).formation

    def _previous(self, app: App) -> Release:
        earlier = [
            release
            for release in self.pipeline.store.releases.list(app.id)
            if release.number < (app.live or 0)
        ]
        if not earlier:
            raise PaasError(
                f"App {app.name} has no earlier release to roll back to",
                resolution="paas releases APP lists what there is.",
            )
        return max(earlier, key=lambda release: release.number)


def _formation(quantities: Mapping[str, int]) -> str:
    return " ".join(f"{kind}={count}" for kind, count in sorted(quantities.items()))
