"""`relance forward`: every event of a creditor's stream goes to its webhook, in order per case, until it is taken.

A group of readers keeps its place in the stream; what was read and not yet acknowledged is read again after a crash. So
an event goes at least once, and its id tells a repeat. Where a receiver refuses one, the later events of that case wait
behind it and other cases go on; where it takes nothing at all, one request now and then asks whether it is back. Of any
number of forwarders one has a creditor at a time. Nobody who sends a reminder waits for any of this.
"""

import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from secrets import token_hex
from threading import Event, Thread
from typing import Any, cast

import redis
import structlog

from worker.app import App
from worker.commit import Keys
from worker.config import Webhook
from worker.logs import place_of
from worker.store import Script, away
from worker.stream import GROUP, Entry, behind, entry_of, join
from worker.upstream import NoAnswer

#: A request takes no longer than this, all of it.
TIMEOUT = timedelta(seconds=10)
#: So many requests at once to one receiver, each of another case.
PARALLEL = 8
#: Waits before an event is tried again, in seconds; the last one stands for all that follow.
BACKOFF = (10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
#: An event that was refused, and is older than this, is passed over.
GIVE_UP = timedelta(days=3)
#: When so many cases in a row get nothing through, the receiver is down: one request at a time, so far apart (seconds)
#: at first, twice as far each time, and at most.
DOWN = 3
DOWN_PAUSE, DOWN_PAUSE_MOST = 1.0, 60.0
#: How many ids are kept in memory; what comes later waits in the stream.
MOST, BATCH = 10_000, 200
#: A forwarder that does not renew its hold on a creditor within this long has lost it, in seconds.
LEASE = 30.0
#: How long one waits for events, in seconds, before it looks whether it is to stop.
PATIENCE = 1.0

#: The one reader of the group: who has the creditor.
_READER = "forwarder"
#: KEYS[1]: who has the creditor. ARGV: who asks, for how many milliseconds. Answers 1 if it is theirs.
_LEASE = """
local holder = redis.call("GET", KEYS[1])
if holder and holder ~= ARGV[1] then
    return 0
end
redis.call("SET", KEYS[1], ARGV[1], "PX", ARGV[2])
return 1
"""

_log = structlog.get_logger("relance.forward")


def deliver(app: App, to: Webhook, entry: Entry) -> str:
    """POST one event; returns why it was not taken, or nothing if it was."""
    try:
        answer = app.upstream.post(to, entry.document().encode(), TIMEOUT, {"X-Relance-Event": entry.id})
    except NoAnswer as error:
        return error.code
    return "" if answer.status // 100 == 2 else str(answer.status)


def prepare(app: App) -> None:
    """Begin to keep, for each webhook, what happens from now on."""
    for name, creditor in app.config.creditors.items():
        if creditor.webhook:
            join(app.client, name)


def run(app: App, stop: Event) -> None:
    """Hand on the events of every creditor that has a webhook, until `stop` is set."""
    hooks = {name: creditor.webhook for name, creditor in app.config.creditors.items() if creditor.webhook}
    threads = [Thread(target=Forwarder(app, name, to).run, args=(stop,)) for name, to in hooks.items()]
    _log.info("forward.started", creditors=list(hooks))
    for thread in threads:
        thread.start()
    stop.wait()
    for thread in threads:
        thread.join()
    _log.info("forward.stopped")


@dataclass(slots=True)
class Waiting:
    """The events of one case, by id, oldest first; how often the first was tried, and when it may be again."""

    ids: deque[str] = field(default_factory=deque)
    tries: int = 0
    due: float = 0.0


class Forwarder:
    """One creditor's events on their way out. Times are those of the monotonic clock."""

    def __init__(self, app: App, creditor: str, to: Webhook) -> None:
        self._app = app
        self._creditor = creditor
        self._to = to
        self._key = Keys(creditor).events
        self._lease = Script(app.client, _LEASE)
        self._me = token_hex(8)
        self._forget()

    def _forget(self) -> None:
        self._mine = False
        self._waiting: dict[str, Waiting] = {}
        self._count = 0
        self._failing: set[str] = set()
        self._pause, self._quiet_until = DOWN_PAUSE, 0.0

    def run(self, stop: Event) -> None:
        """Until `stop` is set. Whatever goes wrong, begin anew with what is not acknowledged."""
        with ThreadPoolExecutor(PARALLEL) as pool:
            while not stop.is_set():
                try:
                    if not self.turn(pool):
                        stop.wait(PATIENCE)
                except Exception as error:
                    self._say(error)
                    self._forget()
                    stop.wait(PATIENCE)
        if self._mine:
            with suppress(redis.RedisError):  # else it runs out by itself
                self._hold(0.001)

    def _say(self, error: Exception) -> None:
        if away(error):
            _log.warning("store.away", error=type(error).__name__)
        else:
            _log.error("forward.failed", creditor=self._creditor, place=place_of(error), error=type(error).__name__)

    def turn(self, pool: ThreadPoolExecutor) -> bool:
        """Read what is new, hand on what is due; False if another forwarder has the creditor. Raises redis errors."""
        if not self._hold(LEASE):
            self._forget()
            return False
        if not self._mine:
            self._mine = True
            join(self._app.client, self._creditor)
            self._take_up()
        now = time.monotonic()
        heads = self._heads(now)
        self._read(None if heads else self._idle(now))
        for case, entry, code in self._hand_on(pool, heads):
            self._settle(case, entry, code)
        if heads and self._down:
            self._quiet_until, self._pause = time.monotonic() + self._pause, min(DOWN_PAUSE_MOST, self._pause * 2)
        return True

    def _hold(self, seconds: float) -> bool:
        return bool(self._lease([Keys(self._creditor).forwarder], [self._me, int(seconds * 1000)]))

    # ---- what is to go

    def _take_up(self) -> None:
        """What was read before and never acknowledged, by us or by who had the creditor before."""
        start = "0"
        while found := self._entries(start, None):
            start = found[-1][0]
            self._add(found)

    def _read(self, wait: int | None) -> None:
        """What is new, after waiting so many milliseconds for it. What was trimmed unread is counted and told."""
        if self._count >= MOST:
            time.sleep((wait or 0) / 1000)
            return
        missed = behind(self._app.client, self._creditor)
        if missed and missed.trimmed:
            self._tell_lost(missed.trimmed)
        self._add(self._entries(">", wait))

    def _entries(self, start: str, wait: int | None) -> list[tuple[str, dict[str, str]]]:
        found: Any = self._app.client.xreadgroup(GROUP, _READER, {self._key: start}, count=BATCH, block=wait)
        return cast("list[tuple[str, dict[str, str]]]", found[0][1] if found else [])

    def _add(self, found: Iterable[tuple[str, dict[str, str]]]) -> None:
        for name, fields in found:
            entry = entry_of(name, fields)
            if entry is None:
                self._tell_lost(1)
                self._acknowledge(name)
            else:
                self._waiting.setdefault(entry.case, Waiting()).ids.append(name)
                self._count += 1

    def _heads(self, now: float) -> list[tuple[str, str]]:
        """The first event of each case that may go now, those that were never tried first."""
        if now < self._quiet_until:
            return []
        due = [(each.tries, each.ids[0], case) for case, each in self._waiting.items() if each.due <= now]
        most = 1 if self._down else PARALLEL
        return [(case, name) for _, name, case in sorted(due, key=lambda head: (head[0], _order(head[1])))[:most]]

    @property
    def _down(self) -> bool:
        return len(self._failing) >= DOWN

    def _idle(self, now: float) -> int:
        """For how many milliseconds there is nothing to do but to wait for events."""
        due = min((each.due for each in self._waiting.values()), default=now + PATIENCE)
        return max(1, int(1000 * min(PATIENCE, max(due, self._quiet_until) - now)))

    # ---- handing it on

    def _hand_on(
        self, pool: ThreadPoolExecutor, heads: list[tuple[str, str]]
    ) -> Iterator[tuple[str, Entry | None, str]]:
        """Each event with why it was not taken; no event where it was trimmed meanwhile."""
        if not heads:
            return
        with self._app.client.pipeline(transaction=False) as pipe:
            for _, name in heads:
                pipe.xrange(self._key, name, name)
            found = [entry_of(*rows[0]) if rows else None for rows in pipe.execute()]
        codes = pool.map(lambda entry: deliver(self._app, self._to, entry) if entry else "", found)
        for (case, _), entry, code in zip(heads, found, codes, strict=True):
            yield case, entry, code

    def _settle(self, case: str, entry: Entry | None, code: str) -> None:
        if entry is None:
            self._tell_lost(1)
            self._done(case)
        elif code:
            self._failed(case, entry, code)
        else:
            self._failing.clear()
            self._pause = DOWN_PAUSE
            self._done(case)

    def _failed(self, case: str, entry: Entry, code: str) -> None:
        waiting = self._waiting[case]
        wait = BACKOFF[min(waiting.tries, len(BACKOFF) - 1)]
        waiting.tries, waiting.due = waiting.tries + 1, time.monotonic() + wait
        _log.warning(
            "webhook.failed",
            creditor=self._creditor,
            case=case,
            entry=entry.id,
            code=code,
            tries=waiting.tries,
            again_s=wait,
        )
        self._failing.add(case)
        if self._app.clock.real() - entry.at > GIVE_UP:
            _log.error("webhook.given_up", creditor=self._creditor, case=case, entry=entry.id, code=code)
            self._done(case)

    def _done(self, case: str) -> None:
        """The first event of the case is behind us."""
        waiting = self._waiting[case]
        self._acknowledge(waiting.ids.popleft())
        self._count -= 1
        waiting.tries, waiting.due = 0, 0.0
        if not waiting.ids:
            del self._waiting[case]

    def _acknowledge(self, name: str) -> None:
        self._app.client.xack(self._key, GROUP, name)

    def _tell_lost(self, entries: int) -> None:
        _log.error("webhook.lost", creditor=self._creditor, entries=entries)


def _order(name: str) -> tuple[int, int]:
    """Where an id stands in the stream."""
    moment, _, number = name.partition("-")
    return int(moment), int(number)
