"""500 apps with 1,000 domains and certificates: what one more costs, and what nginx takes.

First one nginx alone with our configuration and sites that nobody asks for, then a whole
server, whose apps were not deployed yet. The processor time of `nginx`
is counted beside the time that passes, since the latter depends on who else is at work.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Sequence
from pathlib import Path

from paas.model.layout import Layout
from paas.proxy.certificates import self_signed
from paas.proxy.listening import Listening
from paas.proxy.pairs import Pairs
from paas.proxy.proxy import Proxy
from paas.proxy.site import Site, SiteOptions, Tls
from paas.store.store import Store
from tests.bench.figures import Row, row, seconds
from tests.engine.proxied import PORT, TLS_PORT, own_network, own_root, site
from tests.push.server import Server

TITLE = "500 apps, 1,000 domains and certificates"
APPS = 500
TIMES = 3


def measure(server: Server) -> Sequence[Row]:
    """Apply all, then add one, again and again; then the same by commands."""
    return [*_by_itself(), *_by_commands(server)]


def _by_itself() -> Sequence[Row]:
    with own_network(), own_root() as layout:
        proxy = Proxy(layout, lambda: Listening(http_port=PORT, https_port=TLS_PORT))
        proxy.start()
        try:
            return _measure(layout, proxy)
        finally:
            proxy.stop()


def _measure(layout: Layout, proxy: Proxy) -> list[Row]:
    sites = [_site(proxy, number) for number in range(APPS)]
    proxy.apply(sites)
    passed, worked = [], []
    for _ in range(TIMES):
        sites.append(_site(proxy, len(sites)))
        before = _worked(layout)
        passed.append(seconds(lambda: proxy.apply(sites)))
        worked.append(_worked(layout) - before)
    reloads = [seconds(proxy.reload) for _ in range(TIMES)]
    memory = [_memory_mib(pid) for pid in _pids(layout)]
    return [
        row("one more app, served", passed, target=1.0),
        row("of it nginx's and our processor time", worked),
        row("a plain reload of the same", reloads),
        row("memory of all nginx processes", [sum(memory)], unit="MiB"),
    ]


def _by_commands(server: Server) -> list[Row]:
    store, pairs = Store(server.layout), Pairs(server.layout.proxy)
    with store.transaction():
        apps = [store.apps.create(f"many{number}") for number in range(APPS)]
        for app in apps:
            for name in (f"{app.name}.a.test", f"{app.name}.b.test"):
                pair = self_signed([name], time.time())
                pairs.keep(pair)
                store.domains.add(app.id, name)
                store.certificates.add(app.id, pair.certificate)
    server.paas("domains:add", "many0", "first.test").ok()

    def timed(*words: str) -> float:
        return seconds(lambda: server.paas(*words).ok())

    added = [timed("domains:add", "many1", f"more{number}.test") for number in range(TIMES)]
    secured = [timed("certs:generate", f"many{number}") for number in range(TIMES)]
    with store.transaction():
        for app in apps:
            store.apps.destroy(app)
    store.close()
    return [
        row("domains:add, as a command", added, target=1.0),
        row("certs:generate, which replaces one", secured, target=1.0),
    ]


def _site(proxy: Proxy, number: int) -> Site:
    names = (f"a{number}.test", f"b{number}.test")
    pairs = [self_signed([name], time.time()) for name in names]
    for pair in pairs:
        proxy.pairs.keep(pair)
    marks = [pair.certificate.fingerprint for pair in pairs]
    return site(
        f"app{number}",
        domains=names,
        options=SiteOptions(hsts_s=86400),
        tls=tuple(
            Tls((name,), proxy.pairs.chain_file(mark), proxy.pairs.key_file(mark))
            for name, mark in zip(names, marks, strict=True)
        ),
    )


def _pids(layout: Layout) -> list[int]:
    master = int((layout.run / "proxy/nginx.pid").read_text())
    children = Path(f"/proc/{master}/task/{master}/children").read_text().split()
    return [master, *map(int, children)]


def _worked(layout: Layout) -> float:
    """Seconds of processor time: ours, of what we ran, and of the master (proc(5), stat)."""
    usages = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    ours = sum(sum(resource.getrusage(who)[:2]) for who in usages)
    master = _pids(layout)[0]
    fields = Path(f"/proc/{master}/stat").read_text().rpartition(")")[2].split()
    return ours + (int(fields[11]) + int(fields[12])) / 100


def _memory_mib(pid: int) -> float:
    """What is its own, and its share of what it shares (PSS)."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    line = next(line for line in text.splitlines() if line.startswith("Pss:"))
    return int(line.split()[1]) / 1024
