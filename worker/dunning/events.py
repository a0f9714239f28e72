"""What can happen to a case, in the past tense, and what each event does to it.

`apply` is the only way a case changes; the stored snapshot is the fold of the stored events. `at` is ladder time;
`real_at` is set where the two differ (a rehearsal).
"""

from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal

from worker.dunning.model import Case, Debtor, Ended, Hold, Invoice, Movement, Send, StepRun
from worker.dunning.strategy import PROMISES


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A fact about a case."""

    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseOpened(Event):
    """A debtor owes something and is followed under a strategy. `ran` is what people had already sent by hand."""

    case: str
    creditor: str
    debtor: Debtor
    currency: str
    strategy: str
    group: str = ""
    invoices: tuple[Invoice, ...]
    ran: tuple[StepRun, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseReopened(Event):
    """A payment that had ended the case came back."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DebtorChanged(Event):
    """Upstream knows the debtor better: another address, another language. Addresses that changed are usable again."""

    debtor: Debtor


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoicesStated(Event):
    """Upstream said what is outstanding on these, more recently than anything known about them."""

    invoices: tuple[Invoice, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """The part of a payment that falls on one invoice."""

    invoice: str
    movement: Movement


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentReceived(Event):
    """Money came in; `unallocated` is what no open invoice could take."""

    parts: tuple[Moved, ...]
    received_on: date | None = None
    reference: str = ""
    means: str = ""
    unallocated: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentFailed(Event):
    """Money that had come in went back: a bounced cheque, a rejected debit. The movements are negative."""

    parts: tuple[Moved, ...]
    reference: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldPlaced(Event):
    """The case, or one invoice of it, must not be chased. A hold of the same reason and scope is replaced."""

    hold: Hold
    by: str = "rule"


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldReleased(Event):
    """Somebody lifted holds: those of that reason and invoice; a None means any."""

    reason: str | None = None
    invoice: str | None = None
    by: str = "rule"


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldLapsed(Event):
    """A hold's date passed, or what it waited for came true. A promise that lapses unpaid is broken."""

    reason: str
    invoice: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalGiven(Event):
    """A person agreed that the step may go out."""

    step: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCredited(Event):
    """A job arrived that is worth one step (`driven_by: jobs`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSkipped(Event):
    """A step was passed over, and why."""

    step: str
    anchor: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptReserved(Event):
    """One try at one message was decided; nobody has called a provider yet. `config` is the configuration's digest."""

    attempt: int
    step: str
    anchor: str
    channel: str
    channels: tuple[str, ...]
    covers: tuple[str, ...]
    deadline: date | None
    provider: str
    lease: datetime
    config: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptReleased(Event):
    """The reservation was given back, nothing having been called."""

    attempt: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptBegun(Event):
    """From here on a provider may have been called.

    `wording` is the digest of the whole text, `words` its beginning, `reference` the short identity of the message.
    """

    attempt: int
    lease: datetime
    wording: str
    words: str
    reference: str = ""
    real_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptAccepted(Event):
    """The provider took the message. `by` names the person who settled an uncertain one."""

    attempt: int
    provider_id: str = ""
    by: str = ""
    real_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRejected(Event):
    """The provider will never take it: the address, an opt-out, or the content (see `channels/base.py`)."""

    attempt: int
    why: str
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptUnavailable(Event):
    """Surely not sent; may be tried again from `retry_at` (ladder time)."""

    attempt: int
    why: str
    code: str
    retry_at: datetime
    by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptUncertain(Event):
    """It may have gone. Never sent again blindly."""

    attempt: int
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOpened(Event):
    """Something a person is to do, with the words for it."""

    task: str
    kind: str
    title: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDone(Event):
    """A person did it."""

    task: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedOver(Event):
    """The ladder's end: a person, an agency or a court takes the case."""

    step: str
    anchor: str
    to: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseEnded(Event):
    """Nothing more is sent."""

    reason: str
    by: str = "rule"


@dataclass(frozen=True, slots=True, kw_only=True)
class LookFailed(Event):
    """An exception while deciding or rendering; `place` names it without data. The third in a row holds the case."""

    place: str


def apply(case: Case | None, event: Event) -> Case:
    """The case after the event. Raises ValueError where the event cannot follow (a fault in the history)."""
    if isinstance(event, CaseOpened):
        return _open(event)
    if case is None:
        raise ValueError(f"{type(event).__name__} before CaseOpened")
    changed = _CHANGES[type(event)](case, event)
    return changed if isinstance(event, LookFailed) or not changed.failures else replace(changed, failures=0)


def _open(event: CaseOpened) -> Case:
    return Case(
        id=event.case,
        creditor=event.creditor,
        debtor=event.debtor,
        currency=event.currency,
        strategy=event.strategy,
        opened_at=event.at,
        group=event.group,
        invoices=event.invoices,
        runs=event.ran,
    )


def _reopen(case: Case, _: CaseReopened) -> Case:
    return replace(case, ended=None)


def _change_debtor(case: Case, event: DebtorChanged) -> Case:
    old, new = case.debtor, event.debtor
    changed = {"email"} if old.email != new.email else set()
    changed |= {"sms", "voice"} if old.phone != new.phone else set()
    return replace(case, debtor=new, unusable=tuple(u for u in case.unusable if u[0] not in changed))


def _state(case: Case, event: InvoicesStated) -> Case:
    known = {invoice.number: invoice for invoice in case.invoices}
    for invoice in event.invoices:
        known[invoice.number] = invoice
    return replace(case, invoices=tuple(known.values()))


def _move(case: Case, event: PaymentReceived | PaymentFailed) -> Case:
    moved = {part.invoice: part.movement for part in event.parts}
    invoices = tuple(
        replace(i, movements=(*i.movements, moved[i.number])) if i.number in moved else i for i in case.invoices
    )
    return replace(case, invoices=invoices)


def _place_hold(case: Case, event: HoldPlaced) -> Case:
    same = (event.hold.reason, event.hold.invoice)
    kept = tuple(hold for hold in case.holds if (hold.reason, hold.invoice) != same)
    return replace(case, holds=(*kept, event.hold))


def _release_hold(case: Case, event: HoldReleased) -> Case:
    def released(hold: Hold) -> bool:
        return event.reason in (None, hold.reason) and event.invoice in (None, hold.invoice)

    return replace(case, holds=tuple(hold for hold in case.holds if not released(hold)))


def _lapse_hold(case: Case, event: HoldLapsed) -> Case:
    kept = tuple(h for h in case.holds if (h.reason, h.invoice) != (event.reason, event.invoice))
    return replace(case, holds=kept, firmer=case.firmer or event.reason in PROMISES)


def _approve(case: Case, event: ApprovalGiven) -> Case:
    kept = tuple(h for h in case.holds if (h.reason, h.note) != ("approval_pending", event.step))
    approved = (*(a for a in case.approved if a[0] != event.step), (event.step, event.by))
    return replace(case, holds=kept, approved=approved)


def _credit(case: Case, _: JobCredited) -> Case:
    return replace(case, credit=True)


def _skip(case: Case, event: StepSkipped) -> Case:
    return case.with_run(StepRun(step=event.step, anchor=event.anchor, at=event.at, skipped=event.why))


def _reserve(case: Case, event: AttemptReserved) -> Case:
    begun = case.run(event.step, event.anchor)
    run = begun or StepRun(step=event.step, anchor=event.anchor, at=event.at, firmer=case.firmer)
    before = run.send(event.channel)
    send = Send(
        channel=event.channel,
        status="reserved",
        attempt=event.attempt,
        tries=before.tries + 1 if before else 1,
        provider=event.provider,
        lease=event.lease,
    )
    others = tuple(s for s in run.sends if s.channel != event.channel)
    said = any(s.status in ("accepted", "sending", "uncertain") for s in others)
    run = replace(
        run,
        sends=(*others, send),
        channels=event.channels,
        covers=event.covers,
        deadline=run.deadline if said else event.deadline,
    )
    case = replace(case, attempts=max(case.attempts, event.attempt)).with_run(run)
    if begun:
        return case
    approved = tuple(a for a in case.approved if a[0] != event.step)
    return replace(case, credit=False, firmer=False, approved=approved)


def _set_send(case: Case, attempt: int, send: Send) -> Case:
    found = case.find_attempt(attempt)
    if found is None:
        raise ValueError(f"attempt {attempt} is not the latest of any message")
    run, _ = found
    sends = tuple(send if s.attempt == attempt else s for s in run.sends)
    return case.with_run(replace(run, sends=sends))


def _send(case: Case, attempt: int) -> Send:
    found = case.find_attempt(attempt)
    if found is None:
        raise ValueError(f"attempt {attempt} is not the latest of any message")
    return found[1]


def _release(case: Case, event: AttemptReleased) -> Case:
    send = replace(_send(case, event.attempt), status="released", lease=None, code=event.why)
    return _set_send(case, event.attempt, send)


def _begin(case: Case, event: AttemptBegun) -> Case:
    return _set_send(case, event.attempt, replace(_send(case, event.attempt), status="sending", lease=event.lease))


def _accept(case: Case, event: AttemptAccepted) -> Case:
    send = replace(
        _send(case, event.attempt), status="accepted", provider_id=event.provider_id, lease=None, code="", retry_at=None
    )
    return _set_send(case, event.attempt, send)


def _reject(case: Case, event: AttemptRejected) -> Case:
    send = replace(_send(case, event.attempt), status="rejected", lease=None, code=event.code)
    case = _set_send(case, event.attempt, send)
    if event.why == "content":
        return case
    unusable = (*(u for u in case.unusable if u[0] != send.channel), (send.channel, event.code))
    return replace(case, unusable=unusable)


def _unavailable(case: Case, event: AttemptUnavailable) -> Case:
    send = replace(
        _send(case, event.attempt), status="unavailable", lease=None, code=event.code, retry_at=event.retry_at
    )
    return _set_send(case, event.attempt, send)


def _uncertain(case: Case, event: AttemptUncertain) -> Case:
    send = replace(_send(case, event.attempt), status="uncertain", lease=None, code=event.code)
    return _set_send(case, event.attempt, send)


def _unchanged(case: Case, _: Event) -> Case:
    return case


def _hand_over(case: Case, event: HandedOver) -> Case:
    run = StepRun(step=event.step, anchor=event.anchor, at=event.at, by_hand=True)
    return replace(case.with_run(run), ended=Ended(reason="handed_over", at=event.at))


def _end(case: Case, event: CaseEnded) -> Case:
    return replace(case, ended=Ended(reason=event.reason, at=event.at))


def _fail(case: Case, _: LookFailed) -> Case:
    return replace(case, failures=case.failures + 1)


_CHANGES = {
    CaseReopened: _reopen,
    DebtorChanged: _change_debtor,
    InvoicesStated: _state,
    PaymentReceived: _move,
    PaymentFailed: _move,
    HoldPlaced: _place_hold,
    HoldReleased: _release_hold,
    HoldLapsed: _lapse_hold,
    ApprovalGiven: _approve,
    JobCredited: _credit,
    StepSkipped: _skip,
    AttemptReserved: _reserve,
    AttemptReleased: _release,
    AttemptBegun: _begin,
    AttemptAccepted: _accept,
    AttemptRejected: _reject,
    AttemptUnavailable: _unavailable,
    AttemptUncertain: _uncertain,
    TaskOpened: _unchanged,
    TaskDone: _unchanged,
    HandedOver: _hand_over,
    CaseEnded: _end,
    LookFailed: _fail,
}
