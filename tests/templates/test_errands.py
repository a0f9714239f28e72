"""What a debtor is owed for having answered: the link, the recap, help. It repeats, and claims nothing."""

import re
from datetime import date
from itertools import product

import pytest

from tests.worker.render_samples import KINDS, LOCALES, REFERENCE, Creditor, case, invoice, invoices, render
from worker.dunning.answers import Answer, AnswerKind
from worker.dunning.call_menu import SAID_BY_KEYS
from worker.dunning.model import DebtorKind
from worker.render import Wording, sms_segments

from .test_tone import AMOUNT, CHARGES, DEBT, LEGAL, NEVER, found

PAGE = "https://relance.example.com/r/demo-3ggwkv3whbh6z5df.e9a1.abcdefghijklmnop"
ALL = [(kind, locale) for kind, locale in product(KINDS, LOCALES)]


def said(kind: AnswerKind) -> Answer:
    """An answer of that kind, from a call."""
    return Answer(kind=kind, source="call", ref=kind, on=date(2026, 4, 20), method="transfer")


def recap(channel: str, kind: DebtorKind, locale: str, *answers: AnswerKind, count: int = 1) -> Wording:
    """The recap of a call in which these were said."""
    lines, own = invoices(count), Creditor(locale=locale)
    of = case(kind, locale)
    return render("recap", channel, of=of, lines=lines, creditor=own, said=[said(a) for a in answers], page_url=PAGE)


@pytest.mark.parametrize(("kind", "locale"), ALL)
def test_an_errand_by_sms_fits_and_ends_with_its_reference(kind: DebtorKind, locale: str) -> None:
    """Two segments of GSM-7 with the page, with a payment link, with neither; from the creditor, with a number."""
    for notice, count, page, answer in product(("link", "help", "recap"), (1, 7), (PAGE, ""), SAID_BY_KEYS):
        text = render(
            notice, "sms", of=case(kind, locale), lines=invoices(count), said=[said(answer)], page_url=page
        ).text
        assert sms_segments(text)[0] == "GSM-7", text
        assert sms_segments(text)[1] <= 2, text
        assert text.startswith(Creditor().name)
        assert text.endswith(REFERENCE)
        assert "01 99 00 12 34" in text
        assert page in text
        assert " ." not in text.replace("\u00a0", " ")


@pytest.mark.parametrize("locale", LOCALES)
def test_the_link_is_the_page_else_the_payment_else_a_number(locale: str) -> None:
    """Whatever there is, it is in the message."""
    of = case(locale=locale)
    assert PAGE in render("link", "sms", of=of, page_url=PAGE).text
    assert "https://pay.example.com" in render("link", "sms", of=of).text
    bare = render("link", "sms", of=of, lines=[invoice(payment_url=None)]).text
    assert "http" not in bare
    assert "01 99 00 12 34" in bare


@pytest.mark.parametrize("locale", LOCALES)
def test_a_consumers_screen_shows_no_debt(locale: str) -> None:
    """Not who owes, not what was said on the phone."""
    for notice, answer in product(("link", "recap", "help"), SAID_BY_KEYS):
        text = render(notice, "sms", of=case("consumer", locale), said=[said(answer)], page_url=PAGE).text
        words = re.sub(r"https://\S+", "", text)
        assert found(DEBT, words) == [], words
        assert not AMOUNT.search(words)


@pytest.mark.parametrize(("kind", "locale"), ALL)
def test_a_recap_repeats_each_answer_and_threatens_nothing(kind: DebtorKind, locale: str) -> None:
    """Each kind has its sentence, no law, no charges; the subject tells a stranger nothing."""
    seen = set()
    for answer in SAID_BY_KEYS:
        wording = recap("email", kind, locale, answer)
        for words in (NEVER, LEGAL, CHARGES):
            assert found(words, wording.text) == [], answer
        assert not AMOUNT.search(wording.subject)
        assert kind != "consumer" or found(DEBT, wording.subject) == []
        assert len(wording.text) < 2600
        seen.add(wording.text)
    assert len(seen) == len(SAID_BY_KEYS)


@pytest.mark.parametrize("locale", LOCALES)
def test_a_recap_asks_for_money_only_where_it_is_still_owed_to_its_senders_mind(locale: str) -> None:
    """How to pay is there for whoever promised; not for whoever disputes, has paid, or is somebody else."""
    for answer in SAID_BY_KEYS:
        asked = answer not in ("dispute", "already_paid", "wrong_person")
        assert ("IBAN" in recap("email", "business", locale, answer).text) == asked, answer


@pytest.mark.parametrize("locale", LOCALES)
def test_a_recap_thanks_only_who_took_the_call(locale: str) -> None:
    """Somebody else may have: the right person then reads that we tried."""
    thanks = "Merci d’avoir pris|Thank you for taking"
    assert re.search(thanks, recap("email", "business", locale, "confirmed", "promise").text)
    assert not re.search(thanks, recap("email", "business", locale, "wrong_person").text)


@pytest.mark.parametrize("locale", LOCALES)
def test_a_recap_by_sms_says_the_one_thing(locale: str) -> None:
    """To a business: what a call led to, each in words of its own."""
    kinds: list[AnswerKind] = [kind for kind in SAID_BY_KEYS if kind not in ("link", "method")]
    texts = {recap("sms", "business", locale, kind).text for kind in kinds}
    assert len(texts) == len(kinds)
    both = recap("sms", "business", locale, "confirmed", "link", "promise", "method").text
    assert re.search("20/04/2026|20 Apr 2026", both)
