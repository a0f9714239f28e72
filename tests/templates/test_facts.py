"""What every message must say, for every debtor and any number of invoices."""

import re
from itertools import product

import pytest
from babel import Locale

from tests.worker.render_samples import (
    CHANNELS,
    DEADLINE,
    KINDS,
    LOCALES,
    REFERENCE,
    TODAY,
    TONES,
    Contact,
    Creditor,
    case,
    invoice,
    invoices,
    plain,
    render,
)
from worker.dunning.model import DebtorKind, Invoice
from worker.render.local import Day, money

ALL = sorted(product(TONES, LOCALES))
COUNTS = (1, 2, 7)
LEGAL = ("second_reminder", "formal_notice", "last_word")
IGNORE = {"fr_FR": "ne tenez pas compte de ce message", "en_GB": "please ignore this message"}
INDEMNITY = re.compile(r"\b40\s?euros?\b|EUR\s?40\b|40\s?€|€\s?40\b|441-10|2192", re.IGNORECASE)


def shown(lines: list[Invoice], locale: str) -> list[str]:
    """What an email must show of each invoice: number, subject, dates, amount."""
    parsed = Locale.parse(locale)
    facts = [
        [i.number, i.subject, str(Day(i.issued_on, parsed)), str(Day(i.due_on, parsed)), money(i.amount, "EUR", parsed)]
        for i in lines
    ]
    return [plain(fact) for row in facts for fact in row]


@pytest.mark.parametrize(("notice", "locale"), ALL)
def test_every_notice_can_go_by_every_channel(notice: str, locale: str) -> None:
    """A step that falls back to another channel always finds its words, whoever owes and however many invoices."""
    for channel, kind, count in product(CHANNELS, KINDS, COUNTS):
        wording = render(notice, channel, of=case(kind, locale), lines=invoices(count))
        assert wording.text, (channel, kind, count)
        assert "None" not in wording.text, (channel, kind, count)
        assert not re.search(r"[{}]|  +[^ \n]", wording.text.replace("\n  ", "\n")), (channel, kind, count)


@pytest.mark.parametrize(("notice", "locale"), ALL)
def test_an_email_says_all_there_is_to_know(notice: str, locale: str) -> None:
    """Number, subject, dates and amount of each invoice, the total, how to pay, who to ask: in both parts."""
    for kind, count in product(KINDS, COUNTS):
        lines = invoices(count)
        wording = render(notice, of=case(kind, locale), lines=lines)
        facts = shown(lines, locale)
        facts += ["Comptabilité", "01 99 00 12 34", "FR76 3000 6000 0112 3456 7890 189", "DEMOFRPP"]
        if count > 1:
            facts.append(plain(money(sum(i.amount for i in lines), "EUR", Locale.parse(locale))))  # type: ignore[arg-type]
        for part in (plain(wording.text), plain(wording.html)):
            assert [fact for fact in facts if fact not in part] == [], (kind, count)
            assert IGNORE[locale] in part


@pytest.mark.parametrize(("notice", "locale"), [(n, lo) for n, lo in ALL if n != "courtesy"])
def test_the_day_to_pay_by_is_a_date(notice: str, locale: str) -> None:
    """From the first reminder on, an email and a business SMS name the day; "soon" is no date."""
    day = Day(DEADLINE, Locale.parse(locale))
    for kind, count in product(KINDS, COUNTS):
        assert day.full in plain(render(notice, of=case(kind, locale), lines=invoices(count)).text)
        assert day.short in render(notice, "sms", of=case(kind, locale), lines=invoices(count)).text


@pytest.mark.parametrize(("notice", "locale"), ALL)
def test_without_a_day_to_pay_by_none_is_referred_to(notice: str, locale: str) -> None:
    """A letter whose step gives no time of its own does not speak of "that date"."""
    words = {"fr_FR": ("à cette date", "d’ici là", "dans ce délai"), "en_GB": ("by then", "before then")}[locale]
    for kind in KINDS:
        text = render(notice, of=case(kind, locale), deadline=None).text
        assert [word for word in words if word in text] == [], kind


