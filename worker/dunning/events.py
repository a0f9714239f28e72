"""What can happen to a case, in the past tense. What each event changes is in `fold.py`.

`at` is ladder time; `real_at` is set where the two differ (a rehearsal).
"""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

from worker.dunning.answers import Answer
from worker.dunning.model import Debtor, Hold, Invoice, Movement, StepRun


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A fact about a case."""

    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseOpened(Event):
    """A debtor owes something and is followed under a strategy. `ran` is what people had already sent by hand.

    `as_of` is when upstream's books said so of the debtor.
    """

    case: str
    creditor: str
    debtor: Debtor
    currency: str
    strategy: str
    group: str = ""
    invoices: tuple[Invoice, ...]
    ran: tuple[StepRun, ...] = ()
    as_of: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseReopened(Event):
    """A payment that had ended the case came back."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseRestored(Event):
    """The case was read back from an export: what happened to it after `since` (real time) is not known here.

    Attempts are numbered on from `attempts`: a number given after the export would mean two tries.
    """

    since: datetime
    attempts: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class DebtorChanged(Event):
    """Upstream knows the debtor better: another address, another language. Addresses that changed are usable again."""

    debtor: Debtor
    as_of: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InvoicesStated(Event):
    """Upstream said what is outstanding on these, more recently than anything known about them."""

    invoices: tuple[Invoice, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """The part of a payment that falls on one invoice."""

    invoice: str
    movement: Movement


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentReceived(Event):
    """Money came in; `unallocated` is what no open invoice could take."""

    parts: tuple[Moved, ...]
    received_on: date | None = None
    reference: str = ""
    means: str = ""
    unallocated: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentFailed(Event):
    """Money that had come in went back: a bounced cheque, a rejected debit. The movements are negative."""

    parts: tuple[Moved, ...]
    reference: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldPlaced(Event):
    """The case, or one invoice of it, must not be chased. A hold of the same reason and scope is replaced."""

    hold: Hold
    by: str = "rule"


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldReleased(Event):
    """Somebody lifted holds: those of that reason and invoice; a None means any."""

    reason: str | None = None
    invoice: str | None = None
    by: str = "rule"


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldLapsed(Event):
    """A hold's date passed, or what it waited for came true. `outcome` says which, of what a debtor promised."""

    reason: str
    invoice: str | None = None
    outcome: Literal["", "kept", "broken"] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalGiven(Event):
    """A person agreed that the step may go out."""

    step: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobCredited(Event):
    """A job arrived that is worth one step (`driven_by: jobs`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSkipped(Event):
    """A step was passed over, and why."""

    step: str
    anchor: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptReserved(Event):
    """One try at one message was decided; nobody has called a provider yet. `config` is the configuration's digest."""

    attempt: int
    step: str
    anchor: str
    channel: str
    channels: tuple[str, ...]
    covers: tuple[str, ...]
    deadline: date | None
    lease: datetime
    config: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptReleased(Event):
    """The reservation was given back, nothing having been called."""

    attempt: int
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptBegun(Event):
    """From here on a provider may have been called.

    `wording` is the digest of the whole text, `words` its beginning, `reference` the short identity of the message;
    `segments` are what an SMS is charged as; `sender` is the number or mailbox of ours. `possible_copy`: an earlier try
    may have gone, and nobody could tell.
    """

    attempt: int
    provider: str
    lease: datetime
    wording: str
    words: str
    reference: str = ""
    segments: int = 0
    sender: str = ""
    possible_copy: bool = False
    real_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptAccepted(Event):
    """The provider took the message.

    `by` is empty where it said so when it was called, the provider's name where its receipt came first, or the person
    who settled an uncertain one.
    """

    attempt: int
    provider_id: str = ""
    by: str = ""
    real_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFound(Event):
    """The provider has had that message already, by a try that this store has forgotten: it is not sent again."""

    attempt: int
    provider: str
    provider_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRejected(Event):
    """The provider will never take it: the address, an opt-out, or the content (see `channels/base.py`)."""

    attempt: int
    why: str
    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptUnavailable(Event):
    """Surely not sent; may be tried again from `retry_at` (ladder time).

    `by` says it of an uncertain one: the provider's list, or a person. `possible_copy`: nobody can tell, and the
    channel's configuration has it sent again all the same.
    """

    attempt: int
    why: str
    code: str
    retry_at: datetime
    by: str = ""
    possible_copy: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptUncertain(Event):
    """It may have gone. Never sent again blindly: the provider is asked from `settle_at` on (ladder time)."""

    attempt: int
    code: str
    settle_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptSought(Event):
    """The provider's list did not have it. It is looked for again at `settle_at`: a list may lag behind."""

    attempt: int
    settle_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptUnsettled(Event):
    """Nobody can tell whether it went: the provider cannot be asked, or not any more. A person settles it.

    Or, with a `settle_at`, it is sent again then, as a possible copy.
    """

    attempt: int
    why: str
    settle_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptReappeared(Event):
    """A try that had been given up as not sent went after all.

    `by` says so: the provider whose receipt it is, its list, or, where it is empty, the worker that had called it.
    `displaced`: the try in its place, which may have gone or was refused, and is the message's latest no more.
    """

    attempt: int
    provider_id: str = ""
    by: str = ""
    provider: str = ""
    displaced: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRecalled(Event):
    """The provider cancelled what it had taken, before it left: the case was paid, held or closed."""

    attempt: int
    provider: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallRefused(Event):
    """It was too late to cancel it, or its provider cannot."""

    attempt: int
    provider: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptArrived(Event):
    """What a provider said of an attempt after it took it, if that is more than it had said before.

    `what` is a word of `receipts.py`, `code` the provider's own. `retry_at`: the message is tried once more then.
    """

    attempt: int
    what: str
    provider: str
    code: str = ""
    provider_id: str = ""
    retry_at: datetime | None = None
    real_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerReceived(Event):
    """The debtor answered. What it leads to are events of their own, in the same commit."""

    answer: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressSuppressed(Event):
    """The debtor's present addresses for these channels must not be used any more: why, and from where we know it."""

    channels: tuple[str, ...]
    why: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressRestored(Event):
    """They may be used again."""

    channels: tuple[str, ...]
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOpened(Event):
    """Something a person is to do, with the words for it."""

    task: str
    kind: str
    title: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDone(Event):
    """A person did it."""

    task: str
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TasksWithdrawn(Event):
    """The case ended: nobody is to do these any more."""

    tasks: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedOver(Event):
    """The ladder's end: a person, an agency or a court takes the case."""

    step: str
    anchor: str
    to: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseEnded(Event):
    """Nothing more is sent."""

    reason: str
    by: str = "rule"


@dataclass(frozen=True, slots=True, kw_only=True)
class LookFailed(Event):
    """An exception while deciding or rendering; `place` names it without data. The third in a row holds the case."""

    place: str
