"""What a case's page shows and offers. Pure: a case, a link and a day in, values for the templates out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from babel import Locale
from babel.numbers import format_decimal

from worker.dunning.answers import LONGEST, AnswerKind, Method, Said
from worker.dunning.effects import Limits
from worker.dunning.model import Case, Invoice
from worker.dunning.view import local_today, usable
from worker.links import Grant
from worker.render.local import Day, one_line

State = Literal["open", "paid", "closed", "wrong", "moved"]
Reason = Literal["not_received", "invoice_error", "terms_misunderstood", "dispute", "approval_circuit"]

#: What can be wrong, in the order in which it is asked.
REASONS: tuple[Reason, ...] = get_args(Reason)
METHODS: tuple[Method, ...] = tuple(method for method in get_args(Method) if method)
CHANNELS = ("email", "sms", "voice")

#: A case ended so owes nothing.
_SETTLED = ("paid", "credited")
#: A number is one address, whether it is written to or called.
_SAME = {"email": ("email",), "sms": ("sms", "voice"), "voice": ("sms", "voice"), "task": ("task",)}
#: Answers that are not told back: they say nothing to be kept to, or were not the debtor's.
_UNTOLD: tuple[AnswerKind, ...] = ("confirmed", "link", "help", "complaint", "wrong_person")


@dataclass(frozen=True, slots=True)
class Told:
    """An answer, as it is told back; `numbers` are the invoices it was about."""

    at: Day
    kind: AnswerKind
    on: Day | None
    count: int
    method: Method
    numbers: tuple[str, ...]
    channels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reached:
    """A channel that reaches the debtor (`on`), or that they switched off themselves."""

    channel: str
    on: bool


@dataclass(frozen=True, slots=True)
class Bounds:
    """`effects.Limits`, as the debtor's language writes its days."""

    first: Day
    last: Day
    last_first: Day
    instalments: int


@dataclass(frozen=True, slots=True)
class Asked:
    """The form that is being answered: its choice, what was given (field -> values), the fields that are wrong."""

    choice: str = ""
    given: Mapping[str, list[str]] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def state_of(case: Case, grant: Grant) -> State:
    """What kind of page the link opens: amounts are on the open one alone."""
    if not grant.fits(case.debtor):
        return "moved"
    if _said_wrong(case, grant.channel):
        return "wrong"
    if case.ended:
        return "paid" if case.ended.reason in _SETTLED else "closed"
    return "open" if any(invoice.unsettled for invoice in case.invoices) else "paid"


def _said_wrong(case: Case, channel: str) -> bool:
    """Did whoever has that address say that they are somebody else? A corrected address is usable again."""
    why = dict(case.unusable).get(channel, "")
    said = any(s.kind == "wrong_person" and set(s.channels) & set(_SAME[channel]) for s in case.said)
    return why.startswith("wrong_person") or (bool(why) and said)


def owed(case: Case) -> tuple[Invoice, ...]:
    """What is on the page: the unpaid invoices, oldest first, and the credit notes that lower the total."""
    notes = (i for i in case.invoices if i.kind == "credit_note" and i.outstanding > 0)
    return (*case.unpaid(), *notes)


def reached(case: Case) -> tuple[Reached, ...]:
    """The channels that the debtor can switch: off what is used, on what they switched off themselves."""
    return tuple(
        Reached(channel, on=usable(case, channel))
        for channel in CHANNELS
        if usable(case, channel) or switched_off(case, channel)
    )


def switched_off(case: Case, channel: str) -> bool:
    """Did the debtor say that they want nothing by it?"""
    return dict(case.unusable).get(channel, "").startswith("opted_out")


def facts_of(case: Case, grant: Grant, limits: Limits, asked: Asked, locale: Locale) -> dict[str, object]:
    """The names that the page's templates use, besides those of the case's invoices (`render.facts`)."""
    bounds = Bounds(
        Day(limits.first, locale), Day(limits.last, locale), Day(limits.last_first, locale), limits.instalments
    )
    given = {name: list(values) for name, values in asked.given.items()}
    return {
        "channel": grant.channel,
        "limits": bounds,
        "counts": [(str(count), str(count)) for count in range(2, limits.instalments + 1)],
        "reasons": REASONS,
        "reached": reached(case),
        "said": [_told(case, said, locale) for said in reversed(case.said) if said.kind not in _UNTOLD],
        "longest": LONGEST,
        "longest_words": format_decimal(LONGEST, locale=locale),
        "asked": asked.choice,
        "given": {name: given.get(name, []) for name in ("on", "count", "method", "reason", "invoices", "text")},
        "problems": asked.problems,
    }


def done(case: Case, choice: str) -> str:
    """The choice that was just made, if it is the last thing that was said; a link alone thanks nobody."""
    kinds = REASONS if choice == "problem" else (choice,)
    return choice if case.said and case.said[-1].source == "page" and case.said[-1].kind in kinds else ""


def _told(case: Case, said: Said, locale: Locale) -> Told:
    return Told(
        at=Day(local_today(case, said.at), locale),
        kind=said.kind,
        on=Day(said.on, locale) if said.on else None,
        count=said.count,
        method=said.method,
        numbers=tuple(map(one_line, said.invoices)),
        channels=tuple(channel for channel in said.channels if channel in CHANNELS),
    )