@pytest.mark.parametrize("locale", LOCALES)
def test_a_courtesy_names_the_due_date(locale: str) -> None:
    """Before the due date the day to pay by is the due date itself."""
    due = Day(invoice().due_on, Locale.parse(locale))
    assert due.full in render("courtesy", of=case(locale=locale), deadline=None).text
    assert due.short in render("courtesy", "sms", of=case(locale=locale), deadline=None).text


@pytest.mark.parametrize(("notice", "locale"), ALL)
def test_without_a_link_or_an_account_there_is_a_person(notice: str, locale: str) -> None:
    """However little is configured, a message says how to go on from here."""
    bare = Creditor(iban=None, bic=None, registration=None, contact=Contact(hours=""), help={})
    lines = [invoice(payment_url=None, subject="")]
    for kind in KINDS:
        text = plain(render(notice, of=case(kind, locale), lines=lines, creditor=bare, deadline=None, earlier=()).text)
        assert text.count("01 99 00 12 34") >= 2
        assert "IBAN" not in text


@pytest.mark.parametrize(("notice", "locale"), [(n, lo) for n, lo in ALL if n != "courtesy"])
def test_it_asks_when_how_and_what_is_wrong(notice: str, locale: str) -> None:
    """A reminder is a question too: when, by which means, and is there a problem?"""
    asked = {"fr_FR": ("à quelle date", "par quel moyen", "problème"), "en_GB": ("when and how", "wrong")}[locale]
    for kind in KINDS:
        text = render(notice, of=case(kind, locale)).text
        assert [words for words in asked if words not in text] == []


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("notice", sorted(TONES))
def test_the_statutory_clause_is_for_businesses_from_the_second_reminder_on(notice: str, locale: str) -> None:
    """Penalties and 40 euros: in three notices, to businesses and public buyers, never to a consumer."""
    for kind, channel in product(KINDS, CHANNELS):
        text = plain(render(notice, channel, of=case(kind, locale)).text)
        expected = notice in LEGAL and kind != "consumer" and channel == "email"
        if channel != "task":
            assert bool(INDEMNITY.search(text)) == expected, (kind, channel)
        elif kind == "consumer":
            assert not INDEMNITY.search(text)


@pytest.mark.parametrize(
    ("kind", "article", "other"), [("business", "L. 441-10", "L. 2192-13"), ("public", "L. 2192-13", "L. 441-10")]
)
def test_the_clause_cites_the_law_that_applies(kind: DebtorKind, article: str, other: str) -> None:
    """A business and a public buyer are under different codes; abroad no French article is claimed."""
    text = render("second_reminder", of=case(kind)).text
    assert article in text
    assert other not in text
    assert not INDEMNITY.search(render("second_reminder", of=case(kind), creditor=Creditor(country="GB")).text)


def test_the_indemnity_is_in_euros_whatever_the_invoice_is_in() -> None:
    """The law says 40 euros; an invoice in pounds does not turn them into pounds."""
    text = render("second_reminder", of=case(locale="en_GB", currency="GBP")).text
    assert "£1,234.50" in text
    assert "EUR 40" in text
    assert "£40" not in text


@pytest.mark.parametrize("locale", LOCALES)
def test_a_formal_notice_is_complete(locale: str) -> None:
    """Title, both parties, the date, the cause, earlier contacts, the order to pay, the consequence, personal data."""
    wanted = {
        "fr_FR": ("MISE EN DEMEURE", "nous vous mettons en demeure de régler", "tribunal compétent", "Vos données"),
        "en_GB": ("FORMAL NOTICE", "formally call on you to pay", "competent court", "your personal data"),
    }[locale]
    today = str(Day(TODAY, Locale.parse(locale)))
    facts = (*wanted, "12 rue des Tanneurs", "SIREN 000 000 000", "Client Exemple", "C-1042", today, "2 avril 2026")
    for kind, count in product(KINDS, COUNTS):
        text = render("formal_notice", of=case(kind, locale), lines=invoices(count)).text
        text = text.replace("2 April 2026", "2 avril 2026")
        assert [fact for fact in facts if fact not in text] == [], (kind, count)
        assert f"{today}\n\n" in text  # the letter's own date, on a line of its own


