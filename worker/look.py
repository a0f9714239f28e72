"""One look at a case: what the rules decide becomes events, and the time of the next look.

`follow` is pure; the scheduler commits what it returns. `keep_in_step` serves everybody who commits events.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from worker.cases import Seen
from worker.commit import Commit, millis, suppressed_field
from worker.dunning.contact import start_of_day
from worker.dunning.decision import Around, End, HandOver, HoldInvoices, Lapse, PlaceHold, Remind, Skip, Wait
from worker.dunning.events import (
    AddressRestored,
    AddressSuppressed,
    AttemptRejected,
    AttemptReleased,
    AttemptReserved,
    AttemptUnavailable,
    AttemptUncertain,
    CaseEnded,
    Event,
    HandedOver,
    HoldLapsed,
    HoldPlaced,
    LookFailed,
    ReceiptArrived,
    StepSkipped,
    TaskOpened,
    TasksWithdrawn,
)
from worker.dunning.fold import fold
from worker.dunning.ladder import decide
from worker.dunning.model import ERRAND, LASTING, Case, Hold, Send, StepRun, address_of, attempt_id
from worker.dunning.receipts import UNHEARD, earlier
from worker.dunning.strategy import Strategy
from worker.dunning.view import local_today, run_key

#: How long a reserved message may wait for its worker (real time) before it is reserved anew.
RESERVE_LEASE = timedelta(seconds=60)

#: How the id of the task to hand the file over ends.
HANDOVER = ".handover"

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
        events += (new := _events(decision, now))
        case = fold(case, new)
    raise RuntimeError("the rules decide in circles")


def _events(decision: HoldInvoices | Lapse | PlaceHold | End | HandOver | Skip, now: datetime) -> list[Event]:
    match decision:
        case HoldInvoices(placed, lifted):
            over = [HoldLapsed(at=now, reason=hold.reason, invoice=hold.invoice) for hold in lifted]
            return [*over, *(HoldPlaced(at=now, hold=hold) for hold in placed)]
        case Lapse(hold, outcome):
            return [HoldLapsed(at=now, reason=hold.reason, invoice=hold.invoice, outcome=outcome)]
        case PlaceHold(hold):
            return [HoldPlaced(at=now, hold=hold)]
        case End(reason):
            return [CaseEnded(at=now, reason=reason)]
        case HandOver(step, anchor):
            return [HandedOver(at=now, step=step.name, anchor=anchor, to=step.handover)]
        case Skip(step, anchor, reason):
            return [StepSkipped(at=now, step=step.name, anchor=anchor, why=reason)]


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
    keep_in_step(commit, case, outlook.events, now)
    if outlook.remind:
        _guard_gap(commit, seen.case, outlook.remind, strategy, now)
    settle_agenda(commit, case, outlook.wait, now)
    if outlook.wait:
        announce(commit, seen.stored.version, case, outlook.wait, now)
    return commit


def keep_in_step(commit: Commit, case: Case, events: Iterable[Event], now: datetime) -> None:
    """What goes with events besides the case: the debtor's contacts, the lists of tasks and of uncertain attempts."""
    for event in events:
        match event:
            case AttemptReserved():
                _log_contact(commit, case, event, now)
            case AttemptReleased() | AttemptRejected() | AttemptUnavailable():
                _forget_contact(commit, case, event.attempt)
                if isinstance(event, AttemptRejected) and event.why == "opted_out":
                    _suppress(commit, case, _channel_of(case, event.attempt), "opted_out", "provider", now)
            case ReceiptArrived():
                commit.op("ZREM", commit.keys.uncertain, attempt_id(case, event.attempt))
                if event.what in UNHEARD:
                    _forget_contact(commit, case, event.attempt)
            case AddressSuppressed():
                _suppress(commit, case, event.channels, event.why, event.by, now)
            case AddressRestored():
                for field in suppressed_fields(case, event.channels):
                    commit.op("HDEL", commit.keys.suppressed, field)
            case AttemptUncertain():
                commit.op("ZADD", commit.keys.uncertain, millis(now), attempt_id(case, event.attempt))
            case TaskOpened():
                fields = {"kind": event.kind, "title": event.title, "text": event.text, "at": event.at.isoformat()}
                entry = json.dumps({"case": case.id, **fields}, ensure_ascii=False)
                commit.op("HSET", commit.keys.tasks, event.task, entry)


