"""A strategy: the ladder of steps and the rules of contact, as plain values that `worker/config.py` reads from YAML."""

from dataclasses import dataclass, field
from datetime import time, timedelta
from decimal import Decimal
from typing import Literal

from worker.dunning.model import DebtorKind

#: What a step's day counts from. `due`: the anchor invoice's due date. `previous`: the day the step before was taken.
#: `previous_deadline`: the last date by which a message asked for payment.
Origin = Literal["due", "previous", "previous_deadline"]


@dataclass(frozen=True, slots=True)
class When:
    """An offset in days (or business days) from an origin: `due - 7d`, `previous deadline + 3bd`."""

    origin: Origin
    days: int
    business: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A rung of the ladder, known by its name.

    `when`: the latest of these decides the day. `channels`: all of them, or with `first` the first that can reach the
    debtor. `notice` names the template folder. `tone` is 0 (courtesy) to 4 (formal). `deadline` is the number of days
    the message gives to pay. `approval`: a person must agree first. `min_amount`: below that total the step is skipped.
    `handover` names who takes over; such a step sends nothing and ends the case. `attempts`: how often a call that
    reaches nobody is placed before the step falls back to another channel.
    """

    name: str
    when: tuple[When, ...]
    notice: str = ""
    channels: tuple[str, ...] = ()
    first: bool = False
    tone: int = 0
    deadline: int | None = None
    approval: bool = False
    min_amount: Decimal = Decimal(0)
    handover: str = ""
    attempts: int = 3

    @property
    def pre_due(self) -> bool:
        """Before the due date: such a step belongs to each invoice, and shifts backward."""
        return any(when.origin == "due" and when.days <= 0 for when in self.when)


@dataclass(frozen=True, slots=True)
class Window:
    """Open hours in the debtor's zone. `weekdays`: 0 is Monday. `hours`: (from, to) pairs, the end not included."""

    weekdays: frozenset[int]
    hours: tuple[tuple[time, time], ...]
    holidays: bool = False  # may public holidays be used?


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactRules:
    """When and how often a debtor may be contacted.

    `windows` overrides `window` for a channel. `min_gap_days`: days between two contacts of one debtor, all channels
    and cases. `fallback`: the channels to try, in order, when none of a step's own can reach. `late_after_days`: a step
    taken later than this after its day moves the rest of the ladder with it. `caps` limits contacts per channel:
    {"voice": (4, 30)} is 4 in 30 days.
    """

    window: Window
    windows: dict[str, Window] = field(default_factory=dict)
    min_gap_days: int = 3
    fallback: tuple[str, ...] = ("email", "sms", "voice")
    late_after_days: int = 7
    caps: dict[str, tuple[int, int]] = field(default_factory=dict)

    def window_for(self, channel: str) -> Window:
        """The open hours of that channel."""
        return self.windows.get(channel, self.window)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerRules:
    """What a debtor can settle without a person: `promise_days` from today is the furthest date they may name,
    `instalments` the most they may ask for, the first within `first_days`."""

    promise_days: int = 30
    instalments: int = 6
    first_days: int = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Strategy:
    """A named set of rules and its ladder. `digest` identifies the configuration it came from.

    `description` is the file's own; `debtors` are the kinds it is written for.
    `driven_by`: "ladder" (the agenda does the rest) or "jobs" (each job is worth one step). `group_by`: one case per
    debtor, or per invoice. `min_amount`: below that total nobody is chased. `backoff`: waits (real time) between tries
    of a message whose provider is unavailable; after the last it stays at the last.
    """

    name: str
    steps: tuple[Step, ...]
    contact: ContactRules
    description: str = ""
    debtors: tuple[DebtorKind, ...] = ("business",)
    driven_by: Literal["ladder", "jobs"] = "ladder"
    group_by: Literal["debtor", "invoice"] = "debtor"
    min_amount: Decimal = Decimal(0)
    backoff: tuple[timedelta, ...] = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30))
    answers: AnswerRules = AnswerRules()
    digest: str = ""

    def step(self, name: str) -> Step | None:
        """The step of that name."""
        return next((step for step in self.steps if step.name == name), None)

    def index(self, name: str) -> int:
        """The step's place on the ladder; -1 for a name it does not have (renamed since)."""
        return next((i for i, step in enumerate(self.steps) if step.name == name), -1)


@dataclass(frozen=True, slots=True)
class HoldKind:
    """What a hold's reason means. `business_days`: how long it lasts when nobody says (None: until it is released).

    `grace`: business days added to the date given with it (a promise gets two for the bank).
    """

    business_days: int | None = None
    grace: int = 0


#: Holds that the rules place, and lift as soon as what they wait for has come.
FOUND_BY_RULES = frozenset({"below_minimum", "unreachable", "no_job", "ladder_done", "approval_pending"})
#: Every reason for a hold, and how long it lasts.
HOLDS: dict[str, HoldKind] = {
    # what debtors say, as reported by upstream
    "promise": HoldKind(grace=2),
    "plan": HoldKind(grace=2),
    "already_paid": HoldKind(business_days=5),
    "dispute": HoldKind(),
    "mediation": HoldKind(),
    "approval_circuit": HoldKind(business_days=5, grace=2),
    "terms_misunderstood": HoldKind(business_days=5),
    # what debtors say to us
    "not_received": HoldKind(business_days=5),
    "instalments": HoldKind(),
    "call_me": HoldKind(),
    "message": HoldKind(),
    # what upstream knows
    "invoice_defect": HoldKind(),
    "represented": HoldKind(),
    "vulnerable": HoldKind(),
    "manual": HoldKind(),
    # what the rules find
    "partial_payment": HoldKind(business_days=3),
    "approval_pending": HoldKind(),
    "unreachable": HoldKind(),
    "below_minimum": HoldKind(),
    "no_job": HoldKind(),
    "ladder_done": HoldKind(),
    "error": HoldKind(),
}

#: Holds that speak of a date the debtor named: when it passes unpaid, the promise is broken.
PROMISES = frozenset({"promise", "plan"})

#: Reasons a case can be closed for by upstream. "paid" and "handed_over" are also reached by the rules.
END_REASONS = (
    "paid", "credited", "cancelled", "written_off", "insolvency", "handed_over", "time_barred", "deceased", "other",
)  # fmt: skip
