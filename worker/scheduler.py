"""agenda -> decide -> reserve -> queue. Any number of schedulers may run.

A tick claims what is due, takes one look at each case, commits what the rules decide, and puts the ids of reserved
attempts into the channels' queues, but for those that are full. A creditor's cases are read together and written
together, each commit for itself. A scheduler that dies leaves leases behind;
another puts those cases back when they run out.
"""

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from threading import Event as Flag

import dramatiq
import redis
import structlog

from worker.app import App
from worker.asking import Questions
from worker.cases import Claimed, Seen
from worker.clock import RehearsalClock
from worker.codec import UnreadableCase
from worker.commit import Commit
from worker.dunning.decision import HandOver
from worker.dunning.events import TaskOpened
from worker.dunning.ladder import FULL_RECHECK
from worker.dunning.model import attempt_id
from worker.feed import Feeds
from worker.logs import place_of
from worker.look import HANDOVER, Outlook, failure, follow, write
from worker.messages import wording_of
from worker.queues import FACTS, INBOUND, REMINDERS, Queues, ask_message, send_message
from worker.ramp import Asking, Ramps, begins
from worker.silence import Listener
from worker.store import away

#: How long a scheduler may take over what it claimed, in real time.
CLAIM_LEASE = timedelta(seconds=30)
#: A case whose snapshot cannot be read is tried again after this long.
SET_ASIDE = timedelta(minutes=10)
#: How many cases one tick claims at most of a creditor, and how many messages a channel's queue may hold, about.
BATCH, ROOM = 100, 400
#: Between two ticks with nothing due, in seconds.
IDLE = 0.1
#: A rehearsal that skips idle stretches does so after this long without anything to do, in seconds.
QUIET = 0.25
#: How often it is asked which server the store is on, in seconds.
LOOK_WHO_SERVES = 5.0
#: How often a look is repeated when others write to the same case.
TRIES = 8

_log = structlog.get_logger("relance.scheduler")


@dataclass(frozen=True, slots=True)
class _Look:
    """What a look at a claimed case came to, at that ladder time, and the commit that makes it so."""

    claim: Claimed
    seen: Seen
    at: datetime
    outlook: Outlook
    commit: Commit


