"""All parts of a deploy put together, each made when first used."""

from __future__ import annotations

from functools import cached_property

from paas.deploy.asking import Asking
from paas.deploy.attempt import Attempts
from paas.deploy.certificates import Certificates
from paas.deploy.cron import Cron
from paas.deploy.cron_runs import CronRuns
from paas.deploy.delivery import Delivery
from paas.deploy.detached import Detached
from paas.deploy.draft import Draft
from paas.deploy.drafts import Drafts
from paas.deploy.drains import Drains
from paas.deploy.edge import Edge
from paas.deploy.egress_care import EgressCare
from paas.deploy.expiry import Expiry
from paas.deploy.explain import Explainer
from paas.deploy.health import Health
from paas.deploy.housekeeping import Housekeeping
from paas.deploy.images import ServerImages
from paas.deploy.letsencrypt import Letsencrypt
from paas.deploy.lifecycle import Lifecycle
from paas.deploy.metrics import Metrics
from paas.deploy.networks import Networks
from paas.deploy.notify import Notifier
from paas.deploy.oneoff import OneOff
from paas.deploy.operations import Operations
from paas.deploy.phase import Phases
from paas.deploy.pipeline import Pipeline
from paas.deploy.plugin_builder import PluginBuilders
from paas.deploy.plugins import PluginOperations
from paas.deploy.receive import ErrorLines, Receiving
from paas.deploy.repository import Repository
from paas.deploy.route import Router
from paas.deploy.running import Runner
from paas.deploy.services import ServiceOperations
from paas.deploy.services_addons import Addons
from paas.deploy.services_backup import ServiceBackups
from paas.deploy.services_care import ServiceCare
from paas.deploy.services_copy import ServiceCopies
from paas.deploy.services_expose import ServiceExposures
from paas.deploy.services_link import ServiceLinks, linked_values
from paas.deploy.services_scratch import ScratchServices
from paas.deploy.services_talk import ServiceTalk
from paas.deploy.storage import Storage
from paas.deploy.telling import Telling
from paas.deploy.turns import Turns
from paas.engine.engine import Engine
from paas.engine.network.resolver import upstreams
from paas.host.clock import Clock, SystemClock
from paas.host.content import content
from paas.model.app import App
from paas.model.layout import Layout
from paas.model.proxysettings import HTTP3, PROXY_PROTOCOL, TRUSTED_PROXIES, UNKNOWN_HOST
from paas.model.report import Silent
from paas.model.settings import HTTP_ADDRESS, HTTP_PORT, HTTPS_PORT
from paas.plugin.catalog import Catalog
from paas.plugin.foreign import Programs
from paas.plugin.hooks import Hooks
from paas.plugin.installed import Installed
from paas.proxy.listening import Listening
from paas.proxy.proxy import Proxy
from paas.store.store import Store


