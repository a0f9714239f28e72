"""What a job says of a debtor and of invoices, and the values the rules make of it."""

from datetime import datetime
from typing import Any, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from worker import fields
from worker.config import Creditor
from worker.dunning import model
from worker.dunning.model import DebtorKind, InvoiceKind
from worker.fields import Country, Currency, LocaleName, Mailbox, WebAddress, Zone
from worker.jobs import wire
from worker.jobs.wire import AnyAmount, Day, Id, InvoiceNumber, LongText, Name, ShortText, Strict, Subdivision

#: The most lines an address has.
MOST_LINES = 6


class DebtorData(Strict):
    """Who owes. What is left out is taken from the creditor."""

    id: Id = Field(description="Upstream's id of the debtor.")
    name: Name = Field(
        description="As it is to be addressed. Without a name, or with a placeholder, the invoices are held as wrong.",
        repr=False,
    )
    kind: DebtorKind = Field(description="Decides the strategy, and what may be claimed.")
    locale: LocaleName | None = Field(None, description="The language to write in, as fr_FR. Default: the creditor's.")
    country: Country | None = Field(
        None, description="ISO 3166 alpha-2: its holidays, and how its phone numbers are read. Default: the creditor's."
    )
    subdivision: Subdivision | None = Field(
        None, description="ISO 3166-2 without the country (57 for Moselle), where it has holidays of its own."
    )
    timezone: Zone | None = Field(
        None,
        validate_default=True,
        description="IANA name. Default: the creditor's, or that of the country.",
    )
    email: Mailbox | None = Field(None, description="A mailbox.", repr=False)
    phone: str | None = Field(
        None, max_length=32, description="In E.164, or as dialled inside of the country.", repr=False
    )
    address: tuple[ShortText, ...] = Field(
        (),
        max_length=MOST_LINES,
        description="The postal address, line by line, without the name: printed in the formal notice.",
        repr=False,
    )

    @field_validator("timezone")
    @classmethod
    def _zone_of_another_country(cls, value: str | None, info: ValidationInfo) -> str | None:
        home, country = _creditor(info), info.data.get("country")
        if (
            value
            or not home
            or country in (None, home.country)
            or fields.zone_of(country, info.data.get("subdivision"))
        ):
            return value
        raise ValueError("required, since that country has several")

    @field_validator("phone")
    @classmethod
    def _in_its_country(cls, value: str | None, info: ValidationInfo) -> str | None:
        home = _creditor(info)
        region = info.data.get("country") or (home.country if home else None)
        if value is None or (region is None and not value.startswith("+")):
            return value  # an unknown creditor, which is the problem to speak of
        return fields.phone(value, region)

    @model_validator(mode="after")
    def _can_be_reached(self) -> Self:
        if not (self.email or self.phone):
            raise ValueError("has neither an email nor a phone")
        return self

    def value(self, creditor: Creditor) -> model.Debtor:
        """What the rules use, with what only the creditor knows filled in."""
        return model.Debtor(
            id=self.id,
            name=self.name,
            kind=self.kind,
            locale=self.locale or creditor.locale,
            timezone=self.timezone or self._usual_zone(creditor),
            country=self.country or creditor.country,
            subdivision=self.subdivision,
            email=self.email,
            phone=self.phone,
            address=self.address,
        )

    def _usual_zone(self, creditor: Creditor) -> str:
        """The creditor's, unless the debtor is known to be elsewhere."""
        country = self.country or creditor.country
        elsewhere = country != creditor.country or fields.overseas(country, self.subdivision)
        return (elsewhere and fields.zone_of(country, self.subdivision)) or creditor.timezone


class InvoiceData(Strict):
    """A claim, or a credit note that lowers the total.

    What makes no sense on a credit note is refused: what is owed would be wrong. A claim that makes none is taken and
    held `invoice_defect`, and the others are chased (see `worker/dunning/preflight.py`).
    """

    number: InvoiceNumber = Field(description="As printed on it. A placeholder (0, DRAFT-3) holds it as wrong.")
    kind: InvoiceKind = Field("invoice", description="A credit note is never chased; its amount is positive.")
    issued_on: Day = Field(description="The date printed on it. In the future, it is held until then.")
    due_on: Day = Field(
        description="The last day to pay on time. Before issued_on, or over five years away, it is held as wrong."
    )
    currency: Currency = Field(description="ISO 4217; the same for all invoices of a job.")
    amount: AnyAmount = Field(description="Taxes included, as a decimal text. Zero or less holds it as wrong.")
    outstanding: AnyAmount | None = Field(
        None,
        description="What is still owed of it; 0 says that it is settled. Default: the amount. More than the amount, or"
        " less than nothing, holds it as wrong.",
    )
    subject: LongText = Field("", description="What was sold, as the debtor would recognise it.")
    payment_url: WebAddress | None = Field(None, description="Where it can be paid. https.")
    document_url: WebAddress | None = Field(None, description="Where it can be read. https.")

    @field_validator("due_on")
    @classmethod
    def _not_before_it_was_issued(cls, value: Any, info: ValidationInfo) -> Any:
        if _is_credit(info) and "issued_on" in info.data and value < info.data["issued_on"]:
            raise ValueError("before issued_on")
        return value

    @field_validator("amount", "outstanding")
    @classmethod
    def _no_finer_than_its_currency(cls, value: Any, info: ValidationInfo) -> Any:
        if value is None:
            return None
        return wire.decimals(wire.not_negative(value) if _is_credit(info) else value, info.data.get("currency"))

    @field_validator("outstanding")
    @classmethod
    def _no_more_than_the_amount(cls, value: Any, info: ValidationInfo) -> Any:
        if _is_credit(info) and value is not None and "amount" in info.data and value > info.data["amount"]:
            raise ValueError("more than the amount")
        return value

    def value(self, as_of: datetime) -> model.Invoice:
        """What the rules use, as the books had it at `as_of`."""
        return model.Invoice(
            number=self.number,
            issued_on=self.issued_on,
            due_on=self.due_on,
            amount=self.amount,
            stated=self.amount if self.outstanding is None else self.outstanding,
            as_of=as_of,
            kind=self.kind,
            subject=self.subject,
            payment_url=self.payment_url,
            document_url=self.document_url,
            settled=self.outstanding == 0,
        )


def _is_credit(info: ValidationInfo) -> bool:
    return info.data.get("kind") == "credit_note"


def _creditor(info: ValidationInfo) -> Creditor | None:
    """Whose debtor it is, if that is known yet."""
    found = (info.context or {}).get("creditor")
    return found if isinstance(found, Creditor) else None
