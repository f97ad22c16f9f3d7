"""A database under load, from an app that is linked to it and from a chroot of the host."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence

from paas.engine.engine import Engine
from paas.engine.images import Image
from paas.store.store import Store
from tests.bench.figures import Row, row
from tests.push import apps
from tests.push.server import Server

APP = "load"
ROUNDS = 5
SHARE = 0.95
SECONDS = 10
CLIENTS = 8


def client(server: Server) -> Image:
    """The image of the app `load`, which has pgbench and sysbench."""
    with contextlib.closing(Store(server.layout)) as store:
        if APP not in {app.name for app in store.apps.list()}:
            base = apps.fixture("plain")["Dockerfile"]
            packages = (
                "RUN apt-get -qq update && apt-get -qq install -y --no-install-recommends"
                " postgresql-17 sysbench mariadb-client > /dev/null\n"
                "ENV PATH=/usr/lib/postgresql/17/bin:$PATH\n"
            )
            first, _, rest = base.partition("\n")
            server.push(APP, apps.plain(Dockerfile=f"{first}\n{packages}{rest}")).ok()
        app = store.apps.get(APP)
        assert app.live is not None
        return Engine(server.layout).images.get(store.releases.get(app.id, app.live).image)


def linked(server: Server, script: str) -> str:
    """What a shell script says in a one-off of the app."""
    return server.paas("run", "--no-tty", APP, "bash", "-c", script, timeout=600).ok().out


def in_service(server: Server, plugin: str, script: str) -> str:
    """What a shell script says in the own container of the plugin's service `warm`."""
    enter = (f"{plugin}:enter", "warm", "--", "bash", "-c", script)
    return server.paas(*enter, timeout=600).ok().out


def compared(
    what: str,
    ours: Callable[[], str],
    theirs: Callable[[], str],
    rate: str,
    docker: Callable[[], str] | None = None,
    alike: Callable[[], str] | None = None,
) -> Iterator[Row]:
    """All by turns, each a number that `rate` finds in what was said, and their ratios.

    Asked as on the host, by a client beside the server (`alike`), the difference is the engine's;
    from a linked app it is the network's too, and the host's way has none.
    """
    inside, outside, rival, same = [], [], [], []
    for _ in range(ROUNDS):
        outside.append(_number(rate, theirs()))
        inside.append(_number(rate, ours()))
        if alike is not None:
            same.append(_number(rate, alike()))
        if docker is not None:
            rival.append(_number(rate, docker()))
    yield row(f"{what}, the same binary in a chroot of the host", outside, unit="tps")
    if alike is not None:
        yield row(f"{what}, in our engine, asked from beside it as there", same, unit="tps")
        yield share(f"{what}, in our engine, share of the host's", _shares(same, outside))
    yield row(f"{what}, from a linked app", inside, unit="tps")
    yield share(f"{what}, share of it", _shares(inside, outside))
    if docker is not None:
        yield row(f"{what}, in docker's containers and network", rival, unit="tps")
        lost = [1 - one for one in _shares(rival, outside)]
        yield row(f"{what}, share of docker's: lost", lost, unit="of 1")


def _shares(some: Sequence[float], whole: Sequence[float]) -> list[float]:
    return [mine / other for mine, other in zip(some, whole, strict=True)]


def share(name: str, shares: Sequence[float]) -> Row:
    """A ratio that should be at least `SHARE`; written as what is lost, so that less is met."""
    return row(f"{name}: lost", [1 - one for one in shares], unit="of 1", target=1 - SHARE)


def _number(pattern: str, text: str) -> float:
    found = re.search(pattern, text, re.MULTILINE)
    assert found, text
    return float(found[1])
