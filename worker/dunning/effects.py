"""What each answer does. One table; `consequences` turns a row of it into events, and is pure.

A promise holds the ladder until its date and two business days for the bank; then it is kept, or broken: the next step
is taken, one tone firmer. Whatever is left to a person holds it until that person releases it. What is said of some
invoices holds those alone. A refusal holds nothing: the next step is the formal notice, once a person has approved it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from worker.dunning.answers import Answer, AnswerKind
from worker.dunning.contact import Calendar, add_business_days, end_of_day, local_date
from worker.dunning.events import AddressRestored, AddressSuppressed, AnswerReceived, Event, HoldPlaced
from worker.dunning.model import Case, Hold
from worker.dunning.strategy import HOLDS, AnswerRules


@dataclass(frozen=True, slots=True)
class Effect:
    """What one kind of answer does.

    `hold` is a key of `HOLDS`, which says how long it lasts. `whole`: it holds the case whatever invoices are named.
    `task`: a person is told. `suppress`: these addresses are not used any more, because of `suppress`.
    """

    hold: str = ""
    whole: bool = False
    task: bool = False
    suppress: str = ""


EFFECTS: dict[AnswerKind, Effect] = {
    "promise": Effect(hold="promise"),
    "already_paid": Effect(hold="already_paid"),
    "instalments": Effect(hold="instalments", task=True),
    "refusal": Effect(),
    "dispute": Effect(hold="dispute", task=True),
    "not_received": Effect(hold="not_received", task=True),
    "invoice_error": Effect(hold="invoice_defect", task=True),
    "terms_misunderstood": Effect(hold="terms_misunderstood", task=True),
    "approval_circuit": Effect(hold="approval_circuit", task=True),
    "mediation": Effect(hold="mediation", whole=True, task=True),
    "call_me": Effect(hold="call_me", whole=True, task=True),
    "message": Effect(hold="message", whole=True, task=True),
    "wrong_person": Effect(suppress="wrong_person", task=True),
    "opt_out": Effect(suppress="opted_out"),
    "opt_in": Effect(),
    "complaint": Effect(suppress="complained"),
    "confirmed": Effect(),
    "method": Effect(),
    "link": Effect(),
    "help": Effect(),
}

#: Ends that a payment which comes back undoes: what a debtor disputes after one is held then.
MAY_COME_BACK = frozenset({"paid", "credited"})

#: An address is a mailbox, or a number that both SMS and calls go to.
_SAME_ADDRESS = {"email": ("email",), "sms": ("sms", "voice"), "voice": ("sms", "voice")}


class NotAcceptable(ValueError):
    """The answer is beyond what a debtor can settle alone; `problem` is one of: date, instalments, invoice."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Limits:
    """What can be promised today: the first and the last day, the most instalments and the last day of the first."""

    first: date
    last: date
    instalments: int
    last_first: date


def limits(case: Case, rules: AnswerRules, now: datetime) -> Limits:
    """What the debtor can settle alone at `now`. A promise that stands can be moved, but not for ever: its last day
    counts from when it was first made."""
    today = local_date(now, case.debtor.timezone)
    made = [local_date(hold.since, case.debtor.timezone) for hold in case.holds if hold.reason == "promise"]
    last = min([today, *made]) + timedelta(days=rules.promise_days)
    return Limits(today, max(today, last), rules.instalments, today + timedelta(days=rules.first_days))


def consequences(case: Case, answer: Answer, rules: AnswerRules, calendar: Calendar, now: datetime) -> list[Event]:
    """The answer and what follows from it, in order, for a case that may have ended. Raises NotAcceptable.

    The task that `EFFECTS` asks for needs words, and is left to the caller.
    """
    _check(case, answer, rules, now)
    events: list[Event] = [AnswerReceived(at=now, answer=answer)]
    effect = EFFECTS[answer.kind]
    if case.ended and not (effect.task and case.ended.reason in MAY_COME_BACK):
        return [*events, *_addresses(case, answer, now)]
    numbers: Iterable[str | None] = (None,) if effect.whole or not answer.invoices else answer.invoices
    if effect.hold:
        events += [
            HoldPlaced(at=now, hold=_hold(case, effect.hold, answer, number, calendar, now)) for number in numbers
        ]
    return [*events, *_addresses(case, answer, now)]


def _check(case: Case, answer: Answer, rules: AnswerRules, now: datetime) -> None:
    bounds = limits(case, rules, now)
    if any(case.invoice(number) is None for number in answer.invoices):
        raise NotAcceptable("invoice")
    if answer.kind == "promise" and not (answer.on and bounds.first <= answer.on <= bounds.last):
        raise NotAcceptable("date")
    if answer.kind == "approval_circuit" and answer.on and not bounds.first <= answer.on <= bounds.last:
        raise NotAcceptable("date")
    if answer.kind == "instalments":
        if answer.count and not 2 <= answer.count <= bounds.instalments:
            raise NotAcceptable("instalments")
        if answer.on and not bounds.first <= answer.on <= bounds.last_first:
            raise NotAcceptable("date")


def _hold(case: Case, reason: str, answer: Answer, number: str | None, calendar: Calendar, now: datetime) -> Hold:
    until = hold_until(reason, answer.on if HOLDS[reason].grace else None, case, now, calendar)
    standing = (hold.since for hold in case.holds if (hold.reason, hold.invoice) == (reason, number))
    since = next(standing, now) if reason == "promise" else now
    return Hold(reason=reason, since=since, until=until, invoice=number)


def hold_until(reason: str, last: date | None, case: Case, now: datetime, calendar: Calendar) -> datetime | None:
    """Until when a hold lasts: the day given and its grace, or the reason's own length; None: until it is released."""
    kind, zone = HOLDS[reason], case.debtor.timezone
    if last is not None:
        return end_of_day(add_business_days(last, kind.grace, calendar), zone)
    if kind.business_days is not None:
        return end_of_day(add_business_days(local_date(now, zone), kind.business_days, calendar), zone)
    return None


def _addresses(case: Case, answer: Answer, now: datetime) -> list[Event]:
    """Which of the debtor's addresses are given up, or taken back. What nobody answered to is left as it is."""
    if answer.kind == "opt_in":
        return [AddressRestored(at=now, channels=answer.channels, by=answer.source)] if answer.channels else []
    why = EFFECTS[answer.kind].suppress
    if not why:
        return []
    channels = answer.channels
    if answer.kind == "wrong_person":
        channels = tuple(dict.fromkeys(same for channel in channels for same in _SAME_ADDRESS.get(channel, ())))
    return [AddressSuppressed(at=now, channels=channels, why=why, by=answer.source)] if channels else []
