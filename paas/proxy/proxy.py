"""The proxy as the rest of paas sees it: here are the sites, serve them.

Sites → text → staging directory → `nginx -t` on the complete candidate → one rename →
reload. A deploy, restart or scale changes none of it: slots keep their addresses.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from paas.errors import PaasError
from paas.host.content import content
from paas.host.files import FileLock
from paas.model.layout import Layout
from paas.proxy.applogs import KINDS, AppLogs
from paas.proxy.challenges import Challenges
from paas.proxy.exposed import Exposed
from paas.proxy.generations import Generations
from paas.proxy.listening import Listening
from paas.proxy.nginx import Nginx, NginxFailed
from paas.proxy.openings import Closed, Opening, openings, without_refused
from paas.proxy.pairs import Pairs
from paas.proxy.presented import presented
from paas.proxy.quarantine import split_broken
from paas.proxy.render import Files, Renderer, Server, Tree, identity_of
from paas.proxy.site import Site
from paas.proxy.traffic import TrafficLogs

Sites = Mapping[str, Files]
"""App name to its files."""

WORKER_USER = "www-data"
"""Debian's own user for web servers. Not paasd's web user: that one may ask paasd."""

READ_AT_START = 100
"""So many certificates nginx reads at each start and reload, as it always did: 0.6 ms of processor
time each (OpenSSL 3.0, Debian 12). All of a greater number are looked up by handshakes instead,
0.6 ms dearer for each that resumes no session; with 1,000 of them a reload took 1.5 s."""

LOOPBACK = "127.0.0.1"
SAFE_PATH = re.compile(r"[A-Za-z0-9_./-]+")


class ProxyBroken(PaasError):
    """The configuration does not pass even without a single site."""


@dataclass(frozen=True)
class Applied:
    """What came of an `apply`: whether nginx reloaded, and which apps were left out and why.

    A quarantined app is served as before if its domains are the same, else not at all. Of one
    with a `closed` port all else is served.
    """

    reloaded: bool
    quarantined: tuple[tuple[str, str], ...] = ()
    closed: tuple[Closed, ...] = ()


class Proxy:
    """The nginx of the PaaS at `layout`."""

    def __init__(
        self,
        layout: Layout,
        listening: Callable[[], Listening],
        templates: Path | None = None,
    ) -> None:
        """`listening` is asked each time: another process may have changed the settings."""
        self._layout = layout
        self._run = layout.run / "proxy"
        self._logs = layout.logs / "proxy"
        self._listening = listening
        self._renderer = Renderer(templates or content("proxy"))
        self._generations = Generations(layout.proxy)
        self.pairs = Pairs(layout.proxy)
        self.challenges = Challenges(layout.proxy / "acme")
        self.traffic = TrafficLogs(self._logs / "traffic")
        self.logs = AppLogs(self._logs)
        self._nginx = Nginx(
            self._generations.main_file,
            prefix=layout.proxy,
            run_directory=self._run,
            logs=self._logs,
        )

    def apply(self, sites: Iterable[Site | Exposed]) -> Applied:
        """Serve these sites and no others. Raises `ProxyBroken` or `NginxFailed`."""
        wanted = list(sites)
        return self.sync(lambda: wanted)

    def sync(self, read: Callable[[], Iterable[Site | Exposed]]) -> Applied:
        """Serve what `read` returns; it is called under the lock.

        Of two callers at once, whoever reads later therefore also applies later.
        """
        with self._lock():
            return self._apply([site for site in read() if site.served])

    def refuses(self, site: Site) -> str | None:
        """Why a configuration with this site alone would not pass; None when it would."""
        with self._lock():
            server = self._server()
            return self._test_sites({site.app: self._renderer.files(site, server)}, server)

    def start(self) -> bool:
        """Start nginx unless it runs; says whether it was started. Raises `NginxFailed`."""
        with self._lock():
            if self._nginx.running():
                return False
            # Ports that the workers of a killed master have are free for us.
            self._nginx.end_orphans()
            # The sites that were last applied, around them what this start wants.
            server = self._server()
            sites, _ = self._openable(self._generations.current_sites(), server)
            tree = self._passing(sites, server)
            self._generations.install(tree)
            self._nginx.start(tree.generation)
            return True

    def refused(self, wanted: Opening) -> str | None:
        """Why nginx, which has not got it, cannot have a port of the server; None when it can."""
        return wanted.refused(self._listening().addresses)

    def open(self) -> set[Opening]:
        """The ports beside those of all apps that the current configuration opens."""
        return set(openings(self._generations.current_sites()))

    def stop(self) -> None:
        """Stop nginx: idle connections at once, requests under way a little later."""
        with self._lock():
            self._nginx.stop()

    def running(self) -> bool:
        """Whether our nginx runs and its workers answer."""
        return self._nginx.running() is not None and self._nginx.generation() is not None

    def outdated(self) -> bool:
        """Whether another nginx is installed than the one that runs, or has not taken over
        wholly."""
        return self._nginx.outdated() or self._nginx.half_upgraded()

    def upgrade(self) -> None:
        """Have the installed nginx take over from the running one. Raises `NginxFailed`."""
        with self._lock():
            self._nginx.upgrade()

    def reload(self) -> None:
        """Take up the current configuration again, such as renewed certificates."""
        with self._lock():
            self._nginx.reload(self._generations.current() or "")

    def presents(self, domain: str, fingerprint: str) -> bool:
        """Whether a client that asks for `domain` over TLS is shown this certificate."""
        place = self._listening()
        return presented(place.address or LOOPBACK, place.https_port, domain) == fingerprint

    def rotate_logs(self, apps: contextlib.AbstractContextManager[Collection[str]]) -> None:
        """Begin anew what has grown too long, forget what is of no app any more.

        `apps` is entered under the lock: of whatever is served by then it knows. None of them
        is renamed until it is left. nginx writes to files that are renamed or gone until it is
        told.
        """
        with self._lock():
            with apps as known:
                moved = self.logs.rotate(known)
            if moved:
                self._nginx.reopen_logs()

    def _lock(self) -> FileLock:
        self._prepare()
        return FileLock(self._layout.locks / "proxy.lock")

    def _apply(self, sites: Sequence[Site | Exposed]) -> Applied:
        server = self._server()
        texts, taken = self._texts(sites, server)
        closed: tuple[Closed, ...] = ()
        if self._nginx.running() is not None:
            # Else it is the start's to see what is free then.
            texts, closed = self._openable(texts, server)
        return replace(self._apply_texts(texts, server, taken), closed=closed)

    def _openable(
        self, sites: Sites, server: Server
    ) -> tuple[dict[str, Files], tuple[Closed, ...]]:
        """The sites without ports that another program has, and those."""
        held = set(openings(self._running_sites()))
        return without_refused(sites, held, lambda one: one.refused(server.addresses))

    def _running_sites(self) -> Sites:
        """Those of the nginx that runs, which has their ports open; none when none does."""
        if self._nginx.running() is None:
            return {}
        # A reload may have been missed: then it runs not what is current.
        return self._generations.sites(self._nginx.generation() or self._generations.current())

    def _apply_texts(
        self, texts: Sites, server: Server, taken: tuple[tuple[str, str], ...]
    ) -> Applied:
        tree = self._renderer.tree(texts, server)
        if self._is_live(tree):
            return Applied(reloaded=False, quarantined=taken)
        if self._pass_apart(texts, server):
            self._generations.stage(tree)
            with contextlib.suppress(NginxFailed):
                return Applied(self._install(tree), taken)
        reason = self._test(tree)
        if reason is None:
            return Applied(self._install(tree), taken)
        good, broken = split_broken(texts, lambda part: self._test_sites(part, server))
        kept = self._last_good({app: texts[app] for app in broken})
        tree = self._passing({**kept, **good}, server)
        quarantined = (*taken, *sorted(broken.items()))
        if self._is_live(tree):
            self._generations.discard(tree)
            return Applied(reloaded=False, quarantined=quarantined)
        return Applied(self._install(tree), quarantined)

    def _pass_apart(self, texts: Sites, server: Server) -> bool:
        """Whether what is new passes without the rest, which passed before.

        nginx reads a thousand certificates in a second: twice if all were tested for one new
        site. What fails only together is found by the reload, which then changes nothing.
        """
        before = self._generations.current_sites()
        changed = {app: files for app, files in texts.items() if before.get(app) != files}
        mounted = any(name.startswith("mounts/") for files in changed.values() for name in files)
        few = len(changed) <= len(texts) // 2
        return (
            few
            and not mounted
            and self._nginx.running() is not None
            and self._test_sites(changed, server) is None
        )

    def _texts(
        self, sites: Sequence[Site | Exposed], server: Server
    ) -> tuple[dict[str, Files], tuple[tuple[str, str], ...]]:
        """The files of each app, and the apps that claim what is another's."""
        owners: dict[str, str] = {}
        texts: dict[str, Files] = {}
        taken: list[tuple[str, str]] = []
        for site in sorted(self._looked_up(sites), key=lambda site: site.app):
            names = [*site.domains, *map(str, site.mounts)]
            clashes = [name for name in names if name in owners]
            if clashes:
                taken.append((site.app, f"{clashes[0]} belongs to {owners[clashes[0]]}"))
                continue
            owners.update(dict.fromkeys(names, site.app))
            texts[site.app] = self._renderer.files(site, server)
        return texts, tuple(taken)

    def _looked_up(self, sites: Sequence[Site | Exposed]) -> Sequence[Site | Exposed]:
        """The sites, their certificates in the table where they are many."""
        if sum(len(site.tls) for site in sites if isinstance(site, Site)) <= READ_AT_START:
            return sites
        return [self._tabulated(site) if isinstance(site, Site) else site for site in sites]

    def _tabulated(self, site: Site) -> Site:
        tls = (
            replace(each, at_start=each.stapled or not self.pairs.tabulate(each.chain.stem))
            for each in site.tls
        )
        return replace(site, tls=tuple(tls))

    def _last_good(self, broken: Sites) -> dict[str, Files]:
        """What is live now of apps whose new text is broken, where it may stay."""
        return {
            app: text
            for app, text in self._generations.current_sites().items()
            if app in broken and identity_of(text, app) == identity_of(broken[app], app)
        }

    def _passing(self, sites: Sites, server: Server) -> Tree:
        """A staged tree of as many of `sites` as pass. Raises `ProxyBroken`."""
        tree = self._renderer.tree(sites, server)
        reason = self._test(tree)
        if reason is None:
            return tree
        good, _ = split_broken(sites, lambda part: self._test_sites(part, server))
        tree = self._renderer.tree(good, server)
        reason = self._test(tree)
        if reason is None:
            return tree
        raise ProxyBroken(
            "nginx refuses even an empty configuration",
            [reason],
            "If it is an address that this machine does not have: paas up --http-address ADDRESS",
        )

    def _is_live(self, tree: Tree) -> bool:
        """Whether the tree is the current one and, if nginx runs, the one it runs."""
        if self._generations.current() != tree.generation:
            return False
        return self._nginx.running() is None or self._nginx.generation() == tree.generation

    def _test_sites(self, sites: Sites, server: Server) -> str | None:
        tree = self._renderer.tree(sites, server)
        reason = self._test(tree)
        self._generations.discard(tree)
        return reason

    def _test(self, tree: Tree) -> str | None:
        """Stage the tree and let nginx look at it."""
        reason = self._nginx.test(self._generations.stage(tree))
        if reason is not None:
            self._generations.discard(tree)
        return reason

    def _install(self, tree: Tree) -> bool:
        """Make a staged tree the live one; says whether nginx had to reload."""
        before = self._generations.current()
        self._generations.install(tree)
        running = self._nginx.running() is not None
        if running:
            try:
                self._nginx.reload(tree.generation)
            except NginxFailed:
                # So that an nginx that is started later starts with what last worked.
                if before is not None:
                    self._generations.point_to(before)
                raise
        self._generations.prune()
        return running

    def _server(self) -> Server:
        place = self._listening()
        return Server(
            listen=place.http,
            user=WORKER_USER,
            prefix=self._layout.proxy,
            run=self._run,
            logs=self._logs,
            listen_tls=place.https,
            https_port=place.https_port,
            http_port=place.http_port,
            addresses=place.addresses,
            trusted=place.trusted,
            proxy_protocol=place.proxy_protocol,
            unknown_page=place.unknown_page,
            http3=place.http3 and self._nginx.has_http3(),
            version=self._nginx.version(),
            resolvers=place.resolvers,
        )

    def _prepare(self) -> None:
        """Make the directories; workers pass through, others do not."""
        if not SAFE_PATH.fullmatch(str(self._layout.root)):
            raise ProxyBroken(
                f"nginx cannot be given the root {str(self._layout.root)!r}",
                resolution="Take a root of letters, digits, '.', '_', '-' and '/'.",
            )
        group = pwd.getpwnam(WORKER_USER).pw_gid
        for path, mode in (
            (self._layout.proxy, 0o710),
            (self._layout.proxy / "generations", 0o710),
            (self._layout.proxy / "tmp", 0o710),
            (self._logs, 0o710),
            *((self._logs / kind, 0o710) for kind in KINDS),
            (self._run, 0o700),
        ):
            if not path.is_dir():
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o711)
                path.mkdir(exist_ok=True)
                os.chown(path, 0, group)
                path.chmod(mode)