@pytest.mark.parametrize("locale", LOCALES)
def test_a_second_reminder_tells_what_went_before_and_what_may_follow(locale: str) -> None:
    """Earlier contacts by date and channel, and the next step by its true name."""
    earlier = {"fr_FR": "par SMS le 7 avril 2026", "en_GB": "text message on 7 April 2026"}[locale]
    step = {"fr_FR": "mise en demeure", "en_GB": "formal notice"}[locale]
    for kind in KINDS:
        text = render("second_reminder", of=case(kind, locale)).text
        assert earlier in text
        assert step in text


@pytest.mark.parametrize("locale", LOCALES)
def test_nothing_is_said_of_contacts_that_were_not(locale: str) -> None:
    """Without earlier contacts, no sentence claims that there were any."""
    claims = ("Malgré", "Despite", "Nous vous avons écrit", "We wrote to you")
    for notice in TONES:
        text = render(notice, of=case(locale=locale), earlier=()).text
        assert [claim for claim in claims if claim in text] == [], notice


@pytest.mark.parametrize("locale", LOCALES)
def test_consumers_are_offered_instalments_and_help(locale: str) -> None:
    """A consumer's second reminder offers to spread the payment and prints the creditor's help."""
    offer = {"fr_FR": "paiement en plusieurs fois", "en_GB": "instalments"}[locale]
    help_text = Creditor().help[locale[:2]]
    consumer = render("second_reminder", of=case("consumer", locale))
    assert offer in consumer.text
    assert help_text in consumer.text
    assert help_text in consumer.html
    assert help_text not in render("second_reminder", of=case("business", locale)).text


@pytest.mark.parametrize("locale", LOCALES)
def test_a_broken_promise_is_recalled_in_one_sentence(locale: str) -> None:
    """Once in every email but the courtesy, and nowhere unless there was one."""
    sentence = {
        "fr_FR": "La date dont nous étions convenus est passée",
        "en_GB": "The date we had agreed on has passed",
    }
    for notice in TONES:
        expected = 0 if notice == "courtesy" else 1
        assert render(notice, of=case(locale=locale), firmer=True).text.count(sentence[locale]) == expected, notice
        assert sentence[locale] not in render(notice, of=case(locale=locale)).text


@pytest.mark.parametrize("locale", LOCALES)
def test_several_invoices_read_as_several(locale: str) -> None:
    """One is named, two are named, seven are counted; each has its own link, one alone has the button."""
    one, two, seven = (render("nudge", of=case(locale=locale), lines=invoices(count)) for count in COUNTS)
    assert "F-2026-001" in one.subject
    assert "F-2026-001" in two.subject
    assert "F-2026-002" in two.subject
    assert seven.subject.startswith("7 ")
    links = [f"https://pay.example.com/invoices/{number:032}" for number in range(1, 8)]
    assert [link for link in links if seven.html.count(f'href="{link}"') != 1] == []
    assert one.html.count("https://pay.example.com") == 3  # the button, and the address to read, a link too


@pytest.mark.parametrize("locale", LOCALES)
def test_a_task_has_all_a_person_needs(locale: str) -> None:
    """Who, how to reach them, the reference, and either the text to send or what to say, in that order."""
    for notice, kind in product(TONES, KINDS):
        text = plain(render(notice, "task", of=case(kind, locale)).text)
        assert [fact for fact in ("Client Exemple", "+33639981234", REFERENCE, "F-2026-001") if fact not in text] == []
    order = {"fr_FR": ("1. Comprendre", "2. Reformuler", "3. Proposer"), "en_GB": ("1. Under", "2. Say it", "3. Offer")}
    script = render("human_call", "task", of=case(locale=locale)).text
    assert sorted(order[locale], key=script.index) == list(order[locale])
    letter = render("formal_notice", of=case(locale=locale))
    assert letter.text in render("formal_notice", "task", of=case(locale=locale)).text


