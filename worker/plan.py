"""What a ladder would do for an example to which nobody answers: the rules themselves, on a clock that jumps."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
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
    Event,
    HandedOver,
    HoldPlaced,
    JobCredited,
    StepSkipped,
)
from worker.dunning.fold import fold
from worker.dunning.model import Case
from worker.dunning.strategy import Strategy
from worker.dunning.view import run_key
from worker.example import example_of
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


@dataclass(frozen=True, slots=True)
class Stage:
    """A rung, and the case as it stood when its messages were decided: enough to word them."""

    rung: Rung
    anchor: str
    case: Case
    at: datetime


@dataclass(slots=True)
class _Walk:
    """A case that nobody answers, walked through time."""

    case: Case
    strategy: Strategy
    calendar: Calendar
    now: datetime
    contacts: list[Contact] = field(default_factory=list)

    def stages(self) -> Iterator[Stage]:
        """Each step as its day comes."""
        end = self.now + _LONGEST
        while self.now < end:
            around = Around(calendar=self.calendar, contacts=tuple(self.contacts))
            outlook = follow(self.case, self.strategy, around, now=self.now, real=self.now, digest="")
            self.case = outlook.case
            answers = [answer for event in outlook.events for answer in self._answer(event)]
            for anchor, rung in self._rungs(outlook.events):
                yield Stage(rung, anchor, self.case, self.now)
            self.case = fold(self.case, answers) if answers else self.case
            if self.case.ended or (outlook.wait and not outlook.wait.until and not answers):
                return
            if outlook.wait and outlook.wait.until and not answers:
                self.now = outlook.wait.until

    def _answer(self, event: Event) -> list[Event]:
        """A person approves, a provider accepts, upstream enqueues the next job."""
        if isinstance(event, HoldPlaced) and event.hold.reason == "no_job":
            return [JobCredited(at=self.now)]
        if isinstance(event, HoldPlaced) and event.hold.reason == "approval_pending":
            return [ApprovalGiven(at=self.now, step=event.hold.note, by="a person")]
        if not isinstance(event, AttemptReserved):
            return []
        if event.channel != "task":
            self.contacts.append(Contact(self.now, event.channel, run_key(self.case.id, event.step, event.anchor)))
        begun = AttemptBegun(at=self.now, attempt=event.attempt, provider="", lease=self.now, wording="", words="")
        return [begun, AttemptAccepted(at=self.now, attempt=event.attempt)]

    def _rungs(self, events: tuple[Event, ...]) -> Iterator[tuple[str, Rung]]:
        """Each with its anchor."""
        today = local_date(self.now, self.case.debtor.timezone)
        reserved = [event for event in events if isinstance(event, AttemptReserved)]
        if reserved:
            step = self.strategy.step(reserved[0].step)
            channels = tuple(event.channel for event in reserved)
            note = "needs approval" if step and step.approval else ""
            tone, deadline = step.tone if step else 0, reserved[0].deadline
            yield reserved[0].anchor, Rung(today, reserved[0].step, tone, channels, deadline, note)
        for event in events:
            if isinstance(event, StepSkipped):
                yield event.anchor, Rung(today, event.step, 0, (), note=f"skipped: {event.why}")
            elif isinstance(event, HandedOver):
                yield event.anchor, Rung(today, event.step, 4, (), note=f"handed over to: {event.to}")


def stages(strategy: Strategy, case: Case) -> list[Stage]:
    """The steps for that case, from its opening on, to which nobody answers.

    Approvals are given at once, every message is accepted, and where jobs drive the ladder the next one comes at once.
    """
    debtor = case.debtor
    calendar = calendar_for(debtor.country, debtor.subdivision)
    return list(_Walk(case, strategy, calendar, case.opened_at).stages())


def example(config: Config, strategy: str, *, due_on: date, amount: Decimal) -> list[Rung]:
    """The plan for one invoice of that amount due that day, of a debtor that the first creditor using it could have.

    Raises ValueError for a strategy driven by jobs, whose steps have no days of their own.
    """
    shown = example_of(config, strategy, due_on, amount=amount)
    if shown.strategy.driven_by == "jobs":
        raise ValueError(f"{strategy} is driven by jobs: its steps have no days of their own")
    return [stage.rung for stage in stages(shown.strategy, shown.case())]
