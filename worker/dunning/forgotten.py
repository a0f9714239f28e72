"""What may have left in the time that a restored case has forgotten: its provider is asked before it is sent."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from worker.dunning.contact import local_date
from worker.dunning.events import CaseOpened, Event, InvoicesStated
from worker.dunning.model import ERRAND, Case, Invoice, StepRun
from worker.dunning.strategy import Strategy


def may_have_gone(case: Case, strategy: Strategy, run: StepRun, history: Iterable[Event]) -> bool:
    """Could a message of that run have left before the case was restored?

    A claim could not before its invoice was late, nor a courtesy before it was issued, as far as upstream ever said
    when that is; nor an errand before it was asked for.
    """
    if case.restored_at is None:
        return False
    if run.errand:
        asked = (
            errand.since for errand in case.errands if (ERRAND + errand.kind, errand.ref) == (run.step, run.anchor)
        )
        return next(asked, case.restored_at) <= case.restored_at
    step, stated = strategy.step(run.step), [invoice for invoice in _stated(history) if invoice.number == run.anchor]
    if step is None or not stated:
        return True
    if step.pre_due:
        return any(issued_by(invoice, case.restored_at) for invoice in stated)
    day = local_date(case.restored_at, case.debtor.timezone)
    return any(invoice.due_on < day for invoice in stated)


def issued_by(invoice: Invoice, moment: datetime) -> bool:
    """Could upstream have spoken of that invoice by then?"""
    return invoice.issued_on <= (moment + timedelta(days=1)).date()


def _stated(history: Iterable[Event]) -> Iterable[Invoice]:
    for event in history:
        if isinstance(event, CaseOpened | InvoicesStated):
            yield from event.invoices
