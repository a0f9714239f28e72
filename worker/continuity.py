"""Is this still the server we knew? One that took over from another may have forgotten what was sent.

The store remembers which server it is, by its replication id: another one takes another. `begin` is refused by a server
that its process has not looked at (`commit.lua`, guard `server`); whoever looks first (`renew.lua`) opens a doubt: what
was begun in the last moments before may have gone, and the store does not know. Nothing is sent at all for a while
then: what is under way elsewhere ends, and what providers report comes in. The same server on its append-only file is
beyond doubt: what was begun was on its disk first. All times here are real.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import redis
import structlog

from worker.commit import millis, moment
from worker.store import Script

#: What is known of the server.
SERVER_KEY = "relance:server"
#: Nothing is sent for so long after a failover, unless the environment says otherwise.
PAUSE = timedelta(seconds=60)
#: For so long after it changed, a message's provider had better be asked whether it went before.
DOUBTED = timedelta(minutes=15)
#: What was begun so long before somebody looked may be forgotten, at least.
REACHES_BACK = timedelta(seconds=60)

_log = structlog.get_logger("relance.store")


@dataclass(frozen=True, slots=True)
class Doubt:
    """The store may have forgotten what was begun from `since` on; it is to be reckoned with until `until`."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class _Known:
    replid: str
    since: datetime
    pause_until: datetime
    until: datetime


class Continuity:
    """One process's knowledge of its store's server. Nothing is asked but at first, and when the server is another."""

    def __init__(self, client: redis.Redis, real: Callable[[], datetime], pause: timedelta | None = None) -> None:
        self._script = Script(client, (Path(__file__).parent / "renew.lua").read_text())
        self._real = real
        self._pause = PAUSE if pause is None else pause
        self._known: _Known | None = None

    def renew(self) -> None:
        """Look which server it is, and say so if it is another. Raises redis errors."""
        before = self._known.replid if self._known else ""
        waits = [int(wait / timedelta(milliseconds=1)) for wait in (self._pause, DOUBTED, REACHES_BACK)]
        what, failover, replid, *times = self._script([SERVER_KEY], [before, millis(self._real()), *waits])
        self._known = known = _Known(replid, *map(moment, times))
        if what == "replaced":
            _log.warning(
                "store.replaced",
                failover=bool(failover),
                since=known.since.isoformat(),
                pause_until=known.pause_until.isoformat(),
            )
        elif what == "restarted":
            _log.info("store.restarted")

    def server(self) -> str:
        """The replication id of the server that was looked at last. Raises redis errors where none was yet."""
        return self._looked().replid

    def pause_left(self) -> timedelta:
        """For how long nothing may be sent yet. Raises as `server`."""
        return max(timedelta(), self._looked().pause_until - self._real())

    def doubt(self) -> Doubt | None:
        """What the store may have forgotten, as long as that matters. Raises as `server`."""
        known = self._looked()
        return Doubt(known.since, known.until) if self._real() < known.until else None

    def _looked(self) -> _Known:
        if self._known is None:
            self.renew()
        assert self._known is not None  # noqa: S101 renew has set it
        return self._known
