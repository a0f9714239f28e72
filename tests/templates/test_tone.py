"""What no message may say, by tone and by who reads it."""

import re
from html import unescape
from itertools import product

import pytest

from tests.worker.render_samples import CHANNELS, KINDS, LOCALES, TONES, Creditor, case, invoices, plain, render

ALL = sorted(product(TONES, LOCALES))
COUNTS = (1, 2, 7)

#: Threats that are not true, or not ours to make: never, in any tone.
NEVER = (
    r"saisies?\b|huissier|plainte|pénal(?!ité)|poursui|contentieux|publication|publier"
    r"|liste noire|expuls|fich(?:er|age)|immédiatement|sous peine|sanction|menac|honte|mauvais payeur"
    r"|seiz|bailiff|criminal|prosecut|garnish|blacklist|credit record|credit rating|immediately|threat|shame|deadbeat"
    r"|débiteur|créancier|debtor|creditor"
)
#: Words of law and of charges: only from the second reminder on.
LEGAL = (
    r"pénalité|indemnité|intérêts|tribunal|justice|judiciaire|mise en demeure|recouvrement|amiable|dette|impayé"
    r"|penalt|compensation|interest\b|court\b|legal|formal notice|recovery|debt\b|unpaid"
)
#: Before the due date nothing is claimed.
CLAIMS = LEGAL + (
    r"|retard|échue|échues|rappel\b|relance|toujours pas|malgré|nous vous demandons|reste à|dépassé"
    r"|overdue|\blate\b|reminder|despite|we ask you|past due|still not|missed"
)
#: To a consumer, in a subject line or on a lock screen.
DEBT = CLAIMS + r"|régler|règlement|paiement|payer\b|échéance|montant|pay\b|payment|due\b|amount|owe"
#: To a consumer, anywhere.
CHARGES = (
    r"pénalité|indemnité|intérêts\b|frais de recouvrement|40\s?(?:€|euros)|penalt|compensation|recovery cost|EUR\s?40"
)

AMOUNT = re.compile(r"\d[\d., ]*\s?(?:€|EUR)|[€£]\s?\d|\d,\d\d\b|\d\.\d\d\b")


def found(pattern: str, text: str) -> list[str]:
    """The forbidden words in the text."""
    return re.findall(pattern, plain(text).lower(), re.IGNORECASE)


@pytest.mark.parametrize(("notice", "locale"), ALL)
def test_no_threat_is_made(notice: str, locale: str) -> None:
    """Whatever the tone: no seizure, no crime, no publication, and nobody is called a debtor."""
    for channel, kind, firmer in product(CHANNELS, KINDS, (False, True)):
        for count in COUNTS:
            wording = render(notice, channel, of=case(kind, locale), lines=invoices(count), firmer=firmer)
            assert found(NEVER, wording.subject + wording.text) == [], (channel, kind, count)


@pytest.mark.parametrize(("notice", "locale"), [(n, lo) for n, lo in ALL if TONES[n] <= 2])
def test_a_mild_tone_has_no_word_of_law(notice: str, locale: str) -> None:
    """Up to the first call: no penalties, no court, no "unpaid", no "debt"; before the due date, no claim at all."""
    words = CLAIMS if TONES[notice] == 0 else LEGAL
    for channel, kind, firmer in product(("email", "sms", "voice"), KINDS, (False, True)):
        for count in COUNTS:
            wording = render(notice, channel, of=case(kind, locale), lines=invoices(count), firmer=firmer)
            assert found(words, wording.subject + "\n" + wording.text) == [], (channel, kind, count)


@pytest.mark.parametrize(("notice", "locale"), ALL)
def test_a_subject_has_no_amount_and_a_consumers_no_debt(notice: str, locale: str) -> None:
    """Whoever looks over a shoulder learns neither sum nor, of a consumer, that money is owed."""
    for kind, count in product(KINDS, COUNTS):
        subject = render(notice, of=case(kind, locale), lines=invoices(count), firmer=True).subject
        assert not AMOUNT.search(plain(subject)), (kind, count)
        assert 10 < len(subject) <= 100
        if kind == "consumer":
            assert found(DEBT, subject) == [], count
            assert Creditor().name in subject


@pytest.mark.parametrize(("notice", "locale"), ALL)
def test_a_preview_has_no_amount_and_a_consumers_no_debt(notice: str, locale: str) -> None:
    """What a mailbox shows under the subject says who wrote, and ends before the first words of the message."""
    for kind, count in product(KINDS, COUNTS):
        html = render(notice, of=case(kind, locale), lines=invoices(count), firmer=True).html
        body = unescape(re.sub(r"<[^>]+>", " ", html.partition("<body")[2].partition(">")[2]))
        preview = " ".join(body.split())[:250]
        assert Creditor().name in preview
        assert "Comptabilité" not in preview  # a desk's name may tell of a debt
        assert not AMOUNT.search(plain(preview)), (kind, count)
        assert not re.search(r"[^\W\d_]", preview[150:]), preview
        if kind == "consumer":
            assert found(DEBT, preview) == [], count


@pytest.mark.parametrize(("notice", "locale"), ALL)
def test_a_consumers_sms_says_nothing_of_a_debt(notice: str, locale: str) -> None:
    """A lock screen shows who wrote, about which invoice, and where to read on: no sum, no word of money owed."""
    for count in COUNTS:
        text = render(notice, "sms", of=case("consumer", locale), lines=invoices(count), firmer=True).text
        words = re.sub(r"https://\S+", "", text)
        assert found(DEBT, words) == [], count
        assert not AMOUNT.search(words), count


@pytest.mark.parametrize(("notice", "locale"), ALL)
def test_a_consumer_never_reads_of_charges(notice: str, locale: str) -> None:
    """No penalties and no 40 euros to a consumer: not by email, not by SMS, not in what a person will read out."""
    for channel, count in product(("email", "sms", "voice"), COUNTS):
        wording = render(notice, channel, of=case("consumer", locale), lines=invoices(count))
        assert found(CHARGES, wording.text) == [], (channel, count)


@pytest.mark.parametrize("locale", LOCALES)
def test_every_notice_has_words_of_its_own(locale: str) -> None:
    """A person who gets them all never reads the same message twice."""
    for channel in ("email", "sms"):
        texts = [render(notice, channel, of=case(locale=locale)).text for notice in TONES]
        assert len(set(texts)) == len(TONES)
