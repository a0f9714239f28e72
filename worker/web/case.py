"""A case as its billing system may see it: nothing that is not in its event stream too."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, Field

from worker.app import App
from worker.cases import Seen
from worker.dunning.model import Case, Invoice, MessageStatus, Send, StepRun, attempt_id
from worker.explain import explain

#: So many of the latest steps are shown.
STEPS = 20


class InvoiceView(BaseModel):
    """An invoice or a credit note."""

    number: str
    kind: Literal["invoice", "credit_note"]
    due_on: date
    amount: str = Field(description="As a decimal text.")
    outstanding: str = Field(description="What is still owed of it.")


class HoldView(BaseModel):
    """Why the case, or one invoice of it, is not chased."""

    reason: str
    invoice: str | None = Field(description="That invoice alone; null: all of the case.")
    since: datetime
    until: datetime | None = Field(description="null: until it is released.")
    note: str


class NextView(BaseModel):
    """What comes next, as things stand."""

    state: Literal["waiting", "held", "paused", "in_flight", "due", "ended"]
    step: str = Field(description="Empty if there is none.")
    at: datetime | None = Field(description="null: when a fact arrives.")
    why: str = Field(description="In words, for a person.")


class MessageView(BaseModel):
    """One message of a step."""

    channel: str
    status: MessageStatus
    attempt: str = Field(description="The id of its latest attempt.")
    code: str = Field(description="Why, where it did not go.")


class StepView(BaseModel):
    """A step that was taken, or passed over."""

    step: str
    invoice: str = Field(description="The oldest of the invoices it was about.")
    at: datetime
    deadline: date | None = Field(description="By when it asked for payment.")
    skipped: str = Field(description="Why it was passed over; empty if it was not.")
    messages: list[MessageView]


class AnswerView(BaseModel):
    """What the debtor answered. Their own words, if there were any, are in the event stream."""

    kind: str
    source: Literal["call", "sms", "email", "page"]
    at: datetime
    invoices: list[str] = Field(description="What it was about; none: all of it.")
    on: date | None = Field(description="A day they named.")
    count: int = Field(description="A number of instalments they asked for.")
    method: str = Field(description="How they said they would pay.")


class CaseView(BaseModel):
    """What one debtor owes, and what was done about it."""

    case: str
    debtor: str = Field(description="Upstream's own id.")
    status: Literal["open", "held", "ended"]
    ended: str | None = Field(description="Why it ended; null while it has not.")
    currency: str
    owed: str = Field(description="As a decimal text; credit notes are deducted.")
    strategy: str
    invoices: list[InvoiceView]
    holds: list[HoldView]
    next: NextView
    steps: list[StepView] = Field(description=f"The latest {STEPS}, oldest first.")
    answers: list[AnswerView] = Field(description="The debtor's latest, oldest first.")


def view(app: App, seen: Seen) -> CaseView:
    """The case as it stands now."""
    case, found = seen.case, explain(app, seen, app.clock.now())
    return CaseView(
        case=case.id,
        debtor=case.debtor.id,
        status="ended" if case.ended else "held" if case.case_hold() else "open",
        ended=case.ended.reason if case.ended else None,
        currency=case.currency,
        owed=str(case.owed()),
        strategy=case.strategy,
        invoices=[_invoice(invoice) for invoice in case.invoices],
        holds=[HoldView.model_validate(hold, from_attributes=True) for hold in case.holds],
        next=NextView.model_validate({"state": found.state, "step": found.next, "at": found.at, "why": found.why}),
        steps=_steps(case, case.runs[-STEPS:]),
        answers=[AnswerView.model_validate(said, from_attributes=True) for said in case.said],
    )


def _invoice(invoice: Invoice) -> InvoiceView:
    return InvoiceView(
        number=invoice.number,
        kind=invoice.kind,
        due_on=invoice.due_on,
        amount=str(invoice.amount),
        outstanding=str(invoice.outstanding),
    )


def _steps(case: Case, runs: Sequence[StepRun]) -> list[StepView]:
    return [
        StepView(
            step=run.step,
            invoice=run.anchor,
            at=run.at,
            deadline=run.deadline,
            skipped=run.skipped,
            messages=[_message(case, send) for send in run.sends],
        )
        for run in runs
    ]


def _message(case: Case, send: Send) -> MessageView:
    attempt = attempt_id(case, send.attempt)
    return MessageView(channel=send.channel, status=send.status, attempt=attempt, code=send.code)
