"""Case + step + channel -> the words of one message."""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from tests.worker.render_samples import SHIPPED, TEMPLATES, Creditor, case, invoice, invoices, plain, render
from worker.render import WordingError, Wordings

ATTACK = "{{ 7*7 }}{% raw %}<script>alert(1)</script>\r\nBcc: all@example.com\n\n\u202eeulb"


@pytest.fixture
def words(tmp_path: Path) -> Path:
    """A folder of words in which a test writes its own: one French notice that says "Bonjour."."""
    write(tmp_path, "fr/_common/words.txt", "")
    write(tmp_path, "_common/blocks.txt", "")
    write(tmp_path, "_common/blocks.html", "")
    write(tmp_path, "_common/email.html", "{{ paragraphs | join('|') }}")
    write(tmp_path, "fr/nudge/email.txt", "Subject: Un mot\n\nBonjour.")
    write(tmp_path, "fr/nudge/sms.txt", "Bonjour. {{ reference }}")
    return tmp_path


def write(folder: Path, name: str, text: str) -> None:
    """One file of words."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_a_wording_says_which_wording_it_was() -> None:
    """The digest is the same for the same words and another for others."""
    one, same, other = render("nudge", "sms"), render("nudge", "sms"), render("nudge", "sms", lines=invoices(2))
    assert one == same
    assert one.digest != other.digest
    assert re.fullmatch("[0-9a-f]{16}", one.digest)


def test_the_first_words_are_those_a_person_recognises() -> None:
    """An email is known by its subject, an SMS, a call and a task by how they begin; always one short line."""
    assert render("nudge").words == render("nudge").subject
    assert render("nudge", "sms").words.startswith("Atelier Rivoire : petit rappel.")
    for channel in ("sms", "voice", "task"):
        words = render("formal_notice", channel, lines=invoices(7)).words
        assert len(words) <= 160
        assert "\n" not in words


def test_only_emails_have_html_and_only_emails_and_tasks_a_subject() -> None:
    """No channel gets a part it cannot send."""
    found = {channel: render("nudge", channel) for channel in ("email", "sms", "voice", "task")}
    assert [name for name, wording in found.items() if wording.html] == ["email"]
    assert [name for name, wording in found.items() if wording.subject] == ["email", "task"]


@pytest.mark.parametrize("channel", ["email", "sms", "voice", "task"])
def test_what_upstream_writes_comes_out_inert(channel: str) -> None:
    """Template signs, HTML and line breaks in a name or a subject are printed, never obeyed."""
    line = invoice(subject=ATTACK, number="F-1\r\nX: y{{ 7*7 }}")
    wording = render("formal_notice", channel, of=case(name=ATTACK, kind="consumer"), lines=[line])
    assert "49" not in wording.text + wording.subject + re.sub(r"#\w+|\d+px", "", wording.html)
    assert "<script>" not in wording.html
    assert "\n" not in wording.subject
    assert "\nBcc" not in wording.text + wording.html
    assert "\u202e" not in wording.text + wording.html


def test_html_is_escaped_even_where_blocks_are_shared() -> None:
    """What goes through the shared blocks is escaped once, not twice and not never."""
    html = render("nudge", lines=[invoice(subject="Bed & <b>breakfast</b>")]).html
    assert "Bed &amp; &lt;b&gt;breakfast&lt;/b&gt;" in html


@pytest.mark.parametrize("url", ["javascript:alert(1)", 'https://x.example/"\n', "data:text/html,x"])
def test_only_web_links_become_links(url: str) -> None:
    """A payment address that is not a plain web address is left out."""
    wording = render("nudge", lines=[invoice(payment_url=url, document_url=url)])
    assert url not in wording.text
    assert "javascript:" not in wording.html
    assert "data:" not in wording.html


def test_a_template_cannot_reach_behind_its_facts(words: Path) -> None:
    """The sandbox stops what no wording needs."""
    write(words, "fr/nudge/sms.txt", "{{ ''.__class__.__mro__ }}")
    with pytest.raises(WordingError, match=r"fr/nudge/sms\.txt: line 1: "):
        render("nudge", "sms", wordings=Wordings(words))


def test_an_unknown_name_is_reported_with_file_and_line(words: Path) -> None:
    """Where, what, and what was probably meant: without a word of the case's data."""
    write(words, "fr/nudge/sms.txt", "\n\n{{ claims[0].ammount }}")
    with pytest.raises(WordingError) as caught:
        render("nudge", "sms", wordings=Wordings(words))
    assert str(caught.value) == f"{words.name}/fr/nudge/sms.txt: line 3: 'ammount' is undefined; did you mean 'amount'?"
    assert (caught.value.template, caught.value.line) == (f"{words.name}/fr/nudge/sms.txt", 3)


