"""What a debtor can answer, whatever the way: a key, a page, an SMS, an email. What each does is in `effects.py`."""

from dataclasses import dataclass, field, fields
from datetime import date, datetime
from typing import Literal

AnswerKind = Literal[
    # what they will do
    "promise", "already_paid", "instalments", "refusal",
    # what is wrong
    "dispute", "not_received", "invoice_error", "terms_misunderstood", "approval_circuit", "mediation",
    # who they are, and how to reach them
    "wrong_person", "opt_out", "opt_in", "complaint", "call_me", "message",
    # not an answer by themselves: it was the right person, how they will pay, what they want to be sent
    "confirmed", "method", "link", "help",
]  # fmt: skip

#: Where it was said.
Source = Literal["call", "sms", "email", "page"]

#: How it will be paid.
Method = Literal["", "transfer", "card", "cheque", "debit", "cash", "other"]

#: What is sent to a debtor because they answered; each is the name of a notice.
ErrandKind = Literal["link", "recap", "help"]

#: How many characters of what somebody wrote are kept.
LONGEST = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What was said, and where.

    `attempt` is the message it answers, where that is known. `invoices` are those it is about; none means all. `on` is
    the date of a promise, of the first instalment, or by which a circuit approves; `count` the number of instalments.
    `channels` are those an opt-out, an opt-in or a wrong person is about.
    """

    kind: AnswerKind
    source: Source
    attempt: int | None = None
    invoices: tuple[str, ...] = ()
    on: date | None = None
    count: int = 0
    method: Method = ""
    channels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Content):
    """One thing a debtor said.

    `ref` tells it from every other answer of that creditor: the same one twice is one (a Message-ID, a call's id with
    the key and the place in the menu, a form's own number). `text` is in their own words: it is for people, in the
    history and the task, and never in a log.
    """

    ref: str
    text: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said(Content):
    """What the snapshot keeps of an answer: enough to repeat it to the debtor and to an operator, not their words."""

    at: datetime

    @classmethod
    def of(cls, answer: Answer, at: datetime) -> "Said":
        """That answer, given then."""
        return cls(at=at, **{each.name: getattr(answer, each.name) for each in fields(Content)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand:
    """A message the debtor asked for, or is owed for having answered: no step of the ladder, and nothing is claimed.

    `kind` is the notice it is worded by: "link" (the page, during a call), "recap" (after a call), "help". `ref` tells
    it from the others of its kind; a recap's is the number of the call's attempt.
    """

    kind: ErrandKind
    channel: str
    ref: str
    since: datetime
