"""The types of job, each field with the words that `relance schema TYPE` prints."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from worker.dunning.strategy import END_REASONS, HOLDS
from worker.fields import Currency
from worker.jobs import wire
from worker.jobs.claims import DebtorData, InvoiceData
from worker.jobs.wire import Amount, CaseId, Day, Id, InvoiceNumber, LongText, Moment, Strict

MOST_INVOICES = 500

#: Holds that upstream may place and lift; the others are found by the rules.
UPSTREAM_HOLDS = (
    "promise", "plan", "already_paid", "dispute", "mediation", "approval_circuit", "terms_misunderstood",
    "not_received", "instalments", "call_me", "message", "invoice_defect", "represented", "vulnerable", "manual",
)  # fmt: skip

#: Holds that mean nothing without a date: those that give the debtor some days after it.
_DATED_HOLDS = frozenset(reason for reason in UPSTREAM_HOLDS if HOLDS[reason].grace)

_BY_INVOICE = "The invoice's number."
_BY_CASE = "The case's id."


class Job(Strict):
    """What all jobs have in common."""

    type: str
    version: Literal[1] = Field(description="The version of this schema.")
    job_id: Id = Field(description="Unique per creditor and remembered 90 days: the same id twice is one job.")
    as_of: Moment | None = Field(
        None, description="When the books said so, with a UTC offset. Default: when the job was enqueued."
    )
    creditor: str = Field(description="The id of a configured creditor.")

    @field_validator("version", mode="before")
    @classmethod
    def _a_number(cls, value: object) -> object:
        if value != 1 or not isinstance(value, int) or isinstance(value, bool):
            raise ValueError("not one of: 1")
        return value


class ByHand(Strict):
    """What people had already sent before the first job."""

    last_step: Id = Field(description="The last step of the strategy that was taken by hand.")
    on: Day = Field(description="The day it was taken.")


class ReminderDue(Job):
    """These invoices are unpaid, or soon due: follow them. It opens the debtor's case, or brings it up to date."""

    type: Literal["reminder_due"]
    debtor: DebtorData = Field(description="Who owes them.")
    invoices: tuple[InvoiceData, ...] = Field(
        min_length=1, max_length=MOST_INVOICES, description="Different ones, all in one currency."
    )
    case: CaseId | None = Field(None, description="Which case. Default: the debtor's open one, or a new one.")
    strategy: str | None = Field(None, description="Default: the creditor's for that kind of debtor.")
    history: ByHand | None = Field(None, description="For a debt that people have chased before.")

    @field_validator("invoices")
    @classmethod
    def _of_one_case(cls, value: tuple[InvoiceData, ...]) -> tuple[InvoiceData, ...]:
        if len({invoice.number for invoice in value}) < len(value):
            raise ValueError("the same number twice")
        if len({invoice.currency for invoice in value}) > 1:
            raise ValueError("of several currencies; a case has one, so each needs a job of its own")
        return value


class AboutOne(Job):
    """A fact about one invoice, or about a case as a whole."""

    invoice: InvoiceNumber | None = Field(None, description=_BY_INVOICE)
    case: CaseId | None = Field(None, description=_BY_CASE)

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.invoice is None) == (self.case is None):
            raise ValueError("needs either invoice or case")
        return self


class Money(AboutOne):
    """Money that moved."""

    currency: Currency = Field(description="ISO 4217.")
    amount: Amount = Field(description="As a decimal text, more than zero.")
    reference: LongText = Field("", description="How the books or the bank know it; a failure names the payment's.")

    @field_validator("amount")
    @classmethod
    def _some(cls, value: Any, info: ValidationInfo) -> Any:
        if not value:
            raise ValueError("zero")
        return wire.decimals(value, info.data.get("currency"))


class PaymentReceived(Money):
    """The debtor paid, in part or in full. One for an invoice nobody knows yet is kept 30 days for it."""

    type: Literal["payment_received"]
    received_on: Day | None = Field(None, description="The day the money came in.")
    means: LongText = Field("", description="transfer, card, cheque, direct debit...")


class PaymentFailed(Money):
    """A payment came back: a bounced cheque, a rejected debit. It undoes the payment."""

    type: Literal["payment_failed"]
    failed_on: Day | None = Field(None, description="The day it came back.")
    reason: LongText = Field("", description="As the bank says it.")


class PaymentsChecked(Job):
    """Every payment that the books know up to `as_of` has been told, also if there was none: the feed is alive."""

    type: Literal["payments_checked"]


class Scoped(Job):
    """About a case, or about one invoice of it."""

    case: CaseId | None = Field(None, description=_BY_CASE + " Without an invoice: all of it.")
    invoice: InvoiceNumber | None = Field(None, description=_BY_INVOICE + " That invoice alone.")

    @model_validator(mode="after")
    def _something(self) -> Self:
        if self.invoice is None and self.case is None:
            raise ValueError("needs a case, an invoice or both")
        return self


class CaseHeld(Scoped):
    """Do not chase this, for now."""

    type: Literal["case_held"]
    reason: Annotated[str, *wire.one_of(UPSTREAM_HOLDS)] = Field(description="Why.")
    until: Day | None = Field(
        None,
        validate_default=True,
        description="The last day of it, or the day promised. Required for promise, plan and approval_circuit;"
        " the others have a length of their own, or last until they are released.",
    )

    @field_validator("until")
    @classmethod
    def _dated(cls, value: Any, info: ValidationInfo) -> Any:
        if value is None and info.data.get("reason") in _DATED_HOLDS:
            raise ValueError("required for that reason")
        return value


class CaseReleased(Scoped):
    """The hold is over."""

    type: Literal["case_released"]
    reason: Annotated[str, *wire.one_of(UPSTREAM_HOLDS)] | None = Field(
        None, description="Release the holds of that reason alone. Default: all of them."
    )


class CaseClosed(AboutOne):
    """Never chase this again. By an invoice, its case is meant."""

    type: Literal["case_closed"]
    reason: Annotated[str, *wire.one_of(END_REASONS)] = Field(description="Why.")


SCHEMAS: dict[str, type[Job]] = {
    "reminder_due": ReminderDue,
    "payment_received": PaymentReceived,
    "payment_failed": PaymentFailed,
    "payments_checked": PaymentsChecked,
    "case_held": CaseHeld,
    "case_released": CaseReleased,
    "case_closed": CaseClosed,
}


def json_schema(type_name: str) -> dict[str, Any]:
    """The JSON Schema of one type of job. Raises KeyError for a type there is not."""
    return SCHEMAS[type_name].model_json_schema()
