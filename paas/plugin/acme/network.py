"""The library's HTTP, with the patience that RFC 8555 asks of a client."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import Any

from acme import client, messages

from paas.plugin.acme.failure import Patience

NONCE_TRIES = 10
"""RFC 8555, section 6.5: a client retries with the nonce that came with the refusal."""

LONGEST_S = 7 * 86400.0
"""Longer than that no authority has reason to keep one client waiting."""


class Network(client.ClientNetwork):
    """Tries a refused nonce more than once more, and remembers Retry-After."""

    def __init__(self, *args: Any, patience: Patience, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        self._patience = patience

    def post(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 (acme's own signature)
        """POST, with another nonce as often as it takes, within reason."""
        for _ in range(NONCE_TRIES // 2 - 1):
            try:
                return super().post(*args, **kwargs)
            except messages.Error as error:
                if error.code != "badNonce":
                    raise
        return super().post(*args, **kwargs)

    def _send_request(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        response = super()._send_request(*args, **kwargs)
        if not response.ok:
            self._patience.seconds = seconds_of(response.headers.get("Retry-After", ""))
        return response


def seconds_of(retry_after: str) -> float:
    """The header of RFC 9110, section 10.2.3: seconds, or a date; 0 for neither."""
    if retry_after.isascii() and retry_after.isdigit():
        return min(float(retry_after), LONGEST_S)
    try:
        until = parsedate_to_datetime(retry_after).timestamp()
    except (ValueError, OverflowError):
        return 0.0
    return min(max(until - time.time(), 0.0), LONGEST_S)
