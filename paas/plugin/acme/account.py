"""Our account with one authority: its key, how it is made, bound, used and given a new key.

There is nothing to tell an authority but this key, an e-mail address and names of domains.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from acme import client, errors, jws, messages
from josepy.json_util import JSONObjectWithFields
from josepy.json_util import field as json_field
from josepy.jwa import ES256
from josepy.jwk import JWK, JWKEC

from paas.host.files import FileLock, write_atomic
from paas.model.version import VERSION
from paas.plugin.acme.failure import AcmeFailed, Patience, asking
from paas.plugin.acme.network import Network
from paas.proxy.certificates import load_certificate, load_key, new_account_key

REQUEST_S = 20


@dataclass(frozen=True)
class Binding:
    """An account elsewhere that ours is bound to (RFC 8555, section 7.3.4)."""

    kid: str
    hmac_key: str
    """base64url, as the authority shows it."""

    def __repr__(self) -> str:
        return f"Binding({self.kid!r}, hmac_key=[REDACTED])"


class KeyChange(JSONObjectWithFields):
    """The payload by which a key follows another (RFC 8555, section 7.3.5)."""

    account: str = json_field("account")
    old_key: JWK = json_field("oldKey", encoder=JWK.to_partial_json)


@dataclass(frozen=True)
class Account:
    """One ACME directory and our account with it."""

    directory: str
    email: str
    trust: str
    """A PEM file of certificates to know the authority by; empty for the well-known ones."""
    folder: Path
    """Where account keys are kept, 0600, one for each directory."""
    binding: Binding | None = None
    patience: Patience = field(default_factory=Patience)

    @contextmanager
    def session(self) -> Iterator[client.ClientV2]:
        """A client that is signed in; an account is made when there is none yet.

        Raises `AcmeFailed`, for all that goes wrong in the block too.
        """
        with asking(self.directory, self.patience), self._with_one_key():
            yield self._signed_in(self._key())

    def renewal_time(self, pem: bytes) -> tuple[float | None, float]:
        """When the authority wants a certificate renewed, if it says so, and when to ask again.

        In seconds since the epoch, the first at random within the window that it suggests
        (RFC 9773, section 4.2). Raises `AcmeFailed`.
        """
        with asking(self.directory, self.patience):
            renew, ask = self._client(self._key()).renewal_time(pem)
            return (renew.timestamp() if renew else None), ask.timestamp()

    def revoke(self, pem: bytes, reason: int) -> None:
        """Have the authority tell the world that a certificate is none any more.

        `reason` is a code of RFC 5280, section 5.3.1. Raises `AcmeFailed`.
        """
        with self.session() as session:
            try:
                session.revoke(load_certificate(pem), reason)
            except messages.Error as error:
                # RFC 8555, section 7.6: it is what was wanted.
                if error.code != "alreadyRevoked":
                    raise

    def roll_over(self) -> None:
        """Give the account a new key and forget the old one. Raises `AcmeFailed`.

        The new key is kept before the authority hears of it: killed between the two, the
        next session finds out which of them counts. Waits for the sessions that are open:
        what they asked for under the old key, they could not finish.
        """
        with asking(self.directory, self.patience), self._alone():
            self._settle()
            session = self._signed_in(self._key())
            account: Any = session.net.account
            old: Any = session.net.key
            write_atomic(self._next, new_account_key(), 0o600)
            new = JWKEC(key=load_key(self._next.read_bytes()))
            url = session.directory["keyChange"]
            change = KeyChange(account=account.uri, old_key=old.public_key())
            payload = change.json_dumps().encode()
            # Without a nonce: only the outer one is the request (section 7.3.5).
            inner = jws.JWS.sign(payload, key=new, alg=ES256, nonce=None, url=url)
            session.net.post(url, inner, new_nonce_url=session.directory["newNonce"])
            self._next.replace(self._path)

    @contextmanager
    def _with_one_key(self) -> Iterator[None]:
        """The key of the account stays what it is, and is known, in the block."""
        while True:
            with FileLock(self._key_lock, shared=True):
                if not self._next.exists():
                    yield
                    return
            with self._alone():
                self._settle()

    def _alone(self) -> FileLock:
        """Held while the account's key changes, when no session is open."""
        return FileLock(self._key_lock)

    def _settle(self) -> None:
        """After a change of keys that was interrupted: keep the key that has the account."""
        if not self._next.exists():
            return
        session = self._client(self._next.read_bytes())
        try:
            session.new_account(messages.NewRegistration(only_return_existing=True))
        except errors.ConflictError:
            self._next.replace(self._path)
        except messages.Error as error:
            if error.code != "accountDoesNotExist":
                raise
            self._next.unlink()
        else:
            self._next.replace(self._path)

    def _signed_in(self, key: bytes) -> client.ClientV2:
        session = self._client(key)
        wanted = messages.NewRegistration.from_data(
            email=self.email,
            terms_of_service_agreed=True,
            external_account_binding=self._bound(session),
        )
        try:
            session.new_account(wanted)
        except errors.ConflictError as known:
            # RFC 8555, section 7.3.1: the key has an account, and this is its URL.
            session.net.account = messages.RegistrationResource(body=wanted, uri=known.location)
        return session

    def _bound(self, session: client.ClientV2) -> dict[str, Any] | None:
        if self.binding is None:
            if session.external_account_required():
                raise AcmeFailed(
                    "The authority wants an account of its own kind to be named",
                    resolution="It hands out two values: letsencrypt:set --global eab-kid KID,"
                    " then letsencrypt:set --global eab-key -",
                )
            return None
        key: Any = session.net.key
        return messages.ExternalAccountBinding.from_data(
            account_public_key=key.public_key(),
            kid=self.binding.kid,
            hmac_key=self.binding.hmac_key,
            directory=session.directory,
        )

    def _client(self, key: bytes) -> client.ClientV2:
        # requests takes the name of a file as well (`verify` in its documentation).
        verify: Any = self.trust or True
        network = Network(
            key=JWKEC(key=load_key(key)),
            alg=ES256,
            verify_ssl=verify,
            user_agent=f"paas/{VERSION}",
            timeout=REQUEST_S,
            patience=self.patience,
        )
        return client.ClientV2(client.ClientV2.get_directory(self.directory, network), network)

    @property
    def _path(self) -> Path:
        name = hashlib.sha256(self.directory.encode()).hexdigest()[:16]
        return self.folder / f"{name}.key"

    @property
    def _next(self) -> Path:
        return self._path.with_suffix(".next")

    @property
    def _key_lock(self) -> Path:
        return self._path.with_suffix(".lock")

    def _key(self) -> bytes:
        """The key of the account; made when first asked for."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with FileLock(self.folder / "lock"):
            if not self._path.exists():
                write_atomic(self._path, new_account_key(), 0o600)
        return self._path.read_bytes()
