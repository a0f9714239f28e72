"""What a call says: nothing before the right person confirmed, and then only what the ear takes in."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from itertools import product

import pytest

from tests.worker.render_samples import (
    KINDS,
    LOCALES,
    SHIPPED,
    TODAY,
    Contact,
    Creditor,
    case,
    credit_note,
    invoice,
    invoices,
)
from worker.dunning.answers import Answer
from worker.dunning.call_menu import ACTIONS, KEYS, OFFERED, SENTENCES
from worker.dunning.model import Case, DebtorKind, Invoice
from worker.render import CallScene

from .test_channels import SECRETS
from .test_tone import CHARGES, LEGAL, NEVER, found

ALL = sorted(product(LOCALES, KINDS))
PROMISED = Answer(kind="promise", source="call", ref="r", on=date(2026, 4, 20))
DAYS = (("1", date(2026, 4, 20)), ("2", date(2026, 4, 23)), ("3", date(2026, 4, 30)))


def spoken(
    *parts: str,
    of: Case | None = None,
    lines: Sequence[Invoice] | None = None,
    creditor: Creditor | None = None,
    said: Answer = PROMISED,
    can_text: bool = True,
) -> str:
    """What these parts of a call say: to a business, of one invoice, unless told otherwise."""
    debtor = of or case()
    scene = CallScene(
        case=debtor,
        creditor=creditor or Creditor(locale=debtor.debtor.locale),
        lines=invoices(1) if lines is None else lines,
        today=TODAY,
        keys=KEYS,
        days=DAYS,
        can_text=can_text,
        answer=said,
    )
    return SHIPPED.call(parts, scene)


@pytest.mark.parametrize(("locale", "kind"), ALL)
def test_whoever_picks_up_learns_nothing(locale: str, kind: DebtorKind) -> None:
    """A machine, who calls, whom they look for, and the keys: the same whatever is owed, and no desk's name."""
    desk = Creditor(locale=locale, contact=Contact(name="Service recouvrement"))
    for part in ("greeting", "unheard", "wrong_person", "no_calls", "unknown"):
        texts = {spoken(part, of=case(kind, locale), lines=invoices(count), creditor=desk) for count in (1, 2, 7)}
        assert len(texts) == 1
        text = texts.pop()
        assert SECRETS.findall(text) == [], part
        assert "recouvrement" not in text
    greeting = spoken("greeting", of=case(kind, locale))
    assert re.search("appel automatique|automated call", greeting)
    assert re.search(r"(?:tapez|press) 1\.", greeting)
    number = {"fr_FR": "01, 99, 00, 12, 34", "en_GB": "0 1, 9 9, 0 0, 1 2, 3 4"}[locale]
    assert number in spoken("unheard", of=case(kind, locale))


@pytest.mark.parametrize(("locale", "kind"), ALL)
def test_a_call_is_firm_and_polite(locale: str, kind: DebtorKind) -> None:
    """No threat, no law, no charges, nobody called a debtor, at any place and after any key, a refusal included."""
    for part, lines in product(SENTENCES, (invoices(1), invoices(7), [*invoices(2), credit_note()])):
        text = spoken(part, of=case(kind, locale), lines=lines)
        for words in (NEVER, LEGAL, CHARGES):
            assert found(words, text) == [], (part, text)


@pytest.mark.parametrize("locale", LOCALES)
def test_a_call_can_be_read_aloud(locale: str) -> None:
    """No sign, no abbreviation and no link that a voice would stumble over; short enough to be listened to."""
    for part, kind in product(SENTENCES, KINDS):
        text = spoken(part, of=case(kind, locale), lines=[*invoices(2), credit_note()])
        assert not re.search(r"[€$£%/@&#()\[\]{}<>_*«»\u00a0\u202f]|https?:|\bRéf|\bNo\b|\bn°", text), text
        assert 10 < len(text) < (700 if part == "choices" else 360), part
        assert text.endswith((".", "?"))


@pytest.mark.parametrize("locale", LOCALES)
def test_the_menu_says_what_it_is_about(locale: str) -> None:
    """The number sign by sign, the day, what is left to pay; of several the oldest and the total, credit deducted."""
    one = spoken("menu", of=case(locale=locale))
    several = spoken("menu", of=case(locale=locale), lines=[*invoices(3), credit_note()])
    for text, owed in ((one, "1234 euros 50"), (several, "3503 euros 50")):
        assert "F, 2 0 2 6, 0 0 1" in text
        assert {"fr_FR": "1er avril 2026", "en_GB": "1 April 2026"}[locale] in text
        assert owed in text
    assert {"fr_FR": "3 factures arrivées à échéance", "en_GB": "3 invoices that are past"}[locale] in several
    assert {"fr_FR": "avoir déduit", "en_GB": "after credit"}[locale] in several
    soon = spoken("menu", of=case(locale=locale), lines=[replace(invoice(), due_on=TODAY)])
    assert not re.search("échéance|was due", soon)


@pytest.mark.parametrize("locale", LOCALES)
def test_every_key_is_told_where_it_works(locale: str) -> None:
    """Whatever may be pressed at a place is named there with its key; the link only where an SMS can be sent."""
    parts = {"menu": ["menu", "choices"], "promised": ["promised", "method"]}
    keyed = Creditor(locale=locale)
    for place, actions in OFFERED.items():
        text = spoken(*parts.get(place, [place]), of=case(locale=locale), creditor=keyed)
        told = re.findall(r"(?:tapez|press) (\d)", text)
        assert sorted(told) == sorted(KEYS[action] for action in actions), place
    assert "SMS" not in spoken("choices", can_text=False)
    assert {action for actions in OFFERED.values() for action in actions} == set(ACTIONS)


@pytest.mark.parametrize(("locale", "words"), [("fr_FR", "lundi 20 avril 2026"), ("en_GB", "Monday, 20 April 2026")])
def test_a_promise_is_read_back(locale: str, words: str) -> None:
    """How much and by which day, with the weekday; the means of payment where one was named."""
    text = spoken("promised", of=case(locale=locale))
    assert words in text
    assert "1234 euros 50" in text
    by_card = replace(PROMISED, kind="method", method="card")
    assert re.search("par carte|by card", spoken("noted", of=case(locale=locale), said=by_card))
    assert len(spoken("noted", of=case(locale=locale), said=replace(by_card, method="other"))) < 30


def test_a_long_number_is_told_by_its_end() -> None:
    """Ten signs are what an ear compares."""
    text = spoken("menu", lines=[invoice(number="ATELIER-DE-LYON-2026-00012345")])
    assert "2 6, 0 0 0 1 2 3 4 5," in text
    assert "A T E L" not in text
