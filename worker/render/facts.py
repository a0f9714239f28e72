"""The names a template may use, made ready to print: dates and amounts as the debtor's locale writes them.

Whatever comes from upstream is flattened to one line here, so that no subject or name can add a header, a paragraph or
a control character to a message. `templates/README.md` lists the same names for those who write the words.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Protocol

from babel import Locale

from worker.dunning.answers import Answer, Said
from worker.dunning.model import ZERO, Case, DebtorKind, Invoice
from worker.render.local import Day, dialled, money, one_line, spoken
from worker.render.payment_code import PaymentCode, payment_code, remittance


class Contact(Protocol):
    """The person to talk to. `phone` is E.164; `hours` may be empty."""

    @property
    def name(self) -> str: ...
    @property
    def phone(self) -> str: ...
    @property
    def email(self) -> str: ...
    @property
    def hours(self) -> str: ...


class Creditor(Protocol):
    """What the words need to know of who is owed.

    `address` has several lines; `registration` is like "SIREN 123 456 789"; `country` is ISO 3166 alpha-2; `help` maps
    a language to what to tell people who are in difficulty; `locale` is that of its own people.
    """

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def address(self) -> str: ...
    @property
    def registration(self) -> str | None: ...
    @property
    def country(self) -> str: ...
    @property
    def locale(self) -> str: ...
    @property
    def contact(self) -> Contact: ...
    @property
    def iban(self) -> str | None: ...
    @property
    def bic(self) -> str | None: ...
    @property
    def help(self) -> Mapping[Any, str]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """An invoice or a credit note as the message lists it. `amount` is what is still owed, negative for a credit."""

    number: str
    subject: str
    issued_on: Day
    due_on: Day
    amount: str
    part_of: str
    credit: bool
    payment_url: str
    document_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who to talk to. `phone` is written as the debtor dials it, `spoken` as a voice reads it, `e164` for a link."""

    name: str
    phone: str
    e164: str
    spoken: str
    email: str
    hours: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """Who is owed; `address` as lines, `iban` in groups of four ("" when there is none)."""

    name: str
    address: tuple[str, ...]
    registration: str
    country: str
    iban: str
    bic: str
    contact: Person


@dataclass(frozen=True, slots=True, kw_only=True)
class Addressee:
    """Who is written to; `email` and `phone` are for tasks, where a person has to reach them.

    `address` is the postal one, as lines. `language` names theirs in words, where it is not the text's own ("anglais").
    """

    id: str
    name: str
    kind: DebtorKind
    email: str
    phone: str
    address: tuple[str, ...]
    language: str


@dataclass(frozen=True, slots=True)
class EarlierContact:
    """A message that went before this one."""

    on: Day
    channel: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What the debtor said, to be repeated to them: `on` is the date they named, or none."""

    kind: str
    on: Day | None
    count: int
    method: str
    numbers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """A day that can be promised, and the key for it."""

    key: str
    on: Day


@dataclass(frozen=True, slots=True)
class Letter:
    """The email's wording, for a task that asks a person to send it."""

    subject: str
    text: str


#: What the facts are made of: frozen, and without a method that does anything.
FACT_TYPES: frozenset[type[Any]] = frozenset(
    {Day, Line, Person, Sender, Addressee, EarlierContact, Answered, Choice, Letter, PaymentCode}
)


