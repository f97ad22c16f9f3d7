"""Pushes of one app take turns before git speaks: one runs, the newest waits.

A push hears from git where the branch is. One that heard it while another went on would be
deployed and then refused by git, since the branch has moved. So the queue is in front of
git, and who is overtaken in it has not uploaded anything yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from paas.errors import PaasError
from paas.host.clock import Clock
from paas.host.files import FileLock
from paas.model.layout import Layout
from paas.model.report import Report

POLL_SECONDS = 0.1


class Superseded(PaasError):
    """A newer push of the same app took this one's place in the queue."""


class Turns:
    """The queues of pushes, one for each app.

    A place in a queue is a numbered file, locked by the process that has it: one that is
    killed gives it up.
    """

    def __init__(self, layout: Layout, clock: Clock) -> None:
        self._root = layout.locks / "pushes"
        self._clock = clock

    @contextmanager
    def take(self, app_id: int, holder: str, report: Report) -> Iterator[None]:
        """Wait until no push is ahead; `holder` is who pushes, for those who wait.

        Raises `Superseded` when another one comes while this one waits.
        """
        number, ticket = self._draw(app_id, holder)
        try:
            self._wait(app_id, number, report)
            yield
        finally:
            ticket.release()

    def _draw(self, app_id: int, holder: str) -> tuple[int, FileLock]:
        queue = self._root / str(app_id)
        with FileLock(self._root / "lock"):
            numbers = self._numbers(app_id)
            for number in numbers:
                if not self._held(queue / str(number)):
                    (queue / str(number)).unlink()
            number = max(numbers, default=0) + 1
            ticket = FileLock(queue / str(number), holder)
            ticket.acquire()
        return number, ticket

    def _wait(self, app_id: int, mine: int, report: Report) -> None:
        told = ""
        while ahead := [number for number in self._waiting(app_id) if number < mine]:
            if any(number > mine for number in self._waiting(app_id)):
                raise Superseded(
                    "A newer push of this app is waiting, so this one is skipped",
                    resolution="Nothing to do: the newer push is deployed next.",
                )
            holder = FileLock(self._root / str(app_id) / str(ahead[0])).holder()
            if holder and holder != told:
                report.step(f"Waiting for the {holder}")
                told = holder
            self._clock.sleep(POLL_SECONDS)

    def _waiting(self, app_id: int) -> list[int]:
        """The numbers that are held, oldest first."""
        queue = self._root / str(app_id)
        return [number for number in self._numbers(app_id) if self._held(queue / str(number))]

    def _numbers(self, app_id: int) -> list[int]:
        return sorted(int(path.name) for path in (self._root / str(app_id)).glob("*"))

    def _held(self, path: Path) -> bool:
        # Shared, so that two who look do not take each other for its holder.
        look = FileLock(path, shared=True)
        if not look.try_acquire():
            return True
        look.release()
        return False
