"""One look at a case: what the rules decide becomes events, and the time of the next look.

`follow` is pure; the scheduler and `sending` commit what it returns.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from worker.cases import Commit, Seen, millis
from worker.dunning.contact import start_of_day
from worker.dunning.decision import Around, End, HandOver, Lapse, PlaceHold, Remind, Skip, Wait
from worker.dunning.events import (
    AttemptReleased,
    AttemptReserved,
    AttemptUncertain,
    CaseEnded,
    Event,
    HandedOver,
    HoldLapsed,
    HoldPlaced,
    LookFailed,
    StepSkipped,
    TaskOpened,
    TasksWithdrawn,
)
from worker.dunning.fold import fold
from worker.dunning.ladder import decide
from worker.dunning.model import Case, Hold, attempt_id
from worker.dunning.strategy import Strategy
from worker.dunning.view import local_today, run_key

#: How long a reserved message may wait for its worker (real time) before it is reserved anew.
RESERVE_LEASE = timedelta(seconds=60)

#: How long a debtor's contacts are remembered: longer than any cap looks back.
CONTACTS_KEPT = timedelta(days=400)

#: A failing case is looked at again after this long; the third failure in a row holds it.
FAILURE_PAUSE = timedelta(minutes=1)
FAILURES = 3

#: More decisions than this in one look (lapsing holds aside) are a loop in the rules.
_MOST = 20


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a look found: the events it makes, and then either a wait or messages to send."""

    events: tuple[Event, ...]
    case: Case
    wait: Wait | None = None
    remind: Remind | None = None
    handed_over: HandOver | None = None

    @property
    def attempts(self) -> list[tuple[str, str]]:
        """(channel, attempt id) of each message reserved."""
        reserved = [event for event in self.events if isinstance(event, AttemptReserved)]
        return [(event.channel, attempt_id(self.case, event.attempt)) for event in reserved]


def expired(case: Case, now: datetime, real: datetime) -> list[Event]:
    """What became of the messages whose lease ran out: a reservation is given back, a call may have gone."""
    found: list[Event] = []
    for _, send in case.open_sends():
        if send.lease is None or send.lease > real:
            continue
        if send.status == "reserved":
            found.append(AttemptReleased(at=now, attempt=send.attempt, why="no worker took it"))
        elif send.status == "sending":
            found.append(AttemptUncertain(at=now, attempt=send.attempt, code="lease"))
    return found


def follow(case: Case, strategy: Strategy, around: Around, *, now: datetime, real: datetime, digest: str) -> Outlook:
    """Decide until there is something to wait for or to send. Raises RuntimeError where the rules go in circles."""
    events = expired(case, now, real)
    case = fold(case, events)
    handed: HandOver | None = None
    for _ in range(_MOST + len(case.holds)):
        decision = decide(case, strategy, now, around)
        if isinstance(decision, Wait):
            return Outlook(tuple(events), case, wait=decision, handed_over=handed)
        if isinstance(decision, Remind):
            events += (new := _reserve(case, decision, now=now, real=real, digest=digest))
            return Outlook(tuple(events), fold(case, new), remind=decision)
        if isinstance(decision, HandOver):
            handed = decision
        event = _event(decision, now)
        events.append(event)
        case = fold(case, [event])
    raise RuntimeError("the rules decide in circles")


def _event(decision: Lapse | PlaceHold | End | HandOver | Skip, now: datetime) -> Event:
    match decision:
        case Lapse(hold):
            return HoldLapsed(at=now, reason=hold.reason, invoice=hold.invoice)
        case PlaceHold(hold):
            return HoldPlaced(at=now, hold=hold)
        case End(reason):
            return CaseEnded(at=now, reason=reason)
        case HandOver(step, anchor):
            return HandedOver(at=now, step=step.name, anchor=anchor, to=step.handover)
        case Skip(step, anchor, reason):
            return StepSkipped(at=now, step=step.name, anchor=anchor, why=reason)


def _reserve(case: Case, remind: Remind, *, now: datetime, real: datetime, digest: str) -> list[Event]:
    return [
        AttemptReserved(
            at=now,
            attempt=case.attempts + count,
            step=remind.step.name,
            anchor=remind.anchor,
            channel=channel,
            channels=remind.plan,
            covers=remind.covers,
            deadline=remind.deadline,
            lease=real + RESERVE_LEASE,
            config=digest,
        )
        for count, channel in enumerate(remind.channels, start=1)
    ]


def write(seen: Seen, outlook: Outlook, strategy: Strategy, now: datetime) -> Commit:
    """The commit of a look: its events, and the agenda entry or the leases that follow from it."""
    case = outlook.case
    commit = Commit(case.creditor)
    commit.change(seen.stored, [*outlook.events, *withdraw_tasks(commit, case, outlook.events, now)])
    log_contacts(commit, case, outlook.events, now)
    if outlook.remind:
        _guard_gap(commit, seen.case, outlook.remind, strategy, now)
    for event in outlook.events:
        if isinstance(event, AttemptUncertain):
            mark_uncertain(commit, case, event)
        elif isinstance(event, TaskOpened):
            open_task(commit, case, event)
    settle_agenda(commit, case, outlook.wait, now)
    if outlook.wait:
        announce(commit, seen.stored.version, case, outlook.wait, now)
    return commit


