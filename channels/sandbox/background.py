"""Work for later, on a few threads of its own."""

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable

LOG = logging.getLogger(__name__)
THREADS = 8


class Background:
    """Runs what it is given, in the order it falls due, until `close`. No thread begins before there is work."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._threads: list[threading.Thread] = []
        self._closed = False

    def soon(self, work: Callable[[], None], seconds: float = 0.0) -> None:
        """Run `work` in so many seconds, unless closed by then."""
        with self._changed:
            if self._closed:
                return
            heapq.heappush(self._due, (time.monotonic() + seconds, next(self._numbers), work))
            if len(self._threads) < THREADS:
                self._threads.append(threading.Thread(target=self._run, name="background", daemon=True))
                self._threads[-1].start()
            self._changed.notify()

    def close(self) -> None:
        """Forget what has not begun, and wait for what has."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while (work := self._next()) is not None:
            try:
                work()
            except OSError:  # the log's disk is full; what is told nowhere else is told here
                LOG.exception("background work could not be written down")

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            while not self._closed:
                wait = self._due[0][0] - time.monotonic() if self._due else None
                if wait is not None and wait <= 0:
                    return heapq.heappop(self._due)[2]
                self._changed.wait(wait)
        return None
