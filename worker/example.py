"""A debtor who is none and invoices that are none: what a ladder is shown, and its messages are tried, with."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from worker.config import Config, Creditor
from worker.dunning.events import CaseOpened
from worker.dunning.fold import fold
from worker.dunning.model import Case, Debtor, DebtorKind, Invoice
from worker.dunning.strategy import Strategy
from worker.fields import precision

#: Amounts that nobody takes for sums that are owed: of the first invoice, of the second, left of it, of the credit.
_FIRST, _SECOND, _LEFT, _CREDIT = Decimal("1234.56"), Decimal("987.65"), Decimal("432.10"), Decimal("65.43")

#: The one is reserved for examples, the other for fiction: they are nobody's.
EMAIL, PHONE = "example@example.com", "+33639981234"

#: Where the debtor's page would be.
PAGE = "https://example.com/r/EXAMPLE"

_NAMES: dict[str, dict[DebtorKind, str]] = {
    "fr": {"business": "Exemple SARL", "consumer": "Client Exemple", "public": "Commune d’Exemple"},
    "en": {"business": "Example Ltd", "consumer": "Example Customer", "public": "Example Council"},
}
_ADDRESSES = {"fr": ("2 rue de l’Exemple", "75000 Paris"), "en": ("2 Example Street", "75000 Paris")}
_SUBJECTS = {"fr": "Prestation d’exemple", "en": "Example work"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A strategy as a creditor uses it for a kind of debtor, and what such a debtor would owe from `due_on` on.

    `several`: a second invoice, part-paid, and a credit note.
    """

    creditor: Creditor
    strategy: Strategy
    kind: DebtorKind
    locale: str
    due_on: date
    amount: Decimal
    several: bool = False

    def case(self, case_id: str = "", *, email: str = EMAIL, phone: str = PHONE) -> Case:
        """The case, opened a month before the due date; `case_id` must begin with the creditor's id and a dash."""
        opened = CaseOpened(
            at=self._opened,
            case=case_id or f"{self.creditor.id}-example",
            creditor=self.creditor.id,
            debtor=self._debtor(email, phone),
            currency=self.creditor.currency,
            strategy=self.strategy.name,
            invoices=tuple(self._invoices()),
        )
        return fold(None, [opened])

    @property
    def _opened(self) -> datetime:
        return datetime.combine(self.due_on - timedelta(days=30), time(8), UTC)

    @property
    def _language(self) -> str:
        language = self.locale.partition("_")[0]
        return language if language in _NAMES else "en"

    def _debtor(self, email: str, phone: str) -> Debtor:
        return Debtor(
            id="EXAMPLE",
            name=_NAMES[self._language][self.kind],
            kind=self.kind,
            locale=self.locale,
            timezone=self.creditor.timezone,
            country=self.creditor.country,
            email=email,
            phone=phone,
            address=_ADDRESSES[self._language],
        )

    def _invoices(self) -> Iterator[Invoice]:
        yield self._invoice(1, self.amount)
        if self.several:
            yield replace(self._invoice(2, _SECOND), stated=self._rounded(_LEFT))
            yield replace(self._invoice(3, _CREDIT), kind="credit_note", payment_url=None, document_url=None)

    def _invoice(self, number: int, amount: Decimal) -> Invoice:
        """Due the same day as the others, so that one message lists them all. Its links lead nowhere."""
        return Invoice(
            number=f"EXAMPLE-{number}",
            issued_on=self._opened.date(),
            due_on=self.due_on,
            amount=self._rounded(amount),
            stated=self._rounded(amount),
            as_of=self._opened,
            subject=_SUBJECTS[self._language],
            payment_url=f"https://example.com/pay/EXAMPLE-{number}",
            document_url=f"https://example.com/invoices/EXAMPLE-{number}",
        )

    def _rounded(self, amount: Decimal) -> Decimal:
        return amount.quantize(Decimal(1).scaleb(-precision(self.creditor.currency)))


def example_of(
    config: Config,
    strategy: str,
    due_on: date,
    *,
    creditor: str | None = None,
    kind: DebtorKind | None = None,
    locale: str | None = None,
    amount: Decimal | None = None,
) -> Example:
    """The example for that strategy. Unless told otherwise: of the first creditor that uses it, for a kind of debtor it
    is used for, in that creditor's language, with so much owed that no step is skipped.
    """
    found = config.strategies[strategy]
    used = [(c, k) for c in config.creditors.values() for k, name in c.strategies.items() if name == strategy]
    mine = [(c, k) for c, k in used if creditor in (None, c.id) and kind in (None, k)]
    default = config.creditors[creditor] if creditor else next(iter(config.creditors.values()))
    who, whom = mine[0] if mine else (default, kind or found.debtors[0])
    least = max(found.min_amount, *(step.min_amount for step in found.steps))
    return Example(
        creditor=who,
        strategy=found,
        kind=whom,
        locale=locale or who.locale,
        due_on=due_on,
        amount=max(_FIRST, least) if amount is None else amount,
    )
