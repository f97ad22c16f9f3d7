"""Answers to HTTP-01 challenges, where nginx finds them (RFC 8555, section 8.3).

Every site serves them, on plain HTTP, before any redirect and in any state of the app.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from paas.errors import PaasError
from paas.host.files import write_atomic

TOKEN = re.compile(r"[A-Za-z0-9_-]{1,200}")
"""base64url (RFC 8555, section 8.3). It names a file: what an authority sends is not trusted."""


class InvalidToken(PaasError):
    """An authority sent a token that cannot be one."""


class Challenges:
    """The answers below one root directory, which nginx's workers can read."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folder = root / ".well-known/acme-challenge"

    @contextmanager
    def answered(self, answers: Mapping[str, str]) -> Iterator[None]:
        """Answer these tokens while the block runs. Raises `InvalidToken`."""
        for token in answers:
            if not TOKEN.fullmatch(token):
                raise InvalidToken("The authority sent a token that is no base64url text")
        self._prepare()
        try:
            for token, answer in answers.items():
                write_atomic(self._folder / token, answer, 0o644)
            yield
        finally:
            for token in answers:
                (self._folder / token).unlink(missing_ok=True)

    def _prepare(self) -> None:
        for path in (self._root, self._root / ".well-known", self._folder):
            path.mkdir(exist_ok=True)
            path.chmod(0o711)  # for the workers to pass through, not to list