def test_a_fault_inside_a_shared_sentence_is_reported_there(words: Path) -> None:
    """The file at fault is named, not the one that used it."""
    write(words, "fr/_common/words.txt", "{# #}\n{% macro hello() %}{{ nobody }}{% endmacro %}")
    write(words, "fr/nudge/sms.txt", "{{ say.hello() }}")
    with pytest.raises(WordingError, match=r"fr/_common/words\.txt: line 2: 'nobody' is undefined"):
        render("nudge", "sms", wordings=Wordings(words))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("Subject: x\n{% if %}", r"fr/nudge/email\.txt: line 2: Expected an expression"),
        ("Bonjour.", r"fr/nudge/email\.txt: line 1: must begin with 'Subject: \.\.\.'"),
        ("Subject: x\n\n{{ claims[0].number + 1 }}", r"fr/nudge/email\.txt: line 3: TypeError$"),
        ("Subject: x\n{% include 'gone.txt' %}", r"fr/nudge/email\.txt: line 2: missing template 'gone\.txt'"),
    ],
)
def test_every_fault_of_a_template_has_a_place(words: Path, text: str, fault: str) -> None:
    """Whatever is wrong, its author reads the file and the line, and no data."""
    write(words, "fr/nudge/email.txt", text)
    with pytest.raises(WordingError, match=fault):
        render("nudge", wordings=Wordings(words))


def test_missing_words_name_the_file_to_write(words: Path) -> None:
    """A notice without words for a channel says which file is missing."""
    with pytest.raises(WordingError, match=r"fr/nudge/voice\.txt: missing template"):
        render("nudge", "voice", wordings=Wordings(words))


@pytest.mark.parametrize("locale", ["de_DE", "zz_ZZ", "../fr", ""])
def test_a_language_without_words_is_refused(locale: str) -> None:
    """No debtor is written to in a language they were not promised."""
    with pytest.raises(WordingError):
        render("nudge", of=case(locale=locale))


def test_a_country_falls_back_to_its_language(words: Path) -> None:
    """fr_CA has the words of fr until it has its own; amounts are always its own."""
    assert render("nudge", "sms", of=case(locale="fr_CA")).text.startswith("Atelier Rivoire : petit rappel.")
    write(words, "fr_CA/nudge/sms.txt", "Allo. {{ reference }}")
    wordings = Wordings(words)
    assert render("nudge", "sms", of=case(locale="fr_CA"), wordings=wordings).text == "Allo. K7Q2MX"
    assert render("nudge", "sms", of=case(locale="fr_FR"), wordings=wordings).text == "Bonjour. K7Q2MX"


def test_a_creditors_own_words_win(words: Path) -> None:
    """An override replaces one file for one creditor, and leaves everything else as it was."""
    write(words, "creditors/demo/fr/nudge/sms.txt", "Salut. {{ reference }}")
    wordings = Wordings(words)
    assert render("nudge", "sms", wordings=wordings).text == "Salut. K7Q2MX"
    assert render("nudge", "sms", wordings=wordings, creditor=Creditor(id="other")).text == "Bonjour. K7Q2MX"
    assert render("nudge", wordings=wordings).subject == "Un mot"


def test_a_creditors_own_sentence_changes_everybody_elses_notice(words: Path) -> None:
    """What a notice shares can be overridden too: a country's or a creditor's `_common` is looked up first."""
    write(words, "fr/_common/words.txt", "{% macro bye() %}Cordialement{% endmacro %}")
    write(words, "creditors/demo/fr/_common/words.txt", "{% macro bye() %}Bien à vous{% endmacro %}")
    write(words, "fr/nudge/sms.txt", "{{ say.bye() }}")
    wordings = Wordings(words)
    assert render("nudge", "sms", wordings=wordings).text == "Bien à vous"
    assert render("nudge", "sms", wordings=wordings, creditor=Creditor(id="other")).text == "Cordialement"


def test_the_html_is_the_text_s_paragraphs(words: Path) -> None:
    """The words are written once: a blank line separates paragraphs in both parts."""
    write(words, "fr/nudge/email.txt", "Subject: S\n\nUn & deux.\n\n\n\n{% if false %}\nnon\n{% endif %}\n\nTrois.")
    wording = render("nudge", wordings=Wordings(words))
    assert wording.text == "Un & deux.\n\nTrois."
    assert "<body>Un &amp; deux.|Trois.</body>" in wording.html


