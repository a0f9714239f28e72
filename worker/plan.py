"""What a ladder would do for an example to which nobody answers: the rules themselves, on a clock that jumps."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from worker.calendar import calendar_for
from worker.config import Config
from worker.dunning.contact import Calendar, Contact, local_date
from worker.dunning.decision import Around
from worker.dunning.events import (
    ApprovalGiven,
    AttemptAccepted,
    AttemptBegun,
    AttemptReserved,
    CaseOpened,
    Event,
    HandedOver,
    HoldPlaced,
    StepSkipped,
)
from worker.dunning.fold import fold
from worker.dunning.model import Case, Debtor, DebtorKind, Invoice
from worker.dunning.strategy import Strategy
from worker.dunning.view import run_key
from worker.look import follow

#: An example ends, or it is a ladder without an end.
_LONGEST = timedelta(days=730)


@dataclass(frozen=True, slots=True)
class Rung:
    """A step as it would be taken: the day, its channels, the date it asks payment by, what it needs first."""

    on: date
    step: str
    tone: int
    channels: tuple[str, ...]
    deadline: date | None = None
    note: str = ""


@dataclass(slots=True)
class _Example:
    """A case that nobody answers, walked through time."""

    case: Case
    strategy: Strategy
    calendar: Calendar
    now: datetime
    contacts: list[Contact] = field(default_factory=list)

    def walk(self) -> Iterator[Rung]:
        """Each step as its day comes."""
        end = self.now + _LONGEST
        while self.now < end:
            around = Around(calendar=self.calendar, contacts=tuple(self.contacts))
            outlook = follow(self.case, self.strategy, around, now=self.now, real=self.now, digest="")
            self.case = outlook.case
            answers = [answer for event in outlook.events for answer in self._answer(event)]
            yield from self._rungs(outlook.events)
            self.case = fold(self.case, answers) if answers else self.case
            if self.case.ended or (outlook.wait and not outlook.wait.until and not answers):
                return
            if outlook.wait and outlook.wait.until and not answers:
                self.now = outlook.wait.until

    def _answer(self, event: Event) -> list[Event]:
        """A person approves, a provider accepts."""
        if isinstance(event, HoldPlaced) and event.hold.reason == "approval_pending":
            return [ApprovalGiven(at=self.now, step=event.hold.note, by="a person")]
        if not isinstance(event, AttemptReserved):
            return []
        if event.channel != "task":
            self.contacts.append(Contact(self.now, event.channel, run_key(self.case.id, event.step, event.anchor)))
        begun = AttemptBegun(at=self.now, attempt=event.attempt, provider="", lease=self.now, wording="", words="")
        return [begun, AttemptAccepted(at=self.now, attempt=event.attempt)]

    def _rungs(self, events: tuple[Event, ...]) -> Iterator[Rung]:
        today = local_date(self.now, self.case.debtor.timezone)
        reserved = [event for event in events if isinstance(event, AttemptReserved)]
        if reserved:
            step = self.strategy.step(reserved[0].step)
            channels = tuple(event.channel for event in reserved)
            note = "needs approval" if step and step.approval else ""
            yield Rung(today, reserved[0].step, step.tone if step else 0, channels, reserved[0].deadline, note)
        for event in events:
            if isinstance(event, StepSkipped):
                yield Rung(today, event.step, 0, (), note=f"skipped: {event.why}")
            elif isinstance(event, HandedOver):
                yield Rung(today, event.step, 4, (), note=f"handed over to: {event.to}")


def plan(strategy: Strategy, debtor: Debtor, calendar: Calendar, *, due_on: date, amount: Decimal) -> list[Rung]:
    """The steps for one invoice of that amount due that day, known a month before, to which nobody answers.

    Approvals are given at once, every message is accepted. Raises ValueError for a strategy driven by jobs, whose steps
    have no days of their own.
    """
    if strategy.driven_by == "jobs":
        raise ValueError(f"{strategy.name} is driven by jobs: its steps have no days of their own")
    opened = datetime.combine(due_on - timedelta(days=30), time(8), UTC)
    invoice = Invoice(
        number="EXAMPLE", issued_on=opened.date(), due_on=due_on, amount=amount, stated=amount, as_of=opened
    )
    case = fold(
        None,
        [
            CaseOpened(
                at=opened, case="example-case", creditor="example", debtor=debtor, currency="EUR",
                strategy=strategy.name, invoices=(invoice,),
            )
        ],
    )  # fmt: skip
    return list(_Example(case, strategy, calendar, opened).walk())


def example(config: Config, strategy: str, *, due_on: date, amount: Decimal) -> list[Rung]:
    """The plan for a debtor with an email and a phone, of a kind and a place that the first creditor using it has."""
    used = [(c, kind) for c in config.creditors.values() for kind, name in c.strategies.items() if name == strategy]
    default: DebtorKind = "business"
    creditor, kind = used[0] if used else (next(iter(config.creditors.values())), default)
    debtor = Debtor(
        id="example", name="Example", kind=kind, locale=creditor.locale, timezone=creditor.timezone,
        country=creditor.country, email="example@example.com", phone=creditor.contact.phone,
    )  # fmt: skip
    return plan(config.strategies[strategy], debtor, calendar_for(creditor.country), due_on=due_on, amount=amount)