def facts_for(
    *,
    case: Case,
    lines: Sequence[Invoice],
    creditor: Creditor,
    locale: Locale,
    today: date,
    deadline: date | None,
    firmer: bool,
    reference: str,
    earlier: Sequence[tuple[date, str]] = (),
    said: Collection[Said | Answer] = (),
    page_url: str = "",
    can_reply: bool = False,
) -> dict[str, object]:
    """Every name a template may use and its value; see `templates/README.md`."""
    listed = [_line(invoice, case.currency, locale) for invoice in lines]
    claims = [line for line in listed if not line.credit]
    total = net(lines)
    sender = _sender(creditor, case.debtor.country, locale)
    quote = remittance([line.number for line in claims], one_line(case.debtor.id))
    return {
        "language": locale.language,
        "debtor": _addressee(case, locale),
        "consumer": case.debtor.kind == "consumer",
        "public": case.debtor.kind == "public",
        "creditor": sender,
        "help": creditor.help.get(locale.language, "").strip(),
        "lines": listed,
        "claims": claims,
        "total": money(total, case.currency, locale),
        "remittance": quote,
        "qr": payment_code(
            name=sender.name,
            iban=sender.iban.replace(" ", ""),
            bic=sender.bic,
            currency=case.currency,
            amount=total,
            quote=quote,
            reference=reference,
        ),
        "pay_url": _shared_link(claims),
        "today": Day(today, locale),
        "deadline": deadline and Day(deadline, locale),
        "firmer": firmer,
        "reference": reference,
        "earlier": [EarlierContact(Day(on, locale), channel) for on, channel in earlier],
        "said": [answered(each, locale) for each in said],
        "page_url": page_url,
        "can_reply": can_reply,
        "brief": 0,
    }


def answered(said: Said | Answer, locale: Locale) -> Answered:
    """An answer as the words want it."""
    return Answered(
        kind=said.kind,
        on=Day(said.on, locale) if said.on else None,
        count=said.count,
        method=said.method,
        numbers=tuple(map(one_line, said.invoices)),
    )


def net(lines: Sequence[Invoice]) -> Decimal:
    """What is owed of all of them, credit notes deducted."""
    return max(ZERO, sum(map(_signed, lines), ZERO))


def _signed(invoice: Invoice) -> Decimal:
    return -invoice.outstanding if invoice.kind == "credit_note" else invoice.outstanding


def _line(invoice: Invoice, currency: str, locale: Locale) -> Line:
    credit = invoice.kind == "credit_note"
    part_paid = not credit and invoice.outstanding < invoice.amount
    return Line(
        number=one_line(invoice.number),
        subject=one_line(invoice.subject),
        issued_on=Day(invoice.issued_on, locale),
        due_on=Day(invoice.due_on, locale),
        amount=money(_signed(invoice), currency, locale),
        part_of=money(invoice.amount, currency, locale) if part_paid else "",
        credit=credit,
        payment_url="" if credit else _link(invoice.payment_url),
        document_url=_link(invoice.document_url),
    )


def _addressee(case: Case, locale: Locale) -> Addressee:
    debtor = case.debtor
    language = debtor.locale.replace("-", "_").partition("_")[0]
    return Addressee(
        id=one_line(debtor.id),
        name=one_line(debtor.name),
        kind=debtor.kind,
        email=one_line(debtor.email or ""),
        phone=one_line(debtor.phone or ""),
        address=tuple(one_line(line) for line in debtor.address),
        language="" if language == locale.language else locale.languages.get(language, language),
    )


def _sender(creditor: Creditor, country: str, locale: Locale) -> Sender:
    contact, iban = creditor.contact, "".join((creditor.iban or "").split())
    phone = dialled(contact.phone, country)
    return Sender(
        name=one_line(creditor.name),
        address=tuple(one_line(line) for line in creditor.address.splitlines() if line.strip()),
        registration=one_line(creditor.registration or ""),
        country=creditor.country,
        iban=" ".join(iban[i : i + 4] for i in range(0, len(iban), 4)),
        bic=creditor.bic or "",
        contact=Person(
            name=one_line(contact.name),
            phone=phone,
            e164=contact.phone,
            spoken=spoken(phone, locale),
            email=contact.email,
            hours=one_line(contact.hours),
        ),
    )


def _link(url: str | None) -> str:
    return url if url and url.startswith(("https://", "http://")) and one_line(url) == url else ""


def _shared_link(claims: Sequence[Line]) -> str:
    """The one place where everything listed can be paid, if there is one."""
    urls = {line.payment_url for line in claims}
    return urls.pop() if len(urls) == 1 else ""
