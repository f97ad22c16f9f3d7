"""What an app would run next: its present config, scale and limits over some code."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from paas.deploy.build import Built, Source
from paas.deploy.draft import ANY, WEB, Draft, formation_for, of
from paas.errors import PaasError
from paas.model.app import App
from paas.model.env import Secret
from paas.model.health import Healthcheck
from paas.model.limits import Limits
from paas.model.release import Release
from paas.store.store import Store


class NotDeployed(PaasError):
    """There is nothing to run yet."""

    def __init__(self, app: App) -> None:
        super().__init__(
            f"App {app.name} has not been deployed",
            resolution="Deploy it first: git push paas main",
        )


@dataclass(frozen=True)
class Drafts:
    """Makes drafts from what the store says now."""

    store: Store

    def pushed(
        self, app: App, source: Source, built: Built, declared: Mapping[str, Secret]
    ) -> Draft:
        """What a push would run; `declared` are config vars that its app.json adds."""
        processes = built.processes
        return Draft(
            image=built.image,
            commit=source.context.commit,
            config=self.store.config.effective(app.id) | dict(declared),
            inherited=self.store.config.inherited(app.id) - declared.keys(),
            processes=processes,
            formation=formation_for(
                processes, self.store.config.formation(app.id), source.app_json.formation
            ),
            health=_health(source),
            cron=source.app_json.cron,
            limits=self.limits(app, processes),
            reason=f"Deploy {source.context.commit[:8]}",
        )

    def limits(self, app: App, process_types: Iterable[str]) -> dict[str, Limits]:
        """What a container of each type may use now, and under `ANY` of any other one."""
        limits = self.store.processes.limits
        return {kind: limits(app.id, kind) for kind in (ANY, *process_types)}

    def live(self, app: App) -> Draft:
        """The live release as it is. Raises `NotDeployed`."""
        if app.live is None:
            raise NotDeployed(app)
        return of(self.store.releases.get(app.id, app.live))

    def present(self, app: App, draft: Draft) -> Draft:
        """`draft` with the config and the limits of now."""
        return replace(
            draft,
            config=self.store.config.effective(app.id),
            inherited=self.store.config.inherited(app.id),
            limits=self.limits(app, draft.processes),
        )

    def next(self, app: App, reason: str) -> Draft:
        """The live release as the draft of the one after it; what waits goes on waiting."""
        return replace(self.live(app), number=None, reason=reason)

    def current(self, app: App) -> Draft:
        """The live release, or its successor when something was set to wait for it."""
        live = self.live(app)
        asked = self.store.config.formation(app.id)
        formation = {kind: asked.get(kind, count) for kind, count in live.formation.items()}
        following = replace(self.present(app, live), formation=formation)
        if all(following.same_instances(live, kind) for kind in formation) and (
            formation == live.formation
        ):
            return live
        return replace(following, number=None, reason="Take up what was set to wait")

    def back_to(self, app: App, target: Release) -> Draft:
        """An earlier release again: its code, config and commands.

        Scale and limits are the load's, not the code's: as in Heroku they stay. So does
        what every app has.
        """
        live, draft = self.live(app), replace(of(target), number=None)
        asked = self.store.config.formation(app.id)
        shared = self.store.config.get(None)
        config = {**shared, **draft.own_config}
        return replace(
            draft,
            config=config,
            inherited=frozenset(shared.keys() - draft.own_config.keys()),
            limits=self.limits(app, draft.processes),
            reason=f"Rollback to {target.version}",
            formation=formation_for(target.processes, asked, live.formation),
        )


def _health(source: Source) -> dict[str, tuple[Healthcheck, ...]]:
    """app.json's checks; of `web` else the CHECKS file's."""
    checks = dict(source.app_json.healthchecks)
    of_web = checks.get(WEB) or source.checks
    return {**checks, WEB: of_web} if of_web else checks
