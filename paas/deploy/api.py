"""The platform as the commands call it; `paas.cli.platform` is the same, as a protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from paas.deploy import applogs
from paas.deploy.applogs import Wanted
from paas.deploy.builds import Builds
from paas.deploy.certificates import Certificates
from paas.deploy.clone import Cloning
from paas.deploy.creation import create_app
from paas.deploy.cron import Cron
from paas.deploy.cron_runs import CronRuns
from paas.deploy.delivery import Delivery
from paas.deploy.detached import Detached
from paas.deploy.drains import Drains
from paas.deploy.edge import Edge
from paas.deploy.enter import Instances
from paas.deploy.forward import Forwarding
from paas.deploy.images import ServerImages
from paas.deploy.inspect import inspected
from paas.deploy.letsencrypt import Letsencrypt
from paas.deploy.networks import Networks
from paas.deploy.notify import Notifier
from paas.deploy.parts import Parts
from paas.deploy.plugin_run import PluginCommands
from paas.deploy.plugins import PluginOperations
from paas.deploy.probing import Probing
from paas.deploy.rebuild import Rebuilding
from paas.deploy.receive import ErrorLines
from paas.deploy.repository import Repository
from paas.deploy.route import Router
from paas.deploy.running import log_directory
from paas.deploy.services import ServiceOperations
from paas.deploy.services_backup import ServiceBackups
from paas.deploy.services_copy import ServiceCopies
from paas.deploy.services_expose import ServiceExposures
from paas.deploy.services_link import ServiceLinks
from paas.deploy.services_talk import ServiceTalk
from paas.deploy.stacks import Stacks
from paas.deploy.storage import Storage
from paas.deploy.tryout import Tryout
from paas.deploy.usage import Space, Usage, space, usage
from paas.deploy.wake import wake_supervisor
from paas.engine.engine import Engine
from paas.errors import PaasError
from paas.host.terminal import Terminal
from paas.model.app import App
from paas.model.caller import Caller
from paas.model.layout import Layout
from paas.model.names import parse_app_name
from paas.model.report import Report
from paas.model.request import Request
from paas.store.store import Store


@dataclass(frozen=True)
class ProcessStatus:
    """One instance as it is now. `since` is in seconds since the epoch."""

    process_type: str
    index: int
    state: str
    container: str
    release: int
    since: float
    restarts: int
    address: str


class WholeAppOnly(PaasError):
    """Starting and stopping is for all process types of an app."""

    def __init__(self, app: App, process: str, quantity: int) -> None:
        super().__init__(
            "An app is started and stopped as a whole",
            resolution=f"For one process type: paas ps:scale {app.name} {process}={quantity}",
        )


class Platform:
    """What commands may do to apps. Each method raises `PaasError`."""

    def __init__(self, layout: Layout, store: Store, tell: ErrorLines) -> None:
        """`tell` words an error on a report and gives its exit code."""
        self._parts = Parts(layout, store)
        self._tell = tell

    @property
    def engine(self) -> Engine:
        """The containers of all apps and services, for root."""
        return self._parts.engine

    @property
    def certificates(self) -> Certificates:
        """Adding, making and removing certificates."""
        return self._parts.certificates

    @property
    def edge(self) -> Edge:
        """How apps are reached: domains, redirects, ports, maintenance, tuning."""
        return self._parts.edge

    @property
    def networks(self) -> Networks:
        """Who reaches whom, and by which names."""
        return self._parts.networks

    @property
    def storage(self) -> Storage:
        """Volumes, and what apps have mounted."""
        return self._parts.storage

    @property
    def router(self) -> Router:
        """Where an app is found, as the proxy is told."""
        return self._parts.router

    @property
    def delivery(self) -> Delivery:
        """Deploys of images, archives and other servers' commits."""
        return self._parts.delivery

    @property
    def stacks(self) -> Stacks:
        """Listing, pulling, updating and choosing stacks."""
        return Stacks(self._parts.engine, self._parts.store, self._parts.housekeeping)

    @property
    def letsencrypt(self) -> Letsencrypt:
        """Certificates from an authority, and their renewal."""
        return self._parts.letsencrypt

    @property
    def images(self) -> ServerImages:
        """The images of the server, and who uses them."""
        return self._parts.images

    @property
    def oneoffs(self) -> Detached:
        """The one-offs of apps: what runs of them, and their end."""
        return self._parts.detached

    @property
    def cron(self) -> Cron:
        """What apps run at set times."""
        return self._parts.cron

    @property
    def cron_runs(self) -> CronRuns:
        """The runs that come of it."""
        return self._parts.cron_runs

    @property
    def drains(self) -> Drains:
        """Where the output of apps is sent on to."""
        return self._parts.drains

    @property
    def notifier(self) -> Notifier:
        """Who is told of events."""
        return self._parts.notifier

    @property
    def plugins(self) -> PluginOperations:
        """Installing, enabling and removing plugins."""
        return self._parts.plugins

    @property
    def plugin_commands(self) -> PluginCommands:
        """Running the commands that plugins add."""
        parts = self._parts
        return PluginCommands(parts.store, parts.router, parts.programs)

    @property
    def instances(self) -> Instances:
        """The running instances of apps, to join."""
        return Instances(self._parts.store, self._parts.engine)

    @property
    def forwarding(self) -> Forwarding:
        """Connections to instances and services."""
        return Forwarding(self._parts.store, self.instances, self._parts.catalog)

    @property
    def builds(self) -> Builds:
        """The deploys of apps, and what they said."""
        return Builds(self._parts.store, self._parts.attempts, self._parts.clock)

    def wake(self) -> None:
        """Have the supervisor look at what was changed in the store."""
        wake_supervisor(self._parts.layout)

    def usage(self) -> Sequence[Usage]:
        """What takes the room on the disk."""
        return list(usage(self._parts.layout, self._parts.engine, self._parts.housekeeping))

    def space(self) -> Space:
        """How large the disk is, and what is free of it."""
        return space(self._parts.layout)

    @property
    def services(self) -> ServiceOperations:
        """Making, starting, stopping and ending services."""
        return self._parts.services

    @property
    def service_links(self) -> ServiceLinks:
        """Linking apps to services."""
        return self._parts.service_links

    @property
    def service_talk(self) -> ServiceTalk:
        """Talking to the servers of services."""
        return self._parts.service_talk

    @property
    def service_copies(self) -> ServiceCopies:
        """Cloning and upgrading services."""
        return self._parts.service_copies

    @property
    def service_exposures(self) -> ServiceExposures:
        """Leading ports of the server to services."""
        return self._parts.service_exposures

    @property
    def service_backups(self) -> ServiceBackups:
        """Backing services up, on demand and by schedule."""
        return self._parts.service_backups

    def apply_config(
        self,
        app: App,
        set: Mapping[str, str],  # noqa: A002 - the command's own word
        unset: Iterable[str],
        *,
        actor: str,
        report: Report,
        restart: bool,
    ) -> int | None:
        """Change config vars, all or none; the number of the release this made, if any."""
        release = self._parts.operations.apply_config(
            app, set, unset, actor=actor, report=report, restart=restart
        )
        return release.number if release else None

    def scale(
        self, app: App, quantities: Mapping[str, int], *, actor: str, report: Report, restart: bool
    ) -> int | None:
        """Run so many instances of these process types."""
        release = self._parts.operations.scale(
            app, quantities, actor=actor, report=report, restart=restart
        )
        return release.number if release else None

    def limit(
        self,
        app: App,
        values: Mapping[tuple[str, str], str | None],
        *,
        actor: str,
        report: Report,
        restart: bool,
    ) -> int | None:
        """Set what one container may use, by process type (empty: all) and name; None removes."""
        release = self._parts.operations.limit(
            app, values, actor=actor, report=report, restart=restart
        )
        return release.number if release else None

    def rebuild(self, app: App, *, actor: str, report: Report) -> int:
        """Build the live commit again and make it live."""
        rebuilding = Rebuilding(self._parts.pipeline, self._parts.attempts)
        return rebuilding.rebuild(app, actor=actor, report=report).number

    def inspect(self, app: App) -> Sequence[Mapping[str, object]]:
        """What the engine knows of each container of an app, without its environment."""
        return inspected(self._parts.engine, self._parts.store, app)

    def check(self, app: App, process: str | None, *, report: Report) -> int:
        """Ask every running instance its checks once; how many of those failed."""
        return Probing(self._parts.pipeline).once(app, process, report)

    def restart(self, app: App, process: str | None, *, actor: str, report: Report) -> None:
        """Replace the instances of one process type, or of all."""
        self._parts.operations.restart(app, process, actor=actor, report=report)

    def stop(self, app: App, process: str | None, *, actor: str, report: Report) -> None:
        """Stop the app until `start`."""
        if process is not None:
            raise WholeAppOnly(app, process, 0)
        self._parts.operations.stop(app, actor=actor, report=report)

    def start(self, app: App, process: str | None, *, actor: str, report: Report) -> None:
        """Run the app again."""
        if process is not None:
            raise WholeAppOnly(app, process, 1)
        self._parts.operations.start(app, actor=actor, report=report)

    def rollback(self, app: App, number: int | None, *, actor: str, report: Report) -> int:
        """Make an earlier release live again, as a new one; without number the one before."""
        operations = self._parts.operations
        return operations.rollback(app, number, actor=actor, report=report).number

    def run(
        self,
        app: App,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        terminal: Terminal,
        ttl_s: float | None,
    ) -> int:
        """Run a command in a container of its own, so long at most; its exit code."""
        with self._parts.pipeline.using(app.id):
            live = self._parts.live(app)
            return self._parts.oneoff.run(app, live, argv, env, terminal, ttl_s)

    def run_detached(
        self, app: App, argv: Sequence[str], *, env: Mapping[str, str], ttl_s: float
    ) -> str:
        """Start a command that nobody waits for; its name."""
        with self._parts.pipeline.using(app.id):
            return self._parts.detached.start(app, self._parts.live(app), argv, env, ttl_s)

    def logs(self, app: App, wanted: Wanted, out: Callable[[bytes], None]) -> None:
        """Write the last lines of the app's output, and what follows until `out` raises."""
        directory = log_directory(self._parts.layout, app.id)
        instances = self._parts.store.instances
        releases = applogs.Releases(lambda: instances.releases(app.id))
        applogs.show(directory, wanted, releases, out)

    def destroy(self, app: App, *, actor: str, report: Report) -> None:
        """End an app and remove everything of it."""
        self._parts.lifecycle.destroy(app, actor=actor, report=report)

    def build_directory(self, tryout: Tryout, report: Report) -> str:
        """Build a directory of this machine; the image's id."""
        return tryout.build(self._parts.engine, report).id

    def purge_cache(self, app: App, *, actor: str, report: Report) -> int:
        """Remove what builds of an app keep for the next one; the bytes of it."""
        return self._parts.lifecycle.purge_cache(app, actor=actor, report=report)

    def rename(self, app: App, new: str, *, actor: str, report: Report) -> None:
        """Give an app another name, under which it is then served."""
        self._parts.lifecycle.rename(app, new, actor=actor, report=report)

    def clone(self, app: App, new: str, caller: Caller, *, deploy: bool, report: Report) -> None:
        """Make an app that has what another one has been given, and deploy it."""
        cloning = Cloning(self._parts.pipeline, self._parts.attempts)
        cloning.clone(app, new, caller, deploy=deploy, report=report)

    def receive(self, app_name: str, request: Request, caller: Caller) -> int:
        """Serve `git push`; git's exit code. The app is made by its first push."""
        store = self._parts.store
        name = parse_app_name(app_name)
        app = store.apps.find(name)
        created = app is None
        if app is None:
            app = create_app(store, name, caller, "by its first push")
        descriptors = (request.stdin, request.stdout, request.stderr)
        try:
            return self._parts.receiving(app, self._tell).serve(
                app, caller.actor, descriptors, request.channel
            )
        finally:
            if created and not store.deploys.list(app.id):
                # Nothing deployable came: a mistyped name leaves no app behind.
                self._parts.lifecycle.forget(app)

    def upload_pack(self, app_name: str, request: Request, caller: Caller) -> int:  # noqa: ARG002
        """Serve `git fetch` and `git clone`; git's exit code."""
        app = self._parts.store.apps.get(parse_app_name(app_name))
        repository = Repository(self._parts.layout, app.id)
        repository.ensure()
        git = repository.serve("upload-pack", (request.stdin, request.stdout, request.stderr))
        return git.wait()

    def processes(self, app: App) -> Sequence[ProcessStatus]:
        """The instances of an app as they are now."""
        return [
            ProcessStatus(
                process_type=one.process_type,
                index=one.index,
                state=one.shown,
                container=one.container,
                release=one.release,
                since=one.created_at,
                restarts=one.restarts,
                address=one.address,
            )
            for one in self._parts.store.instances.list(app.id)
        ]
