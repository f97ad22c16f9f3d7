"""Which server blocks a site needs: pure, and decided before any text is written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from paas.model.route import Redirect, Route
from paas.proxy.site import Site, Tls

NO_PORTS = {"http": "", "https": ""}


class Action(StrEnum):
    """What a server block does with a request."""

    SERVE = "serve"
    NOTHING = "nothing"
    """404, but for what is mounted below."""
    TO_HTTPS = "to-https"
    MOVED = "moved"


@dataclass(frozen=True)
class Block:
    """One `server`. `shared` is the host whose mounts belong in it, if it has any."""

    action: Action
    domains: tuple[str, ...]
    tls: Tls | None = None
    shared: str = ""
    moved: Redirect | None = None
    paths: tuple[Redirect, ...] = ()


def blocks(site: Site, ports: Mapping[str, str] = NO_PORTS) -> list[Block]:
    """The blocks for plain HTTP, then one group for each certificate.

    `ports` is what a URL says behind the host, by scheme.
    """
    found = list(_serving(site, site.plain_domains, None, ports))
    if site.redirected_domains:
        found.append(Block(Action.TO_HTTPS, site.redirected_domains))
    for tls in secured(site):
        found += _serving(site, tls.domains, tls, ports)
    return found


def secured(site: Site) -> list[Tls]:
    """Each certificate that is read at the start, and one group of all others' domains."""
    found = [each for each in site.tls if each.at_start]
    others = [each for each in site.tls if not each.at_start]
    if others:
        domains = tuple(name for each in others for name in each.domains)
        found.append(replace(others[0], domains=domains))
    return found


def mount_folder(host: str) -> str:
    """Where the mounts of a host are in a tree; `*` would be a pattern there."""
    return "mounts/" + host.replace("*", "+")


def _serving(
    site: Site, domains: Sequence[str], tls: Tls | None, ports: Mapping[str, str]
) -> Iterator[Block]:
    together: list[str] = []
    for domain in domains:
        moved = _moved(site, domain, tls, ports)
        paths = tuple(
            each for each in site.redirects if each.source.host == domain and each.source.path
        )
        if moved is not None:
            yield Block(Action.MOVED, (domain,), tls, moved=moved)
        elif domain in site.bare or domain in site.shared or paths:
            action = Action.NOTHING if domain in site.bare else Action.SERVE
            shared = domain if domain in site.shared else ""
            yield Block(action, (domain,), tls, shared=shared, paths=paths)
        else:
            together.append(domain)
    if together:
        yield Block(Action.SERVE, tuple(together), tls)


def _moved(site: Site, domain: str, tls: Tls | None, ports: Mapping[str, str]) -> Redirect | None:
    """Where the whole host redirects to, by its own rule or since it is not the canonical one."""
    for each in site.redirects:
        if each.source == Route(domain):
            return each
    other = _canonical(site, domain)
    if other is None:
        return None
    secure = tls is not None or other in site.redirected_domains
    scheme = "https" if secure else "http"
    return Redirect(Route(domain), f"{scheme}://{other}{ports[scheme]}", 301)


def _canonical(site: Site, domain: str) -> str | None:
    if site.options.canonical == "www" and not domain.startswith(("www.", "*.")):
        other = f"www.{domain}"
    elif site.options.canonical == "apex" and domain.startswith("www."):
        other = domain.removeprefix("www.")
    else:
        return None
    return other if other in site.domains else None