def open_task(commit: Commit, case: Case, event: TaskOpened) -> None:
    """Put it on the list of what people are to do."""
    entry = {"case": case.id, "kind": event.kind, "title": event.title, "text": event.text, "at": event.at.isoformat()}
    commit.op("HSET", commit.keys.tasks, event.task, json.dumps(entry, ensure_ascii=False))


def withdraw_tasks(commit: Commit, case: Case, events: Iterable[Event], now: datetime) -> list[Event]:
    """Once a case has ended nobody is to call or write any more; handing the file over is what an end may ask for."""
    if not any(isinstance(event, CaseEnded | HandedOver) for event in events):
        return []
    sends = [send for run in case.runs for send in run.sends if send.channel == "task" and send.status == "accepted"]
    tasks = tuple(attempt_id(case, send.attempt) for send in sends)
    if not tasks:
        return []
    commit.op("HDEL", commit.keys.tasks, *tasks)
    return [TasksWithdrawn(at=now, tasks=tasks)]


def failure(seen: Seen, at: datetime, place: str, *first: Event) -> Commit:
    """The commit of a look or a rendering that raised; `first` are events that go before.

    The third since anything left holds the case: it is looked at again when a fact arrives or somebody releases it.
    """
    events: tuple[Event, ...] = (*first, LookFailed(at=at, place=place))
    given_up = seen.case.failures + 1 >= FAILURES
    if given_up:
        events = (*events, HoldPlaced(at=at, hold=Hold(reason="error", since=at, note=place)))
    commit = Commit(seen.case.creditor)
    case = commit.change(seen.stored, events)
    log_contacts(commit, case, events, at)
    commit.unlease(case.id)
    if not given_up:
        commit.look_at(case.id, at + FAILURE_PAUSE)
    return commit


def settle_agenda(commit: Commit, case: Case, wait: Wait | None, now: datetime) -> None:
    """Where the case goes: in flight while a worker may be on it, else onto the agenda, else nowhere."""
    leases = [send.lease for _, send in case.open_sends() if send.status != "uncertain" and send.lease]
    if leases:
        commit.lease(case.id, max(leases))
        return
    commit.unlease(case.id)
    if wait is None:
        commit.look_at(case.id, now)
    elif wait.until is not None:
        commit.look_at(case.id, wait.until)


def announce(commit: Commit, version: int, case: Case, wait: Wait, now: datetime) -> None:
    """Tell upstream when the case is looked at next, and why not yet."""
    if wait.reason in ("in_flight", "ended") or wait.reason.startswith("paused"):
        return
    fields: Mapping[str, str] = {"reason": wait.reason, "step": wait.step}
    until = {"until": wait.until.isoformat()} if wait.until else {}
    commit.announce(case.id, version, "NextLook", at=now.isoformat(), **fields, **until)


def log_contacts(commit: Commit, case: Case, events: tuple[Event, ...], now: datetime) -> None:
    """Keep the debtor's contact log in step: a reservation counts, until it turns out that nothing was sent."""
    key = commit.keys.contacts(case.id)
    for event in events:
        if isinstance(event, AttemptReserved) and event.channel != "task":
            member = f"{run_key(case.id, event.step, event.anchor)}|{event.channel}"
            commit.op("ZADD", key, millis(now), member)
            commit.op("ZREMRANGEBYSCORE", key, "-inf", millis(now - CONTACTS_KEPT))
        elif isinstance(event, AttemptReleased):
            forget_contact(commit, case, event.attempt)


def forget_contact(commit: Commit, case: Case, attempt: int) -> None:
    """The message was surely not sent: it is no contact."""
    found = case.find_attempt(attempt)
    if found:
        run, send = found
        member = f"{run_key(case.id, run.step, run.anchor)}|{send.channel}"
        commit.op("ZREM", commit.keys.contacts(case.id), member)


def _guard_gap(commit: Commit, before: Case, remind: Remind, strategy: Strategy, now: datetime) -> None:
    """No other case of the debtor may have been reserved within the gap since we read; a step half said may go on."""
    run = before.run(remind.step.name, remind.anchor)
    if run is not None and run.taken:
        return
    zone = before.debtor.timezone
    first = local_today(before, now) - timedelta(days=strategy.contact.min_gap_days - 1)
    since = int(start_of_day(first, zone).timestamp() * 1000)
    prefix = run_key(before.id, remind.step.name, remind.anchor) + "|"
    commit.guard("quiet", commit.keys.contacts(before.id), since, prefix)


def mark_uncertain(commit: Commit, case: Case, event: AttemptUncertain) -> None:
    """Put it where `status` and the operator find it."""
    score = int(event.at.timestamp() * 1000)
    commit.op("ZADD", commit.keys.uncertain, score, attempt_id(case, event.attempt))
