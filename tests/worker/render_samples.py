"""A case, a creditor and the shipped words, to render with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from worker.dunning import errands
from worker.dunning.answers import Answer
from worker.dunning.model import Case, Debtor, DebtorKind, Invoice
from worker.dunning.strategy import Step
from worker.render import Wording, Wordings

TEMPLATES = Path(__file__).parents[2] / "templates"
SHIPPED = Wordings(TEMPLATES)

#: Every shipped notice and its tone, 0 (courtesy) to 4 (formal).
TONES = {
    "courtesy": 0, "first_reminder": 1, "nudge": 2, "call": 2, "second_reminder": 3, "second_call": 3, "human_call": 3,
    "formal_notice": 4, "last_word": 4, "handover": 4,
}  # fmt: skip
#: What is sent to a debtor because they answered: claims nothing, whatever the tone of the ladder.
ERRANDS = errands.CHANNELS
CHANNELS = ("email", "sms", "voice", "task")
KINDS: tuple[DebtorKind, ...] = ("business", "consumer", "public")
LOCALES = ("fr_FR", "en_GB")

DUE = date(2026, 4, 1)
TODAY = date(2026, 4, 16)
DEADLINE = date(2026, 4, 24)
REFERENCE = "K7Q2MX"
#: As long as one is, behind an address of 36 letters.
PAGE = "https://relance.example-company.com/r/demo-3ggwkv3whbh6z5df.eaaajabcd.xmgg6ifxrdj5d"
EARLIER = ((date(2026, 4, 2), "email"), (date(2026, 4, 7), "sms"), (date(2026, 4, 10), "voice"))


@dataclass(frozen=True, slots=True)
class Contact:
    """Who answers."""

    name: str = "Comptabilité"
    phone: str = "+33199001234"
    email: str = "compta@atelier.example"
    hours: str = "9 h - 18 h"


@dataclass(frozen=True, slots=True)
class Creditor:
    """Who is owed, without anything the words do not need."""

    id: str = "demo"
    name: str = "Atelier Rivoire"
    address: str = "12 rue des Tanneurs\n69001 Lyon"
    registration: str | None = "SIREN 000 000 000"
    country: str = "FR"
    locale: str = "fr_FR"
    contact: Contact = field(default_factory=Contact)
    iban: str | None = "FR7630006000011234567890189"
    bic: str | None = "DEMOFRPP"
    help: Mapping[str, str] = field(
        default_factory=lambda: {"fr": "Un service social peut vous aider.", "en": "A local advice desk can help."}
    )


def invoice(nth: int = 1, /, **changes: object) -> Invoice:
    """Invoice F-2026-001, 002...: 1,234.50 each, due on 1, 2... April 2026."""
    facts: dict[str, object] = {
        "number": f"F-2026-{nth:03}",
        "issued_on": date(2026, 3, 1),
        "due_on": DUE + timedelta(days=nth - 1),
        "amount": Decimal("1234.50"),
        "stated": Decimal("1234.50"),
        "as_of": datetime(2026, 4, 1, 6, tzinfo=UTC),
        "subject": "Refonte du site",
        "payment_url": f"https://pay.example.com/invoices/{nth:032}",
    }
    return Invoice(**{**facts, **changes})  # type: ignore[arg-type]


def invoices(count: int) -> list[Invoice]:
    """That many, oldest first."""
    return [invoice(nth) for nth in range(1, count + 1)]


def credit_note(amount: Decimal = Decimal(200)) -> Invoice:
    """Credit note F-2026-099, 200.00 unless told otherwise."""
    return invoice(99, kind="credit_note", amount=amount, stated=amount)


def case(
    kind: DebtorKind = "business",
    locale: str = "fr_FR",
    name: str = "Client Exemple",
    phone: str | None = "+33639981234",
    address: tuple[str, ...] = (),
    **changes: object,
) -> Case:
    """A case of that kind of debtor, in euros unless `currency` says otherwise."""
    debtor = Debtor(
        id="C-1042", name=name, kind=kind, locale=locale, timezone="Europe/Paris", country="FR", phone=phone,
        address=address,
    )  # fmt: skip
    facts: dict[str, object] = {"currency": "EUR", **changes}
    opened = datetime(2026, 4, 2, tzinfo=UTC)
    return Case(id="demo-1", creditor="demo", debtor=debtor, strategy="b2b", opened_at=opened, **facts)  # type: ignore[arg-type]


def render(
    notice: str,
    channel: str = "email",
    *,
    of: Case | None = None,
    lines: Sequence[Invoice] | None = None,
    wordings: Wordings = SHIPPED,
    creditor: Creditor | None = None,
    deadline: date | None = DEADLINE,
    firmer: bool = False,
    earlier: Sequence[tuple[date, str]] = EARLIER,
    said: Sequence[Answer] = (),
    page_url: str = "",
    can_reply: bool = False,
) -> Wording:
    """What that notice says on that channel: to a business, of one invoice, unless told otherwise."""
    return wordings.render(
        case=of or case(),
        step=Step(name=notice, when=(), notice=notice),
        channel=channel,
        lines=invoices(1) if lines is None else lines,
        creditor=creditor or Creditor(locale=(of or case()).debtor.locale),
        today=TODAY,
        deadline=deadline,
        firmer=firmer,
        reference=REFERENCE,
        earlier=earlier,
        said=said,
        page_url=page_url,
        can_reply=can_reply,
    )


def plain(text: str) -> str:
    """The text, or HTML, with ordinary spaces in place of the no-break ones."""
    return text.replace("&nbsp;", " ").replace("\u00a0", " ").replace("\u202f", " ")
