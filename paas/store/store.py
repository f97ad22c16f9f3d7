"""The desired state of one PaaS: one object per noun over one SQLite file."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager
from importlib.resources import files

from paas.host.database import Database
from paas.host.secrets import Vault
from paas.model.layout import Layout
from paas.store.applocks import AppLocks
from paas.store.apps import Apps
from paas.store.backups import Backups
from paas.store.certificates import Certificates
from paas.store.config import Config
from paas.store.cron import CronTables
from paas.store.deploys import Deploys
from paas.store.domains import Domains
from paas.store.drains import Drains
from paas.store.events import Events
from paas.store.exposures import Exposures
from paas.store.instances import Instances
from paas.store.keys import Keys
from paas.store.links import Links
from paas.store.plugins import Plugins
from paas.store.ports import Ports
from paas.store.processes import ProcessSettings
from paas.store.releases import Releases
from paas.store.renewals import Renewals
from paas.store.services import Services
from paas.store.settings import Settings
from paas.store.storage import StorageTables
from paas.store.traffic import TrafficCounts
from paas.store.users import Users
from paas.store.webhooks import Webhooks


class Store:
    """Opened by the first query, in the process that makes it (never across a fork)."""

    def __init__(self, layout: Layout, now: Callable[[], float] = time.time) -> None:
        """`now` gives seconds since the epoch for what is recorded."""
        vault = Vault(layout.secret_key)
        self._db = Database(
            layout.database,
            files("paas.store") / "migrations",
            {"make_key": vault.create, "seal": vault.seal},
        )
        self.apps = Apps(self._db, now)
        self.locks = AppLocks(self._db, now)
        self.config = Config(self._db, vault, now)
        self.releases = Releases(self._db, vault, now)
        self.deploys = Deploys(self._db, now)
        self.instances = Instances(self._db, now)
        self.domains = Domains(self._db, now)
        self.certificates = Certificates(self._db, now)
        self.renewals = Renewals(self._db)
        self.users = Users(self._db, now)
        self.keys = Keys(self._db, now)
        self.events = Events(self._db, now)
        self.cron = CronTables(self._db, now)
        self.drains = Drains(self._db, vault, now)
        self.webhooks = Webhooks(self._db, vault, now)
        self.settings = Settings(self._db)
        self.processes = ProcessSettings(self._db)
        self.ports = Ports(self._db)
        self.plugins = Plugins(self._db, vault, now)
        self.storage = StorageTables(self._db, now)
        self.traffic = TrafficCounts(self._db)
        self.services = Services(self._db, vault, now)
        self.links = Links(self._db)
        self.backups = Backups(self._db, vault, now)
        self.exposures = Exposures(self._db, vault)

    @property
    def state(self) -> Hashable:
        """The same for as long as nothing in it changes; None inside a transaction."""
        return self._db.state

    def transaction(self) -> AbstractContextManager[None]:
        """BEGIN IMMEDIATE … COMMIT; one inside another is part of the outer one."""
        return self._db.transaction()

    def close(self) -> None:
        """Close the connection; the next query opens it again."""
        self._db.close()
