"""What is done to an app between two pushes; each change is the same launch as a push."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from paas.deploy.attempt import Attempt, Attempts
from paas.deploy.draft import ANY, Draft
from paas.deploy.drafts import NotDeployed
from paas.deploy.fleet import Member, place_of
from paas.deploy.pipeline import Pipeline
from paas.deploy.wake import wake_supervisor
from paas.errors import PaasError
from paas.model.app import App
from paas.model.env import Secret
from paas.model.instance import Instance, InstanceState
from paas.model.release import Release
from paas.model.report import Report


class UnknownProcess(PaasError):
    """The app's Procfile has no such process type, or it has no such instance."""


class NothingEarlier(PaasError):
    """There is no release to roll back to."""

    def __init__(self, app: App) -> None:
        super().__init__(
            f"App {app.name} has no earlier release to roll back to",
            resolution=f"See what there is: paas releases {app.name}",
        )


@dataclass(frozen=True)
class Operations:
    """Changes an app's config, scale, limits and release."""

    pipeline: Pipeline
    attempts: Attempts
    linked: Callable[[App], Mapping[str, Secret]] = lambda _: {}
    """The config vars that are the URLs of linked services, as they are now."""

    def apply_config(
        self,
        app: App,
        values: Mapping[str, str],
        unset: Iterable[str],
        *,
        actor: str,
        report: Report,
        restart: bool,
        also: Callable[[], None] = lambda: None,
    ) -> Release | None:
        """Set and unset config vars as one release; nothing is changed if it does not start.

        `also` is stored with them, in the same transaction.

        Without `restart`, before the first deploy and while the app is stopped, the values
        wait for the next release and None is returned.
        """
        with self.turn(app, actor=actor, report=report, restart=restart) as attempt:
            return self.set_config(attempt, app, values, unset, actor=actor, also=also)

    def set_config(
        self,
        attempt: Attempt | None,
        app: App,
        values: Mapping[str, str],
        unset: Iterable[str],
        *,
        actor: str,
        also: Callable[[], None] = lambda: None,
    ) -> Release | None:
        """`apply_config` in a `turn` of the app."""
        config = self.pipeline.store.config
        changes: dict[str, Secret | None] = dict.fromkeys(unset)
        changes |= {key: Secret(value) for key, value in values.items()}

        def store() -> None:
            config.unset(app.id, [key for key, value in changes.items() if value is None], actor)
            config.set(app.id, {k: v for k, v in changes.items() if v is not None}, actor)
            self.pipeline.store.events.add(actor, app.name, "config changed", reason)
            also()

        def changed(draft: Draft) -> Draft:
            own = {**config.get(app.id), **changes}
            kept = {key: value for key, value in own.items() if value is not None}
            shared = config.get(None)
            inherited = frozenset(shared.keys() - kept.keys())
            return replace(draft, config={**shared, **kept}, inherited=inherited)

        done = "Set" if values else "Unset"
        reason = f"{done} {', '.join(sorted(changes)) or 'nothing'}"
        return self._release(attempt, reason, changed, store)

    def change(
        self,
        app: App,
        reason: str,
        changed: Callable[[Draft], Draft],
        store: Callable[[], None],
        *,
        actor: str,
        report: Report,
        restart: bool = True,
    ) -> Release | None:
        """Make a release of the app with what is `changed`, and `store` it as it goes live.

        Where nothing can run it is only stored, for the next release.
        """
        with self.turn(app, actor=actor, report=report, restart=restart) as attempt:
            return self._release(attempt, reason, changed, store)

    @contextmanager
    def turn(
        self, app: App, *, actor: str, report: Report, restart: bool
    ) -> Iterator[Attempt | None]:
        """Wait for the app's turn to be deployed; None, at once, where nothing can run.

        A first deploy, or one that starts what was stopped, has read what there was: its turn
        is waited for.
        """
        if restart and (app.can_run or self._is_deployed(app)):
            with self.attempts.begin(app, actor, report) as attempt:
                yield attempt
        else:
            yield None

    def _release(
        self,
        attempt: Attempt | None,
        reason: str,
        changed: Callable[[Draft], Draft],
        store: Callable[[], None],
    ) -> Release | None:
        if attempt is not None and attempt.app.can_run:
            draft = changed(self.pipeline.drafts.next(attempt.app, reason))
            return self.pipeline.launch(attempt, draft, also=store)
        with self.pipeline.store.transaction():
            store()
        return None

    def _is_deployed(self, app: App) -> bool:
        return any(one.app_id == app.id for one in self.pipeline.store.deploys.unfinished())

    def scale(
        self,
        app: App,
        quantities: Mapping[str, int],
        *,
        actor: str,
        report: Report,
        restart: bool = True,
    ) -> Release | None:
        """Run so many instances of some process types; others keep theirs."""

        def changed(draft: Draft) -> Draft:
            self._known(draft, quantities)
            return replace(draft, formation={**draft.formation, **quantities})

        def write() -> None:
            self.pipeline.store.config.set_formation(app.id, quantities)
            self.pipeline.store.events.add(actor, app.name, "scaled", _formation(quantities))

        return self.change(
            app,
            f"Scale {_formation(quantities)}",
            changed,
            write,
            actor=actor,
            report=report,
            restart=restart,
        )

    def limit(
        self,
        app: App,
        values: Mapping[tuple[str, str], str | None],
        *,
        actor: str,
        report: Report,
        restart: bool,
    ) -> Release | None:
        """Set what one container may use, by process type (`ANY`: all) and name; None removes."""
        store = self.pipeline.store

        def write() -> None:
            for (kind, name), value in values.items():
                store.processes.set(app.id, kind, name, value)
            what = sorted({name for _, name in values})
            store.events.add(actor, app.name, "limits changed", " ".join(what))

        def changed(draft: Draft) -> Draft:
            limits = store.processes.limits_with(app.id, values)
            kinds = (ANY, *draft.processes)
            return replace(draft, limits={kind: limits(kind) for kind in kinds})

        return self.change(
            app, "Change limits", changed, write, actor=actor, report=report, restart=restart
        )

    def _known(self, draft: Draft, process_types: Iterable[str]) -> None:
        unknown = sorted(set(process_types) - set(draft.formation))
        if unknown:
            raise UnknownProcess(
                f"There is no process type {unknown[0]}",
                resolution=f"The app has: {', '.join(sorted(draft.formation))}.",
            )

    def restart(self, app: App, process: str | None, *, actor: str, report: Report) -> None:
        """Replace all instances, those of one process type (`web`) or one (`web.1`), without
        losing a request.
        """
        self._deployed(app)
        with self.attempts.begin(app, actor, report) as attempt:
            draft = self.pipeline.drafts.current(attempt.app)
            self.pipeline.launch(attempt, draft, restart=self._named(draft, process))

    def _named(self, draft: Draft, process: str | None) -> Callable[[Instance], bool]:
        """Which instances `process` means."""
        if process is None:
            return lambda _: True
        kind, dot, number = process.partition(".")
        self._known(draft, [kind])
        if not dot:
            return lambda one: one.process_type == kind
        quantity = draft.formation[kind]
        if not number.isdecimal() or not 1 <= int(number) <= quantity:
            raise UnknownProcess(
                f"There is no instance {process}",
                resolution=f"The app runs {kind}.1 to {kind}.{quantity}."
                if quantity
                else f"No {kind} is running: paas ps:scale {kind}=1",
            )
        member = Member(kind, int(number))
        return lambda one: place_of(one) == member

    def start(self, app: App, *, actor: str, report: Report) -> None:
        """Run a stopped app again."""
        self._deployed(app)
        with self.attempts.begin(app, actor, report) as attempt:
            self.pipeline.launch(attempt, self.pipeline.drafts.current(attempt.app))

    def stop(self, app: App, *, actor: str, report: Report) -> None:
        """Stop all instances until `start`; a deploy under way ends first."""
        store = self.pipeline.store
        with self.attempts.begin(app, actor, report, even_locked=True):
            with store.transaction():
                store.apps.set_stopped(app.id, stopped=True)
                store.events.add(actor, app.name, "stopped")
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
        self._deployed(app)
        with self.attempts.begin(app, actor, report) as attempt:
            app = attempt.app
            target = store.releases.get(app.id, number) if number else self._previous(app)
            before = store.config.get(app.id)
            draft = self.pipeline.drafts.back_to(app, target)
            # A password that was changed since is no part of what is rolled back.
            linked = self.linked(app)
            inherited = draft.inherited - linked.keys()
            draft = replace(draft, config={**draft.config, **linked}, inherited=inherited)
            report.step(f"Rolling {app.name} back to {target.version}")
            return self.pipeline.launch(
                attempt,
                draft,
                also=lambda: store.config.replace(app.id, draft.own_config, actor, since=before),
            )

    def _previous(self, app: App) -> Release:
        earlier = [
            release
            for release in self.pipeline.store.releases.list(app.id)
            if release.number < (app.live or 0)
        ]
        if not earlier:
            raise NothingEarlier(app)
        return max(earlier, key=lambda release: release.number)

    def _deployed(self, app: App) -> None:
        if app.live is None:
            raise NotDeployed(app)


def _formation(quantities: Mapping[str, int]) -> str:
    return " ".join(f"{kind}={count}" for kind, count in sorted(quantities.items()))
