"""On disk before it counts: what a commit that must not be lost waits for, on the connection it was made on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import redis
import structlog

#: How long a server may take to write something to its disk, in milliseconds.
WITHIN_MS = 1500
#: The same for a server and its replicas, in steps: a replica answers at once for what it has on disk by then, and else
#: once a second; what came with the question itself is never there yet. Asked once, a median of 970 ms; so, 60 ms.
STEPS_MS = (10, 90, 300, 1000)

_log = structlog.get_logger("relance.store")


class NotDurable(Exception):
    """The commit happened, but it was not said in time that it is on every disk it should be on."""


@dataclass(frozen=True, slots=True)
class Durable:
    """`disk`: the server can say what is on its own disk. `replicas`: so many others must have it too, on theirs; where
    the server cannot say what is on disks, in their memory.
    """

    disk: bool = True
    replicas: int = 0

    def questions(self) -> list[tuple[str | int, ...]]:
        """The commands that ask; they speak of what their connection wrote before them."""
        if self.disk and self.replicas:
            return [("WAITAOF", 1, self.replicas, wait) for wait in STEPS_MS]
        if self.disk:
            return [("WAITAOF", 1, 0, WITHIN_MS)]
        return [("WAIT", self.replicas, WITHIN_MS)] if self.replicas else []

    def demand(self, answers: Sequence[Any]) -> bool:
        """Is it where it should be? False if the server cannot say. Raises NotDurable, and redis errors.

        A server that keeps no append-only file, or is older than WAITAOF, was chosen so: it is named, not refused.
        """
        for answer in answers:
            if isinstance(answer, redis.ResponseError) and not self.replicas:
                return False
            if isinstance(answer, Exception) and not isinstance(answer, redis.ResponseError):
                raise answer
        if answers and not any(self._enough(answer) for answer in answers):
            raise NotDurable
        return True

    def _enough(self, answer: Any) -> bool:
        if isinstance(answer, list):
            return bool(answer[0] >= 1 and answer[1] >= self.replicas)
        return isinstance(answer, int) and answer >= self.replicas


def tell(lacks: str, risk: str) -> None:
    """Say that the store is less durable than it should be: what it lacks, and what that may do."""
    _log.warning("store.not_durable", lacks=lacks, risk=risk)