#: In each language: how a colleague is told to send a letter and to call, and how a client is asked.
INSTRUCTED = {"fr_FR": ("Envoyez le texte ci-dessous", "Puis écoutez"), "en_GB": ("Send the text below", "Then listen")}
ASKED = {"fr_FR": "Savez-vous où en est le règlement", "en_GB": "Do you know where the payment stands"}
RECAPPED = {"fr_FR": "Merci pour notre échange", "en_GB": "Thank you for talking to me"}
CALLED = {"fr_FR": "anglais", "en_GB": "French"}


@pytest.mark.parametrize(("own", "theirs"), [("fr_FR", "en_GB"), ("en_GB", "fr_FR")])
def test_a_task_speaks_to_the_colleague_and_lets_them_speak_to_the_client(own: str, theirs: str) -> None:
    """What to do is in the creditor's language; the letter, the words to say and the recap are in the debtor's."""
    creditor = Creditor(locale=own)
    letter = render("formal_notice", of=case(locale=theirs), creditor=creditor)
    notice = render("formal_notice", "task", of=case(locale=theirs), creditor=creditor)
    call = plain(render("human_call", "task", of=case("consumer", theirs), creditor=creditor).text)
    send, listen = INSTRUCTED[own]
    assert send in notice.text
    assert letter.subject in plain(notice.text)
    assert letter.text in notice.text
    assert listen in call
    for said in (ASKED, RECAPPED, {locale: Creditor().help[locale[:2]] for locale in LOCALES}):
        assert said[theirs] in call
        assert said[own] not in call
    assert str(Day(invoice().due_on, Locale.parse(own))) in call
    for text in (notice.text, call):
        assert CALLED[own] in text
    assert CALLED[own] not in plain(render("human_call", "task", of=case(locale=own), creditor=creditor).text)


@pytest.mark.parametrize("locale", LOCALES)
def test_a_call_goes_from_the_reason_to_a_written_trace(locale: str) -> None:
    """Why, the answer read back, one way out of four, a date read aloud, and a recap by email: in that order."""
    said = {
        "fr_FR": (ASKED["fr_FR"], "Si je comprends bien", "le lien de paiement", "Quel jour", "en plusieurs fois",
                  "Qu’est-ce qui ne va pas", "Nous disons donc", RECAPPED["fr_FR"]),
        "en_GB": (ASKED["en_GB"], "If I understand", "the payment link", "On which day", "in several parts",
                  "What is wrong", "So that is", RECAPPED["en_GB"]),
    }[locale]  # fmt: skip
    for notice, kind in product(("call", "second_call", "human_call"), KINDS):
        script = plain(render(notice, "task", of=case(kind, locale)).text)
        assert sorted(said, key=script.index) == list(said)


@pytest.mark.parametrize("locale", LOCALES)
def test_help_is_told_to_consumers_from_the_second_reminder_on(locale: str) -> None:
    """In every email and in what a person says on the phone; never to a business, never before."""
    early = ("courtesy", "first_reminder", "nudge")
    for notice, kind in product(TONES, KINDS):
        told = Creditor().help[locale[:2]] in render(notice, of=case(kind, locale)).text
        assert told == (kind == "consumer" and notice not in early), (notice, kind)
    for notice in ("call", "second_call", "human_call"):
        assert Creditor().help[locale[:2]] in render(notice, "task", of=case("consumer", locale)).text


@pytest.mark.parametrize("locale", LOCALES)
def test_a_formal_notice_is_addressed(locale: str) -> None:
    """Where the postal address is known the letter bears it, below the name, and the task no longer asks for it."""
    address = ("4 quai du Port", "13002 Marseille")
    asked = {"fr_FR": "Ajoutez l’adresse postale", "en_GB": "Add the postal address"}[locale]
    for kind in KINDS:
        of = case(kind, locale, address=address)
        letter = render("formal_notice", of=of)
        assert "(référence client C-1042)\n4 quai du Port\n13002 Marseille\n\n" in letter.text.replace(
            "client reference", "référence client"
        )
        assert "13002 Marseille" in letter.html
        task = render("formal_notice", "task", of=of).text
        assert "4 quai du Port, 13002 Marseille" in task
        assert asked not in task
        assert "4 quai du Port, 13002 Marseille" in render("handover", "task", of=of).text


