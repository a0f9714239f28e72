"""One look at a case: what the rules decide becomes events, and the time of the next look.

`follow` is pure; the scheduler commits what it returns.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from worker import silence
from worker.beside import expect_nothing, keep_in_step
from worker.cases import Seen
from worker.commit import Commit
from worker.dunning.contact import start_of_day
from worker.dunning.decision import Around, Ask, End, HandOver, HoldInvoices, Lapse, PlaceHold, Remind, Skip, Wait
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
    TasksWithdrawn,
)
from worker.dunning.fold import fold
from worker.dunning.ladder import decide
from worker.dunning.model import ERRAND, Case, Hold, attempt_id
from worker.dunning.questions import questions
from worker.dunning.strategy import Strategy
from worker.dunning.view import local_today, run_key

#: How long a reserved message may wait for its worker (real time) before it is reserved anew.
RESERVE_LEASE = timedelta(seconds=60)

#: How the id of the task to hand the file over ends.
HANDOVER = ".handover"

#: A failing case is looked at again after this long; the third failure in a row holds it.
FAILURE_PAUSE = timedelta(minutes=1)
FAILURES = 3

#: More decisions than this in one look (lapsing holds aside) are a loop in the rules.
_MOST = 20


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a look found: the events it makes, and then a wait, messages to send, or questions for providers."""

    events: tuple[Event, ...]
    case: Case
    wait: Wait | None = None
    remind: Remind | None = None
    asks: tuple[Ask, ...] = ()
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
            found.append(AttemptUncertain(at=now, attempt=send.attempt, code="lease", settle_at=now))
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
        if isinstance(decision, Ask):
            return Outlook(tuple(events), case, asks=questions(case, now), handed_over=handed)
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


def write(seen: Seen, outlook: Outlook, strategy: Strategy, now: datetime, real: datetime) -> Commit:
    """The commit of a look: its events, and the agenda entry or the leases that follow from it."""
    case = outlook.case
    commit = Commit(case.creditor)
    commit.change(seen.stored, [*outlook.events, *withdraw_tasks(commit, case, outlook.events, now)])
    keep_in_step(commit, case, outlook.events, now)
    if outlook.remind:
        silence.expect_now(commit, case, now)
        _guard_gap(commit, seen.case, outlook.remind, strategy, now)
    if outlook.asks:
        commit.lease(case.id, real + RESERVE_LEASE)  # whoever asks writes down what was answered, or died
    else:
        settle_agenda(commit, case, outlook.wait, now, seen.expected)
    if outlook.wait:
        announce(commit, seen.stored.version, case, outlook.wait, now)
    return commit


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
    if given_up:
        expect_nothing(commit, case)
    else:
        commit.look_at(case.id, at + FAILURE_PAUSE)
    return commit


def commit_of(seen: Seen, events: Sequence[Event], now: datetime, again: datetime | None = None) -> Commit:
    """The commit of what happened to a case: it is looked at at once, or `again` then, unless a worker is on it."""
    commit = Commit(seen.case.creditor)
    case = commit.change(seen.stored, events)
    keep_in_step(commit, case, events, now)
    settle_agenda(commit, case, None, again or now)
    return commit


def settle_agenda(
    commit: Commit, case: Case, wait: Wait | None, now: datetime, expected: datetime | None = None
) -> None:
    """Where the case goes: in flight while a worker may be on it, else onto the agenda, else nowhere."""
    leases = [send.lease for _, send in case.open_sends() if send.status != "uncertain" and send.lease]
    if leases:
        commit.lease(case.id, max(leases))
        return
    commit.unlease(case.id)
    if wait is None:
        commit.look_at(case.id, now)
        return
    silence.plan(commit, case, wait, now, expected)
    if wait.until is not None:
        commit.look_at(case.id, wait.until)


def announce(commit: Commit, version: int, case: Case, wait: Wait, now: datetime) -> None:
    """Tell upstream when the case is looked at next, and why not yet."""
    if wait.reason in ("in_flight", "ended", "queue_full", "ramp") or wait.reason.startswith("paused"):
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
