"""What somebody may do with one app."""

from __future__ import annotations

from enum import StrEnum

from paas.errors import PaasError
from paas.model.names import shown


class InvalidRole(PaasError):
    """There is no such role."""


class Role(StrEnum):
    """From the least to the most; each may do what those before it may."""

    VIEWER = "viewer"
    """Sees the app: its state, its releases, its logs; not its config."""
    DEPLOYER = "deployer"
    """Changes what the app runs, and knows its secrets."""
    OWNER = "owner"
    """Renames and ends the app, and lets others in."""


ADMIN = "admin"
"""No role of one app: whoever has it may do everything but what is root's."""


def parse_role(text: str) -> Role:
    """Raises `InvalidRole`."""
    try:
        return Role(text)
    except ValueError:
        raise InvalidRole(f"{shown(text)} is not one of {', '.join(Role)}") from None