class Scheduler:
    """The beat. `run` returns when `stop` is set."""

    def __init__(self, app: App, queues: Queues, *, skip_idle: bool = False) -> None:
        self.app = app
        self.queues = queues
        self.skip_idle = skip_idle
        self.stop = Flag()
        self._unsent: deque[dramatiq.Message[None]] = deque()
        self._feeds, self._listener, self._ramps = Feeds(app), Listener(app), Ramps(app)
        self._questions = Questions(app)
        self._quiet_since = time.monotonic()
        self._looked_at = 0.0
        self._full: frozenset[str] = frozenset()
        self._measured = False
        self._put_off_until = self.app.clock.now()

    def run(self) -> None:
        """Tick until stopped; a store that is away is waited for."""
        _log.info("scheduler.started", config=self.app.config.digest, creditors=len(self.app.config.creditors))
        wait = IDLE
        while not self.stop.wait(wait):
            try:
                self._look_who_serves()
                wait = 0.0 if self.tick() else IDLE
            except redis.RedisError as error:
                if not away(error):
                    raise
                _log.warning("store.away", error=type(error).__name__)
                wait = 1.0
        _log.info("scheduler.stopped")

    def _look_who_serves(self) -> None:
        """Every few seconds, also while nothing is sent: a doubt reaches back to the last time that somebody looked."""
        if time.monotonic() - self._looked_at > LOOK_WHO_SERVES:
            self.app.continuity.renew()
            self._looked_at = time.monotonic()

    def tick(self) -> int:
        """One beat over all creditors, or those before it is told to stop; returns how many cases were looked at."""
        now = self.app.clock.now()
        looked = 0
        self._feeds.watch()
        self._listener.listen()  # before the queue is asked for anything: it may be what is away
        self._enqueue()
        self._measured = False
        for creditor in self.app.config.creditors:
            if self.stop.is_set():
                break
            looked += self._serve(creditor, now)
        if looked:
            self._quiet_since = time.monotonic()
        elif self.skip_idle:
            self._skip()
        return looked

    def _measure_queues(self) -> None:
        """A channel whose queue is full is given nothing more for a while; the others go on. Once a tick."""
        if self._measured:
            return
        self._measured = True
        waiting = self.queues.waiting(*self.app.config.channels)
        full = frozenset(name for name, messages in waiting.items() if messages >= ROOM)
        for channel in full - self._full:
            _log.warning("queue.full", channel=channel)
        self._full = full

    def _serve(self, creditor: str, now: datetime) -> int:
        real = self.app.clock.real()
        self._ramps.call(creditor, now)
        claimed, back = self.app.cases.claim(creditor, now=now, real=real, lease=CLAIM_LEASE, limit=BATCH)
        if back:
            _log.warning("lease.expired", creditor=creditor, cases=back)
        self._look_at(claimed, now)
        self._unsent += (ask_message(*question) for question in self._questions.of(creditor, now))
        return len(claimed)

    def _look_at(self, claims: Sequence[Claimed], now: datetime) -> None:
        """One look at each, repeated for those that others write to meanwhile."""
        if claims:
            self._measure_queues()
        for _ in range(TRIES):
            if not claims:
                return
            claims = self._look_once(claims, now)
        for claim in claims:
            _log.warning("case.contended", case=claim.case_id)

    def _look_once(self, claims: Sequence[Claimed], now: datetime) -> list[Claimed]:
        """One look at each, in two round trips for all; returns those that others wrote to meanwhile."""
        found = self.app.cases.see_each([claim.case_id for claim in claims])
        looks = [look for claim, seen in zip(claims, found, strict=True) if (look := self._look(claim, seen, now))]
        looks = self._in_turn(looks, now)
        answers = self.app.cases.commit_each([look.commit for look in looks])
        again, store_away = [], None
        for look, answer in zip(looks, answers, strict=True):
            if answer is None:
                self._unsent += self._messages(look)
            elif not isinstance(answer, redis.RedisError):
                again.append(look.claim)
            elif away(answer):
                store_away = answer
            else:
                self._set_aside(look.claim, type(answer).__name__)
        self._enqueue()
        if store_away:
            raise store_away
        return again

    def _set_aside(self, claim: Claimed, error: str) -> None:
        _log.error("case.unreadable", case=claim.case_id, error=error)
        self.app.cases.set_aside(claim.case_id, self.app.clock.real() + SET_ASIDE)

    def _in_turn(self, looks: Sequence[_Look], now: datetime) -> list[_Look]:
        """The looks, but for cases of a backlog whose turn has not come: those wait for it."""
        asking = [
            Asking(look.seen.case, look.claim.at)
            for look in looks
            if look.outlook.remind and begins(look.seen.case, look.outlook.remind)
        ]
        until = self._ramps.put_off(asking, now) if asking else {}
        return [
            self._look_at_one(look.claim, look.seen, now, until[look.claim.case_id])
            if look.claim.case_id in until
            else look
            for look in looks
        ]

    def _look(self, claim: Claimed, seen: Seen | UnreadableCase | None, now: datetime) -> _Look | None:
        """One look at one case, at the time its agenda entry bears where the clock runs faster than we do."""
        if seen is None:
            _log.error("case.missing", case=claim.case_id)
            return None
        if isinstance(seen, UnreadableCase):
            self._set_aside(claim, str(seen))
            return None
        return self._look_at_one(claim, seen, now)

    def _look_at_one(self, claim: Claimed, seen: Seen, now: datetime, turn: datetime | None = None) -> _Look:
        at = claim.at if self.app.clock.rehearsal else now
        try:
            outlook = self._put_off(self._outlook(seen, at, turn), at)
            commit = self._commit(seen, outlook, at)
            if outlook.wait:
                self._ramps.note(commit, outlook.case, outlook.wait, claim.at)
            return _Look(claim, seen, at, outlook, commit)
        except Exception as error:
            return _Look(claim, seen, at, Outlook((), seen.case), self._failure(seen, at, error))

    def _outlook(self, seen: Seen, at: datetime, turn: datetime | None) -> Outlook:
        case = seen.case
        return follow(
            case,
            self.app.config.strategies[case.strategy],
            replace(self.app.around(seen), full=self._full, turn=turn),
            now=at,
            real=self.app.clock.real(),
            digest=self.app.config.digest,
        )

    def _put_off(self, outlook: Outlook, at: datetime) -> Outlook:
        """Behind a full queue, cases come back one after another: as fast as a queue may fill, not all at once."""
        wait = outlook.wait
        if wait is None or wait.reason != "queue_full" or wait.until is None:
            return outlook
        self._put_off_until = max(self._put_off_until, wait.until) + FULL_RECHECK / ROOM
        return replace(outlook, wait=replace(wait, until=self._put_off_until))

    def _commit(self, seen: Seen, outlook: Outlook, at: datetime) -> Commit:
        if outlook.handed_over:
            outlook = self._with_file(outlook, outlook.handed_over, at)
        return write(seen, outlook, self.app.config.strategies[seen.case.strategy], at, self.app.clock.real())

    def _with_file(self, outlook: Outlook, handed: HandOver, at: datetime) -> Outlook:
        """A person is told to hand the file over, with the words for it."""
        wording = wording_of(self.app, outlook.case, handed.step, handed.anchor, "task", at)
        task = TaskOpened(
            at=at, task=f"{outlook.case.id}{HANDOVER}", kind="handover", title=wording.subject, text=wording.text
        )
        return replace(outlook, events=(*outlook.events, task))

    def _messages(self, look: _Look) -> "Iterator[dramatiq.Message[None]]":
        for channel, attempt in look.outlook.attempts:
            yield send_message(channel, attempt, look.at if self.app.clock.rehearsal else None)
        for ask in look.outlook.asks:
            yield ask_message(ask.channel, ask.what, attempt_id(look.outlook.case, ask.attempt))

    def _enqueue(self) -> None:
        """What the queue does not take now it is given again at the next tick, before anything more is claimed."""
        while self._unsent:
            self.queues.enqueue(self._unsent[0])
            self._unsent.popleft()

    def _failure(self, seen: Seen, at: datetime, error: Exception) -> Commit:
        """Count it on the case; the third in a row holds it with its place. No silent loop."""
        place = place_of(error)
        _log.error("look.failed", case=seen.case.id, place=place, error=type(error).__name__)
        return failure(seen, at, place)

    def _skip(self) -> None:
        """In a rehearsal, let the clock jump to the next agenda entry once nothing is going on anywhere."""
        clock = self.app.clock
        if not isinstance(clock, RehearsalClock):
            return
        free = clock.free()
        meeting = clock.next_meeting()  # before the queues: whoever has acted by now has left something there
        if free is None or self._busy() or clock.free() != free:
            self._quiet_since = time.monotonic()
        elif time.monotonic() - self._quiet_since > QUIET:
            due = self.app.cases.next_due(self.app.config.creditors).values()
            coming = [at for at in due if at > clock.now()]  # what is due already waits for a pause to end
            if coming or meeting:
                clock.skip_to(min([*coming, *([meeting] if meeting else [])]))

    def _busy(self) -> bool:
        """Is somebody on a case, or is there anything in a queue?"""
        queues = (*self.app.config.channels, REMINDERS, FACTS, INBOUND)
        return bool(self.app.cases.in_flight(self.app.config.creditors)) or any(self.queues.waiting(*queues).values())
