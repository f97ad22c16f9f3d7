"""Which registries are asked, and how: mirrors, plain HTTP, private authorities.

`<root>/engine/registries.json` is written by the settings; skopeo reads what is made of it
(containers-registries.conf(5)), never the host's own files: what this server pulls does
not change with what else is installed on it.
"""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paas.errors import PaasError
from paas.host import files

_ADDRESS = re.compile(r"[A-Za-z0-9\[][A-Za-z0-9.:\]_-]*(?:/[a-z0-9._-]+)*")


class InvalidRegistry(PaasError):
    """A setting about registries is malformed."""


@dataclass(frozen=True)
class RegistrySettings:
    """How registries are reached.

    `mirrors` are asked before the registry they stand for, in order; `plain_http` are
    addresses (`host:port`) that are spoken to without TLS, which is never guessed;
    `authorities` are certificates (PEM) that a registry's may be signed by, besides those
    that the server knows.
    """

    mirrors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    plain_http: tuple[str, ...] = ()
    authorities: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        mirrors = sum(self.mirrors.values(), ())
        for address in (*self.mirrors, *mirrors, *self.plain_http, *self.authorities):
            if not _ADDRESS.fullmatch(address):
                raise InvalidRegistry(
                    f"{address!r} is not the address of a registry",
                    resolution="Write it as host or host:port, for example registry.lan:5000.",
                )

    def hosts_for(self, registry: str) -> tuple[str, ...]:
        """Whom a transfer from or to `registry` may speak to: `host:port` each."""
        return (*(mirror.partition("/")[0] for mirror in self.mirrors.get(registry, ())), registry)

    def authorities_for(self, registry: str) -> str:
        """The certificates that count in such a transfer, one after another."""
        hosts = self.hosts_for(registry)
        return "\n".join(pem for host, pem in self.authorities.items() if host in hosts)

    def registries_conf(self) -> str:
        """The same as a registries.conf of version 2."""
        stanzas = ["unqualified-search-registries = []"]
        for registry, mirrors in self.mirrors.items():
            stanzas.append(self._stanza("registry", registry))
            stanzas += [self._stanza("registry.mirror", mirror) for mirror in mirrors]
        for address in self.plain_http:
            if address not in self.mirrors:
                stanzas.append(self._stanza("registry", address))
        return "\n\n".join(stanzas) + "\n"

    def _stanza(self, table: str, address: str) -> str:
        insecure = str(address.partition("/")[0] in self.plain_http).lower()
        # JSON's strings are TOML's; the addresses were checked besides.
        return f"[[{table}]]\nlocation = {json.dumps(address)}\ninsecure = {insecure}"

    def to_json(self) -> dict[str, Any]:
        return {
            "mirrors": {registry: list(mirrors) for registry, mirrors in self.mirrors.items()},
            "plain_http": list(self.plain_http),
            "authorities": dict(self.authorities),
        }


def load(path: Path) -> RegistrySettings:
    """Read the settings; no file is no settings. Raises `InvalidRegistry`."""
    try:
        document = json.loads(path.read_text("utf-8"))
        return RegistrySettings(
            {name: tuple(mirrors) for name, mirrors in document.get("mirrors", {}).items()},
            tuple(document.get("plain_http", ())),
            dict(document.get("authorities", {})),
        )
    except FileNotFoundError:
        return RegistrySettings()
    except (AttributeError, TypeError, ValueError) as error:
        raise InvalidRegistry(
            f"{path} is malformed: {error}", resolution="Mend it, or remove it."
        ) from error


def checked_authority(pem: str) -> str:
    """The certificates of a PEM text. Raises `InvalidRegistry` where there are none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with suppress(ssl.SSLError, ValueError):
        context.load_verify_locations(cadata=pem)
    if not context.cert_store_stats()["x509"]:
        raise InvalidRegistry(
            "That is no certificate in PEM",
            resolution="Give the authority's own certificate, -----BEGIN CERTIFICATE----- and all.",
        )
    return pem


def save(path: Path, settings: RegistrySettings) -> None:
    """Write the settings where `load` reads them."""
    files.write_atomic(path, json.dumps(settings.to_json(), indent=2) + "\n")
