"""Having what fails keep nothing else from its turn."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass, field

from paas.errors import PaasError


@dataclass
class Guard:
    """Does things one after another; of one that fails the log is told, once while it fails alike.

    `failed` says that one did since it was last set back.
    """

    log: Callable[[str], None]
    failed: bool = False
    _told: dict[tuple[str, int], str] = field(default_factory=dict)

    def tries(self, what: str, *steps: Callable[[], object]) -> bool:
        """Do every step of a thing called `what`; says whether all of them could be done."""
        done = [self._tries((what, number), step) for number, step in enumerate(steps)]
        return all(done)

    def _tries(self, key: tuple[str, int], step: Callable[[], object]) -> bool:
        try:
            step()
        except (PaasError, OSError) as error:
            self._tell(key, str(error))
        except Exception:  # noqa: BLE001 - a bug in one step stops none of the others
            self._tell(key, traceback.format_exc())
        else:
            self._told.pop(key, None)
            return True
        return False

    def _tell(self, key: tuple[str, int], problem: str) -> None:
        self.failed = True
        if self._told.get(key) != problem:
            self._told[key] = problem
            self.log(f"{key[0]}: {problem}")
