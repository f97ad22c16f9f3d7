"""Independent stages at the same time.

Each stage has a thread, but only the one that holds the baton works: what takes long is
commands in their containers, and while one runs its thread has given the baton up. So no
other part of the engine needs to know of threads.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from paas.engine.build.errors import BuildError

MOST = 4
"""Stages at a time; each of their commands may use as much memory as a build may."""


class Cancelled(BuildError):
    """Another stage of the same build failed, or its caller is gone."""


class Baton:
    """Held by the one thread that works."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cancelled = False

    def __enter__(self) -> Baton:
        self._lock.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def cancel(self) -> None:
        """Have every thread but this one end where it next gives the baton up."""
        self._cancelled = True

    @contextmanager
    def given_up(self) -> Iterator[None]:
        """While the holder waits for something. Raises `Cancelled`, before and after."""
        self._check()
        with self.released():
            yield
        self._check()

    @contextmanager
    def released(self) -> Iterator[None]:
        """`given_up` for the one who cancels."""
        self._lock.release()
        try:
            yield
        finally:
            self._lock.acquire()

    def _check(self) -> None:
        if self._cancelled:
            raise Cancelled("The build was ended")


@dataclass(frozen=True)
class _Done:
    number: int
    error: BaseException | None


class Lanes:
    """Does numbered work in threads, each when what it needs is done."""

    def __init__(self, baton: Baton, interrupt: Callable[[], None]) -> None:
        """`interrupt` ends what threads wait for, when the baton is cancelled."""
        self._baton = baton
        self._interrupt = interrupt
        self._done: queue.SimpleQueue[_Done] = queue.SimpleQueue()
        self._threads: dict[int, threading.Thread] = {}
        self._most = max(2, min(MOST, os.cpu_count() or 1))

    def run(
        self,
        needs: Mapping[int, Iterable[int]],
        inline: Callable[[int], None],
        threaded: Callable[[int], None],
    ) -> None:
        """Do all of `needs`: a number alone here by `inline`, one of several in a thread.

        The caller holds the baton. Raises what the first to fail raises, after the others
        were ended too.
        """
        pending = {number: set(before) & needs.keys() for number, before in needs.items()}
        try:
            while pending or self._threads:
                ready = [number for number, before in sorted(pending.items()) if not before]
                if len(ready) == 1 and not self._threads:
                    inline(ready[0])
                    self._finish(pending, ready[0])
                    continue
                for number in ready[: self._most - len(self._threads)]:
                    del pending[number]
                    self._start(number, threaded)
                self._finish(pending, self._next())
        except BaseException:
            self._end()
            raise

    def _start(self, number: int, work: Callable[[int], None]) -> None:
        def run() -> None:
            error: BaseException | None = None
            try:
                with self._baton:
                    work(number)
            except BaseException as caught:  # noqa: BLE001  raised again by who waits
                error = caught
            self._done.put(_Done(number, error))

        thread = threading.Thread(target=run, name=f"stage-{number}")
        self._threads[number] = thread
        thread.start()

    def _next(self) -> int:
        """The next number that is done. Raises its error."""
        with self._baton.released():
            done = self._done.get()
            self._threads.pop(done.number).join()
        if done.error is not None:
            raise done.error
        return done.number

    def _end(self) -> None:
        """Have all threads end, and wait for that."""
        if not self._threads:
            return
        self._baton.cancel()
        self._interrupt()
        with self._baton.released():
            for thread in self._threads.values():
                thread.join()

    @staticmethod
    def _finish(pending: dict[int, set[int]], number: int) -> None:
        pending.pop(number, None)
        for before in pending.values():
            before.discard(number)
