"""What an SMS asks for, of whom, and what it leaves out when there is no room."""

import re
from dataclasses import replace
from decimal import Decimal
from itertools import product

import pytest

from tests.worker.render_samples import (
    ERRANDS,
    KINDS,
    LOCALES,
    REFERENCE,
    TEMPLATES,
    TONES,
    Contact,
    Creditor,
    case,
    credit_note,
    invoice,
    invoices,
    render,
)

ALL = sorted(product(TONES, LOCALES))
PHONE = "01 99 00 12 34"
LONG_LINK = "https://pay.example.com/".ljust(115, "x")
LONG_NAME = "Compagnie Exemple de Menuiserie et de Couverture"


@pytest.mark.parametrize(("notice", "locale"), ALL)
def test_an_sms_never_asks_for_more_than_the_email(notice: str, locale: str) -> None:
    """A credit note is taken off, and said to be; the sum it was taken off is not printed."""
    amounts = {"fr_FR": ("1 034,50 €, avoir déduit", "1 234,50"), "en_GB": ("€1,034.50 after credit", "1,234.50")}
    left, whole = amounts[locale]
    text = render(notice, "sms", of=case(locale=locale), lines=[invoice(), credit_note()]).text
    assert left in text
    assert whole not in text
    several = {"fr_FR": "total 2 269,00 €, avoir déduit", "en_GB": "total €2,269.00 after credit"}[locale]
    assert several in render(notice, "sms", of=case(locale=locale), lines=[*invoices(2), credit_note()]).text
    both = [*invoices(2), credit_note(), replace(credit_note(), number="F-2026-098")]
    notes = {"fr_FR": "total 2 069,00 €, avoirs déduits", "en_GB": "total €2,069.00 after credit"}[locale]
    assert notes in render(notice, "sms", of=case(locale=locale), lines=both).text
    assert not re.search("avoir|credit", render(notice, "sms", of=case(locale=locale), lines=invoices(2)).text)


@pytest.mark.parametrize(("notice", "locale"), ALL)
def test_what_is_left_of_an_invoice_is_not_called_its_amount(notice: str, locale: str) -> None:
    """A part-paid invoice shows what is left and of how much."""
    words = {"fr_FR": "reste 400,00 € sur 1 234,50 €", "en_GB": "€400.00 left of €1,234.50"}[locale]
    untrue = {"fr_FR": "votre règlement ne nous est pas parvenu", "en_GB": "we have not received your payment"}[locale]
    text = render(notice, "sms", of=case(locale=locale), lines=[invoice(stated=Decimal(400))]).text
    assert words in text
    assert untrue not in text
    assert "https://" in text
    assert words not in render(notice, "sms", of=case(locale=locale)).text


@pytest.mark.parametrize(("notice", "locale"), ALL)
def test_an_sms_always_says_how_to_pay(notice: str, locale: str) -> None:
    """By the link they share, or by calling: several links do not fit, so the number stands for them."""
    how = {"fr_FR": ("Payer : https://", "Pour régler : Comptabilité, "), "en_GB": ("Pay: https://", "To pay: Compta")}
    link, call = how[locale]
    one, two = (render(notice, "sms", of=case(locale=locale), lines=invoices(count)).text for count in (1, 2))
    assert (link in one, call in one) == (True, False)
    assert (link in two, call in two) == (False, True)


@pytest.mark.parametrize("locale", LOCALES)
def test_a_consumers_sms_does_not_lure(locale: str) -> None:
    """It announces no message that waits nowhere; it says what it is about, and offers the link or a call."""
    words = {
        "fr_FR": "Atelier Rivoire : au sujet de votre facture F-2026-001, merci de consulter https://",
        "en_GB": "Atelier Rivoire: about your invoice F-2026-001, please see https://",
    }[locale]
    assert render("nudge", "sms", of=case("consumer", locale)).text.startswith(words)
    two = render("nudge", "sms", of=case("consumer", locale), lines=invoices(2)).text
    assert f"({PHONE})" in two
    assert "http" not in two


@pytest.mark.parametrize("locale", LOCALES)
def test_a_desks_name_tells_a_stranger_nothing(locale: str) -> None:
    """A "debt recovery desk" is named neither on a consumer's screen nor on a voicemail; the number is."""
    desk = Creditor(contact=Contact(name="Service recouvrement"))
    for notice, channel in product(TONES, ("sms", "voice")):
        text = render(notice, channel, of=case("consumer", locale), creditor=desk).text
        assert "recouvrement" not in text
        assert re.sub(r"\D", "", text).count("0199001234") == {"sms": 1, "voice": 2}[channel]


def test_no_french_word_of_an_sms_is_misspelt_in_gsm() -> None:
    """GSM-7 has é, è, à, ù but neither ç nor a circumflex: the words are chosen so that none is lost."""
    shared = (TEMPLATES / "fr/_common/words.txt").read_text(encoding="utf-8")
    sources = {"words.txt": "".join(re.findall(r"(?s)\{% macro sms_.*?endmacro", shared))}
    sources |= {path.parent.name: path.read_text(encoding="utf-8") for path in TEMPLATES.glob("fr/*/sms.txt")}
    assert len(sources) == len(TONES) + len(ERRANDS) + 1
    assert {name: lost for name, text in sources.items() if (lost := re.findall("[çâêîôûëïœÀÂÈÊÔ]", text))} == {}


@pytest.mark.parametrize(("notice", "locale"), ALL)
def test_an_sms_without_room_for_its_link_keeps_the_number(notice: str, locale: str) -> None:
    """A long name and a long link would cost a third segment: the link goes, the number and the reference stay."""
    for kind in KINDS:
        wording = render(
            notice,
            "sms",
            of=case(kind, locale),
            lines=[invoice(payment_url=LONG_LINK, stated=Decimal("1034.50"))],
            creditor=Creditor(name=LONG_NAME),
        )
        assert wording.segments <= 2, kind
        assert PHONE in wording.text
        assert wording.text.endswith(REFERENCE)
        assert "http" not in wording.text or LONG_LINK in wording.text
        assert kind == "consumer" or "http" not in wording.text
