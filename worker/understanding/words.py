"""The shape of what a language brings to the rules. The words are in `french.py` and `english.py`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from worker.understanding.folding import Phrases


@dataclass(frozen=True, eq=False)
class Calendar:
    """How a language says days. Regular expressions over folded text, without their surroundings.

    `relative` are words for today plus so many days; `spans` go before a number and its unit ("dans", "in"), and
    `units` say how many days one is. `month_end` is the end of this month, `month_end_of` stands before a month's name.
    """

    months: Mapping[str, int]
    weekdays: Mapping[str, int]
    relative: Mapping[str, int]
    numbers: Mapping[str, int]
    spans: str
    units: Mapping[str, int]
    the: str
    ordinal: str
    of: str
    next_before: str
    next_after: str
    last_before: str
    last_after: str
    month_end: str
    next_month_end: str
    month_end_of: str
    not_when: str


@dataclass(frozen=True, eq=False)
class Words:
    """What a language says, as phrases (see `Phrases` for how they are written)."""

    calendar: Calendar
    #: Said with anything, meaning nothing: greetings, thanks, the invoice itself.
    courtesies: Sequence[str]
    #: "It is paid", beyond doubt.
    paid: Sequence[str]
    #: "Paid": without an accent or a verb it may be "pay". With a date it counts only where written with the accent.
    paid_barely: Sequence[str]
    accented: Sequence[str]
    #: What may stand beside either: when in the past, and how.
    paid_beside: Sequence[str]
    #: "I will pay", beyond doubt, and what may stand beside it.
    promise: Sequence[str]
    promise_beside: Sequence[str]
    dispute: Sequence[str]
    #: Where one of these stands close by, a dispute is none.
    negations: Sequence[str]
    #: A sentence with one of these disputes nothing yet.
    conditions: Sequence[str]
    stop: Sequence[str]
    stop_beside: Sequence[str]
    #: Only where nothing else is said.
    stop_alone: Sequence[str]
    start_alone: Sequence[str]
    help_alone: Sequence[str]
    #: A person must read whatever says one of these: lawyers, insolvency, illness, threats.
    for_a_person: Sequence[str]
    #: A machine says so of itself, and what a machine never speaks of.
    automatic: Sequence[str]
    never_automatic: Sequence[str]

    @cached_property
    def of_paying(self) -> Phrases:
        """Every way to say that something was or will be paid."""
        return Phrases(self.paid, self.paid_barely, self.promise)

    @cached_property
    def lists(self) -> Mapping[str, Phrases]:
        """Each list of phrases, made once."""
        return {name: Phrases(value) for name, value in vars(self).items() if isinstance(value, tuple)}

    @cached_property
    def around(self) -> Mapping[str, Phrases]:
        """All that may be said, where an intent is to be sure."""
        return {
            "already_paid": Phrases(self.paid, self.paid_barely, self.paid_beside, self.courtesies),
            "promise": Phrases(self.promise, self.promise_beside, self.courtesies),
            "stop": Phrases(self.stop, self.stop_beside),
        }
