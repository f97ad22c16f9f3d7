"""Which registries are asked, how: mirrors, plain HTTP, credentials.

`<root>/engine/registries.json` is written by the settings; skopeo reads what is made of it
(containers-registries.conf(5)), never the host's own files: what this server pulls does
not change with what else is installed on it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
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
    addresses (`host:port`) that are spoken to without TLS, which is never guessed.
    """

    mirrors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    plain_http: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for address in (*self.mirrors, *sum(self.mirrors.values(), ()), *self.plain_http):
            if not _ADDRESS.fullmatch(address):
                raise InvalidRegistry(
                    f"{address!r} is not the address of a registry",
                    resolution="Write it as host or host:port, for example registry.lan:5000.",
                )

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
        }


def load(path: Path) -> RegistrySettings:
    """Read the settings; no file is no settings. Raises `InvalidRegistry`."""
    try:
        document = json.loads(path.read_text("utf-8"))
        return RegistrySettings(
            {name: tuple(mirrors) for name, mirrors in document.get("mirrors", {}).items()},
            tuple(document.get("plain_http", ())),
        )
    except FileNotFoundError:
        return RegistrySettings()
    except (AttributeError, TypeError, ValueError) as error:
        raise InvalidRegistry(
            f"{path} is malformed: {error}", resolution="Mend it, or remove it."
        ) from error


def save(path: Path, settings: RegistrySettings) -> None:
    """Write the settings where `load` reads them."""
    files.write_atomic(path, json.dumps(settings.to_json(), indent=2) + "\n")
