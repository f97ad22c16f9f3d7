"""What a service's texts say: its URL, its environment, its credentials."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from paas.model.env import Secret, revealed
from paas.model.limits import MIB
from paas.model.service import Link, Service
from paas.plugin.manifest import ServiceManifest, rendered

DOMAIN = "internal"


def new_password() -> str:
    """32 hex digits: it means itself in every configuration file, URL and shell."""
    return secrets.token_hex(16)


def first_credentials(
    manifest: ServiceManifest, name: str, password: str | None = None
) -> dict[str, Secret]:
    """Those of a service that is about to be made."""
    # As in Dokku: a dash would have to be quoted in SQL.
    values = {"name": name.replace("-", "_")}
    made = {key: rendered(text, values) for key, text in manifest.credentials.items()}
    made["password"] = password or new_password()
    return {key: Secret(value) for key, value in made.items()}


def rotated(manifest: ServiceManifest, service: Service) -> dict[str, Secret]:
    """Credentials that can be used beside the present ones for a while."""
    made = {**service.credentials, "password": Secret(new_password())}
    if manifest.new_user:
        first = manifest.credentials["user"]
        made["user"] = Secret(f"{first}_{secrets.token_hex(4)}")
    return made


def environment(
    manifest: ServiceManifest, service: Service, credentials: Mapping[str, Secret] | None = None
) -> dict[str, str | Secret]:
    """The variables of its container, and of commands in it."""
    values = _values(manifest, service, credentials or service.credentials)
    own = {key: Secret(rendered(text, values)) for key, text in manifest.environment.items()}
    return {**own, **service.environment}


def command(manifest: ServiceManifest, service: Service) -> tuple[str, ...]:
    """The words behind the image's entry point, as far as the manifest says them."""
    values = _values(manifest, service, service.credentials)
    words = (service.reference and manifest.image.command) or manifest.command
    return tuple(rendered(word, values) for word in words)


def url_of(
    manifest: ServiceManifest,
    service: Service,
    link: Link | None = None,
    *,
    scheme: str = "",
    host: str = "",
    port: int = 0,
) -> str:
    """What a linked app is given. User, password and database are percent-encoded
    (RFC 3986, section 2.1), so that a password may hold anything.
    """
    values = _values(manifest, service, service.credentials)
    for key in service.credentials:
        values[key] = quote(str(values[key]), safe="")
    values["scheme"] = (link.scheme if link else "") or scheme or manifest.link.scheme
    if link is not None and link.database:
        values["database"] = quote(link.database, safe="")
    values |= {"host": host or values["host"], "port": port or values["port"]}
    url = rendered(manifest.link.url, values)
    return f"{url}?{link.query}" if link is not None and link.query else url


def urls_of(manifest: ServiceManifest, service: Service, link: Link) -> set[str]:
    """What an app may have been given by a link: of now, and of credentials that are outdated."""
    known = (service.credentials, *service.outdated)
    return {url_of(manifest, replace(service, credentials=one), link) for one in known}


def _values(
    manifest: ServiceManifest, service: Service, credentials: Mapping[str, Secret]
) -> dict[str, Any]:
    return {
        **revealed(credentials),
        "name": service.name,
        "host": f"{service.hostname}.{DOMAIN}",
        "port": manifest.port,
        "scheme": manifest.link.scheme,
        "memory_mb": service.memory // MIB,
        "version": service.version,
    }