STYLED = """<html><head><style>p { margin: 4px } @media (max-width: 9px) { p { margin: 1px !important } }</style></head>
<body>{% for paragraph in paragraphs %}<p>{{ paragraph }}</p>{% endfor %}</body></html>"""


def test_a_style_sheet_is_put_on_the_elements(words: Path) -> None:
    """Its rules are where every mail program sees them; only what depends on the screen stays in the head."""
    write(words, "_common/email.html", STYLED)
    html = render("nudge", wordings=Wordings(words)).html
    assert '<p style="margin: 4px;">Bonjour.</p>' in html
    assert "<style>@media (max-width: 9px) { p { margin: 1px !important } }" in html
    assert "p { margin: 4px }" not in html


def test_a_creditors_own_layout_is_styled_and_named(words: Path) -> None:
    """An override is treated like the layout it replaces; a style that is none is reported with its file."""
    own = "creditors/demo/_common/email.html"
    write(words, own, STYLED.replace("4px", "7px"))
    assert '<p style="margin: 7px;">' in render("nudge", wordings=Wordings(words)).html
    write(words, own, STYLED.replace("<p>", '<p style="color">'))
    with pytest.raises(WordingError, match=rf"^{words.name}/{own}: a style in it, or in blocks\.html, is not CSS"):
        render("nudge", wordings=Wordings(words))


def test_a_style_sheet_elsewhere_is_not_fetched(words: Path) -> None:
    """Rendering asks nobody for anything."""
    link = '<link rel="stylesheet" href="http://127.0.0.1:9/x.css">'
    write(words, "_common/email.html", STYLED.replace("<style>", f"{link}<style>"))
    assert "127.0.0.1" not in render("nudge", wordings=Wordings(words)).html


def test_a_picture_that_the_html_does_not_show_is_not_sent(words: Path) -> None:
    """A look of one's own need not show the payment code."""
    assert render("nudge", wordings=Wordings(words)).payment_code is None


def test_the_digest_tells_one_picture_from_another(words: Path) -> None:
    """What the debtor saw stays traceable, even where a creditor's own words leave the amount to the picture."""
    write(words, "_common/email.html", '<img src="{{ qr.src }}">')
    one, other = (render("nudge", wordings=Wordings(words), lines=invoices(count)) for count in (1, 2))
    assert (one.text, one.html) == (other.text, other.html)
    assert one.digest != other.digest


def test_french_gets_its_no_break_spaces() -> None:
    """Before : ; ? ! in the email, both parts; in an SMS never."""
    wording = render("nudge")
    assert "Payer en ligne\u00a0: " in wording.text
    assert "régler\u00a0?" in wording.text
    assert "régler&nbsp;?" in wording.html
    assert "\u00a0" not in render("nudge", "sms").text


def test_one_set_of_words_serves_many_threads() -> None:
    """Eight threads compiling and rendering at once get the words one thread gets."""
    wordings = Wordings(TEMPLATES)
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _: render("second_reminder", wordings=wordings).digest, range(24)))
    assert found == {render("second_reminder", wordings=SHIPPED).digest}


def test_a_credit_note_is_deducted_in_sight() -> None:
    """The note is listed with its sign, and the total is what is left."""
    note = replace(invoice(9), number="AV-1", kind="credit_note", amount=Decimal("234.50"), stated=Decimal("234.50"))
    text = plain(render("first_reminder", lines=[*invoices(2), note]).text)
    assert "Avoir AV-1" in text
    assert "Montant déduit : -234,50 €" in text
    assert "Total à régler : 2 234,50 €" in text
    assert "AV-1" not in text.partition("Référence à indiquer")[2].partition("\n")[0]
    assert note.payment_url is not None
    assert note.payment_url not in text


def test_what_was_paid_already_is_not_asked_again() -> None:
    """A part-paid invoice asks for the rest, and says of what."""
    text = plain(render("first_reminder", lines=[invoice(stated=Decimal(300))]).text)
    assert "Reste à régler : 300,00 € sur 1 234,50 €" in text


def test_credits_beyond_the_claims_make_a_total_of_nothing() -> None:
    """A total is never negative."""
    note = replace(invoice(9), kind="credit_note", amount=Decimal(9000), stated=Decimal(9000))
    assert "Total à régler : 0,00 €" in plain(render("nudge", lines=[invoice(), note]).text)
