"""What each channel asks of the words: SMS that fit, calls that give nothing away, HTML that any mailbox shows."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import product

import pytest

from tests.worker.render_samples import KINDS, LOCALES, REFERENCE, TONES, Creditor, case, invoices, render
from worker.render import sms_segments

ALL = sorted(product(TONES, LOCALES))
COUNTS = (1, 2, 7)
VOID = {"meta", "br", "link", "img"}
SECRETS = re.compile(
    r"factur|invoice|€|euro|régl|pay|dette|debt|due|échéance|montant|amount|retard|late|dossier|urgent|Camille|F-2026",
    re.IGNORECASE,
)


@pytest.mark.parametrize(("notice", "locale"), ALL)
def test_an_sms_costs_two_segments_at_most(notice: str, locale: str) -> None:
    """In GSM-7, with a link of 60 characters and a broken promise to recall."""
    for kind, count, firmer in product(KINDS, COUNTS, (False, True)):
        text = render(notice, "sms", of=case(kind, locale), lines=invoices(count), firmer=firmer).text
        encoding, segments = sms_segments(text)
        assert encoding == "GSM-7", text
        assert segments <= 2, text


@pytest.mark.parametrize(("notice", "locale"), ALL)
def test_an_sms_says_who_what_and_where(notice: str, locale: str) -> None:
    """It begins with the creditor, names an invoice, gives a person's number and a link, ends with the reference."""
    for kind, count, firmer in product(KINDS, COUNTS, (False, True)):
        text = render(notice, "sms", of=case(kind, locale), lines=invoices(count), firmer=firmer).text
        assert text.startswith(Creditor().name)
        assert text.endswith(REFERENCE)
        assert "01 99 00 12 34" in text
        assert "\n" not in text
        assert not re.search("stop", text, re.IGNORECASE)
        assert count > 2 or kind != "consumer" or "F-2026-001" in text
        assert kind == "consumer" or "F-2026-001" in text
        assert count > 1 or re.search(r"https://pay\.example\.com/invoices/\d{32}(?= )", text)


@pytest.mark.parametrize("locale", LOCALES)
def test_a_business_sms_says_how_much(locale: str) -> None:
    """The amount of one invoice, the count and the total of several."""
    one = {"fr_FR": "1 234,50 €", "en_GB": "€1,234.50"}[locale]
    seven = {"fr_FR": ("7 factures", "8 641,50 €"), "en_GB": ("7 overdue invoices", "€8,641.50")}[locale]
    for notice in set(TONES) - {"courtesy"}:
        assert one in render(notice, "sms", of=case(locale=locale)).text
        text = render(notice, "sms", of=case(locale=locale), lines=invoices(7)).text
        assert [words for words in seven if words not in text] == []


@pytest.mark.parametrize("locale", LOCALES)
def test_a_call_gives_nothing_away(locale: str) -> None:
    """The same neutral words for every notice and debtor: a machine, who called, which number to call, and no more.

    Not even the desk's name: a "debt recovery desk" would tell whoever listens.
    """
    texts = {
        render(notice, "voice", of=case(kind, locale), lines=invoices(count), firmer=True).text
        for notice, kind, count in product(TONES, KINDS, COUNTS)
    }
    assert len(texts) == 1
    text = texts.pop()
    assert SECRETS.findall(text) == []
    assert re.search("message automatique|automated message", text)
    assert "Atelier Rivoire" in text
    assert "Comptabilité" not in text
    assert text.count({"fr_FR": "01, 99, 00, 12, 34", "en_GB": "0 1, 9 9, 0 0, 1 2, 3 4"}[locale]) == 2


class Outline(HTMLParser):
    """Checks that tags nest, and collects what could reach out of the message."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.remote: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Remember it until it is closed."""
        if tag not in VOID:
            self.open.append(tag)
        sources = [value or "" for name, value in attrs if name in ("src", "srcset", "background")]
        styles = [value or "" for name, value in attrs if name == "style"]
        if tag in ("script", "link", "iframe", "form") or any(not source.startswith("cid:") for source in sources):
            self.remote.append(tag)
        if any("url(" in style for style in styles):
            self.remote.append(f"{tag} style")

    def handle_endtag(self, tag: str) -> None:
        """Only the innermost may be closed."""
        assert self.open.pop() == tag


@pytest.mark.parametrize(("notice", "locale"), ALL)
def test_the_html_is_well_formed_and_fetches_nothing(notice: str, locale: str) -> None:
    """Tags nest; no script, no picture or style from elsewhere; the language is declared; no paragraph is empty."""
    for kind, count in product(KINDS, COUNTS):
        html = render(notice, of=case(kind, locale), lines=invoices(count)).html
        outline = Outline()
        outline.feed(html)
        assert outline.open == []
        assert outline.remote == []
        assert not re.search(r"<style>[^<]*(?:url\(|@import)", html)
        assert f'<html lang="{locale[:2]}"' in html
        assert re.search(r"<title>[^<]{10,}</title>", html)
        assert not re.search(r"<p[^>]*>\s*</p>|<p[^>]*>\s*<(?:table|div|h1)", html)


@pytest.mark.parametrize(("notice", "locale"), ALL)
def test_the_text_stands_alone(notice: str, locale: str) -> None:
    """Every address the HTML links to is there to read, and nothing is said of a button, a picture or a click."""
    for kind, count in product(KINDS, COUNTS):
        lines = [replace(line, document_url=f"https://files.example.com/{line.number}") for line in invoices(count)]
        wording = render(notice, of=case(kind, locale), lines=lines)
        links = re.findall(r'href="(?:mailto:)?([^"]+)"', wording.html)
        assert {link for link in links if link not in wording.text} <= {f"tel:{Creditor().contact.phone}"}
        assert not re.search(r"bouton|clique|code qr|ci-contre|image|button|click|qr code|tap\b", wording.text.lower())


@pytest.mark.parametrize(("notice", "locale"), ALL)
def test_an_email_is_short_enough_to_be_read(notice: str, locale: str) -> None:
    """One invoice: at most 2,600 characters of text, the formal notice included; paragraphs under 500."""
    for kind in KINDS:
        text = render(notice, of=case(kind, locale), firmer=True).text
        assert len(text) <= 2600
        assert max(map(len, text.split("\n\n"))) <= 500
