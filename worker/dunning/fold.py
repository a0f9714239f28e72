"""What each event does to a case. `apply` is the only way a case changes: the snapshot is the fold of the history."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from worker.dunning import attempts
from worker.dunning.answers import Errand, Said
from worker.dunning.attempts import receive
from worker.dunning.events import (
    AddressRestored,
    AddressSuppressed,
    AnswerReceived,
    ApprovalGiven,
    CaseEnded,
    CaseOpened,
    CaseReopened,
    CaseRestored,
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
    ReceiptArrived,
    StepSkipped,
    TaskDone,
    TaskOpened,
    TasksWithdrawn,
)
from worker.dunning.model import LASTING, Case, Ended, Hold, Invoice, StepRun, why_unusable
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


def _restore_case(case: Case, event: CaseRestored) -> Case:
    """Of several, the one that has forgotten most counts. What a person vouched for was before it."""
    runs = tuple(replace(run, sends=tuple(replace(send, vouched=False) for send in run.sends)) for run in case.runs)
    return replace(
        case,
        forgotten_since=min(event.since, case.forgotten_since or event.since),
        restored_at=event.at,
        attempts=max(case.attempts, event.attempts),
        runs=runs,
    )


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


def _receive(case: Case, event: ReceiptArrived) -> Case:
    case = receive(case, event)
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
    **attempts.CHANGES,
    CaseReopened: _reopen,
    CaseRestored: _restore_case,
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
