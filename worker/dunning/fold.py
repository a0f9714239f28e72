"""What each event does to a case. `apply` is the only way a case changes: the snapshot is the fold of the history."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from worker.dunning import receipts
from worker.dunning.answers import Errand, Said
from worker.dunning.events import (
    AddressRestored,
    AddressSuppressed,
    AnswerReceived,
    ApprovalGiven,
    AttemptAccepted,
    AttemptBegun,
    AttemptReappeared,
    AttemptRecalled,
    AttemptRejected,
    AttemptReleased,
    AttemptReserved,
    AttemptSought,
    AttemptUnavailable,
    AttemptUncertain,
    AttemptUnsettled,
    CaseEnded,
    CaseOpened,
    CaseReopened,
    DebtorChanged,
    Event,
    HandedOver,
    HoldLapsed,
    HoldPlaced,
    HoldReleased,
    InvoicesStated,
    JobCredited,
    LookFailed,
    PaymentFailed,
    PaymentReceived,
    RecallRefused,
    ReceiptArrived,
    StepSkipped,
    TaskDone,
    TaskOpened,
    TasksWithdrawn,
)
from worker.dunning.model import LASTING, Case, Ended, Hold, Invoice, Send, StepRun, address_digest, why_unusable
from worker.dunning.strategy import PROMISES

#: How many of a debtor's answers the snapshot keeps; the history has them all.
ANSWERS_KEPT = 12


def apply(case: Case | None, event: Event) -> Case:
    """The case after the event. Raises ValueError where the event cannot follow (a fault in the history)."""
    if isinstance(event, CaseOpened):
        return _open(event)
    if case is None:
        raise ValueError(f"{type(event).__name__} before CaseOpened")
    return _CHANGES[type(event)](case, event)


def fold(case: Case | None, events: Iterable[Event]) -> Case:
    """The case after all of them. Raises ValueError for no event at all and no case."""
    for event in events:
        case = apply(case, event)
    if case is None:
        raise ValueError("a case begins with CaseOpened")
    return case


def _open(event: CaseOpened) -> Case:
    return Case(
        id=event.case,
        creditor=event.creditor,
        debtor=event.debtor,
        currency=event.currency,
        strategy=event.strategy,
        opened_at=event.at,
        group=event.group,
        debtor_as_of=event.as_of,
        invoices=event.invoices,
        runs=event.ran,
    )


def _reopen(case: Case, _: CaseReopened) -> Case:
    return replace(case, ended=None)


def _change_debtor(case: Case, event: DebtorChanged) -> Case:
    old, new = case.debtor, event.debtor
    changed = {"email"} if old.email != new.email else set()
    changed |= {"sms", "voice"} if old.phone != new.phone else set()
    return replace(
        case,
        debtor=new,
        debtor_as_of=event.as_of or case.debtor_as_of,
        unusable=tuple(u for u in case.unusable if u[0] not in changed),
    )


def _state(case: Case, event: InvoicesStated) -> Case:
    known = {invoice.number: invoice for invoice in case.invoices}
    for invoice in event.invoices:
        known[invoice.number] = invoice
    return replace(case, invoices=tuple(known.values()))


def _move(case: Case, event: PaymentReceived | PaymentFailed) -> Case:
    def moved(invoice: Invoice) -> Invoice:
        own = tuple(part.movement for part in event.parts if part.invoice == invoice.number)
        return replace(invoice, movements=(*invoice.movements, *own)) if own else invoice

    return replace(case, invoices=tuple(moved(invoice) for invoice in case.invoices))


def _place_hold(case: Case, event: HoldPlaced) -> Case:
    same = (event.hold.reason, event.hold.invoice)
    kept = tuple(hold for hold in case.holds if (hold.reason, hold.invoice) != same)
    return replace(case, holds=(*kept, event.hold))


def _release_hold(case: Case, event: HoldReleased) -> Case:
    def released(hold: Hold) -> bool:
        return event.reason in (None, hold.reason) and event.invoice in (None, hold.invoice)

    gone = [hold for hold in case.holds if released(hold)]
    # Whoever releases an invoice that was found wrong has seen what is wrong with it: the same is not held again.
    passed = {(hold.invoice, name) for hold in gone if hold.invoice for name in hold.defects}
    let_pass = (*case.let_pass, *sorted(passed.difference(case.let_pass)))
    return replace(case, holds=tuple(hold for hold in case.holds if hold not in gone), failures=0, let_pass=let_pass)


def _lapse_hold(case: Case, event: HoldLapsed) -> Case:
    kept = tuple(h for h in case.holds if (h.reason, h.invoice) != (event.reason, event.invoice))
    if event.outcome:
        broken = event.outcome == "broken"
    else:  # written before outcomes were
        broken = event.reason in PROMISES and still_owed(case, event.invoice)
    return replace(case, holds=kept, firmer=case.firmer or broken)


def still_owed(case: Case, number: str | None) -> bool:
    """Is anything left to pay on that invoice, or on any?"""
    invoice = case.invoice(number) if number else None
    return invoice.outstanding > 0 if invoice else case.owed() > 0


def _approve(case: Case, event: ApprovalGiven) -> Case:
    kept = tuple(h for h in case.holds if (h.reason, h.note) != ("approval_pending", event.step))
    # It is given for the claim as it stands, and does not carry over to another.
    claim = next((invoice.number for invoice in case.chased()), "")
    before = case.approved if case.approved_for == claim else ()
    approved = (*(a for a in before if a[0] != event.step), (event.step, event.by))
    return replace(case, holds=kept, approved=approved, approved_for=claim)


def _credit(case: Case, _: JobCredited) -> Case:
    return replace(case, credit=True)


def _skip(case: Case, event: StepSkipped) -> Case:
    run = case.run(event.step, event.anchor) or StepRun(step=event.step, anchor=event.anchor, at=event.at)
    return case.with_run(replace(run, skipped=event.why))


def _reserve(case: Case, event: AttemptReserved) -> Case:
    begun = case.run(event.step, event.anchor)
    run = begun or StepRun(step=event.step, anchor=event.anchor, at=event.at, firmer=case.firmer)
    if not run.taken:
        run = replace(run, at=event.at, deadline=event.deadline)
    before = run.send(event.channel)
    send = Send(
        channel=event.channel,
        status="reserved",
        attempt=event.attempt,
        tries=before.tries if before else 0,
        missed=before.missed if before else 0,
        config=event.config,
        lease=event.lease,
        given_up=before.given_up if before else (),
        copies=before.copies if before else 0,
        possible_copy=before.possible_copy if before else False,
    )
    others = tuple(s for s in run.sends if s.channel != event.channel)
    run = replace(run, sends=(*others, send), channels=event.channels, covers=event.covers)
    if not run.taken:
        case = replace(case, runs=tuple(r for r in case.runs if (r.step, r.anchor) != (run.step, run.anchor)))
    case = replace(case, attempts=max(case.attempts, event.attempt)).with_run(run)
    if begun or run.errand:
        return case
    approved = tuple(a for a in case.approved if a[0] != event.step)
    # The step that a person had to approve is the one a refusal leads to.
    refusal = case.refusal and event.step not in dict(case.approved)
    return replace(case, credit=False, firmer=False, approved=approved, refusal=refusal)


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
    before = _send(case, event.attempt)
    send = replace(
        before,
        status="sending",
        lease=event.lease,
        provider=event.provider,
        tries=before.tries + 1,
        to=address_digest(case.debtor, before.channel),
        begun=event.real_at or event.at,
        sender=event.sender,
        possible_copy=False,
    )
    return _set_send(replace(case, failures=0), event.attempt, send)


def _settled(send: Send) -> Send:
    """What is only of use as long as it is not known what became of the call is forgotten."""
    return replace(send, lease=None, begun=None, sender="", settle_at=None, looks=0)


def _accept(case: Case, event: AttemptAccepted) -> Case:
    send = replace(
        _settled(_send(case, event.attempt)), status="accepted", provider_id=event.provider_id, code="", config=""
    )
    return _set_send(case, event.attempt, send)


def _reject(case: Case, event: AttemptRejected) -> Case:
    send = replace(_settled(_send(case, event.attempt)), status="rejected", code=event.code)
    case = _set_send(case, event.attempt, send)
    if event.why == "content" or send.to not in ("", address_digest(case.debtor, send.channel)):
        return case  # nothing is wrong with the address, or upstream has corrected it meanwhile
    unusable = (*(u for u in case.unusable if u[0] != send.channel), (send.channel, event.code))
    return replace(case, unusable=unusable)


def _unavailable(case: Case, event: AttemptUnavailable) -> Case:
    """One that had been uncertain may turn up all the same: which it was is remembered."""
    before = _send(case, event.attempt)
    given_up = (*before.given_up, event.attempt) if before.status == "uncertain" else before.given_up
    send = replace(
        _settled(before),
        status="unavailable",
        code=event.code,
        retry_at=event.retry_at,
        given_up=given_up,
        possible_copy=before.possible_copy or event.possible_copy,
    )
    return _set_send(case, event.attempt, send)


def _reappear(case: Case, event: AttemptReappeared) -> Case:
    """Nobody has called again: it was said after all. Somebody has, or is about to: it was said twice."""
    found = case.find_given_up(event.attempt)
    if found is None:
        raise ValueError(f"attempt {event.attempt} was not given up")
    _, send = found
    given_up = tuple(number for number in send.given_up if number != event.attempt)
    if send.status in ("released", "unavailable"):
        after = replace(
            _settled(send),
            attempt=event.attempt,
            status="accepted",
            provider_id=event.provider_id,
            code="",
            config="",
            retry_at=None,
            possible_copy=False,
            given_up=given_up,
        )
    else:
        after = replace(send, given_up=given_up, copies=send.copies + 1)
    return _set_send(case, send.attempt, after)


def _receive(case: Case, event: ReceiptArrived) -> Case:
    """Whatever it says, the provider had the message. A lost one is for another channel, one missed is tried again."""
    send = _send(case, event.attempt)
    heard = replace(
        _settled(send),
        status="accepted",
        config="",
        code="",
        provider_id=event.provider_id or send.provider_id,
        receipt=event.what,
        missed=receipts.missed(event.what, send),
        retry_at=None,
    )
    if event.retry_at:
        heard = replace(heard, status="unavailable", code=event.code, retry_at=event.retry_at)
    elif event.what in receipts.LOST | receipts.MISSED:
        heard = replace(heard, status="undelivered", code=event.code)
    case = _set_send(case, event.attempt, heard)
    return _owe_recap(case, event) if event.what == "ended" else case


def _owe_recap(case: Case, event: ReceiptArrived) -> Case:
    """Somebody was spoken with: what was said goes to them in writing."""
    spoken = any(said.attempt == event.attempt and said.source == "call" for said in case.said)
    channel = "email" if case.debtor.email and "email" not in dict(case.unusable) else "sms"
    return _owe(case, Errand(kind="recap", channel=channel, ref=str(event.attempt), since=event.at)) if spoken else case


def _owe(case: Case, errand: Errand) -> Case:
    """One more errand; those that were run are forgotten."""
    open_ones = tuple(e for e in case.errands if not _ran(case, e) and (e.kind, e.ref) != (errand.kind, errand.ref))
    return replace(case, errands=(*open_ones, errand))


def _ran(case: Case, errand: Errand) -> bool:
    run = case.run(f"@{errand.kind}", errand.ref)
    return run is not None and run.taken


def _hear(case: Case, event: AnswerReceived) -> Case:
    answer = event.answer
    said = Said.of(answer, event.at)
    case = replace(case, said=(*case.said, said)[-ANSWERS_KEPT:])
    if answer.method:
        case = replace(case, promised_method=answer.method)
    if answer.kind == "refusal":
        case = replace(case, refusal=True)
    if answer.kind == "link" or (answer.kind == "help" and not _helped_lately(case, event.at)):
        case = _owe(case, Errand(kind=answer.kind, channel="sms", ref=answer.ref, since=event.at))
    return case


def _helped_lately(case: Case, now: datetime) -> bool:
    """Two machines that answer each other shall not do so for ever: help comes once a day."""
    since = [errand.since for errand in case.errands if errand.kind == "help"]
    return any(now - moment < timedelta(days=1) for moment in since)


def _suppress(case: Case, event: AddressSuppressed) -> Case:
    """What is known for good is not forgotten because they do not want that channel either."""
    new = [c for c in event.channels if event.why in LASTING or why_unusable(case, c) not in LASTING]
    kept = tuple(u for u in case.unusable if u[0] not in new)
    return replace(case, unusable=(*kept, *((channel, f"{event.why}, {event.by}") for channel in new)))


def _restore(case: Case, event: AddressRestored) -> Case:
    return replace(case, unusable=tuple(u for u in case.unusable if u[0] not in event.channels))


def _uncertain(case: Case, event: AttemptUncertain) -> Case:
    send = replace(
        _send(case, event.attempt), status="uncertain", lease=None, code=event.code, settle_at=event.settle_at
    )
    return _set_send(case, event.attempt, send)


def _sought(case: Case, event: AttemptSought) -> Case:
    send = _send(case, event.attempt)
    return _set_send(case, event.attempt, replace(send, looks=send.looks + 1, settle_at=event.settle_at))


def _unsettled(case: Case, event: AttemptUnsettled) -> Case:
    return _set_send(case, event.attempt, replace(_send(case, event.attempt), settle_at=event.settle_at))


def _recall(case: Case, event: AttemptRecalled) -> Case:
    """Nobody got it: once the case may be chased again, it is sent again."""
    send = replace(_send(case, event.attempt), status="unavailable", code="recalled", retry_at=event.at, recall="done")
    return _set_send(case, event.attempt, send)


def _refuse_recall(case: Case, event: RecallRefused) -> Case:
    return _set_send(case, event.attempt, replace(_send(case, event.attempt), recall="refused"))


def _open_task(case: Case, event: TaskOpened) -> Case:
    return replace(case, tasks=(*case.tasks, event.task))


def _close_tasks(case: Case, event: TaskDone | TasksWithdrawn) -> Case:
    closed = event.tasks if isinstance(event, TasksWithdrawn) else (event.task,)
    return replace(case, tasks=tuple(task for task in case.tasks if task not in closed))


def _hand_over(case: Case, event: HandedOver) -> Case:
    run = StepRun(step=event.step, anchor=event.anchor, at=event.at, by_hand=True)
    return replace(case.with_run(run), ended=Ended(reason="handed_over", at=event.at))


def _end(case: Case, event: CaseEnded) -> Case:
    return replace(case, ended=Ended(reason=event.reason, at=event.at))


def _fail(case: Case, _: LookFailed) -> Case:
    return replace(case, failures=case.failures + 1)


_CHANGES: dict[type[Event], Callable[[Case, Any], Case]] = {
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
    AttemptSought: _sought,
    AttemptUnsettled: _unsettled,
    AttemptReappeared: _reappear,
    AttemptRecalled: _recall,
    RecallRefused: _refuse_recall,
    ReceiptArrived: _receive,
    AnswerReceived: _hear,
    AddressSuppressed: _suppress,
    AddressRestored: _restore,
    TaskOpened: _open_task,
    TaskDone: _close_tasks,
    TasksWithdrawn: _close_tasks,
    HandedOver: _hand_over,
    CaseEnded: _end,
    LookFailed: _fail,
}
