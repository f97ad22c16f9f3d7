"""Webhooks: who is told when something goes wrong, so that nobody has to look."""

from __future__ import annotations

from paas.model.drain import DrainUrl, InvalidDrain, parse_drain

TROUBLE = frozenset(
    {
        "backup failed",
        "backups not removed",
        "certificate expires soon",
        "certificate renewal failed",
        "crashed",
        "cron failed",
        "cron lost",
        "cron missed",
        "cron timed out",
        "deploy abandoned",
        "deploy failed",
        "drain failing",
        "drain lost lines",
        "egress blocked",
        "not alive",
        "start failed",
        "volume too large",
    }
)
"""The events that somebody should hear of."""


def parse_webhook(text: str) -> DrainUrl:
    """An URL of https. Raises `InvalidDrain`."""
    url = parse_drain(text)
    if url.is_syslog:
        raise InvalidDrain(
            "A webhook is told by HTTPS", resolution="Write it like https://HOST/PATH."
        )
    return url
