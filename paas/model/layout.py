"""Where one PaaS keeps things, and what the names derived from it are.

Everything of one installation is below one root, and every name that lives outside of
it (a user, an interface, an nftables table, a cgroup) carries the instance id, so that
a second complete PaaS can run beside an installed one.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

DEFAULT_ROOT = Path("/var/lib/paas")


def instance_id(root: Path) -> str:
    """The id of the PaaS at `root`: `paas` for the default one, else `p` and six hex digits.

    At most seven characters, since interface names (15 characters, IFNAMSIZ) and user
    names are derived from it.
    """
    if root == DEFAULT_ROOT:
        return "paas"
    return "p" + hashlib.sha256(str(root).encode()).hexdigest()[:6]


@dataclass(frozen=True)
class Layout:
    """The paths and names of the PaaS at `root`."""

    root: Path

    @classmethod
    def at(cls, root: str | Path = DEFAULT_ROOT) -> Layout:
        return cls(Path(root).resolve())

    @cached_property
    def id(self) -> str:
        return instance_id(self.root)

    # -- lasting state, below the root ------------------------------------------------

    @property
    def database(self) -> Path:
        """Desired state: apps, config, releases (`paas.store`)."""
        return self.root / "paas.db"

    @property
    def secret_key(self) -> Path:
        """What config values are sealed with (`paas.host.secrets`), beside the database."""
        return self.root / "secret.key"

    @property
    def machine(self) -> Path:
        """Where the data were last, and whether they were in use (`paas.daemon.whereabouts`)."""
        return self.root / "machine.json"

    @property
    def engine(self) -> Path:
        return self.root / "engine"

    @property
    def engine_database(self) -> Path:
        """Images, layers, address leases, user id ranges (`paas.engine`)."""
        return self.engine / "engine.db"

    @property
    def engine_fs(self) -> Path:
        """The tree that is idmapped once per user id range: layers, uppers, volumes."""
        return self.engine / "fs"

    @property
    def repos(self) -> Path:
        return self.root / "repos"

    def repo(self, app_id: int) -> Path:
        """The bare repository of an app; named by id, so a rename does not move it."""
        return self.repos / f"{app_id}.git"

    @property
    def deploys(self) -> Path:
        """One directory per deploy: hard-linked objects, output; its owner's lock."""
        return self.root / "deploys"

    @property
    def plugins(self) -> Path:
        """The files of installed plugins: one directory per plugin and version."""
        return self.root / "plugins"

    @property
    def locks(self) -> Path:
        return self.root / "locks"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def proxy(self) -> Path:
        """nginx's prefix: configuration, staging, certificates, logs."""
        return self.root / "proxy"

    @property
    def ssh(self) -> Path:
        """Holds `authorized_keys`; the home directory of the login user."""
        return self.root / "ssh"

    @property
    def upgrade(self) -> Path:
        """0711, there while one is under way: what the way back needs (`paas.daemon.trial`)."""
        return self.root / "upgrade"

    @property
    def upgrade_record(self) -> Path:
        """There while a version is on trial; clients look for it, the same as `client.py` says."""
        return self.upgrade / "record.json"

    @property
    def upgrade_lock(self) -> Path:
        """Held by who upgrades."""
        return self.locks / "upgrade.lock"

    # -- observed state, gone after a reboot --------------------------------------------

    @property
    def run(self) -> Path:
        """0711: only what must be traversed by others is below it without 0700."""
        return Path("/run") / self.id

    @property
    def socket(self) -> Path:
        return self.run / "paasd.sock"

    @property
    def supervisor_socket(self) -> Path:
        """A datagram socket; one byte sent to it makes the supervisor look again."""
        return self.run / "supervisor.sock"

    @property
    def containers(self) -> Path:
        """0700: bundles hold the environment of containers."""
        return self.run / "containers"

    @property
    def network_database(self) -> Path:
        """Leases of addresses, and where services lead."""
        return self.run / "network" / "network.db"

    # -- names outside the file system ----------------------------------------------------

    @property
    def user(self) -> str:
        """Logs in over ssh; may only run the forced command."""
        return self.id

    @property
    def git_user(self) -> str:
        """Parses packs; the daemon's socket refuses it."""
        return f"{self.id}-git"

    @property
    def web_user(self) -> str:
        return f"{self.id}-web"
