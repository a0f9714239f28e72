"""The one clock an entry point reads. Below the entry points `now` is an argument.

*Ladder time* is what the rules reason in; *real time* is what leases, time-outs and links run on. They are the same
but for a rehearsal, whose origin and speed live in the store so that all processes, and restarted ones, agree.
"""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, cast

import redis

CLOCK_KEY = "relance:clock"
_HOLDS_KEY, _MEETINGS_KEY, _AUDIENCE_KEY = (f"relance:clock:{name}" for name in ("holds", "meetings", "audience"))
#: The place in an event stream before its first entry.
UNREAD = "0-0"

#: How long a process may trust what it read of the rehearsal's clock, in seconds of real time.
_TRUST = 0.05


class Clock(Protocol):
    """Tells both times."""

    rehearsal: bool

    def now(self) -> datetime:
        """Ladder time, aware, UTC."""
        ...

    def real(self) -> datetime:
        """Real time, aware, UTC."""
        ...

    def ladder_after(self, wait: timedelta) -> datetime:
        """The ladder time it will be when `wait` of real time has passed."""
        ...


class Every:
    """Lets pass at most once in so long; a clock that was put back begins anew."""

    def __init__(self, interval: timedelta) -> None:
        self._interval = interval
        self._last: datetime | None = None

    def __call__(self, now: datetime) -> bool:
        """Is it time again?"""
        if self._last and timedelta() <= now - self._last < self._interval:
            return False
        self._last = now
        return True


class SystemClock:
    """Production: ladder time is real time."""

    rehearsal = False

    def now(self) -> datetime:
        """Ladder time."""
        return datetime.now(UTC)

    def real(self) -> datetime:
        """Real time."""
        return datetime.now(UTC)

    def ladder_after(self, wait: timedelta) -> datetime:
        """Real waits are ladder waits."""
        return self.now() + wait


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a rehearsal began: ladder time `at` was real time `since`; a real second is `speed` ladder seconds."""

    at: datetime
    since: datetime
    speed: float
    skipped: timedelta = timedelta()

    def ladder(self, real: datetime) -> datetime:
        """The ladder time at that real time."""
        return (self.at + (real - self.since) * self.speed + self.skipped).astimezone(UTC)


class RehearsalClock:
    """A clock that was set, and may run faster; read from the store, where `skip` moves it for everybody."""

    rehearsal = True

    def __init__(self, client: redis.Redis, origin: Origin) -> None:
        self._client = client
        self._origin = origin
        self._read_at = time.monotonic()
        self._reading = threading.Lock()

    def now(self) -> datetime:
        """Ladder time."""
        if time.monotonic() - self._read_at > _TRUST:
            self._read()
        return self._origin.ladder(self.real())

    def _read(self) -> None:
        with self._reading:  # else a thread that asked before a skip could put its answer over that of one after it
            self._origin = read_origin(self._client) or self._origin
            self._read_at = time.monotonic()

    def real(self) -> datetime:
        """Real time."""
        return datetime.now(UTC)

    def ladder_after(self, wait: timedelta) -> datetime:
        """Real waits are longer in ladder time."""
        return self.now() + wait * self._origin.speed

    def free(self) -> Mapping[str, str] | None:
        """None where somebody asks for no skipping (`hold`), or the audience has not seen all there is (`attend`).

        Else the last entry of each stream that is attended. What those who saw it have begun is in a queue by now; when
        the queues are empty and the entries still the same, it has come to nothing and skipping may go on.
        """
        with self._client.pipeline(transaction=False) as pipe:
            pipe.zcount(_HOLDS_KEY, self.real().timestamp(), "+inf")
            pipe.hgetall(_AUDIENCE_KEY)
            holds, seen = cast("tuple[int, dict[str, str]]", tuple(pipe.execute()))
        unseen = any(self._last(stream) != entry for stream, entry in seen.items())
        return None if holds or unseen else seen

    def _last(self, stream: str) -> str:
        found = cast("list[tuple[str, dict[str, str]]]", self._client.xrevrange(stream, count=1))
        return found[0][0] if found else UNREAD

    def hold(self, who: str, seconds: float) -> None:
        """Do not skip for so long, unless the same one's `unhold` comes first."""
        self._client.zadd(_HOLDS_KEY, {who: self.real().timestamp() + seconds})

    def unhold(self, who: str) -> None:
        """As far as they are concerned, skipping may go on."""
        self._client.zrem(_HOLDS_KEY, who)

    def attend(self, seen: Mapping[str, str], seconds: float) -> None:
        """Somebody acts on what those event streams tell, and has done so up to these entries (`UNREAD`: nothing yet).

        Do not skip before they have seen the last entry, or have not been heard of for so long.
        """
        with self._client.pipeline() as pipe:
            pipe.hset(_AUDIENCE_KEY, mapping=cast(Any, seen))
            pipe.pexpire(_AUDIENCE_KEY, int(seconds * 1000))
            pipe.execute()

    def meet(self, moment: datetime) -> None:
        """Somebody will act at that moment: skipping ends there, until they have (`met`)."""
        self._client.zadd(_MEETINGS_KEY, {moment.isoformat(): moment.timestamp()})

    def met(self, moment: datetime) -> None:
        """They have."""
        self._client.zrem(_MEETINGS_KEY, moment.isoformat())

    def next_meeting(self) -> datetime | None:
        """When somebody will act next."""
        found = cast("list[str]", self._client.zrange(_MEETINGS_KEY, 0, 0))
        return datetime.fromisoformat(found[0]) if found else None

    def skip_to(self, moment: datetime) -> None:
        """Let it be `moment`, if that is later: nothing was to happen before it. Whoever else skips to it meanwhile
        does not add to that.
        """

        def skip(pipe: redis.client.Pipeline) -> None:
            ahead = moment - (read_origin(pipe) or self._origin).ladder(self.real())
            pipe.multi()
            if ahead > timedelta():
                pipe.hincrby(CLOCK_KEY, "skipped_ms", int(ahead / timedelta(milliseconds=1)) + 1)

        self._client.transaction(skip, CLOCK_KEY)
        self._read()


def read_origin(client: redis.Redis) -> Origin | None:
    """The rehearsal's origin in the store; None if this store never held one."""
    fields = cast("dict[str, str]", client.hgetall(CLOCK_KEY))
    if not fields:
        return None
    return Origin(
        at=datetime.fromisoformat(fields["at"]),
        since=datetime.fromisoformat(fields["since"]),
        speed=float(fields["speed"]),
        skipped=timedelta(milliseconds=int(fields.get("skipped_ms", "0"))),
    )


def open_clock(client: redis.Redis, at: datetime | None = None, speed: float | None = None) -> tuple[Clock, bool]:
    """The store's clock, and whether `at` and `speed` were heeded.

    The first process that asks for a rehearsal writes its origin; whoever comes later takes it from there.
    """
    wanted = at is not None or speed is not None
    if wanted and read_origin(client) is None:
        real = datetime.now(UTC)
        mapping = {"at": (at or real).isoformat(), "since": real.isoformat(), "speed": str(speed or 1.0)}
        with client.pipeline() as pipe:
            for field, value in mapping.items():
                pipe.hsetnx(CLOCK_KEY, field, value)
            pipe.execute()
    origin = read_origin(client)
    if origin is None:
        return SystemClock(), True
    heeded = not wanted or (origin.at == (at or origin.at) and origin.speed == (speed or origin.speed))
    return RehearsalClock(client, origin), heeded
