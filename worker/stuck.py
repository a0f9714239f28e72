"""Messages that a worker has fetched and does not finish: said, so that somebody looks.

Such a message is not lost, and nobody else can take it while this worker lives: its actor hangs, or an answer of the
server's was lost and nothing has shown that it was.
"""

import time
from collections.abc import Sequence
from contextlib import suppress
from threading import Event

import redis
import structlog

from worker.broker import SafeBroker

#: Fetched for so long and not acknowledged, in seconds of real time.
STUCK_AFTER = 300.0

_log = structlog.get_logger("relance.stuck")


class Unfinished:
    """What this process has fetched from these queues, by the broker's own ids, and since when that is known.

    `after`: how long a message may take, in seconds; it is looked at ten times in that.
    """

    def __init__(self, broker: SafeBroker, queues: Sequence[str], after: float = STUCK_AFTER) -> None:
        self._broker = broker
        self._after = after
        self._since: dict[str, dict[str, float]] = {queue: {} for queue in queues}
        self._told: set[str] = set()

    def look(self, now: float) -> None:
        """Tell of what has been fetched for too long, each message once. `now`: seconds, by the monotonic clock.

        Raises redis errors.
        """
        for queue, known in self._since.items():
            self._since[queue] = {each: known.get(each, now) for each in self._broker.fetched(queue)}
            stuck = {each for each, since in self._since[queue].items() if now - since >= self._after}
            if stuck - self._told:
                _log.warning("queue.stuck", queue=queue, messages=len(stuck))
            self._told = (self._told - known.keys()) | stuck

    def watch(self, stop: Event) -> None:
        """Look until `stop` is set. A server that does not answer is asked the next time."""
        while not stop.wait(self._after / 10):
            with suppress(redis.RedisError):
                self.look(time.monotonic())
