"""Facts about an open case: payments and their failures, holds, closures. What each becomes is decided here."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from worker.commit import Stored, millis
from worker.dunning.contact import Calendar
from worker.dunning.effects import hold_until
from worker.dunning.events import (
    CaseEnded,
    CaseReopened,
    Event,
    HoldPlaced,
    HoldReleased,
    InvoicesStated,
    Moved,
    PaymentFailed,
    PaymentReceived,
)
from worker.dunning.fold import fold
from worker.dunning.model import ZERO, Case, Hold, Invoice, Movement
from worker.jobs import BadJob, CaseClosed, CaseHeld, CaseReleased, PaymentsChecked
from worker.jobs import PaymentFailed as FailedJob
from worker.jobs import PaymentReceived as ReceivedJob
from worker.look import withdraw_tasks
from worker.reminders import group_of
from worker.taking import Taking, calendar_of

#: How long a payment waits for its invoice.
EARLY = timedelta(days=30)


# ---- payments


def receive_payment(taking: Taking, job: ReceivedJob) -> None:
    """Money came in, for an invoice or for a case (then the oldest debts first, C. civ. 1342-10, checked 2026-11)."""
    stored = _holder(taking, job)
    if stored is None:
        _keep_for_later(taking, job, job.amount)
        return
    parts, left = _received_parts(taking, stored.case, job)
    if not parts and left == ZERO:
        return
    event = PaymentReceived(
        at=taking.now,
        parts=tuple(parts),
        received_on=job.received_on,
        reference=job.reference,
        means=job.means,
        unallocated=left,
    )
    after = fold(stored.case, [event])
    taking.change(stored, [event, *_partial_payment(taking, after, calendar_of(after))])


def _received_parts(taking: Taking, case: Case, job: ReceivedJob) -> tuple[list[Moved], Decimal]:
    """On which invoices the money falls, and what none of them can take."""
    if job.invoice is not None:
        invoice = case.invoice(job.invoice)
        if invoice is None or taking.as_of < invoice.as_of:
            taking.notes.append("older than what the invoice knows")
            return [], ZERO
        return [_moved(taking, invoice.number, job.amount, job.reference)], ZERO
    left, parts = job.amount, []
    for invoice in case.unpaid():
        part = min(left, invoice.outstanding)
        if part > ZERO and taking.as_of >= invoice.as_of:
            parts.append(_moved(taking, invoice.number, part, job.reference))
            left -= part
    if not parts:
        taking.notes.append("older than what the invoices know, or nothing is owed")
    return parts, left if parts else ZERO


def _partial_payment(taking: Taking, case: Case, calendar: Calendar) -> list[Event]:
    """Something is still owed: the ladder stays where it is, for three business days."""
    if case.owed() == ZERO or case.ended:
        return []
    until = hold_until("partial_payment", None, case, taking.now, calendar)
    return [HoldPlaced(at=taking.now, hold=Hold(reason="partial_payment", since=taking.now, until=until))]


def fail_payment(taking: Taking, job: FailedJob) -> None:
    """Money that had come in went back: undo it, and take up the case again if that had ended it."""
    stored = _holder(taking, job)
    if stored is None:
        _keep_for_later(taking, job, -job.amount)
        return
    parts = _failed_parts(taking, stored.case, job)
    if not parts:
        return
    event = PaymentFailed(at=taking.now, parts=tuple(parts), reference=job.reference, reason=job.reason)
    after = fold(stored.case, [event])
    released = HoldReleased(at=taking.now, reason="partial_payment")
    if after.ended is None:
        taking.change(stored, [event, released])
    elif after.ended.reason in ("paid", "credited") and after.owed() > ZERO:
        _take_up_again(taking, stored, event, [part.invoice for part in parts])
    else:
        taking.change(stored, [event])


def _take_up_again(taking: Taking, stored: Stored, event: PaymentFailed, numbers: Sequence[str]) -> None:
    """Reopen the case; or, if the debtor has an open one by now, let that one take the invoices."""
    case = stored.case
    latest = taking.app.cases.latest_of_group(taking.creditor, group_of(case.debtor.id, case.currency, case.group))
    current = taking.app.cases.load(latest) if latest and latest != case.id else None
    if current is None or current.case.ended:
        taking.change(stored, [event, CaseReopened(at=taking.now, reason="a payment came back")])
        keys = taking.commit.keys
        taking.commit.op("HSET", keys.groups, group_of(case.debtor.id, case.currency, case.group), case.id)
        return
    after = taking.commit.change(stored, [event])
    owed = tuple(i for i in after.invoices if i.number in numbers and _is_news(i, current.case))
    if not owed:
        taking.notes.append("the debtor's newer case knows better")
        return
    taking.change(current, [InvoicesStated(at=taking.now, invoices=owed)])
    for invoice in owed:
        taking.commit.op("HSET", taking.commit.keys.invoices, invoice.number, current.case.id)


def _is_news(invoice: Invoice, case: Case) -> bool:
    known = case.invoice(invoice.number)
    return known is None or known.known_as_of < invoice.known_as_of


def _failed_parts(taking: Taking, case: Case, job: FailedJob) -> list[Moved]:
    """Which invoices the money had paid: the one named, or those the payment of that reference fell on."""
    if job.invoice is not None:
        invoice = case.invoice(job.invoice)
        if invoice is None or taking.as_of < invoice.as_of:
            taking.notes.append("older than what the invoice knows")
            return []
        return [_moved(taking, invoice.number, -job.amount, job.reference)]
    paid = [
        _moved(taking, invoice.number, -move.amount, job.reference)
        for invoice in case.invoices
        for move in invoice.movements
        if job.reference and move.reference == job.reference and move.amount > ZERO
    ]
    if not paid:
        raise BadJob(["reference: the case has no payment of that reference (name the invoice instead)"])
    return paid


def _holder(taking: Taking, job: ReceivedJob | FailedJob) -> Stored | None:
    """The case that money is about; None for an invoice nobody knows yet. Raises BadJob."""
    stored = taking.case(job.case) if job.case else _by_invoice(taking, job.invoice)
    if stored and stored.case.currency != job.currency:
        raise BadJob(["currency: not the case's"])
    return stored


def _by_invoice(taking: Taking, number: str | None) -> Stored | None:
    return taking.known([number]).holders.get(number) if number else None


def _keep_for_later(taking: Taking, job: ReceivedJob | FailedJob, amount: Decimal) -> None:
    number = job.invoice or ""
    commit, key = taking.commit, taking.commit.keys.early(number)
    entry = {
        "amount": str(amount),
        "currency": job.currency,
        "as_of": taking.as_of.isoformat(),
        "reference": job.reference,
        "means": getattr(job, "means", ""),
    }
    commit.op("RPUSH", key, json.dumps(entry, ensure_ascii=False))
    commit.op("EXPIRE", key, int(EARLY.total_seconds()))
    real = taking.app.clock.real()
    commit.op("ZADD", commit.keys.early_ones, millis(real + EARLY), number)
    commit.op("ZREMRANGEBYSCORE", commit.keys.early_ones, "-inf", millis(real))
    taking.notes.append("kept 30 days for an invoice that is not known yet")


def _moved(taking: Taking, number: str, amount: Decimal, reference: str) -> Moved:
    return Moved(invoice=number, movement=Movement(amount=amount, as_of=taking.as_of, reference=reference))


def check_payments(taking: Taking, job: PaymentsChecked) -> None:
    """Nothing changes in any case; that the feed is alive is noted with every such job (see `feed.py`)."""


# ---- holds and closures


def hold(taking: Taking, job: CaseHeld) -> None:
    """Upstream asks not to chase this, for now."""
    stored = _named(taking, job.case, job.invoice)
    until = hold_until(job.reason, job.until, stored.case, taking.now, calendar_of(stored.case))
    placed = Hold(reason=job.reason, since=taking.now, until=until, invoice=job.invoice)
    taking.change(stored, [HoldPlaced(at=taking.now, hold=placed, by="upstream")])


def release(taking: Taking, job: CaseReleased) -> None:
    """The hold is over."""
    stored = _named(taking, job.case, job.invoice)
    taking.change(stored, [HoldReleased(at=taking.now, reason=job.reason, invoice=job.invoice, by="upstream")])


def close(taking: Taking, job: CaseClosed) -> None:
    """Never chase this again. By an invoice its case is meant, unless others are owed in it: then that one alone."""
    stored = _named(taking, job.case, job.invoice)
    case = stored.case
    others = [i for i in case.invoices if i.unsettled and i.number != job.invoice]
    invoice = case.invoice(job.invoice) if job.invoice else None
    if invoice and others and job.reason in ("paid", "credited", "cancelled", "written_off"):
        taking.change(stored, [InvoicesStated(at=taking.now, invoices=(settled(invoice, taking.as_of),))])
        return
    events: list[Event] = [CaseEnded(at=taking.now, reason=job.reason, by="upstream")]
    if job.reason in ("paid", "credited"):  # an older reminder must not find anything owed
        stated = all_settled(case, taking.as_of)
        events = [InvoicesStated(at=taking.now, invoices=stated), *events] if stated else events
    taking.change(stored, [*events, *withdraw_tasks(taking.commit, fold(case, events), events, taking.now)])


def all_settled(case: Case, as_of: datetime) -> tuple[Invoice, ...]:
    """What of the case is not settled, once it is."""
    return tuple(settled(i, as_of) for i in case.invoices if i.unsettled or i.outstanding > ZERO)


def settled(invoice: Invoice, as_of: datetime) -> Invoice:
    """The invoice once the books say that nothing is owed on it any more."""
    return replace(invoice, stated=ZERO, settled=True, as_of=max(as_of, invoice.known_as_of), movements=())


def _named(taking: Taking, case_id: str | None, number: str | None) -> Stored:
    stored = taking.case(case_id) if case_id else _by_invoice(taking, number)
    if stored is None or (number and stored.case.invoice(number) is None):
        raise BadJob(["invoice: no case of the creditor holds it"])
    return stored
