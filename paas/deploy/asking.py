"""What plugins are asked on the way of a deploy, and told of it: `paas.plugin.hookspecs`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from paas.deploy.attempt import Attempt
from paas.deploy.build import Source
from paas.deploy.draft import Draft
from paas.deploy.running import Running
from paas.model.app import App
from paas.model.env import Secret
from paas.model.report import Report
from paas.plugin.hooks import Hooks
from paas.plugin.hookspecs import Call


@dataclass(frozen=True)
class Asking:
    """Each method raises `Refused` when a plugin refuses; none costs anything without one."""

    hooks: Hooks

    def pre_build(
        self,
        attempt: Attempt,
        source: Source,
        branch: str | None,
        config: Mapping[str, Secret],
    ) -> None:
        """Before a push is built."""
        facts = {
            "commit": source.context.commit,
            "branch": branch or "",
            "builder": source.built_by,
            "process_types": sorted(source.procfile),
        }
        self._ask("pre-build", attempt, facts, source, config)

    def pre_release(self, attempt: Attempt, draft: Draft, source: Source) -> Mapping[str, Secret]:
        """Before what was built is tested and released; config vars to add."""
        facts = {
            "commit": draft.commit,
            "image": draft.image,
            "processes": dict(draft.processes),
            "formation": dict(draft.formation),
            "config_keys": sorted(draft.config),
        }
        return self._ask("pre-release", attempt, facts, source, draft.config)

    def pre_deploy(self, attempt: Attempt, draft: Draft) -> None:
        """Before instances are started."""
        self._ask("pre-deploy", attempt, _facts(draft), None, draft.config)

    def check_deploy(self, attempt: Attempt, draft: Draft, started: Sequence[Running]) -> None:
        """When they are healthy, before they get traffic."""
        facts = {**_facts(draft), "instances": [str(one.member) for one in started]}
        self._ask("check-deploy", attempt, facts, None, draft.config)

    def pre_destroy(self, app: App, actor: str, report: Report) -> None:
        """Before an app is destroyed."""
        self.hooks.ask(Call("pre-destroy", app.name, actor, {"release": app.live}, report))

    def _ask(
        self,
        hook: str,
        attempt: Attempt,
        facts: Mapping[str, object],
        source: Source | None,
        config: Mapping[str, Secret],
    ) -> Mapping[str, Secret]:
        files = source.context if source else None
        actor, report = attempt.deploy.actor, attempt.report
        return self.hooks.ask(Call(hook, attempt.app.name, actor, facts, report, files, config))


def _facts(draft: Draft) -> dict[str, object]:
    return {
        "commit": draft.commit,
        "image": draft.image,
        "reason": draft.reason,
        "formation": dict(draft.formation),
        "release": draft.number,
    }
