"""One order: names in, a certificate and its new key out (RFC 8555, section 7.4)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from acme import challenges, messages

from paas.model.certificate import Source
from paas.model.report import Report
from paas.plugin.acme.account import Account
from paas.plugin.acme.failure import ORDER_S, AcmeFailed, name_of
from paas.proxy.certificates import Pair, read_pair, signing_request


@dataclass(frozen=True)
class Answer:
    """What an authority wants to see for one domain, without the `*.` of a wildcard."""

    domain: str
    token: str
    validation: str
    """The key authorization for HTTP-01, its digest for DNS-01 (sections 8.3 and 8.4)."""


class Control(Protocol):
    """A way to show that a domain is ours."""

    @property
    def challenge(self) -> str:
        """`http-01` or `dns-01`."""

    def shown(self, answers: Sequence[Answer], report: Report) -> AbstractContextManager[None]:
        """Answers while its block runs."""


def issue(
    account: Account,
    names: Sequence[str],
    control: Control,
    *,
    key_type: str,
    now: float,
    report: Report,
) -> Pair:
    """A new certificate for all of `names`. Raises `AcmeFailed`.

    Its key is new each time and never leaves this server. `key_type` is one of
    `paas.model.letsencrypt.KEY_TYPES`; `now` is in seconds since the epoch.
    """
    report.step(f"Asking {account.directory}")
    with account.session() as session:
        key, request = signing_request(names, key_type)
        order = session.new_order(request)
        thumb = session.net.key
        # Without a zone: acme compares it with its own now().
        deadline = datetime.now() + timedelta(seconds=ORDER_S)
        asked = [(each, _chosen(each, control)) for each in order.authorizations if _pending(each)]
        answers = [
            Answer(
                each.body.identifier.value,
                challenge.chall.encode("token"),
                challenge.chall.validation(thumb),
            )
            for each, challenge in asked
        ]
        with control.shown(answers, report):
            for _, challenge in asked:
                session.answer_challenge(challenge, challenge.chall.response(thumb))
            report.detail(f"It looks at {', '.join(names)}")
            order = session.poll_authorizations(order, deadline)
        signed = session.finalize_order(order, deadline)
        return read_pair(signed.fullchain_pem.encode() + key, now, Source.LETSENCRYPT)


def _pending(authorization: messages.AuthorizationResource) -> bool:
    # RFC 8555, section 7.1.3: it may be valid already, from an earlier order.
    pending: bool = authorization.body.status == messages.STATUS_PENDING
    return pending


def _chosen(
    authorization: messages.AuthorizationResource, control: Control
) -> messages.ChallengeBody:
    for each in authorization.body.challenges:
        known = isinstance(each.chall, challenges.KeyAuthorizationChallenge)
        if known and each.chall.typ == control.challenge:
            return each
    raise AcmeFailed(
        f"The authority offers no {control.challenge} challenge for {name_of(authorization)}"
    )
