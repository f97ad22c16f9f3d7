"""Certificates from an ACME authority (RFC 8555). The door to `acme` and `josepy`.

Control of each name is shown by HTTP-01: nginx answers from a directory. There is nothing
to tell the authority but the account key and the names; the certificate's key is new each
time and never leaves this server.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from acme import challenges, client, errors, messages
from josepy.errors import Error as JoseError
from josepy.jwa import ES256
from josepy.jwk import JWKEC

from paas.errors import PaasError
from paas.host.files import FileLock, write_atomic
from paas.model.certificate import Source
from paas.model.report import Report
from paas.model.version import VERSION
from paas.proxy.certificates import (
    InvalidCertificate,
    Pair,
    load_key,
    new_account_key,
    read_pair,
    signing_request,
)

REQUEST_S = 20
ORDER_S = 90.0
"""How long an authority may take to look at all names and to sign."""

NONCE_TRIES = 6
"""RFC 8555, section 6.5: a client retries with the nonce that came with the refusal."""

GARBAGE = (
    errors.Error,
    JoseError,
    InvalidCertificate,
    ValueError,
    # The library takes the shape of an answer for granted.
    LookupError,
    AttributeError,
    TypeError,
)
"""What it raises when an answer is none."""

Answered = Callable[[Mapping[str, str]], AbstractContextManager[None]]
"""Answers these challenge tokens while its block runs."""


class AcmeFailed(PaasError):
    """The authority gave no certificate. What the app had before is untouched."""


@dataclass(frozen=True)
class Authority:
    """One ACME directory and our account with it."""

    directory: str
    email: str
    trust: str
    """A PEM file of certificates to know the authority by; empty for the well-known ones."""
    accounts: Path
    """Where account keys are kept, 0600, one for each directory."""
    answered: Answered

    def issue(self, names: Sequence[str], now: float, report: Report) -> Pair:
        """A new certificate for all of `names`. Raises `AcmeFailed`."""
        report.step(f"Asking {self.directory}")
        try:
            return self._issue(names, now, report)
        except errors.ValidationError as error:
            raise AcmeFailed(
                "The authority did not find this server behind every domain",
                _refusals(error.failed_authzrs),
                "Point the domains at this server, with port 80 open, and try again.",
            ) from error
        except errors.TimeoutError as error:
            raise AcmeFailed(f"The authority was not done after {ORDER_S:g} s") from error
        except messages.Error as error:
            raise AcmeFailed(
                f"The authority refused: {error.detail or error.typ}",
                [
                    f"{each.identifier.value if each.identifier else 'order'}: {each.detail}"
                    for each in error.subproblems or ()
                ],
            ) from error
        except GARBAGE as error:
            raise AcmeFailed(
                f"{self.directory} does not answer as an ACME authority does", [_line(error)]
            ) from error
        except OSError as error:  # requests' own errors are of this kind
            raise AcmeFailed(
                f"{self.directory} cannot be reached",
                [_line(error)],
                "It is tried again later; see also: letsencrypt:set --server URL",
            ) from error

    def _issue(self, names: Sequence[str], now: float, report: Report) -> Pair:
        session = self._session()
        key, request = signing_request(names)
        order = session.new_order(request)
        thumb = session.net.key
        # Without a zone: acme compares it with its own now().
        deadline = datetime.now() + timedelta(seconds=ORDER_S)
        asked = [_http_01(each) for each in order.authorizations if _is_pending(each)]
        answers = {each.chall.encode("token"): each.chall.validation(thumb) for each in asked}
        with self.answered(answers):
            for each in asked:
                session.answer_challenge(each, each.chall.response(thumb))
            report.detail(f"It looks at {', '.join(names)}")
            order = session.poll_authorizations(order, deadline)
        signed = session.finalize_order(order, deadline)
        return read_pair(signed.fullchain_pem.encode() + key, now, Source.LETSENCRYPT)

    def _session(self) -> client.ClientV2:
        """A client that is signed in; an account is made when there is none yet."""
        # requests takes the name of a file as well (`verify` in its documentation).
        verify: Any = self.trust or True
        network = Network(
            key=JWKEC(key=load_key(self._account_key())),
            alg=ES256,
            verify_ssl=verify,
            user_agent=f"paas/{VERSION}",
            timeout=REQUEST_S,
        )
        session = client.ClientV2(client.ClientV2.get_directory(self.directory, network), network)
        wanted = messages.NewRegistration.from_data(email=self.email, terms_of_service_agreed=True)
        try:
            session.new_account(wanted)
        except errors.ConflictError as known:
            # RFC 8555, section 7.3.1: the key has an account, and this is its URL.
            network.account = messages.RegistrationResource(body=wanted, uri=known.location)
        return session

    def _account_key(self) -> bytes:
        """The key of our account with this directory; made when first asked for."""
        self.accounts.mkdir(parents=True, exist_ok=True, mode=0o700)
        name = hashlib.sha256(self.directory.encode()).hexdigest()[:16]
        path = self.accounts / f"{name}.key"
        with FileLock(self.accounts / "lock"):
            if not path.exists():
                write_atomic(path, new_account_key(), 0o600)
        return path.read_bytes()


class Network(client.ClientNetwork):
    """acme's own tries a refused nonce once more; two in a row are no rarity."""

    def post(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 (acme's own signature)
        """POST, with another nonce as often as it takes, within reason."""
        for _ in range(NONCE_TRIES // 2 - 1):
            try:
                return super().post(*args, **kwargs)
            except messages.Error as error:
                if error.code != "badNonce":
                    raise
        return super().post(*args, **kwargs)


def _is_pending(authorization: messages.AuthorizationResource) -> bool:
    # RFC 8555, section 7.1.3: it may be valid already, from an earlier order.
    pending: bool = authorization.body.status == messages.STATUS_PENDING
    return pending


def _http_01(authorization: messages.AuthorizationResource) -> messages.ChallengeBody:
    for each in authorization.body.challenges:
        if isinstance(each.chall, challenges.HTTP01):
            return each
    name = authorization.body.identifier.value
    raise AcmeFailed(f"The authority offers no HTTP-01 challenge for {name}")


def _refusals(authorizations: Iterable[messages.AuthorizationResource]) -> list[str]:
    """Which domain was refused, and why."""
    return [
        f"{each.body.identifier.value}: {challenge.error.detail}"
        for each in authorizations
        for challenge in each.body.challenges
        if challenge.error is not None
    ]


def _line(error: BaseException) -> str:
    """An error of a library on one line, without the objects in it."""
    return " ".join(str(error).split())[:300]
