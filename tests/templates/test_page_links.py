"""Where messages lead the debtor to their own page: always to be found, and by SMS the way to get no more of them."""

import re
from itertools import product

import pytest

from tests.worker.render_samples import (
    KINDS,
    LOCALES,
    PAGE,
    REFERENCE,
    TONES,
    Creditor,
    case,
    invoice,
    invoices,
    render,
)
from worker.render import sms_segments

from .test_tone import AMOUNT, DEBT, found

ALL = sorted(product(TONES, LOCALES))
COUNTS = (1, 2, 7)
#: What is said of the link by an SMS that cannot be answered.
WAY_OUT = {"fr_FR": r"ne plus recevoir de SMS : |se désinscrire : ", "en_GB": r"get no more SMS: |opt out: "}


@pytest.mark.parametrize(("notice", "locale"), ALL)
def test_every_email_leads_to_the_page(notice: str, locale: str) -> None:
    """In both parts, in words that say what for; the text part stands alone."""
    words = {"fr_FR": "Payer, répondre ou poser une question", "en_GB": "Pay, answer or ask a question"}[locale]
    for kind, count in product(KINDS, COUNTS):
        wording = render(notice, of=case(kind, locale), lines=invoices(count), page_url=PAGE)
        assert re.search(rf"{words}\s?: {re.escape(PAGE)}\n", wording.text)
        assert re.search(rf'href="{re.escape(PAGE)}"[^>]*>{words}<', wording.html)
        assert len(re.findall(words, wording.text)) == 1


@pytest.mark.parametrize("locale", LOCALES)
def test_where_nothing_else_can_be_pressed_the_button_leads_to_the_page(locale: str) -> None:
    """An invoice without a payment link: the button near the total is the page's, else it is the payment's."""
    alone = render("nudge", of=case(locale=locale), lines=[invoice(payment_url=None)], page_url=PAGE).html
    both = render("nudge", of=case(locale=locale), page_url=PAGE).html
    buttons = [re.findall(r"<a[^>]*button-link[^>]*>", html) for html in (alone, both)]
    assert [len(found) for found in buttons] == [1, 1]
    assert PAGE in buttons[0][0]
    assert PAGE not in buttons[1][0]


@pytest.mark.parametrize(("notice", "locale"), ALL)
def test_an_sms_leads_to_the_page_in_two_segments(notice: str, locale: str) -> None:
    """In place of the payment link; other words go before the link or the number does."""
    for kind, count, firmer, can_reply in product(KINDS, COUNTS, (False, True), (False, True)):
        wording = render(
            notice, "sms", of=case(kind, locale), lines=invoices(count), firmer=firmer, page_url=PAGE,
            can_reply=can_reply,
        )  # fmt: skip
        text = wording.text
        assert sms_segments(text)[0] == "GSM-7"
        assert wording.segments <= 2
        assert f" {PAGE} " in text
        assert "pay.example.com" not in text
        assert text.startswith(Creditor().name)
        assert "01 99 00 12 34" in text
        assert text.endswith(REFERENCE)
        # A name cannot be answered; a number can, and then one word is enough.
        assert bool(re.search(WAY_OUT[locale] + re.escape(PAGE), text)) is not can_reply
        assert ("STOP" in text) is can_reply


@pytest.mark.parametrize(("notice", "locale"), ALL)
def test_a_consumers_sms_still_says_nothing_of_a_debt(notice: str, locale: str) -> None:
    """Not on a lock screen."""
    for count, can_reply in product(COUNTS, (False, True)):
        lines = invoices(count)
        text = render(
            notice, "sms", of=case("consumer", locale), lines=lines, page_url=PAGE, can_reply=can_reply, firmer=True
        ).text
        words = re.sub(r"https://\S+", "", text)
        assert found(DEBT, words) == [], count
        assert not AMOUNT.search(words), count


@pytest.mark.parametrize("locale", LOCALES)
def test_a_link_without_room_is_left_out_and_the_message_goes(locale: str) -> None:
    """Behind an address that no SMS has room for: as if there were no page, the payment link included."""
    for kind in KINDS:
        endless = render("nudge", "sms", of=case(kind, locale), page_url="https://" + "x" * 300)
        assert endless.text == render("nudge", "sms", of=case(kind, locale)).text
        assert "https://pay.example.com" in endless.text


@pytest.mark.parametrize("locale", LOCALES)
def test_whoever_is_asked_is_told_of_the_page(locale: str) -> None:
    """In the sentence that asks when, how, and what is wrong; without a page nothing is said of one."""
    words = {"fr_FR": "sur votre page en ligne", "en_GB": "on your page online"}[locale]
    assert words in render("nudge", of=case(locale=locale), page_url=PAGE).text
    assert words not in render("nudge", of=case(locale=locale)).text
