"""Every notice rendered with all sorts of sample data, so that a fault is found before a debtor reads it."""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import product
from typing import Literal, get_args

from worker.dunning import errands
from worker.dunning.answers import Answer, AnswerKind
from worker.dunning.call_menu import KEYS, SAID_BY_KEYS, SENTENCES
from worker.dunning.model import Case, Debtor, DebtorKind, Invoice, InvoiceKind
from worker.dunning.strategy import Step
from worker.render.errors import WordingError
from worker.render.sms_text import sms_segments
from worker.render.wordings import MAX_SEGMENTS, CallScene, Wording, Wordings

_DUE = date(2026, 4, 1)
_TODAY = date(2026, 4, 16)
_REFERENCE = "K7Q2MX"

_PAGE = "https://relance.example.com/r/sample-3ggwkv3whbh6z5df.e9a1.abcdefghijklmnop"
#: One answer of each kind that a key can give.
_SAID: dict[AnswerKind, Answer] = {
    kind: Answer(kind=kind, source="call", ref=kind, on=_TODAY, method="transfer") for kind in SAID_BY_KEYS
}

Choice = Literal["full", "links", "page", "bare"]

#: How many invoices, with how much of what is optional.
_SIZES: tuple[tuple[int, Choice], ...] = ((1, "full"), (1, "page"), (1, "bare"), (2, "links"), (7, "full"))


@dataclass(frozen=True, slots=True)
class _Contact:
    name: str = "Alix Sample"
    phone: str = "+33199001234"
    email: str = "accounts@creditor.example"
    hours: str = ""


@dataclass(frozen=True, slots=True)
class _Creditor:
    id: str
    name: str = "Sample Workshop"
    address: str = "1 Sample Street\n69001 Lyon"
    registration: str | None = None
    country: str = "FR"
    locale: str = "fr_FR"
    contact: _Contact = field(default_factory=_Contact)
    iban: str | None = None
    bic: str | None = None
    help: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Sample:
    """One message of the many to try. "full" has all that is optional, "links" only payment links, "bare" nothing.

    `own` is the creditor's locale, which is that of tasks.
    """

    creditor: str
    locale: str
    notice: str
    channel: str
    kind: DebtorKind
    count: int
    choice: Choice
    own: str


def check(
    wordings: Wordings, notices: Mapping[str, Iterable[str]], locales: Iterable[str], creditors: Iterable[str]
) -> list[str]:
    """One line per problem, in the order found. `notices` maps each notice of a ladder to the channels it may go by."""
    names, owners = list(dict.fromkeys(locales)), ["", *filter(wordings.overrides, creditors)]
    everything = {**notices, **errands.CHANNELS}
    problems = [*_unknown_notices(wordings, everything, names)]
    if not problems:
        for sample in _samples(everything, names, owners):
            problems += _problems(wordings, sample)
        for sample in _samples({"call.txt": ("voice",)}, names, owners):
            problems += _call_problems(wordings, sample)
    return list(dict.fromkeys(problems))


def _unknown_notices(wordings: Wordings, notices: Iterable[str], locales: Iterable[str]) -> Iterator[str]:
    """A notice nobody wrote still finds the words in `_common`, so it is looked for by name."""
    for notice, language in product(notices, sorted({locale.partition("_")[0] for locale in locales})):
        folder = wordings.folder / language
        known = sorted(path.name for path in folder.glob("[!_]*") if path.is_dir())
        if known and notice not in known:
            near = difflib.get_close_matches(notice, known, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(known)}"
            yield f"{wordings.folder.name}/{language}: no notice '{notice}'; {hint}"


def _samples(notices: Mapping[str, Iterable[str]], locales: list[str], creditors: list[str]) -> Iterator[_Sample]:
    for creditor, locale, (notice, channels) in product(creditors, locales, notices.items()):
        for channel, kind, (count, choice) in product(channels, get_args(DebtorKind), _SIZES):
            for own in locales if channel == "task" else [locale]:
                yield _Sample(creditor, locale, notice, channel, kind, count, choice, own)


def _problems(wordings: Wordings, sample: _Sample) -> list[str]:
    try:
        wording = _render(wordings, sample)
    except WordingError as error:
        return [str(error)]
    where = f"{wordings.folder.name}: {sample.notice} by {sample.channel} in {sample.locale}"
    return [f"{where}: {fault}" for fault in _faults(sample, wording)]


