"""The authority that the settings name: our account with it, and how control is shown."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from paas.errors import PaasError
from paas.host.files import write_atomic
from paas.model.app import App
from paas.model.layout import Layout
from paas.model.letsencrypt import (
    CHALLENGE,
    DNS_01,
    DNS_HOOK,
    DNS_KEY,
    DNS_SERVER,
    EAB_KID,
    EMAIL,
    SERVER,
    TRUST,
)
from paas.plugin.acme.account import Account, Binding
from paas.plugin.acme.dns01 import Dns01, Zone
from paas.plugin.acme.dnshook import DnsHook
from paas.plugin.acme.http01 import Http01
from paas.plugin.acme.order import Control
from paas.plugin.acme.propagation import Propagation
from paas.plugin.acme.rfc2136 import DynamicZone, Tsig
from paas.proxy.proxy import Proxy
from paas.store.store import Store


class NotReady(PaasError):
    """Something is missing before an authority can be asked."""


@dataclass(frozen=True)
class Authorities:
    """Puts together what `paas.plugin.acme` needs to be told."""

    layout: Layout
    store: Store
    proxy: Proxy

    @property
    def wanted(self) -> bool:
        """Whether somebody gave the address that every authority asks for."""
        return bool(self.store.settings.value(EMAIL))

    def account(self) -> Account:
        """Our account. Raises `NotReady`."""
        settings = self.store.settings
        email = settings.value(EMAIL)
        if not email:
            raise NotReady(
                "The authority wants an e-mail address, and none is set",
                resolution="Set it once for all: letsencrypt:set --global email you@example.com",
            )
        return Account(
            directory=settings.value(SERVER),
            email=email,
            trust=settings.value(TRUST),
            folder=self._folder,
            binding=self._binding(),
        )

    def by_dns(self, app: App) -> bool:
        """Whether an app's domains are shown to be ours by DNS, wildcards too."""
        return self.store.settings.value(CHALLENGE, app.id) == DNS_01

    def control(self, app: App) -> Control:
        """How control of an app's domains is shown. Raises `NotReady` or `DnsFailed`."""
        return Dns01(self._zone(app)) if self.by_dns(app) else Http01(self.proxy.challenges)

    def keep_binding_key(self, hmac_key: str | None) -> None:
        """Keep the secret of an external account, or forget it."""
        if hmac_key is None:
            self._binding_file.unlink(missing_ok=True)
            return
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomic(self._binding_file, hmac_key, 0o600)

    def _zone(self, app: App) -> Zone:
        settings = self.store.settings
        hook, server = settings.value(DNS_HOOK, app.id), settings.value(DNS_SERVER, app.id)
        if hook:
            return DnsHook(hook, Propagation())
        if not server:
            raise NotReady(
                "dns-01 wants to know how the DNS is changed",
                resolution="letsencrypt:set takes dns-server with dns-key (RFC 2136), or dns-hook",
            )
        key = settings.value(DNS_KEY, app.id)
        return DynamicZone(server, Tsig.read(Path(key)) if key else None, Propagation())

    def _binding(self) -> Binding | None:
        kid = self.store.settings.value(EAB_KID)
        if not kid:
            return None
        try:
            return Binding(kid, self._binding_file.read_text("ascii").strip())
        except FileNotFoundError:
            raise NotReady(
                "The external account has a key identifier and no key",
                resolution="letsencrypt:set --global eab-key -, with the key on standard input",
            ) from None

    @property
    def _folder(self) -> Path:
        return self.layout.proxy / "accounts"

    @property
    def _binding_file(self) -> Path:
        return self._folder / "external.key"
