"""What a case is made of. Values only: frozen, aware times, Decimal money, no I/O.

Amounts are in the case's one currency. "Ladder time" is the time the rules reason in; it equals real time except in a
rehearsal, where it runs faster (see `worker/clock.py`).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from hashlib import blake2b
from typing import Literal

from worker.dunning.answers import Errand, Method, Said

DebtorKind = Literal["business", "consumer", "public"]
InvoiceKind = Literal["invoice", "credit_note"]

#: How one message stands. The first three are open: a worker may be on it, or have died on it.
#: reserved -> sending -> accepted | rejected | unavailable | uncertain; reserved -> released;
#: accepted -> undelivered (it will not arrive) | unavailable (to be tried once more), by a receipt;
#: uncertain -> accepted | unavailable, settled by a receipt, the provider's list or a person.
MessageStatus = Literal[
    "reserved", "sending", "uncertain", "accepted", "rejected", "unavailable", "released", "undelivered"
]

#: A run that is no step of the ladder but an errand has a name that begins so, and the errand's kind behind it.
ERRAND = "@"

#: Why a message is uncertain that a restored case may have forgotten, there being no list that reaches so far back.
RESTORED = "restored"

ZERO = Decimal(0)

#: Why an address is given up that the debtor cannot take back: only upstream's books or an operator know better.
LASTING = frozenset({"bounced", "complained", "wrong_person"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Debtor:
    """Who owes.

    `locale` is like "fr_FR", `timezone` an IANA name, `subdivision` as in ISO 3166-2 without the country. `address` is
    the postal one, in lines.
    """

    id: str
    name: str
    kind: DebtorKind
    locale: str
    timezone: str
    country: str
    subdivision: str | None = None
    email: str | None = None
    phone: str | None = None
    address: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """Money that moved on one invoice after its stated amount: positive came in, negative came back (bounced)."""

    amount: Decimal
    as_of: datetime
    reference: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoice:
    """A claim, or a credit note that lowers the total.

    `stated` is what was outstanding when upstream's books last said so, at `as_of`; `settled`: they said that it was
    nothing. `movements` are the payments and their failures reported since. An older word never overrides a newer one.
    """

    number: str
    issued_on: date
    due_on: date
    amount: Decimal
    stated: Decimal
    as_of: datetime
    kind: InvoiceKind = "invoice"
    subject: str = ""
    payment_url: str | None = None
    document_url: str | None = None
    movements: tuple[Movement, ...] = ()
    settled: bool = False

    @property
    def outstanding(self) -> Decimal:
        """What is still owed (or, for a credit note, still to be credited): from zero to the amount.

        A payment may come back of which nobody told us that it had come in.
        """
        moved = sum((move.amount for move in self.movements), ZERO) if self.movements else ZERO
        left = self.stated - moved
        return max(ZERO, min(self.amount, left))

    @property
    def unclear(self) -> bool:
        """Does nobody know what is owed on it? The books claim nothing, or less, and do not say that it is settled."""
        return self.kind == "invoice" and not self.settled and (self.amount <= ZERO or self.stated < ZERO)

    @property
    def unsettled(self) -> bool:
        """Is it a claim that is not done with?"""
        return self.unclear or (self.kind == "invoice" and self.outstanding > ZERO)

    @property
    def known_as_of(self) -> datetime:
        """The newest word about this invoice."""
        return max([self.as_of, *(move.as_of for move in self.movements)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Why the case (or one invoice of it) must not be chased, and until when (None: until it is released).

    `reason` is a key of `strategy.HOLDS`; `note` says the detail for an operator, without personal data. An
    `invoice_defect` that the check found names the defects there; one that somebody placed has no note.
    """

    reason: str
    since: datetime
    until: datetime | None = None
    invoice: str | None = None
    note: str = ""

    @property
    def defects(self) -> tuple[str, ...]:
        """What the check of invoices found; nothing where it was not the check that placed the hold."""
        return tuple(self.note.split(", ")) if self.reason == "invoice_defect" and self.note else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """One message of a step: which channel, how it stands, and the number of its latest attempt.

    `lease` (real time) is until when a worker is believed to be on it. `tries` counts the calls; of the last one,
    `provider` is the configured name and `to` a digest of the debtor's address. `config` is the digest of the
    configuration it was reserved under. `receipt` is the most that the provider has said of the latest attempt since it
    took it (see `receipts.py`), `missed` how many attempts reached nobody.

    Of a call whose outcome is not known: `begun`, when it began (real time), and `sender`, from which number or
    mailbox; of an uncertain one, when the provider is asked next (`settle_at`, ladder time; None: a person is), and how
    often it was looked for in vain (`looks`). `given_up` are attempts that had been uncertain and were sent again;
    `copies` counts those of them that went besides the one that stands, and `possible_copy` says that the next one may
    be another, until one is known to have gone. `taken_at`: when the provider took it (ladder time), where that is
    known. `recall`: the provider was asked to cancel it ("done", or "refused"). `vouched`: a person has said that it
    did not go in what a restored case has forgotten.
    """

    channel: str
    status: MessageStatus
    attempt: int
    tries: int = 0
    provider: str = ""
    provider_id: str = ""
    config: str = ""
    to: str = ""
    lease: datetime | None = None
    code: str = ""
    retry_at: datetime | None = None
    receipt: str = ""
    missed: int = 0
    begun: datetime | None = None
    sender: str = ""
    settle_at: datetime | None = None
    looks: int = 0
    given_up: tuple[int, ...] = ()
    copies: int = 0
    possible_copy: bool = False
    taken_at: datetime | None = None
    recall: Literal["", "done", "refused"] = ""
    vouched: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRun:
    """A step taken, or being taken, for one anchor invoice.

    `covers` are the invoices it lists. `deadline` is the date the message asks payment by. `channels` are those it was
    decided to use; a fallback adds to them. `at` is when it began, in ladder time; it begins anew as long as nothing
    has left. `by_hand` marks what people had sent before the case was opened, or a handover.
    """

    step: str
    anchor: str
    at: datetime
    covers: tuple[str, ...] = ()
    deadline: date | None = None
    channels: tuple[str, ...] = ()
    sends: tuple[Send, ...] = ()
    skipped: str = ""
    by_hand: bool = False
    firmer: bool = False

    @property
    def errand(self) -> bool:
        """Is it no step of the ladder, but something the debtor asked for?"""
        return self.step.startswith(ERRAND)

    @property
    def taken(self) -> bool:
        """Was it said, passed over or done by hand? Nobody can have stayed silent on a step that never left."""
        said = any(send.status in ("sending", "uncertain", "accepted") for send in self.sends)
        return said or self.by_hand or bool(self.skipped)

    def send(self, channel: str) -> Send | None:
        """The message on that channel, if one was ever reserved."""
        return next((send for send in self.sends if send.channel == channel), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """Why a case is over: "paid", "cancelled", "written_off", "insolvency", "handed_over", ..."""

    reason: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What one debtor owes one creditor in one currency (or one invoice of it), followed under one strategy.

    A snapshot: the fold of its history. `group` is "" or, with `group_by: invoice`, the invoice's number. `unusable`
    maps a channel to why the debtor's address for it cannot be used. `approved` are the steps a person has approved and
    by whom, for the claim whose oldest invoice is `approved_for`. `credit` is a job not yet spent (`driven_by: jobs`).
    `firmer` is set by a broken promise: the next step's tone rises by one. `failures` counts exceptions since a message
    last left, or an operator last released it. `tasks` are those people have not done yet. `debtor_as_of`: when
    upstream's books last spoke of the debtor. `let_pass` are defects of invoices that somebody released: (number,
    defect). `said` are the debtor's last answers, oldest first, `errands` what they are owed for them,
    `promised_method` how they said they would pay. `refusal`: they said that they will not; the formal notice comes
    next. `forgotten_since` (real time): it was restored at `restored_at`, and what happened to it between is not known.
    """

    id: str
    creditor: str
    debtor: Debtor
    currency: str
    strategy: str
    opened_at: datetime
    debtor_as_of: datetime | None = None
    group: str = ""
    invoices: tuple[Invoice, ...] = ()
    holds: tuple[Hold, ...] = ()
    runs: tuple[StepRun, ...] = ()
    approved: tuple[tuple[str, str], ...] = ()
    approved_for: str = ""
    unusable: tuple[tuple[str, str], ...] = ()
    attempts: int = 0
    credit: bool = False
    firmer: bool = False
    failures: int = 0
    tasks: tuple[str, ...] = ()
    let_pass: tuple[tuple[str, str], ...] = ()
    said: tuple[Said, ...] = ()
    errands: tuple[Errand, ...] = ()
    promised_method: Method = ""
    refusal: bool = False
    forgotten_since: datetime | None = None
    restored_at: datetime | None = None
    ended: Ended | None = None

    def invoice(self, number: str) -> Invoice | None:
        """The invoice or credit note of that number."""
        return next((invoice for invoice in self.invoices if invoice.number == number), None)

    def owed(self) -> Decimal:
        """What the debtor owes in all, credit notes deducted; never below zero."""
        signed = (i.outstanding if i.kind == "invoice" else -i.outstanding for i in self.invoices)
        return max(ZERO, sum(signed, ZERO))

    def unpaid(self) -> list[Invoice]:
        """The invoices with something outstanding, oldest due date first."""
        claims = [i for i in self.invoices if i.kind == "invoice" and i.outstanding > 0]
        return sorted(claims, key=lambda i: (i.due_on, i.number))

    def case_hold(self) -> Hold | None:
        """The hold on the whole case that lasts longest, if there is one."""
        whole = [hold for hold in self.holds if hold.invoice is None]
        endless = [hold for hold in whole if hold.until is None]
        return endless[0] if endless else max(whole, key=lambda h: h.until or h.since, default=None)

    def held_invoices(self) -> frozenset[str]:
        """Numbers of the invoices under a hold of their own."""
        return frozenset(hold.invoice for hold in self.holds if hold.invoice is not None)

    def chased(self) -> list[Invoice]:
        """The unpaid invoices that may be chased, oldest first."""
        held = self.held_invoices()
        return [invoice for invoice in self.unpaid() if invoice.number not in held]

    def open_sends(self) -> Iterator[tuple[StepRun, Send]]:
        """Messages a worker may be on: reserved, sending or uncertain."""
        for run in self.runs:
            for send in run.sends:
                if send.status in ("reserved", "sending", "uncertain"):
                    yield run, send

    def find_attempt(self, number: int) -> tuple[StepRun, Send] | None:
        """The message whose latest attempt has that number."""
        return next(((run, send) for run in self.runs for send in run.sends if send.attempt == number), None)

    def find_given_up(self, number: int) -> tuple[StepRun, Send] | None:
        """The message of which that attempt was uncertain and given up."""
        return next(((run, send) for run in self.runs for send in run.sends if number in send.given_up), None)

    def with_run(self, run: StepRun) -> "Case":
        """The case with that run in place of the one for the same step and anchor, or added."""
        same = [i for i, r in enumerate(self.runs) if (r.step, r.anchor) == (run.step, run.anchor)]
        if not same:
            return replace(self, runs=(*self.runs, run))
        runs = list(self.runs)
        runs[same[-1]] = run
        return replace(self, runs=tuple(runs))

    def run(self, step: str, anchor: str) -> StepRun | None:
        """The run of that step for that anchor invoice."""
        return next((r for r in reversed(self.runs) if (r.step, r.anchor) == (step, anchor)), None)


def why_unusable(case: Case, channel: str) -> str:
    """The word for why the debtor's address for a channel is not used; "" if nothing is known against it."""
    return dict(case.unusable).get(channel, "").partition(",")[0]


def address_digest(debtor: Debtor, channel: str) -> str:
    """What tells the debtor's address for a channel from another, without being it."""
    address = debtor.email if channel == "email" else debtor.phone
    return blake2b((address or "").encode(), digest_size=4).hexdigest()


def address_of(debtor: Debtor, channel: str) -> str | None:
    """The debtor's address for a channel; None for a task, which has none, and where none is known."""
    return {"email": debtor.email, "sms": debtor.phone, "voice": debtor.phone}.get(channel)


def attempt_id(case: Case, number: int) -> str:
    """Our own id of one try: it carries the creditor and the case, and travels with the message."""
    return f"{case.id}.{number}"


def parse_attempt_id(attempt: str) -> tuple[str, int]:
    """The case id and the number in an attempt id. Raises ValueError for anything else."""
    case_id, dot, number = attempt.rpartition(".")
    if not dot or not case_id or not number.isdecimal():
        raise ValueError("not an attempt id")
    return case_id, int(number)


def creditor_of(case_id: str) -> str:
    """The creditor a case id begins with."""
    return case_id.partition("-")[0]