def _call_problems(wordings: Wordings, sample: _Sample) -> list[str]:
    """What a call says at every place, and after every key."""
    case, creditor = _case(sample), _creditor(sample, full=sample.choice == "full")
    scene = CallScene(
        case=case,
        creditor=creditor,
        lines=case.invoices,
        today=_TODAY,
        keys=KEYS,
        days=[(KEYS["in_3_days"], _TODAY + timedelta(days=3))],
        can_text=sample.choice != "bare",
        answer=_SAID["promise"],
    )
    problems = []
    for part in SENTENCES:
        try:
            if not wordings.call([part], scene):
                problems.append(f"{wordings.folder.name}: call.txt in {sample.locale}: {part} says nothing")
        except WordingError as error:
            problems.append(str(error))
    return problems


def _faults(sample: _Sample, wording: Wording) -> Iterator[str]:
    """What can be wrong although it rendered."""
    if not wording.text:
        yield "says nothing"
    if sample.channel in ("email", "task") and not wording.subject:
        yield "its first line, the subject, is empty"
    if sample.channel == "sms":
        if not wording.text.endswith(_REFERENCE):
            yield "must end with the reference"
        if sms_segments(wording.text)[1] > MAX_SEGMENTS:
            yield f"takes more than {MAX_SEGMENTS} segments"
        elif _bears_link(sample) and not _has_room(wording.text, _link(1)):
            yield f"has no room for a payment link of {len(_link(1))} characters"
        elif sample.choice == "page" and _PAGE not in wording.text:
            yield f"does not lead to the debtor's page, or has no room for a link of {len(_PAGE)} characters"


def _bears_link(sample: _Sample) -> bool:
    return sample.notice not in errands.CHANNELS and sample.count == 1 and sample.choice in ("full", "links")


def _said(sample: _Sample) -> list[Answer]:
    """All that keys can say; in an SMS, what a call leads to."""
    if sample.notice != "recap":
        return []
    return [_SAID["promise"], _SAID["method"]] if sample.channel == "sms" else list(_SAID.values())


def _has_room(text: str, link: str) -> bool:
    """A link that does not fit is left out, so the text is measured with it."""
    return link in text or sms_segments(f"{text} {link}")[1] <= MAX_SEGMENTS


def _link(number: int) -> str:
    return f"https://pay.example.com/invoices/{number:032x}"


def _render(wordings: Wordings, sample: _Sample) -> Wording:
    case, full = _case(sample), sample.choice == "full"
    return wordings.render(
        case=case,
        step=Step(name=sample.notice, when=(), notice=sample.notice),
        channel=sample.channel,
        lines=case.invoices,
        creditor=_creditor(sample, full=full),
        today=_TODAY,
        deadline=_TODAY + timedelta(days=8) if full else None,
        firmer=full,
        reference=_REFERENCE,
        said=_said(sample),
        page_url=_PAGE if sample.choice == "page" or (full and sample.notice in errands.CHANNELS) else "",
        earlier=[(_DUE + timedelta(days=day), channel) for day, channel in ((1, "email"), (5, "sms"))] if full else (),
    )


def _creditor(sample: _Sample, *, full: bool) -> _Creditor:
    if not full:
        return _Creditor(id=sample.creditor, locale=sample.own)
    return _Creditor(
        id=sample.creditor,
        locale=sample.own,
        registration="SIREN 000 000 000",
        contact=_Contact(hours="9-12"),
        iban="FR7630006000011234567890189",
        bic="DEMOFRPP",
        help={"fr": "Une aide existe.", "en": "There is help."},
    )


def _case(sample: _Sample) -> Case:
    invoices = [_invoice(number, sample.choice) for number in range(1, sample.count + 1)]
    credit = [_invoice(99, sample.choice, kind="credit_note")] if sample.choice == "full" and sample.count > 1 else []
    return Case(
        id=f"{sample.creditor}-sample",
        creditor=sample.creditor,
        debtor=_debtor(sample),
        currency="EUR",
        strategy="sample",
        opened_at=datetime(2026, 4, 2, tzinfo=UTC),
        invoices=(*invoices, *credit),
    )


def _debtor(sample: _Sample) -> Debtor:
    return Debtor(
        id="C-1", name="Sample Name", kind=sample.kind, locale=sample.locale, timezone="Europe/Paris", country="FR",
        address=("2 Sample Street", "69002 Lyon") if sample.choice == "full" else (),
    )  # fmt: skip


def _invoice(number: int, choice: Choice, kind: InvoiceKind = "invoice") -> Invoice:
    return Invoice(
        number=f"F-2026-{number:03}",
        issued_on=_DUE - timedelta(days=30),
        due_on=_DUE + timedelta(days=number - 1),
        amount=Decimal("1234.50"),
        stated=Decimal("1034.50") if choice == "full" else Decimal("1234.50"),
        as_of=datetime(2026, 4, 2, tzinfo=UTC),
        kind=kind,
        subject="Sample work" if choice == "full" else "",
        payment_url=None if choice == "bare" else _link(number),
        document_url="https://files.example.com/1" if choice == "full" else None,
    )
