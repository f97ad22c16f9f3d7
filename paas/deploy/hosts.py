"""Which app has which host: pure, from what is routed where."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from paas.model.route import Redirect, Route


@dataclass(frozen=True)
class Hosts:
    """All names of a server. A host is *carried* by one app: its certificates and its server
    block are that app's, also where others are mounted below a path.
    """

    routes: Mapping[Route, int]
    """What serves, and the id of its app; in the order of each app's names."""
    redirects: Mapping[int, Sequence[Redirect]] = field(default_factory=dict)

    @cached_property
    def _carriers(self) -> Mapping[str, int]:
        found: dict[str, int] = {}
        for app_id, redirects in self.redirects.items():
            found.update({each.source.host: app_id for each in redirects if not each.source.path})
        found.update({route.host: app for route, app in self.routes.items() if not route.path})
        # Nobody has the whole host: whoever is mounted there and is oldest.
        for route, app_id in sorted(self.routes.items(), key=lambda item: item[1]):
            found.setdefault(route.host, app_id)
        return found

    @cached_property
    def _carried(self) -> Mapping[int, Sequence[str]]:
        found: dict[int, list[str]] = {}
        names = [route.host for route in self.routes]
        names += [each.source.host for them in self.redirects.values() for each in them]
        for host in dict.fromkeys(names):
            if host in self._carriers:
                found.setdefault(self._carriers[host], []).append(host)
        return found

    @cached_property
    def _by_app(self) -> Mapping[int, Sequence[Route]]:
        found: dict[int, list[Route]] = {}
        for route, app_id in self.routes.items():
            found.setdefault(app_id, []).append(route)
        return found

    @cached_property
    def _shared(self) -> frozenset[str]:
        return frozenset(route.host for route in self.routes if route.path)

    def carrier(self, host: str) -> int | None:
        """The app that carries a host."""
        return self._carriers.get(host)

    def losers(self, app_id: int, route: Route) -> Sequence[int]:
        """The other apps whose visitors, or some of them, the route would lead to an app.

        They are of whoever carries its host, by a wildcard if by nothing else, and of mounts:
        those above it, or all that whoever has the whole host may put its own answers before.
        """
        host, path = route.host, route.path
        carrier = self.carrier(host)
        if carrier is None:
            covering = (self.carrier(each) for each in _covering(host))
            found = [next((each for each in covering if each is not None), app_id)]
        elif path:
            above = [each for each in self.routes if each.host == host and _holds(each.path, path)]
            found = [carrier, *(self.routes[each] for each in above)]
        elif carrier == app_id:
            found = []
        else:
            mounted = [app for each, app in self.routes.items() if each.host == host]
            found = [carrier, *mounted]
        return [each for each in dict.fromkeys(found) if each != app_id]

    def carried(self, app_id: int) -> Sequence[str]:
        """The hosts that an app carries."""
        return self._carried.get(app_id, ())

    def served(self, app_id: int) -> Sequence[Route]:
        """What an app serves."""
        return self._by_app.get(app_id, ())

    def mounts(self, app_id: int) -> Sequence[Route]:
        """What an app serves below a path."""
        return [route for route in self.served(app_id) if route.path]

    def shared(self, app_id: int) -> Sequence[str]:
        """The hosts an app carries below which somebody is mounted."""
        return [host for host in self.carried(app_id) if host in self._shared]

    def bare(self, app_id: int) -> Sequence[str]:
        """The hosts an app carries for their mounts alone."""
        whole = {route.host for route in self.served(app_id) if not route.path}
        redirects = self.redirects.get(app_id, ())
        moved = {each.source.host for each in redirects if not each.source.path}
        return [host for host in self.carried(app_id) if host not in whole | moved]


def _covering(host: str) -> Iterator[str]:
    """The wildcards that a host is one of, that which nginx takes first."""
    labels = host.removeprefix("*.").split(".")
    yield from ("*." + ".".join(labels[count:]) for count in range(1, len(labels)))


def _holds(mount: str, path: str) -> bool:
    return bool(mount) and path.startswith(f"{mount}/")


def implied(app: str, domains: Iterable[str]) -> list[Route]:
    """The names that an app has by itself: `<app>.<domain>` for each domain of the server."""
    return [Route(f"{app}.{domain}") for domain in domains]