class Parts:
    """Everything one process needs to change what runs."""

    def __init__(
        self,
        layout: Layout,
        store: Store | None = None,
        engine: Engine | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.layout = layout
        self.clock = clock or SystemClock()
        self.store = store or Store(layout, self.clock.now)
        self.engine = engine or Engine(layout, self.clock)

    @cached_property
    def proxy(self) -> Proxy:
        return Proxy(self.layout, self._listening)

    def _listening(self) -> Listening:
        settings = self.store.settings
        return Listening(
            settings.value(HTTP_ADDRESS),
            settings.value(HTTP_PORT),
            settings.value(HTTPS_PORT),
            trusted=tuple(filter(None, settings.value(TRUSTED_PROXIES).split(","))),
            proxy_protocol=settings.value(PROXY_PROTOCOL),
            unknown_page=settings.value(UNKNOWN_HOST) == "page",
            http3=settings.value(HTTP3),
            resolvers=tuple(map(str, upstreams())),
        )

    @cached_property
    def router(self) -> Router:
        return Router(self.store, self.engine, self.proxy, self.clock)

    @cached_property
    def certificates(self) -> Certificates:
        """Adding, making and removing certificates."""
        return Certificates(self.layout, self.store, self.proxy, self.router, self.clock)

    @cached_property
    def expiry(self) -> Expiry:
        """Warnings about certificates that nobody renews."""
        return Expiry(self.store, self.router, self.clock)

    @cached_property
    def letsencrypt(self) -> Letsencrypt:
        """Certificates from an authority, and their renewal."""
        return Letsencrypt(
            self.layout, self.store, self.proxy, self.router, self.certificates, self.clock
        )

    @cached_property
    def edge(self) -> Edge:
        """How apps are reached: domains, redirects, ports, maintenance, tuning."""
        return Edge(self.store, self.router)

    @cached_property
    def egress(self) -> EgressCare:
        """The way of instances through the host's own firewall."""
        return EgressCare(self.store, self.engine.network.host_firewall)

    @cached_property
    def networks(self) -> Networks:
        """Who reaches whom, and by which names."""
        return Networks(self.store, self.engine, self.router.naming)

    @cached_property
    def storage(self) -> Storage:
        """Volumes, and what apps have mounted."""
        return Storage(self.store, self.engine)

    @cached_property
    def oneoff(self) -> OneOff:
        return OneOff(self.engine, self.storage.mounts)

    @cached_property
    def detached(self) -> Detached:
        """One-offs that nobody waits for."""
        return Detached(self.layout, self.engine, self.oneoff, self.clock)

    @cached_property
    def cron(self) -> Cron:
        """The tasks that apps run at set times."""
        return Cron(self.store, self.clock)

    @cached_property
    def cron_runs(self) -> CronRuns:
        """Beginning and ending their runs."""
        return CronRuns(self.cron, self.pipeline, self.oneoff, self.live)

    @cached_property
    def drains(self) -> Drains:
        """Where the output of apps is sent on to."""
        return Drains(self.layout, self.store, self.clock)

    @cached_property
    def notifier(self) -> Notifier:
        """Who is told of events."""
        return Notifier(self.store)

    @cached_property
    def attempts(self) -> Attempts:
        return Attempts(self.layout, self.store, self.clock)

    @cached_property
    def drafts(self) -> Drafts:
        return Drafts(self.store)

    @cached_property
    def pipeline(self) -> Pipeline:
        return Pipeline(
            layout=self.layout,
            store=self.store,
            engine=self.engine,
            runner=Runner(self.layout, self.engine, self.storage.mounts),
            phases=Phases(self.engine, ScratchServices(self.services), self.storage.mounts),
            drafts=self.drafts,
            health=Health(self.engine, self.clock, Explainer(self.engine)),
            router=self.router,
            asking=Asking(self.hooks),
            builders=PluginBuilders(self.installed, self.programs),
            clock=self.clock,
        )

    @cached_property
    def installed(self) -> Installed:
        """The plugins that are enabled."""
        return Installed(self.layout, self.store.plugins)

    @cached_property
    def programs(self) -> Programs:
        """Runs what plugins bring."""
        return Programs(self.engine)

    @cached_property
    def hooks(self) -> Hooks:
        """Asks and tells plugins."""
        return Hooks(self.installed.with_hooks, self.programs)

    @cached_property
    def telling(self) -> Telling:
        """Tells plugins what has happened."""
        return Telling(self.layout, self.store, self.clock, self.installed, self.hooks)

    @cached_property
    def plugins(self) -> PluginOperations:
        """Installing, enabling and removing plugins."""
        return PluginOperations(self.layout, self.store, self.engine, self.router)

    @cached_property
    def operations(self) -> Operations:
        """Config, scale, restart, start, stop, rollback."""
        return Operations(
            self.pipeline, self.attempts, lambda app: linked_values(self.services, app)
        )

    @cached_property
    def delivery(self) -> Delivery:
        """Deploys of images, archives and other servers' commits."""
        return Delivery(self.pipeline, self.attempts)

    @cached_property
    def housekeeping(self) -> Housekeeping:
        """Frees old releases, images, layers, logs and deploys."""
        return Housekeeping(self.layout, self.store, self.engine, self.attempts)

    @cached_property
    def images(self) -> ServerImages:
        """The images of the server, and who uses them."""
        return ServerImages(self.store, self.engine, self.housekeeping)

    @cached_property
    def metrics(self) -> Metrics:
        """Counts requests."""
        return Metrics(self.store, self.proxy, self.clock)

    @cached_property
    def lifecycle(self) -> Lifecycle:
        """Destroy and rename."""
        return Lifecycle(self.pipeline, self.attempts)

    @cached_property
    def catalog(self) -> Catalog:
        """The service plugins there are."""
        return Catalog(content("plugins"), self.installed.services)

    @cached_property
    def services(self) -> ServiceOperations:
        """Making, starting, stopping and ending services."""
        return ServiceOperations(
            self.layout,
            self.store,
            self.engine,
            self.catalog,
            lambda: self.router.publish(Silent()),
        )

    @cached_property
    def service_care(self) -> ServiceCare:
        """Keeping services as they should be."""
        return ServiceCare(self.services)

    @cached_property
    def service_links(self) -> ServiceLinks:
        """Linking apps to services."""
        return ServiceLinks(self.services, self.operations)

    @cached_property
    def service_talk(self) -> ServiceTalk:
        """Talking to the servers of services."""
        return ServiceTalk(self.services)

    @cached_property
    def service_copies(self) -> ServiceCopies:
        """Cloning and upgrading services."""
        return ServiceCopies(self.services, self.service_talk, self.service_links)

    @cached_property
    def service_backups(self) -> ServiceBackups:
        """Backing services up, on demand and by schedule."""
        return ServiceBackups(self.service_copies, self.clock)

    @cached_property
    def service_exposures(self) -> ServiceExposures:
        """Leading ports of the server to services."""
        return ServiceExposures(self.services, self.router, self.clock)

    def live(self, app: App) -> Draft:
        """The live release of an app, with the config as it is now. Raises `NotDeployed`."""
        return self.drafts.present(app, self.drafts.live(app))

    def receiving(self, app: App, tell: ErrorLines) -> Receiving:
        """What serves a push of `app`; `tell` words an error on the given report."""
        repository = Repository(self.layout, app.id)
        turns = Turns(self.layout, self.clock)
        addons = Addons(self.service_links)
        return Receiving(self.pipeline, self.attempts, turns, repository, addons, tell)
