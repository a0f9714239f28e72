"""Cases, strategies and moments, short; and `Story`, which walks a case through time as the scheduler would."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from worker.calendar import calendar_for
from worker.config import load
from worker.dunning import receipts
from worker.dunning.answers import Answer as DebtorsAnswer
from worker.dunning.answers import AnswerKind
from worker.dunning.contact import Calendar, Contact, local_date
from worker.dunning.decision import Around, Wait
from worker.dunning.effects import consequences
from worker.dunning.events import (
    AddressSuppressed,
    ApprovalGiven,
    AttemptAccepted,
    AttemptBegun,
    AttemptRejected,
    AttemptReleased,
    AttemptReserved,
    AttemptUnavailable,
    CaseOpened,
    Event,
    HandedOver,
    HoldPlaced,
    InvoicesStated,
    JobCredited,
    Moved,
    PaymentFailed,
    PaymentReceived,
    ReceiptArrived,
    StepSkipped,
)
from worker.dunning.fold import apply, fold
from worker.dunning.ladder import decide, may_send
from worker.dunning.model import ERRAND, Case, Debtor, Hold, Invoice, InvoiceKind, Movement, StepRun
from worker.dunning.strategy import ContactRules, Step, Strategy, When, Window
from worker.dunning.view import run_key
from worker.look import Outlook, follow

PARIS = "Europe/Paris"
FRANCE = calendar_for("FR")
CONFIG = load(Path(__file__).parents[3] / "config")
B2B, B2C = CONFIG.strategies["b2b"], CONFIG.strategies["b2c"]

COMPANY = Debtor(
    id="d1", name="Exemple SARL", kind="business", locale="fr_FR", timezone=PARIS, country="FR",
    email="compta@example.com", phone="+33199001234",
)  # fmt: skip

#: Open all day, every day: for tests that are not about hours.
ALWAYS = Window(frozenset(range(7)), ((time.min, time.max),), holidays=True)

#: What a provider made of a begun attempt; None: nobody knows yet.
Answer = Callable[[StepRun, str, int, datetime], Event | None]


def at(text: str, zone: str = PARIS) -> datetime:
    """A moment on the wall of a zone: `2026-04-01 09:00`; a date alone is ten in the morning."""
    return datetime.fromisoformat(text if " " in text else f"{text} 10:00").replace(tzinfo=ZoneInfo(zone))


def day(text: str) -> date:
    """A date."""
    return date.fromisoformat(text)


def invoice(
    number: str, due: str, amount: str = "1000", *, kind: InvoiceKind = "invoice", as_of: str = "2026-01-01"
) -> Invoice:
    """A claim due on that day, or a credit note; issued when the books knew of it at the latest."""
    due_on = day(due)
    issued_on = min(due_on - timedelta(days=30), day(as_of))
    return Invoice(
        number=number, issued_on=issued_on, due_on=due_on, amount=Decimal(amount),
        stated=Decimal(amount), as_of=at(as_of), kind=kind,
    )  # fmt: skip


def after(*whens: str) -> tuple[When, ...]:
    """`due+5d`, `previous+2d`, `previous_deadline+1bd`."""

    def one(text: str) -> When:
        origin, sign, count = text.replace("-", " - ").replace("+", " + ").split()
        days = int(count.rstrip("bd")) * (-1 if sign == "-" else 1)
        return When(origin, days, business=count.endswith("bd"))  # type: ignore[arg-type]

    return tuple(one(text) for text in whens)


def step(name: str, *whens: str, channels: tuple[str, ...] = ("email",), **more: object) -> Step:
    """A rung, by email unless said otherwise."""
    return Step(name=name, when=after(*whens), channels=channels, **more)  # type: ignore[arg-type]


def strategy(*steps: Step, gap: int = 3, late_after: int = 7, **more: object) -> Strategy:
    """A ladder with rules that are always open; `fallback` and `caps` go to the rules, the rest to the strategy."""
    rules = {name: more.pop(name) for name in ("fallback", "caps", "windows") if name in more}
    contact = ContactRules(window=ALWAYS, min_gap_days=gap, late_after_days=late_after, **rules)  # type: ignore[arg-type]
    return Strategy(name="test", steps=steps, contact=contact, **more)  # type: ignore[arg-type]


def accepted(run: StepRun, channel: str, attempt: int, now: datetime) -> Event | None:
    """Every provider takes everything."""
    return AttemptAccepted(at=now, attempt=attempt)


@dataclass
class Story:
    """A case and its clock. What is sent is answered by `answer`; `sent` has each message as (date, step, channel).

    Its contact log counts what `look.log_contacts` counts: reservations, but tasks and what was surely not sent.
    """

    strategy: Strategy
    now: datetime
    case: Case = field(init=False)
    debtor: Debtor = COMPANY
    calendar: Calendar = FRANCE
    answer: Answer = accepted
    contacts: list[Contact] = field(default_factory=list)
    paused: set[str] = field(default_factory=set)
    history: list[Event] = field(default_factory=list)
    sent: list[tuple[str, str, str]] = field(default_factory=list)
    wait: Wait | None = None

    def open(self, *invoices: Invoice, ran: tuple[StepRun, ...] = ()) -> "Story":
        """Upstream's first job arrives."""
        opened = CaseOpened(
            at=self.now, case="demo-1", creditor="demo", debtor=self.debtor, currency="EUR",
            strategy=self.strategy.name, invoices=invoices, ran=ran,
        )  # fmt: skip
        self.case = apply(None, opened)
        self.history.append(opened)
        if self.strategy.driven_by == "jobs":
            self.tell(JobCredited(at=self.now))
        return self

    # ---- what others say

    def tell(self, *events: Event) -> None:
        """Facts arrive."""
        self.case = fold(self.case, events)
        self.history += events

    def pay(self, number: str, amount: str | None = None) -> None:
        """Money comes in for an invoice; without an amount, all of it."""
        owed = self.claim(number).outstanding
        moved = Moved(invoice=number, movement=Movement(amount=Decimal(amount or owed), as_of=self.now))
        self.tell(PaymentReceived(at=self.now, parts=(moved,)))

    def bounce(self, number: str, amount: str) -> None:
        """Money that had come in goes back."""
        moved = Moved(invoice=number, movement=Movement(amount=-Decimal(amount), as_of=self.now))
        self.tell(PaymentFailed(at=self.now, parts=(moved,)))

    def state(self, *invoices: Invoice) -> None:
        """Upstream says what is outstanding now."""
        self.tell(InvoicesStated(at=self.now, invoices=invoices))

    def hold(self, reason: str, until: str | None = None, number: str | None = None) -> None:
        """Somebody asks not to chase the case, or one invoice of it."""
        end = at(until) if until else None
        self.tell(HoldPlaced(at=self.now, hold=Hold(reason=reason, since=self.now, until=end, invoice=number)))

    def approve(self, name: str, by: str = "an operator") -> None:
        """A person agrees to a step."""
        self.tell(ApprovalGiven(at=self.now, step=name, by=by))

    def say(self, kind: AnswerKind, **fields: Any) -> None:
        """The debtor answers, on the page unless said otherwise."""
        said = DebtorsAnswer(kind=kind, **{"source": "page", "ref": f"{kind}-{len(self.history)}", **fields})
        self.tell(*consequences(self.case, said, self.strategy.answers, self.calendar, self.now))

    def receipt(self, attempt: int, what: str) -> None:
        """The provider says what became of a message, if that is news."""
        found = self.case.find_attempt(attempt)
        if found is None or not receipts.is_news(what, found[1]):
            return
        run, send = found
        again = receipts.again_at(what, send, self.strategy.step(run.step), self.now)
        self.tell(ReceiptArrived(at=self.now, attempt=attempt, what=what, provider="p", retry_at=again))
        if what in receipts.UNHEARD:
            own = run_key(self.case.id, run.step, run.anchor)
            self.contacts = [c for c in self.contacts if (c.run, c.channel) != (own, send.channel)]
        if what in ("hard", "opted_out", "unsubscribed", "complained"):
            self.tell(AddressSuppressed(at=self.now, channels=(send.channel,), why=what, by="p"))
        if what == "content":
            self.hold("error")  # as `inbound.py` does, in the same commit

    # ---- the walk

    def claim(self, number: str) -> Invoice:
        """The invoice of that number."""
        found = self.case.invoice(number)
        assert found is not None
        return found

    @property
    def around(self) -> Around:
        """What a decision depends on besides the case."""
        return Around(calendar=self.calendar, contacts=tuple(self.contacts), paused=frozenset(self.paused))

    @property
    def today(self) -> date:
        """The date on the debtor's wall."""
        return local_date(self.now, self.debtor.timezone)

    def look(self) -> Outlook:
        """One look, and what became of what it reserved."""
        outlook = follow(self.case, self.strategy, self.around, now=self.now, real=self.now, digest="")
        self.case, self.wait = outlook.case, outlook.wait
        self.history += outlook.events
        for event in outlook.events:
            self._note(event)
        for event in outlook.events:
            if isinstance(event, AttemptReserved):
                self._send(event)
        return outlook

    def until(self, text: str) -> "Story":
        """Looks whenever one is due, up to that moment, and stands there."""
        end = at(text)
        while self._settle() and self.wait and self.wait.until and self.wait.until <= end:
            self.now = self.wait.until
        self.now = end
        return self

    def _settle(self) -> bool:
        """Looks until there is something to wait for."""
        for _ in range(30):
            if self.look().wait:
                return True
        raise AssertionError("the case is looked at again and again, and there is no end")

    def _send(self, event: AttemptReserved) -> None:
        """The last look, and the provider's answer."""
        run = self.case.run(event.step, event.anchor)
        assert run is not None
        reason = may_send(self.case, self.strategy, run, event.channel, self.now, self.around)
        if reason:
            # The other message of the step may have been refused for its content, and that holds the case.
            assert self.case.case_hold(), f"reserved, but may not be sent: {reason}"
            self._forget(event)
            self.tell(AttemptReleased(at=self.now, attempt=event.attempt, why=reason))
            return
        lease = self.now + timedelta(minutes=1)
        begun = AttemptBegun(at=self.now, attempt=event.attempt, provider="outbox", lease=lease, wording="", words="")
        self.tell(begun)
        outcome = self.answer(run, event.channel, event.attempt, self.now)
        if outcome is None:
            return
        if isinstance(outcome, AttemptAccepted):
            self.sent.append((self.today.isoformat(), event.step, event.channel))
        elif isinstance(outcome, AttemptRejected | AttemptUnavailable):
            self._forget(event)
        self.tell(outcome)
        if isinstance(outcome, AttemptRejected) and outcome.why == "content":
            self.hold("error")  # as `outcomes.py` does, in the same commit

    def _note(self, event: Event) -> None:
        if isinstance(event, AttemptReserved) and event.channel != "task" and not event.step.startswith(ERRAND):
            self.contacts.append(Contact(self.now, event.channel, run_key(self.case.id, event.step, event.anchor)))
        elif isinstance(event, HandedOver | StepSkipped):
            done = "handed over" if isinstance(event, HandedOver) else "skipped"
            self.sent.append((self.today.isoformat(), event.step, done))

    def _forget(self, event: AttemptReserved) -> None:
        own = run_key(self.case.id, event.step, event.anchor)
        self.contacts = [c for c in self.contacts if (c.run, c.channel, c.at) != (own, event.channel, self.now)]


def table(sent: Iterable[tuple[str, str, str]]) -> list[str]:
    """One line per day and step: `2026-04-15 second_reminder email sms task`."""
    lines: dict[tuple[str, str], list[str]] = {}
    for on, name, channel in sent:
        lines.setdefault((on, name), []).append(channel)
    return [" ".join((*key, *channels)) for key, channels in lines.items()]


def reason(story: Story) -> str:
    """Why nothing happens now."""
    decision = decide(story.case, story.strategy, story.now, story.around)
    return getattr(decision, "reason", "")


def without(debtor: Debtor, **fields: object) -> Debtor:
    """The debtor with other fields."""
    return replace(debtor, **fields)  # type: ignore[arg-type]


def utc(text: str) -> datetime:
    """A moment in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
