"""The logs that nginx keeps of each app: their files, through renames and rotations."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from paas.proxy.logs import rotated

KINDS = ("apps", "errors", "traffic")
"""The folders of the logs that each app has one of."""

LOG_BYTES = 50 * 2**20
"""A log is rotated when it is longer."""


@dataclass(frozen=True)
class AppLogs:
    """Below `folder`, where the proxy's own log is too. nginx has to be told what has moved."""

    folder: Path

    def of(self, app: str) -> Path:
        """The access log of one app: one JSON object per line."""
        return self.folder / "apps" / f"{app}.log"

    def errors_of(self, app: str) -> Path:
        """What nginx complains of in the requests to one app, a line each."""
        return self.folder / "errors" / f"{app}.log"

    def forget(self, app: str) -> None:
        """Remove the logs of an app, before its name can be another's who would read them."""
        for log in self._all_of(app):
            log.unlink(missing_ok=True)
            rotated(log).unlink(missing_ok=True)

    def rename(self, app: str, new: str) -> None:
        """Let an app have its logs under its new name; nginx writes on to the same files."""
        if new == app:
            return
        self.forget(new)
        for log, renamed in zip(self._all_of(app), self._all_of(new), strict=True):
            for old, now in ((rotated(log), rotated(renamed)), (log, renamed)):
                with suppress(FileNotFoundError):
                    old.rename(now)

    def rotate(self, apps: Collection[str]) -> bool:
        """Begin anew what has grown past `LOG_BYTES`, forget what is of none of `apps`; whether
        anything has moved. One old file is kept of each.
        """
        moved = False
        for log in [*self.folder.glob("*.log"), *self.folder.glob("*/*.log")]:
            if log.parent != self.folder and log.stem not in apps:
                self.forget(log.stem)
                moved = True
            elif log.exists() and log.stat().st_size > LOG_BYTES:
                log.replace(rotated(log))
                moved = True
        return moved

    def _all_of(self, app: str) -> list[Path]:
        return [self.folder / kind / f"{app}.log" for kind in KINDS]
