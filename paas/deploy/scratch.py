"""Services that live as long as a test: made empty before it, removed behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from paas.errors import PaasError
from paas.model.app import App
from paas.model.env import Secret


class NoScratchServices(PaasError):
    """The tests ask for services that this server cannot make."""

    def __init__(self, addons: Sequence[str]) -> None:
        super().__init__(
            f"The tests ask for services of their own, which no plugin here makes: "
            f"{', '.join(addons)}",
            resolution="Push without tests: git push -o no-test. Or turn them off:"
            " paas checks:set APP test off",
        )


class Scratch(Protocol):
    """Makes scratch services."""

    def services(
        self, app: App, addons: Sequence[str]
    ) -> AbstractContextManager[Mapping[str, Secret]]:
        """While the block lasts, a service for each of `addons`; their config vars by name."""
