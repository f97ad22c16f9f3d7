"""A push and every other change of what runs, as one story with one commit point.

Everything new is started and checked beside what serves. Then one transaction makes it
the live release, and one map update sends the traffic there. Before the transaction
everything can be thrown away; after it everything is rolled forward.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from paas.deploy.asking import Asking
from paas.deploy.attempt import Attempt
from paas.deploy.build import Source, build
from paas.deploy.draft import Draft, of
from paas.deploy.drafts import Drafts
from paas.deploy.fleet import Member, Plan, place_of, plan
from paas.deploy.handover import Handover
from paas.deploy.health import Boot, Health
from paas.deploy.orphans import reap
from paas.deploy.phase import Phases, generate_secret
from paas.deploy.plugin_builder import PluginBuilders
from paas.deploy.route import Router
from paas.deploy.running import Runner, Running, owner_of
from paas.deploy.starting import using
from paas.deploy.tree import read_text
from paas.deploy.wake import wake_supervisor
from paas.engine.engine import Engine
from paas.host.clock import Clock
from paas.host.files import FileLock
from paas.model.app import App
from paas.model.declared import additions
from paas.model.deploy import Stage
from paas.model.env import Secret
from paas.model.instance import Instance, InstanceState
from paas.model.layout import Layout
from paas.model.processes import CHECKS, Checks
from paas.model.proxysettings import SNIPPET_PATH
from paas.model.release import Release
from paas.model.settings import BOOT_SECONDS, TEST
from paas.proxy.traffic import Mark
from paas.store.store import Store

BUILD = "build"
"""The stage until whose end a push needs its client."""


@dataclass(frozen=True)
class Pipeline:
    """The parts that a deploy goes through."""

    layout: Layout
    store: Store
    engine: Engine
    runner: Runner
    phases: Phases
    drafts: Drafts
    health: Health
    router: Router
    asking: Asking
    builders: PluginBuilders
    clock: Clock

    def push(
        self, attempt: Attempt, source: Source, branch: str | None, *, test: bool = True
    ) -> Release:
        """Build what was pushed and make it the live release, tested where the app asks for it.

        `branch` is the one it came by, and the app's from now on if that has none.
        """
        # Until a release names the image, the lease keeps it from being collected.
        with self.engine.layers.lease():
            return self._push(attempt, source, branch, test=test)

    def _push(self, attempt: Attempt, source: Source, branch: str | None, *, test: bool) -> Release:
        app, report, app_json = attempt.app, attempt.report, source.app_json
        present = self.store.config.effective(app.id)
        # Before anything is built: it raises `MissingConfig`.
        declared = additions(app_json.env, present, generate_secret)
        snippet = self._snippet(app, source)
        self.asking.pre_build(attempt, source, branch, present)
        with attempt.timeline.stage(BUILD):
            self.store.deploys.advance(attempt.deploy.id, Stage.BUILDING)
            config = self.store.config.effective(app.id) | declared
            before = self._same_before(app, source, config)
            built = build(self.engine, self.builders, source, app, config, report, before)
        draft = self.drafts.pushed(app, source, built, declared)
        if added := self.asking.pre_release(attempt, draft, source):
            declared |= added
            draft = self.drafts.pushed(app, source, built, declared)
        self.store.deploys.advance(attempt.deploy.id, Stage.RELEASING)
        if test and self.store.settings.value(TEST, app.id):
            with attempt.timeline.stage("test"):
                self.phases.test(app, draft, app_json, report)
        with attempt.timeline.stage("release phase"):
            draft = self.phases.predeploy(app, draft, app_json.scripts, report)
            self.phases.release(app, draft, report)
        return self.launch(
            attempt,
            replace(draft, branch=branch, snippet=snippet),
            ready=lambda: self.phases.postdeploy(app, draft, app_json.scripts, report),
            also=lambda: self._store_declared(attempt, declared, present),
        )

    def _snippet(self, app: App, source: Source) -> str:
        """The repository's part of the proxy; refused before anything is built."""
        path = self.store.settings.value(SNIPPET_PATH, app.id)
        snippet = read_text(source.context, path) or ""
        self.router.check_snippet(app, snippet)
        return snippet

    def _same_before(self, app: App, source: Source, config: Mapping[str, Secret]) -> str | None:
        """The live image, if it is of the same commit with the same config: a rebuild."""
        if app.live is None:
            return None
        live = self.store.releases.get(app.id, app.live)
        same = live.commit == source.context.commit and live.config == config
        return live.image if same else None

    def _store_declared(
        self, attempt: Attempt, declared: Mapping[str, Secret], before: Mapping[str, Secret]
    ) -> None:
        """Store what a push adds, but for what is no longer as it was `before`."""
        config, app_id = self.store.config, attempt.app.id
        now = config.effective(app_id)
        added = {key: value for key, value in declared.items() if now.get(key) == before.get(key)}
        config.set(app_id, added, attempt.deploy.actor)

    def launch(
        self,
        attempt: Attempt,
        draft: Draft,
        *,
        restart: Callable[[Instance], bool] = lambda _: False,
        ready: Callable[[], None] = lambda: None,
        also: Callable[[], None] = lambda: None,
    ) -> Release:
        """Start, check, commit, route.

        `restart` names the instances that are replaced although they could be kept; `ready`
        is called when all new ones are up, `also` in the transaction of the commit point.
        Raises `Unhealthy` and the engine's errors; the old release then serves on, and
        nothing of the new one is left.
        """
        started: list[Running] = []
        mark = self.router.mark(attempt.app)
        self.asking.pre_deploy(attempt, draft)
        try:
            self._bring_up(attempt, draft, restart, started)
            ready()
            self.asking.check_deploy(attempt, draft, started)
            return self._commit(attempt, draft, started, restart, also)
        finally:
            # Asked of the database: a signal may have come just behind the commit.
            if self.store.deploys.get(attempt.deploy.id).stage.committed:
                self._route(attempt, mark)
            else:
                self.runner.discard(started)

    def _bring_up(
        self,
        attempt: Attempt,
        draft: Draft,
        restart: Callable[[Instance], bool],
        started: list[Running],
    ) -> None:
        """Start and check what is new; last, and behind its old instances, what may not overlap."""
        # What a deploy that was killed started may not overlap with ours either.
        reap(self.store, self.engine, owner_of(attempt.app.id))
        todo = self.plan(attempt.app, draft, restart)
        held = self.handover.held(attempt.app, todo)
        for process_type, quantity in sorted(draft.formation.items()):
            attempt.report.step(f"Deploying {process_type} (count={quantity})")
        for members in (
            [one for one in todo.start if one.process_type not in held],
            [one for one in todo.start if one.process_type in held],
        ):
            if members and members[0].process_type in held:
                self.handover.stop(attempt, held, todo)
            now = self._start(attempt, draft, members)
            started += now
            self._check(attempt, draft, now)

    @cached_property
    def handover(self) -> Handover:
        """Stops what may not overlap."""
        return Handover(self.store, self.runner, self.router)

    def using(self, app_id: int, *, alone: bool = False) -> FileLock:
        """Held by whoever runs containers of an app outside of a deploy, so that all of
        them are known to be over to the one who takes it `alone` and ends the app.
        """
        return using(self.layout, app_id, alone=alone)

    def plan(
        self,
        app: App,
        draft: Draft,
        restart: Callable[[Instance], bool],
        started: Sequence[Running] = (),
    ) -> Plan:
        """The difference between the app's instances and the draft's formation.

        The places of `started` are filled already.
        """
        filled = {one.member for one in started}
        running = [one for one in self.store.instances.list(app.id) if one.state.can_retire]
        return plan(
            running,
            draft.formation,
            lambda one: (
                place_of(one) not in filled and not restart(one) and self._same(app, one, draft)
            ),
        )

    def _same(self, app: App, instance: Instance, draft: Draft) -> bool:
        release = self.store.releases.get(app.id, instance.release)
        return instance.state.can_serve and draft.same_instances(of(release), instance.process_type)

    def _start(self, attempt: Attempt, draft: Draft, members: Sequence[Member]) -> list[Running]:
        self._reach(attempt, Stage.STARTING)
        with attempt.timeline.stage("start"):
            return self.runner.start_all(attempt.app, draft, members)

    def _check(self, attempt: Attempt, draft: Draft, started: Sequence[Running]) -> None:
        self._reach(attempt, Stage.CHECKING)
        with attempt.timeline.stage("boot"):
            self.health.wait(draft, started, self.boot(attempt.app, draft), attempt.report)

    def _reach(self, attempt: Attempt, stage: Stage) -> None:
        # Those that may not overlap are started when others were checked already.
        if self.store.deploys.get(attempt.deploy.id).stage.can_advance(stage):
            self.store.deploys.advance(attempt.deploy.id, stage)

    def boot(self, app: App, draft: Draft) -> Boot:
        """How new instances of an app are waited for."""
        value = self.store.processes.value
        skipped = {
            kind for kind in draft.formation if value(CHECKS, app.id, kind) is not Checks.ENABLED
        }
        return Boot(
            deadline_s=self.store.settings.value(BOOT_SECONDS, app.id),
            skipped=frozenset(skipped),
            host=self.router.host(app),
        )

    def _commit(
        self,
        attempt: Attempt,
        draft: Draft,
        started: Sequence[Running],
        restart: Callable[[Instance], bool],
        also: Callable[[], None],
    ) -> Release:
        app = attempt.app
        with attempt.timeline.stage("commit"), self.store.transaction():
            # Anew: the supervisor may have replaced an instance that ended meanwhile.
            todo = self.plan(app, draft, restart, started)
            release = self._release(attempt, draft)
            for one in started:
                self.adopt(app, release.number, one, attempt.deploy.id)
            for instance in todo.keep:
                self.store.instances.set_release(instance.id, release.number)
            for instance in todo.retire:
                self.store.instances.set_state(instance.id, InstanceState.RETIRING)
            self.store.apps.set_live(app.id, release.number)
            self.store.apps.set_stopped(app.id, stopped=False)
            if draft.branch is not None:
                self.store.settings.adopt_branch(app.id, draft.branch)
            also()
            self.store.deploys.set_release(attempt.deploy.id, release.number)
            self.store.deploys.finish(attempt.deploy.id, Stage.LIVE)
            what = "released" if draft.number is None else "restarted"
            detail = f"{release.version}: {draft.reason}"
            self.store.events.add(attempt.deploy.actor, app.name, what, detail)
        return release

    def _release(self, attempt: Attempt, draft: Draft) -> Release:
        if draft.number is not None:
            return self.store.releases.get(attempt.app.id, draft.number)
        return self.store.releases.add(
            attempt.app.id,
            image=draft.image,
            commit=draft.commit,
            config=draft.config,
            processes=draft.processes,
            formation=draft.formation,
            health=draft.health,
            reason=draft.reason,
            actor=attempt.deploy.actor,
            snippet=draft.snippet,
            limits=draft.limits,
            inherited=draft.inherited,
            cron=draft.cron,
            created_at=self.clock.now(),
        )

    def adopt(
        self, app: App, release: int, one: Running, deploy_id: int | None, restarts: int = 0
    ) -> None:
        """Make a started instance one that serves `release`, inside a transaction."""
        instance = self.store.instances.add(
            app.id,
            release=release,
            process_type=one.member.process_type,
            index=one.member.index,
            container=one.container,
            address=str(one.address),
            port=one.port,
            deploy=deploy_id,
            restarts=restarts,
        )
        self.store.instances.set_state(instance.id, InstanceState.LIVE)

    def _route(self, attempt: Attempt, mark: Mark) -> None:
        with attempt.timeline.stage("route"):
            try:
                self.router.switch([attempt.app])
                self.router.publish(attempt.report)
            finally:
                # It retires the old instances, and repeats what could not be done here.
                wake_supervisor(self.layout)
        requests, failed = self.router.served_since(attempt.app, mark)
        if requests:
            count = f"{requests:,} request{'' if requests == 1 else 's'}"
            attempt.report.detail(f"{count} served meanwhile, {failed:,} failed")
