"""Dates, amounts and phone numbers as one locale writes and says them."""

from datetime import date
from decimal import Decimal

import pytest
from babel import Locale

from worker.render.local import Day, dialled, money, one_line, spoken


@pytest.mark.parametrize(
    ("locale", "day", "long", "full", "short"),
    [
        ("fr_FR", date(2026, 4, 1), "1er avril 2026", "mercredi 1er avril 2026", "01/04/2026"),
        ("fr_FR", date(2026, 4, 11), "11 avril 2026", "samedi 11 avril 2026", "11/04/2026"),
        ("fr_CA", date(2026, 4, 7), "7 avril 2026", "mardi 7 avril 2026", "07/04/2026"),
        ("en_GB", date(2026, 4, 7), "7 April 2026", "Tuesday, 7 April 2026", "7 Apr 2026"),
        ("en_US", date(2026, 4, 7), "April 7, 2026", "Tuesday, April 7, 2026", "Apr 7, 2026"),
    ],
)
def test_a_date_cannot_be_misread(locale: str, day: date, long: str, full: str, short: str) -> None:
    """Long, full and short are those of the locale; the first of a month is ordinal in French; 4/7 is never printed."""
    words = Day(day, Locale.parse(locale))
    assert (str(words), words.full, words.short) == (long, full, short)


def test_amounts_are_written_as_the_locale_does() -> None:
    """Separators, spaces and the place of the currency follow the locale."""
    assert money(Decimal("1234.5"), "EUR", Locale.parse("fr_FR")) == "1\u202f234,50\u00a0€"
    assert money(Decimal("1234.5"), "GBP", Locale.parse("en_GB")) == "£1,234.50"
    assert money(Decimal("-120"), "EUR", Locale.parse("en_GB")) == "-€120.00"


@pytest.mark.parametrize(
    ("e164", "country", "written"),
    [
        ("+33199001234", "FR", "01 99 00 12 34"),
        ("+33199001234", "GB", "+33 1 99 00 12 34"),
        ("+442079460018", "GB", "020 7946 0018"),
        ("not a number", "FR", "not a number"),
    ],
)
def test_a_number_is_written_as_the_debtor_dials_it(e164: str, country: str, written: str) -> None:
    """National inside the country, international from outside, and never broken over two lines."""
    assert dialled(e164, country).replace("\u00a0", " ") == written
    assert " " not in dialled("+33199001234", country)


@pytest.mark.parametrize(
    ("number", "locale", "words"),
    [
        ("01 99 00 12 34", "fr_FR", "01, 99, 00, 12, 34"),
        ("+44 20 7946 0018", "fr_FR", "plus 4 4, 20, 7 9 4 6, 0 0 1 8"),
        ("020 7946 0018", "en_GB", "0 2 0, 7 9 4 6, 0 0 1 8"),
    ],
)
def test_a_number_is_said_in_groups(number: str, locale: str, words: str) -> None:
    """The French hear pairs, others digits, all with a pause between groups."""
    assert spoken(number, Locale.parse(locale)) == words


def test_one_line_is_one_visible_line() -> None:
    """Line breaks, control characters, direction overrides and lone surrogates do not get through."""
    assert one_line(" A\r\nBcc: x\u202e\u2066y\x00\ud800 \u2028 z ") == "A Bcc: xy z"
