"""HTTP-01: nginx answers from a directory, for every site and in any of its states."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from paas.model.letsencrypt import HTTP_01
from paas.model.report import Report
from paas.plugin.acme.order import Answer
from paas.proxy.challenges import Challenges


@dataclass(frozen=True)
class Http01:
    """Control shown by a file at a well-known path (RFC 8555, section 8.3)."""

    challenges: Challenges
    challenge: str = HTTP_01

    @contextmanager
    def shown(self, answers: Sequence[Answer], report: Report) -> Iterator[None]:  # noqa: ARG002
        """Serve the files while the block runs."""
        with self.challenges.answered({each.token: each.validation for each in answers}):
            yield
