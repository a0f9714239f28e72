"""How often a page may be asked for: token buckets in the memory of this process, forgotten when it stops."""

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock


@dataclass(frozen=True, slots=True)
class Pace:
    """`burst` at once, then one every `every` seconds."""

    burst: int
    every: float


class Buckets:
    """Who asked how often. Of the many who may ask, the longest silent are forgotten first."""

    def __init__(self, pace: Pace, most: int = 10_000) -> None:
        self._pace, self._most = pace, most
        self._full_at: OrderedDict[str, float] = OrderedDict()
        self._lock = Lock()

    def wait(self, who: str, now: float) -> float:
        """0 if there is room for one more at `now` (monotonic, seconds); else in how many seconds there is."""
        with self._lock:
            full_at = max(self._full_at.pop(who, now), now)
            wait = full_at + self._pace.every * (1 - self._pace.burst) - now
            self._full_at[who] = full_at if wait > 0 else full_at + self._pace.every
            if len(self._full_at) > self._most:
                self._full_at.popitem(last=False)
            return max(0.0, wait)
