"""What the commands ask of the deploy layer, as they call it.

`paas.deploy.api.Platform` is the real one; tests of the commands use one that records,
and mypy holds both to this.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from paas.deploy.applogs import Wanted
from paas.deploy.builds import Builds
from paas.deploy.certificates import Certificates
from paas.deploy.cron import Cron
from paas.deploy.cron_runs import CronRuns
from paas.deploy.delivery import Delivery
from paas.deploy.detached import Detached
from paas.deploy.drains import Drains
from paas.deploy.edge import Edge
from paas.deploy.enter import Instances
from paas.deploy.forward import Forwarding
from paas.deploy.images import ServerImages
from paas.deploy.letsencrypt import Letsencrypt
from paas.deploy.networks import Networks
from paas.deploy.notify import Notifier
from paas.deploy.plugin_run import PluginCommands
from paas.deploy.plugins import PluginOperations
from paas.deploy.route import Router
from paas.deploy.services import ServiceOperations
from paas.deploy.services_backup import ServiceBackups
from paas.deploy.services_copy import ServiceCopies
from paas.deploy.services_expose import ServiceExposures
from paas.deploy.services_link import ServiceLinks
from paas.deploy.services_talk import ServiceTalk
from paas.deploy.stacks import Stacks
from paas.deploy.storage import Storage
from paas.deploy.tryout import Tryout
from paas.deploy.usage import Space, Usage
from paas.engine.engine import Engine
from paas.host.terminal import Terminal
from paas.model.app import App
from paas.model.caller import Caller
from paas.model.report import Report
from paas.model.request import Request


class ProcessStatus(Protocol):
    """One instance as it is now. `since` is in seconds since the epoch."""

    @property
    def process_type(self) -> str:
        """`web` of `web.1`."""

    @property
    def index(self) -> int:
        """1 of `web.1`."""

    @property
    def state(self) -> str:
        """A word for people: starting, up, crashed, stopping."""

    @property
    def container(self) -> str:
        """The container's id."""

    @property
    def release(self) -> int:
        """The number of the release it runs."""

    @property
    def since(self) -> float:
        """When it came into this state."""

    @property
    def restarts(self) -> int:
        """How often it was started again after an end of its own."""

    @property
    def address(self) -> str:
        """Where it is reached inside."""


class Platform(Protocol):
    """Everything that changes or reads what runs. Each method raises `PaasError`."""

    @property
    def engine(self) -> Engine:
        """The containers of all apps and services, for root."""

    @property
    def certificates(self) -> Certificates:
        """Adding, making and removing certificates."""

    @property
    def edge(self) -> Edge:
        """How apps are reached: domains, redirects, ports, maintenance, tuning."""

    @property
    def networks(self) -> Networks:
        """Who reaches whom, and by which names."""

    @property
    def storage(self) -> Storage:
        """Volumes, and what apps have mounted."""

    @property
    def router(self) -> Router:
        """Where an app is found, as the proxy is told."""

    @property
    def delivery(self) -> Delivery:
        """Deploys of images, archives and other servers' commits."""

    @property
    def stacks(self) -> Stacks:
        """Listing, pulling, updating and choosing stacks."""

    @property
    def letsencrypt(self) -> Letsencrypt:
        """Certificates from an authority, and their renewal."""

    @property
    def images(self) -> ServerImages:
        """The images of the server, and who uses them."""

    @property
    def oneoffs(self) -> Detached:
        """The one-offs of apps: what runs of them, and their end."""

    @property
    def cron(self) -> Cron:
        """What apps run at set times."""

    @property
    def cron_runs(self) -> CronRuns:
        """The runs that come of it."""

    @property
    def drains(self) -> Drains:
        """Where the output of apps is sent on to."""

    @property
    def notifier(self) -> Notifier:
        """Who is told of events."""

    @property
    def instances(self) -> Instances:
        """The running instances of apps, to join."""

    @property
    def forwarding(self) -> Forwarding:
        """Connections to instances and services."""

    @property
    def plugins(self) -> PluginOperations:
        """Installing, enabling and removing plugins."""

    @property
    def plugin_commands(self) -> PluginCommands:
        """Running the commands that plugins add."""

    @property
    def builds(self) -> Builds:
        """The deploys of apps, and what they said."""

    def wake(self) -> None:
        """Have the supervisor look at what was changed in the store."""

    def usage(self) -> Sequence[Usage]:
        """What takes the room on the disk."""

    def space(self) -> Space:
        """How large the disk is, and what is free of it."""

    @property
    def services(self) -> ServiceOperations:
        """Making, starting, stopping and ending services."""

    @property
    def service_links(self) -> ServiceLinks:
        """Linking apps to services."""

    @property
    def service_talk(self) -> ServiceTalk:
        """Talking to the servers of services."""

    @property
    def service_copies(self) -> ServiceCopies:
        """Cloning and upgrading services."""

    @property
    def service_exposures(self) -> ServiceExposures:
        """Leading ports of the server to services."""

    @property
    def service_backups(self) -> ServiceBackups:
        """Backing services up, on demand and by schedule."""

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

    def scale(
        self,
        app: App,
        quantities: Mapping[str, int],
        *,
        actor: str,
        report: Report,
        restart: bool,
    ) -> int | None:
        """Run so many instances of these process types."""

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

    def rebuild(self, app: App, *, actor: str, report: Report) -> int:
        """Build the live commit again and make it live."""

    def inspect(self, app: App) -> Sequence[Mapping[str, object]]:
        """What the engine knows of each container of an app, without its environment."""

    def check(self, app: App, process: str | None, *, report: Report) -> int:
        """Ask every running instance its checks once; how many of those failed."""

    def restart(self, app: App, process: str | None, *, actor: str, report: Report) -> None:
        """Replace the instances of one process type, or of all."""

    def stop(self, app: App, process: str | None, *, actor: str, report: Report) -> None:
        """Stop them until `start`."""

    def start(self, app: App, process: str | None, *, actor: str, report: Report) -> None:
        """Run them again."""

    def rollback(self, app: App, number: int | None, *, actor: str, report: Report) -> int | None:
        """Make an earlier release live again, as a new one; without number the one before."""

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

    def run_detached(
        self, app: App, argv: Sequence[str], *, env: Mapping[str, str], ttl_s: float
    ) -> str:
        """Start a command that nobody waits for; its name."""

    def logs(self, app: App, wanted: Wanted, out: Callable[[bytes], None]) -> None:
        """Write the last lines of the app's output, and what follows until `out` raises."""

    def destroy(self, app: App, *, actor: str, report: Report) -> None:
        """End an app and remove everything of it."""

    def build_directory(self, tryout: Tryout, report: Report) -> str:
        """Build a directory of this machine; the image's id."""

    def purge_cache(self, app: App, *, actor: str, report: Report) -> int:
        """Remove what builds of an app keep for the next one; the bytes of it."""

    def rename(self, app: App, new: str, *, actor: str, report: Report) -> None:
        """Give an app another name, under which it is then served."""

    def clone(self, app: App, new: str, caller: Caller, *, deploy: bool, report: Report) -> None:
        """Make an app that has what another one has been given, and deploy it."""

    def receive(self, app_name: str, request: Request, caller: Caller) -> int:
        """Serve `git push`; git's exit code."""

    def upload_pack(self, app_name: str, request: Request, caller: Caller) -> int:
        """Serve `git fetch` and `git clone`; git's exit code."""

    def processes(self, app: App) -> Sequence[ProcessStatus]:
        """The instances of an app as they are now."""
