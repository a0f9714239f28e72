"""The kills: each at its moment, or as soon as the sandbox holds a request that it can hit."""

import time
from dataclasses import asdict, dataclass, field
from threading import Event
from typing import Any

from tests.chaos.plan import SENDERS, Kill
from tests.chaos.stage import Stage, kill
from tests.chaos.tail import Tail

#: How long an aimed kill waits for an open request, and any for its part to be there, in seconds.
_PATIENCE = 5.0
_PAUSE = 0.004


@dataclass(slots=True)
class Killer:
    """`done`: what was killed and when (Unix time); `revived`: when a server answered again."""

    stage: Stage
    tail: Tail = field(init=False)
    done: list[dict[str, Any]] = field(default_factory=list)
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
        deadline = time.monotonic() + _PATIENCE
        pid = self.stage.pid(order.part)
        while not pid and time.monotonic() < deadline:
            time.sleep(0.1)
            pid = self.stage.pid(order.part)
        channel = order.part if order.part in SENDERS else ""
        while order.aimed and not self.tail.open(channel) and time.monotonic() < deadline:
            time.sleep(_PAUSE)
        self._strike(order, pid)

    def _strike(self, order: Kill, pid: int) -> None:
        """Kill it; a server is away for a while and then starts from its append-only file."""
        at = time.time()
        try:
            kill(pid)
        except ProcessLookupError:
            return  # it had died by itself, or is being started
        self.done.append({**asdict(order), "at": at})
        if order.part in ("cases", "broker"):
            time.sleep(order.away)
            self.stage.revive()
            self.revived.append({"part": order.part, "at": time.time()})
