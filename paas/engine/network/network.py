"""The network of one PaaS, as the rest of the program sees it.

ensure      make or repair everything; safe to call at any time
attach      give a container, created and not started, its address
detach      take it away again
service     the stable addresses of a process type
set_backends   where they lead: one transaction for all
drain       wait until an instance serves no connection
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from importlib.resources import files
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from paas.engine.network import mirrors, policy, resolver, served
from paas.engine.network.addresses import FIRST_INSTANCE, SLOTS, Backend, Plan, ServiceAddresses
from paas.engine.network.findings import Finding
from paas.engine.network.hostfirewall import HostFirewall, uplink_name
from paas.engine.network.hostside import HostSide
from paas.engine.network.ipam import Leases, Links
from paas.engine.network.ipv6 import Plan6, plan_of, uplink6
from paas.engine.network.mirrors import Egress
from paas.engine.network.named import NamedNetworks
from paas.engine.network.policy import RouterState, Surroundings
from paas.engine.network.policy6 import router_table6
from paas.engine.network.prefix import ChosenPrefix
from paas.engine.network.publish import Publish, PublishedPorts
from paas.engine.network.resolver import Resolver
from paas.engine.network.router import Router
from paas.engine.network.services import Services, forget_datagrams
from paas.host.database import Database
from paas.host.files import forget_unfinished
from paas.host.firewall import Firewall, FirewallFailed
from paas.host.netlink import Netlink
from paas.model.layout import Layout


class Network:
    """Router namespace, addresses, policy and stable addresses of one PaaS."""

    def __init__(
        self,
        layout: Layout,
        db: Database,
        *,
        allowed_egress: Sequence[str] | None = None,
        resolv_conf: Path = resolver.RESOLV_CONF,
    ) -> None:
        """`db` is the engine's database. `allowed_egress` names what instances may reach
        besides the internet; None stands for the mirrors the host itself is configured for.
        `resolv_conf` names the resolvers of the host.
        """
        self._layout = layout
        self._db = db
        self._allowed_egress = allowed_egress
        self._resolv_conf = resolv_conf
        self._observed = Database(layout.network_database, files("paas.engine.network.observed"))

    # -- the parts -------------------------------------------------------------------------

    @property
    def directory(self) -> Path:
        """Observed state: leases, backends, the resolver's files."""
        return self._layout.network_database.parent

    @property
    def interface(self) -> str:
        """The host's end of the link to the router."""
        return f"{self._layout.id}0"

    @property
    def resolv_conf(self) -> str:
        """What the /etc/resolv.conf of a container says."""
        return self.resolver.resolv_conf

    @cached_property
    def prefix(self) -> ChosenPrefix:
        """The network that all its addresses are from."""
        return ChosenPrefix(self._db, self._layout)

    @property
    def plan(self) -> Plan:
        return self.prefix.plan

    @cached_property
    def resolver(self) -> Resolver:
        return Resolver(self.directory / "resolver", self.plan.resolver, self._router.path)

    @cached_property
    def _plan6(self) -> Plan6:
        return plan_of(self.plan, self._layout.id)

    @property
    def has_ipv6(self) -> bool:
        """Whether instances that are made now get a way out by IPv6."""
        return self._router.plan6 is not None

    @cached_property
    def _router(self) -> Router:
        return Router(self._layout.run / "netns" / "router", self.plan, self.interface)

    @cached_property
    def _firewall(self) -> Firewall:
        return Firewall(self._router.path)

    @cached_property
    def _host(self) -> HostSide:
        return HostSide(self._layout.id, self.plan, self.interface)

    @cached_property
    def host_firewall(self) -> HostFirewall:
        """What other software's rules do to instances and to the proxy."""
        return HostFirewall(self._layout.id, self.interface, self.plan.prefix[FIRST_INSTANCE])

    @cached_property
    def _leases(self) -> Leases:
        return Leases(self._observed, self.plan)

    @cached_property
    def published(self) -> PublishedPorts:
        """Ports of the host that lead to containers; `prepare` publishes, `detach` ends it."""
        return PublishedPorts(self._observed, self.plan)

    @cached_property
    def links(self) -> Links:
        """Who may open connections to whom; `allow` and `join` have it take effect."""
        return Links(self._db, self._leases)

    @cached_property
    def _services(self) -> Services:
        return Services(self._db, self._observed, self.plan)

    @property
    def _egress(self) -> Egress:
        """Read each time: a supervisor that runs for months follows what the host is told."""
        if self._allowed_egress is not None:
            return mirrors.parse_egress(self._allowed_egress)
        return mirrors.parse_egress(mirrors.configured(variables=os.environ))

    # -- the whole -------------------------------------------------------------------------

    def ensure(self) -> None:
        """Make everything that is missing and mend what was changed, in the host's namespace.

        The resolver's configuration is written; starting it with that is its owner's part
        (`resolver.current`, `resolver.start`). Raises
        `PrefixesTaken`, `PrefixTaken`, `FirewallFailed`, and `OSError` where the kernel
        refuses.
        """
        self._make_directories()
        # The lock: two of these, or one and a change of a service, do not interleave.
        with self._observed.transaction():
            uplink = uplink6(self.interface)
            plan6 = self._plan6 if uplink else None
            self._router.ensure(plan6)
            self._router.sweep(lease.address for lease in self._leases.list())
            with Netlink() as net:
                around = self._surroundings(net)
                self._host.ensure(net, around)
                self._host.ensure6(net, plan6, uplink.interface if uplink else "")
                self.prefix.hold()
            self._write_table(around)
            self._firewall.apply(router_table6(plan6, uplink.local if uplink else ()))
            self.resolver.configure(around.upstreams, self._egress.names, ipv6=plan6 is not None)

    def stop_resolver(self) -> None:
        """Stop answering for names; a network that found no room among others has no resolver."""
        if self.prefix.is_made:
            self.resolver.stop()

    def teardown(self) -> None:
        """Remove everything from the kernel and from /run; addresses stay assigned."""
        if self.prefix.is_made:
            self.resolver.stop()
            self.host_firewall.withdraw()
            self._firewall.close()
            self._router.destroy()
            with Netlink() as net:
                self._host.remove(net, self._plan6)
        self._observed.close()
        for name in ("network.db", "network.db-wal", "network.db-shm"):
            (self.directory / name).unlink(missing_ok=True)

    def end_thread(self) -> None:
        """Close what the calling thread has open; it is about to end."""
        self._observed.close()

    def exists(self) -> bool:
        """Whether the router is there at all (not after a reboot)."""
        return self._router.exists()

    def findings(self) -> list[Finding]:
        """What keeps instances from the network, for `paas doctor`."""
        if not self.exists():
            return [Finding("The network of the instances is not set up", "paas up")]
        return [
            *resolver.findings(self.resolver, self._resolv_conf),
            *self._host.findings(uplink_name()),
            *self.host_firewall.findings(),
            *served.findings(),
        ]

    # -- instances ---------------------------------------------------------------------------

    def attach(
        self, container: str, pid: int, *, owner: str = "", mtu: int | None = None
    ) -> IPv4Address:
        """Give the container whose network namespace process `pid` is in an address.

        `owner` is what links are made between (`app:7`, `service:3`). `mtu` in bytes, the
        uplink's unless given.
        """
        self.prepare(container, owner=owner)
        return self.wire(container, pid, mtu=mtu)

    def prepare(
        self, container: str, *, owner: str = "", ports: Sequence[Publish] = ()
    ) -> IPv4Address:
        """The half of `attach` that needs no process, for while the runtime makes one.

        `ports` are published. Raises `PortInUse`.
        """
        lease = self._leases.take(container, owner)
        if ports and self.published.claim(container, ports):
            self.ensure()
        if owner and self.links.concern(owner):
            self._write_links()
        return lease.address

    def wire(self, container: str, pid: int, *, mtu: int | None = None) -> IPv4Address:
        """The other half of `attach`. Raises `ProcessLookupError` if `pid` is gone."""
        lease = self._leases.find(container)
        if lease is None:
            raise LookupError(f"{container} was not prepared for the network")
        try:
            namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise ProcessLookupError(f"process {pid} of {container} is gone") from None
        try:
            self._router.wire(lease.address, namespace, mtu)
        finally:
            os.close(namespace)
        return lease.address

    def detach(self, container: str) -> None:
        """Take the container's address away; one that has none is fine."""
        lease = self._leases.find(container)
        if lease is None:
            return
        exists = self._router.exists()
        if exists:
            self._router.unwire(lease.address)
        # Killed in between, the lease is still there: what it opened is closed by the next one.
        with self._observed.transaction():
            published = self.published.release(container)
            self._leases.give_back(container)
            if published and exists:
                self.ensure()
            elif lease.owner and exists and self.links.concern(lease.owner):
                self._write_links()

    def address(self, container: str) -> IPv4Address | None:
        """The address of a container that is attached."""
        lease = self._leases.find(container)
        return lease.address if lease else None

    def drain(self, pid: int, seconds: float) -> int:
        """Wait until the instance that process `pid` is of serves no TCP connection, `seconds` at
        most. Returns how many it still serves then.
        """
        return served.drain(pid, seconds)

    # -- services ----------------------------------------------------------------------------

    def service(self, key: str, slots: int = SLOTS) -> ServiceAddresses:
        """The stable addresses of `key` (`app:7/web`), made when first asked for."""
        return self._services.ensure(key, slots)

    def release_service(self, key: str) -> None:
        """Give the addresses of `key` back; a service that has none is fine."""
        if self._services.exists(key):
            self.set_backends({key: ()})
            self._services.release(key)

    def services_of(self, prefix: str) -> list[str]:
        """The keys of the services that begin with `prefix` (`app:7/`)."""
        return self._services.beginning_with(prefix)

    def set_backends(self, changes: Mapping[str, Sequence[Backend]]) -> None:
        """Lead each service elsewhere, all in one transaction of the kernel.

        Without backends a service refuses connections. Those that exist stay with their
        old backend; UDP flows, which never end, do not. Raises `ServiceNotFound`.
        """
        with self._observed.transaction():
            after = self._services.wanted(changes)
            before = self._services.current(changes)
            for key, backends in changes.items():
                self._services.record(key, backends)
            self._change_table(policy.service_change(before, after))
        forget_datagrams(self._router.path, self._firewall, before, after)

    def backends(self, key: str) -> tuple[Backend, ...]:
        """Where a service leads."""
        return self._services.backends(key)

    # -- links -------------------------------------------------------------------------------

    def allow(self, source: str, target: str) -> None:
        """Let every instance of owner `source` open connections to those of `target`."""
        self.links.add(source, target)
        self._write_links()

    def forbid(self, source: str, target: str) -> None:
        """Take `allow` back. Connections that exist go on."""
        self.links.remove(source, target)
        self._write_links()

    def forget_links(self, owner: str) -> None:
        """Take back all that was allowed to, or towards, an owner that is gone."""
        if self.links.concern(owner):
            self.links.forget(owner)
            self.named.put(owner, ())
            self._write_links()

    # -- named networks ----------------------------------------------------------------------

    @cached_property
    def named(self) -> NamedNetworks:
        """Networks by name; membership is changed by `join`, which has it take effect."""
        return NamedNetworks(self._db)

    def join(self, owner: str, networks: Sequence[str], aliases: Iterable[str] = ()) -> None:
        """Have an owner's containers, those that run too, in exactly these networks.

        In the first of them they are found by `aliases`, too. Connections that exist go on.
        Raises `NetworkNotFound`, `AliasTaken`; then nothing has changed.
        """
        self.named.put(owner, networks, aliases)
        self._write_links()

    def reachable_owners(self) -> frozenset[str]:
        """Whom others may open connections to: by a link, or in a network."""
        return self.links.targets() | frozenset(self.named.members())

    def links_in_use(self) -> frozenset[tuple[IPv4Address, IPv4Address]]:
        """Who may open connections to whom at the moment, by address."""
        return self.links.pairs()

    # -- how ---------------------------------------------------------------------------------

    def _make_directories(self) -> None:
        self._layout.run.mkdir(exist_ok=True)
        self._layout.run.chmod(0o711)
        self.directory.mkdir(exist_ok=True)
        self.directory.chmod(0o711)
        forget_unfinished(self.directory, self.resolver.directory, self._router.path.parent)

    def _surroundings(self, net: Netlink) -> Surroundings:
        networks = [address.network for address in net.addresses()]
        networks += [IPv4Network(address.ip) for address in net.addresses()]
        networks += [route.target for route in net.routes() if route.is_connected]
        return Surroundings(
            local=tuple(networks),
            upstreams=resolver.upstreams(self._resolv_conf),
            allowed=tuple(sorted(self._egress.targets, key=str)),
            published=self.published.leads(),
        )

    def _write_table(self, around: Surroundings) -> None:
        state = RouterState(self.plan, around, self._services.all(), self.links.pairs())
        text = policy.router_table(state)
        try:
            self._firewall.apply(text)
        except FirewallFailed:
            # A table of another version of ours: its sets and chains are not these.
            fresh = f"add table ip {policy.TABLE}\ndelete table ip {policy.TABLE}\n"
            self._firewall.apply(fresh + text)

    def _change_table(self, text: str) -> None:
        try:
            self._firewall.apply(text)
        except FirewallFailed:
            # The kernel does not hold what we recorded (a flush): write all of it.
            with Netlink() as net:
                around = self._surroundings(net)
            self._write_table(around)

    def _write_links(self) -> None:
        with self._observed.transaction():
            elements = policy.link_elements(self.links.pairs())
            self._change_table(elements)
