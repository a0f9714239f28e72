"""The kills: each at its moment, or as soon as the sandbox holds a request that it can hit."""

import time
from dataclasses import asdict, dataclass, field
from threading import Event
from typing import Any

from tests.chaos.plan import SENDERS, Kill
from tests.chaos.stage import Stage, kill
from tests.chaos.tail import Tail

#: How long an aimed kill waits for an open request, in seconds.
_PATIENCE = 30.0
#: How long a kill waits for its part to be there, in seconds: several times what a parent waits before it starts again
#: what dies again and again. What is away for longer was not killed by us.
_ABSENCE = 60.0
_PAUSE = 0.004


@dataclass(slots=True)
class Killer:
    """`done`: what was killed and when (Unix time); `missed`: what was not there to be killed; `revived`: when a server
    answered again.
    """

    stage: Stage
    absence: float = _ABSENCE
    tail: Tail = field(init=False)
    done: list[dict[str, Any]] = field(default_factory=list)
    missed: list[dict[str, Any]] = field(default_factory=list)
    revived: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tail = Tail(self.stage.log)

    def run(self, kills: tuple[Kill, ...], began: float, stop: Event) -> None:
        """All of them, in order. `began`: by the monotonic clock."""
        for each in kills:
            if stop.wait(max(0.0, began + each.at - time.monotonic())):
                return
            self._kill(each)

    def _kill(self, order: Kill) -> None:
        """Once, or note that it could not be; what dies by itself before it is hit is waited for anew."""
        deadline = time.monotonic() + self.absence
        while not self._strike(order, self._aim(order, deadline)):
            if time.monotonic() >= deadline:
                self.missed.append({**asdict(order), "at": time.time()})
                return
            time.sleep(_PAUSE)

    def _aim(self, order: Kill, deadline: float) -> int:
        """The part's process, at the moment to kill it; 0 while there is none."""
        while not (pid := self.stage.pid(order.part)) and time.monotonic() < deadline:
            time.sleep(0.1)
        channel, until = order.part if order.part in SENDERS else "", time.monotonic() + _PATIENCE
        while pid and order.aimed and not self.tail.open(channel) and time.monotonic() < until:
            time.sleep(_PAUSE)
        return pid

    def _strike(self, order: Kill, pid: int) -> bool:
        """Kill it, if it is there; a server is away for a while and then starts from its append-only file."""
        at = time.time()
        try:
            kill(pid)
        except ProcessLookupError:
            return False
        self.done.append({**asdict(order), "at": at})
        if order.part in ("cases", "broker"):
            time.sleep(order.away)
            self.stage.revive()
            self.revived.append({"part": order.part, "at": time.time()})
        return True
