"""DNS-01: a TXT record below each domain; the only way to certify a wildcard.

Source: RFC 8555, section 8.4.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Protocol

from paas.errors import PaasError
from paas.model.letsencrypt import DNS_01
from paas.model.report import Report
from paas.plugin.acme.order import Answer

LABEL = "_acme-challenge"


class DnsFailed(PaasError):
    """The records could not be put where the authority looks for them."""


class Zone(Protocol):
    """Whoever can change the DNS of our domains."""

    def present(self, name: str, value: str) -> None:
        """Add a TXT record beside those that are there. Raises `DnsFailed`."""

    def cleanup(self, name: str, value: str) -> None:
        """Remove exactly that record; not there is fine. Raises `DnsFailed`."""

    def wait(self, name: str, value: str) -> None:
        """Until the authoritative servers answer with it, for a reasonable time."""


@dataclass(frozen=True)
class Dns01:
    """Control shown by TXT records."""

    zone: Zone
    challenge: str = DNS_01

    @contextmanager
    def shown(self, answers: Sequence[Answer], report: Report) -> Iterator[None]:
        """Have the records there while the block runs, and gone after it."""
        records = [(f"{LABEL}.{each.domain}", each.validation) for each in answers]
        with ExitStack() as added:
            for name, value in records:
                self.zone.present(name, value)
                added.callback(self._cleanup, name, value, report)
            for name, value in records:
                report.detail(f"Waiting for the DNS to know {name}")
                self.zone.wait(name, value)
            yield

    def _cleanup(self, name: str, value: str, report: Report) -> None:
        # Said and not raised: it must not hide how the order itself went.
        try:
            self.zone.cleanup(name, value)
        except DnsFailed as error:
            report.warn(f"The TXT record at {name} is still there: {error.brief}")
