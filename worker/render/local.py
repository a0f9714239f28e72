"""Dates, amounts and phone numbers as one locale writes and says them."""

import unicodedata
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache

import phonenumbers
from babel import Locale
from babel.dates import format_date
from babel.numbers import format_currency, get_currency_name
from phonenumbers import PhoneNumberFormat

#: How many signs of an invoice's number a call spells.
LONGEST_SPELLED = 10

_SHORT_DATE = {"fr": "dd/MM/y"}  # elsewhere 4/7 reads as July or as April, so the month is written


@dataclass(frozen=True, slots=True)
class Day:
    """A date, printed long ("7 avril 2026") unless a template asks for `.full` (with the weekday) or `.short`."""

    value: date
    locale: Locale

    def __str__(self) -> str:
        return self._words("long")

    @property
    def full(self) -> str:
        """With the day of the week: "mardi 7 avril 2026"."""
        return self._words("full")

    @property
    def short(self) -> str:
        """For an SMS: "07/04/2026", "7 Apr 2026"."""
        return _date(self.value, _SHORT_DATE.get(self.locale.language, "medium"), self.locale)

    def _words(self, length: str) -> str:
        return _date(self.value, length, self.locale)


@lru_cache(4096)  # the same few weeks all day long
def _date(value: date, style: str, locale: Locale) -> str:
    words = format_date(value, style, locale)
    if style in ("long", "full") and locale.language == "fr" and value.day == 1:
        return f" {words}".replace(" 1 ", " 1er ").lstrip()
    return words


def one_line(text: str) -> str:
    """The text without control, direction or surrogate characters, its blanks collapsed to single spaces."""
    spaced = " ".join(text.split())
    if spaced.isprintable():  # nearly all text, at the speed of C
        return spaced
    return " ".join("".join(char for char in spaced if unicodedata.category(char) not in ("Cc", "Cf", "Cs")).split())


def money(amount: Decimal, currency: str, locale: Locale) -> str:
    """The amount as the locale writes it, no-break spaces included: "1 234,50 €"."""
    return format_currency(amount, currency, locale=locale)


def money_aloud(amount: Decimal, currency: str, locale: Locale) -> str:
    """The amount as a voice reads it well, without signs or groups: "1234 euros 50"."""
    whole, cents = divmod(int((amount * 100).to_integral_value(ROUND_HALF_UP)), 100)
    return f"{whole} {get_currency_name(currency, count=whole, locale=locale)}{f' {cents}' if cents else ''}"


def spelled(text: str) -> str:
    """A number of an invoice, sign by sign, with a pause where it has a hyphen or the like: "F, 2 0 2 6, 0 0 1".

    Of a long one the last ten signs, which is what people compare.
    """
    groups = "".join(char if char.isalnum() else " " for char in text).split()
    left = LONGEST_SPELLED
    said: list[str] = []
    for group in reversed(groups):
        if left > 0:
            said.insert(0, " ".join(group[-left:]))
            left -= len(group)
    return ", ".join(said)


@lru_cache(4096)
def dialled(e164: str, country: str) -> str:
    """The number as somebody in that country dials it, unbroken. One that cannot be parsed is left as it is."""
    try:
        number = phonenumbers.parse(e164)
    except phonenumbers.NumberParseException:
        return e164
    home = number.country_code == phonenumbers.country_code_for_region(country)
    style = PhoneNumberFormat.NATIONAL if home else PhoneNumberFormat.INTERNATIONAL
    return phonenumbers.format_number(number, style).replace(" ", "\u00a0")


@lru_cache(4096)
def spoken(phone: str, locale: Locale) -> str:
    """Groups with a pause between them. The French say a number in pairs, others digit by digit."""
    groups = "".join(char if char.isdigit() or char == "+" else " " for char in phone).split()
    return ", ".join(_group(group, pairs=locale.language == "fr") for group in groups)


def _group(group: str, *, pairs: bool) -> str:
    if pairs and len(group) == 2 and group.isdigit():
        return group
    return " ".join("plus" if char == "+" else char for char in group)