@pytest.mark.parametrize("locale", LOCALES)
def test_the_task_of_a_formal_notice_says_what_the_text_lacks(locale: str) -> None:
    """The postal address is nowhere in the case, and a deadline counted from today does not wait for the post."""
    address, today = {
        "fr_FR": ("adresse postale", "comptée à partir d’aujourd’hui (16 avril 2026)"),
        "en_GB": ("postal address", "counted from today (16 April 2026)"),
    }[locale]
    for kind in KINDS:
        dated, undated = (
            render("formal_notice", "task", of=case(kind, locale), deadline=day).text for day in (DEADLINE, None)
        )
        assert address in dated
        assert today in dated
        assert address in undated
        assert today not in undated


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("notice", ["call", "second_call", "human_call"])
def test_a_call_without_a_number_says_so(notice: str, locale: str) -> None:
    """A person asked to call is told when nobody knows the number, and what to do instead."""
    missing = {
        "fr_FR": "Aucun numéro connu : trouvez-le, ou écrivez.",
        "en_GB": "No number is known: find it, or write.",
    }
    assert missing[locale] in plain(render(notice, "task", of=case(locale=locale, phone=None)).text)
    assert missing[locale] not in plain(render(notice, "task", of=case(locale=locale)).text)


@pytest.mark.parametrize("locale", LOCALES)
def test_an_attempt_to_reach_somebody_is_not_called_a_contact(locale: str) -> None:
    """A neutral call nobody answered is told as what it was."""
    words = {
        "fr_FR": "Nous vous avons écrit, ou avons cherché à vous joindre, à ce sujet : par courriel le 2 avril 2026, ",
        "en_GB": "We wrote to you or tried to reach you about this: email on 2 April 2026; ",
    }
    assert words[locale] in plain(render("second_reminder", of=case(locale=locale)).text)


@pytest.mark.parametrize("locale", LOCALES)
@pytest.mark.parametrize("country", ["FR", "GB"])
def test_the_clause_speaks_of_the_amount_asked_for(locale: str, country: str) -> None:
    """One invoice alone prints no total, so none is referred to."""
    asked, total = {
        "fr_FR": ("le montant demandé", "le total ci-dessus"),
        "en_GB": ("the amount asked for", "total above"),
    }[locale]
    owing: tuple[DebtorKind, ...] = ("business", "public")
    for notice, kind in product(LEGAL, owing):
        text = render(notice, of=case(kind, locale), creditor=Creditor(country=country)).text.lower()
        assert asked in text
        assert total not in text


def test_a_french_aside_is_closed_by_a_comma() -> None:
    """ "..., arrivée à échéance le 1er avril 2026, reste impayée": and no comma where there is no aside."""
    assert "1er avril 2026, reste impayée" in render("last_word").text
    assert "F-2026-002 restent impayées" in render("last_word", lines=invoices(2)).text


@pytest.mark.parametrize("locale", LOCALES)
def test_the_data_are_those_of_every_invoice(locale: str) -> None:
    """The formal notice's last paragraph speaks of one invoice or of several, as the notice does."""
    one, several = {
        "fr_FR": ("de cette facture", "de ces factures"),
        "en_GB": ("this invoice and its payment", "these invoices and their payment"),
    }[locale]
    for count, said, other in ((1, one, several), (2, several, one)):
        text = render("formal_notice", of=case(locale=locale), lines=invoices(count)).text
        assert said in text
        assert other not in text


@pytest.mark.parametrize("locale", LOCALES)
def test_a_late_payment_is_told_once(locale: str) -> None:
    """After a broken promise as well, an email says a single time that the payment has not come."""
    late = {
        "fr_FR": r"ne nous est pas (?:encore )?parvenu|n’avons (?:pas|toujours pas)(?: encore)? reçu|impayée",
        "en_GB": r"has not reached us|have (?:not|still not)(?: yet)? received|unpaid",
    }[locale]
    for notice, firmer in product(set(TONES) - {"courtesy", "human_call"}, (False, True)):
        body = render(notice, of=case(locale=locale), firmer=firmer).text
        assert len(re.findall(late, body)) == 1, (notice, firmer)