def _suppress(commit: Commit, case: Case, channels: Iterable[str], why: str, by: str, now: datetime) -> None:
    """Onto the creditor's list; what is there already keeps its first reason, but for one that lasts."""
    entry = json.dumps({"why": why, "by": by, "since": now.isoformat()}, separators=(",", ":"))
    for field in suppressed_fields(case, channels):
        commit.op("HSET" if why in LASTING else "HSETNX", commit.keys.suppressed, field, entry)


def suppressed_fields(case: Case, channels: Iterable[str]) -> list[str]:
    """Under what names the debtor's addresses for these channels would be on the suppression list."""
    pairs = ((channel, address_of(case.debtor, channel)) for channel in channels)
    return [suppressed_field(channel, address) for channel, address in pairs if address]


def _channel_of(case: Case, attempt: int) -> tuple[str, ...]:
    found = case.find_attempt(attempt)
    return (found[1].channel,) if found else ()


def _log_contact(commit: Commit, case: Case, event: AttemptReserved, now: datetime) -> None:
    """A reservation counts as a contact, until it turns out that nothing was sent."""
    if event.channel == "task" or event.step.startswith(ERRAND):
        return
    found = case.find_attempt(event.attempt)
    if found is None:
        return
    key = commit.keys.contacts(case.id)
    commit.op("ZADD", key, millis(now), _member(case, *found))
    commit.op("ZREMRANGEBYSCORE", key, "-inf", millis(now - CONTACTS_KEPT))


def _forget_contact(commit: Commit, case: Case, attempt: int) -> None:
    """The message was surely not sent: it is no contact."""
    found = case.find_attempt(attempt)
    if found:
        commit.op("ZREM", commit.keys.contacts(case.id), _member(case, *found))


def _member(case: Case, run: StepRun, send: Send) -> str:
    """A contact's name. A phone that rang in vain was a contact: calling once more is another."""
    before = earlier(send)
    again = f"#{before}" if send.channel == "voice" and before else ""
    return f"{run_key(case.id, run.step, run.anchor)}|{send.channel}{again}"


def withdraw_tasks(commit: Commit, case: Case, events: Iterable[Event], now: datetime) -> list[Event]:
    """Once a case has ended nobody is to call or write any more; handing the file over is what an end may ask for."""
    if not any(isinstance(event, CaseEnded | HandedOver) for event in events):
        return []
    tasks = tuple(task for task in case.tasks if not task.endswith(HANDOVER))
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
    keep_in_step(commit, case, events, at)
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
    if wait.reason in ("in_flight", "ended", "queue_full") or wait.reason.startswith("paused"):
        return
    fields: Mapping[str, str] = {"reason": wait.reason, "step": wait.step}
    until = {"until": wait.until.isoformat()} if wait.until else {}
    commit.announce(case.id, version, "NextLook", at=now.isoformat(), **fields, **until)


def _guard_gap(commit: Commit, before: Case, remind: Remind, strategy: Strategy, now: datetime) -> None:
    """No other case of the debtor may have been reserved within the gap since we read; a step half said may go on."""
    run = before.run(remind.step.name, remind.anchor)
    if remind.step.name.startswith(ERRAND) or (run is not None and run.taken):
        return
    zone = before.debtor.timezone
    first = local_today(before, now) - timedelta(days=strategy.contact.min_gap_days - 1)
    since = int(start_of_day(first, zone).timestamp() * 1000)
    prefix = run_key(before.id, remind.step.name, remind.anchor) + "|"
    commit.guard("quiet", commit.keys.contacts(before.id), since, prefix)
