"""A case with everything needed to read it, and the questions all rules ask."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property

from worker.dunning.contact import cap_ends, local_date, next_open
from worker.dunning.decision import Around
from worker.dunning.model import ZERO, Case, Invoice, StepRun
from worker.dunning.strategy import Step, Strategy


@dataclass(frozen=True)
class View:
    """A case and everything needed to read it, with the questions the rules ask; each is answered once."""

    case: Case
    strategy: Strategy
    now: datetime
    around: Around

    @property
    def zone(self) -> str:
        return self.case.debtor.timezone

    @cached_property
    def today(self) -> date:
        return local_date(self.now, self.zone)

    @cached_property
    def anchor(self) -> Invoice | None:
        """The oldest overdue invoice that may be chased; None while credit notes outweigh what is overdue."""
        overdue = [i for i in self.case.chased() if i.due_on < self.today]
        worth = sum((i.outstanding for i in overdue), ZERO) > credited(self.case)
        return overdue[0] if worth else None

    @cached_property
    def claims(self) -> tuple[Step, ...]:
        """The steps after the due date."""
        return tuple(step for step in self.strategy.steps if not step.pre_due)

    @cached_property
    def runs(self) -> list[StepRun]:
        """The runs of claim steps, as they were taken."""
        names = {step.name for step in self.claims}
        return [run for run in self.case.runs if run.taken and run.step in names]


def lines(case: Case, step: Step, anchor: str, today: date) -> tuple[Invoice, ...]:
    """The invoices a message of that step lists, oldest first.

    A claim lists every overdue invoice that may be chased, and the credit notes that lower the total. A courtesy before
    the due date lists those whose own step it is, and nothing else.
    """
    if step.pre_due:
        own = case.run(step.name, anchor)
        covers = own.covers if own else (anchor,)
        return tuple(i for i in case.chased() if i.number in covers)
    overdue = tuple(i for i in case.chased() if i.due_on < today)
    notes = tuple(i for i in case.invoices if i.kind == "credit_note" and i.outstanding > 0)
    return (*overdue, *notes) if overdue else ()


def usable(case: Case, channel: str) -> bool:
    """Does the debtor have an address for that channel that was not refused? A task needs none."""
    if channel in dict(case.unusable):
        return False
    if channel == "email":
        return case.debtor.email is not None
    if channel in ("sms", "voice"):
        return case.debtor.phone is not None
    return True


def total(case: Case) -> Decimal:
    """What may be chased: the unpaid invoices without a hold of their own, less the credit notes."""
    return max(ZERO, sum((invoice.outstanding for invoice in case.chased()), ZERO) - credited(case))


def credited(case: Case) -> Decimal:
    return sum((note.outstanding for note in case.invoices if note.kind == "credit_note"), ZERO)


def opens_at(view: View, channel: str, moment: datetime, own: StepRun | None = None) -> datetime:
    """When the channel may be used from `moment` on; of its `own` run the reservation is not a contact yet, the calls
    before it were."""
    key, send = (run_key(view.case.id, own.step, own.anchor), own.send(channel)) if own else ("", None)
    again = send.missed if send and channel == "voice" else 0
    contacts = [contact for contact in view.around.contacts if (contact.run, contact.again) != (key, again)]
    cap = cap_ends(contacts, channel, view.strategy.contact, view.zone)
    window = view.strategy.contact.window_for(channel)
    return next_open(max(moment, cap) if cap else moment, window, view.zone, view.around.calendar)


def local_today(case: Case, now: datetime) -> date:
    """The date on the debtor's wall."""
    return local_date(now, case.debtor.timezone)


def run_key(case_id: str, step: str, anchor: str) -> str:
    """What tells the contacts of one run from all others."""
    return f"{case_id}|{step}|{anchor}"
