"""Restart policies: whether a container that ended is started again. A pure decision.

The words are Docker's `--restart`: no, on-failure[:COUNT], always, unless-stopped. A
container lives until the machine's restart, so the last two differ in nothing here: what
was stopped on purpose stays stopped until it is started.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from paas.errors import PaasError

POLICIES = ("no", "on-failure", "always", "unless-stopped")
_TEXT = re.compile(r"(no|always|unless-stopped)|(on-failure)(?::([1-9][0-9]{0,5}))?")


class InvalidPolicy(PaasError):
    """The words are no restart policy."""


@dataclass(frozen=True)
class RestartPolicy:
    """`most` bounds how often an on-failure container is started again in a row; 0: no bound."""

    name: str = "no"
    most: int = 0

    @classmethod
    def parse(cls, text: str) -> RestartPolicy:
        """Read Docker's words. Raises `InvalidPolicy`."""
        found = _TEXT.fullmatch(text)
        if found is None:
            raise InvalidPolicy(
                f"{text!r} is not a restart policy",
                resolution="Use no, on-failure, on-failure:COUNT, always or unless-stopped.",
            )
        return cls(found[1] or found[2], int(found[3] or 0))

    def __str__(self) -> str:
        return f"{self.name}:{self.most}" if self.most else self.name

    @property
    def restarts(self) -> bool:
        """Whether there is an end after which it starts again."""
        return self.name != "no"

    def wants(self, exit_code: int | None, failures: int, *, stopped: bool) -> bool:
        """Whether a container that ended so starts again.

        `exit_code` is None when nobody saw it; `failures` counts earlier restarts in a row
        without a good run between; `stopped` says that it ended because it was asked to.
        """
        if stopped or self.name == "no":
            return False
        if self.name == "on-failure":
            return exit_code != 0 and (not self.most or failures < self.most)
        return True


NEVER = RestartPolicy()
