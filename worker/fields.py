"""What a phone number, a mailbox, a currency... is, for the jobs and the configuration alike.

Each function takes a text and gives it back in its one canonical form, or raises ValueError with words that follow the
name of a field ("not a phone number") and never repeat the value: it may be somebody's.
"""

import re
import unicodedata
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit
from zoneinfo import available_timezones

import phonenumbers
from babel import Locale, UnknownLocaleError
from babel.core import get_global
from babel.numbers import get_currency_precision, list_currencies
from email_validator import EmailNotValidError, validate_email
from pydantic import AfterValidator, StringConstraints

#: The languages there is wording for.
LANGUAGES = ("fr", "en")

_TEMPLATE_MARKS = ("{{", "}}", "{%", "%}", "{#", "#}")
_BIDI_CONTROLS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_LOCAL_NAMES = ("localhost", "test", "example", "invalid")
_CODE = re.compile(r"[A-Z]{2}")


def text(value: str) -> str:
    """One line that is safe to show: no template marks, no control characters, no change of writing direction."""
    return _plain(value, lines=False)


def lines(value: str) -> str:
    """The same, on one line or several."""
    return _plain(value, lines=True)


def phone(value: str, region: str | None = None) -> str:
    """A number in E.164; `region` (ISO 3166) is where a number without a country code is taken to be from.

    Possible numbers are enough: the ranges reserved for fiction, used by every demo, are never valid ones.
    """
    try:
        number = phonenumbers.parse(value, region)
    except phonenumbers.NumberParseException as error:
        raise ValueError("not a phone number") from error
    if number.extension or not phonenumbers.is_possible_number(number):
        raise ValueError("not a phone number")
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def international(value: str) -> str:
    """A number that says its country ("+33 1 99 00 12 34"), in E.164."""
    if not value.strip().startswith("+"):
        raise ValueError("not a phone number that begins with + and its country code")
    return phone(value)


def mailbox(value: str) -> str:
    """One mailbox, normalised; reserved names such as example.com are mailboxes too."""
    try:
        found = validate_email(value, check_deliverability=False, test_environment=True, allow_smtputf8=False)
    except EmailNotValidError:
        return _reserved_mailbox(value)
    return found.ascii_email or found.normalized


def zone(value: str) -> str:
    """An IANA time zone."""
    if value not in _zones():
        close = get_close_matches(value, _zones(), n=1)
        raise ValueError(f"not a time zone; did you mean {(close or ['Europe/Paris'])[0]!r}?")
    return value


def zone_of(country: str, subdivision: str | None = None) -> str | None:
    """The time zone of a country that has one, or one where nearly everybody lives; None if nobody can say.

    Of subdivisions, those of overseas France are known: 10:00 in Paris is 4:00 in Martinique.
    """
    country = overseas(country, subdivision) or country
    zones = _zones_by_country().get(country, ())
    return zones[0] if len(zones) == 1 else _PRIMARY_ZONES.get(country)


def overseas(country: str, subdivision: str | None) -> str | None:
    """The ISO 3166-1 code of its own that an overseas part of France has."""
    if country != "FR" or subdivision is None:
        return None
    code = _OVERSEAS.get(subdivision, subdivision)
    return code if code in _OVERSEAS.values() else None


def country(value: str) -> str:
    """A country, as ISO 3166-1 alpha-2."""
    if not _CODE.fullmatch(value) or value not in countries():
        raise ValueError("not a country (expected ISO 3166 alpha-2, such as 'FR')")
    return value


def currency(value: str) -> str:
    """A currency, as ISO 4217."""
    if value not in _currencies():
        raise ValueError("not a currency (expected ISO 4217, such as 'EUR')")
    return value


def precision(code: str) -> int:
    """How many decimals amounts in that currency have: 2 for EUR, 0 for JPY, 3 for TND."""
    return get_currency_precision(code)


def locale(value: str) -> str:
    """A language and perhaps a territory, as "fr_FR"; "fr-FR" is taken too. There must be wording in the language."""
    try:
        found = Locale.parse(value.replace("-", "_"))
    except (ValueError, UnknownLocaleError, TypeError) as error:
        raise ValueError("not a locale (expected one such as 'fr_FR')") from error
    if found.language not in LANGUAGES:
        raise ValueError(f"not a language there is wording for (expected one of: {', '.join(LANGUAGES)})")
    return str(found)


def web_address(value: str) -> str:
    """An https address; http is for loopback and for names reserved for tests."""
    _plain(value, lines=False)
    try:
        parts = urlsplit(value)
        host = parts.hostname or ""
        port = parts.port
    except ValueError as error:
        raise ValueError("not a web address") from error
    if parts.username is not None or not host or port == 0 or not value.isascii() or " " in value or "\\" in value:
        raise ValueError("not a web address")
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_local(host)):
        raise ValueError("not an https address")
    return value


@cache
def countries() -> frozenset[str]:
    """Every ISO 3166-1 alpha-2 code in use."""
    codes = map(str, Locale("en").territories)
    return frozenset(code for code in codes if _CODE.fullmatch(code)) - _NOT_COUNTRIES


#: Codes that have a name but are no country: unions, placeholders, and pseudo-territories of translators.
_NOT_COUNTRIES = frozenset({"EU", "EZ", "UN", "QO", "XA", "XB", "ZZ", "AC", "CP", "CQ", "DG", "EA", "IC", "TA"})


@cache
def _zones() -> frozenset[str]:
    return frozenset(name for name in available_timezones() if "/" in name or name == "UTC")


_OVERSEAS = {
    "971": "GP", "972": "MQ", "973": "GF", "974": "RE", "976": "YT", "977": "BL", "978": "MF", "975": "PM",
    "986": "WF", "987": "PF", "988": "NC",
}  # fmt: skip

#: Countries of several zones with one that stands for all of them, as CLDR has them.
_PRIMARY_ZONES = {
    "CL": "America/Santiago", "CN": "Asia/Shanghai", "DE": "Europe/Berlin", "EC": "America/Guayaquil",
    "ES": "Europe/Madrid", "MY": "Asia/Kuala_Lumpur", "NZ": "Pacific/Auckland", "PF": "Pacific/Tahiti",
    "PT": "Europe/Lisbon", "UA": "Europe/Kyiv", "UZ": "Asia/Tashkent",
}  # fmt: skip


@cache
def _zones_by_country() -> dict[str, list[str]]:
    zones: dict[str, list[str]] = {}
    for line in (files("tzdata.zoneinfo") / "zone.tab").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            code, _, name, *_ = line.split("\t")
            zones.setdefault(code, []).append(name)
    return zones


@cache
def _currencies() -> frozenset[str]:
    """The currencies somebody uses today; funds, metals and those of the past are no money to pay with."""
    current: set[str] = set()
    for spans in get_global("territory_currencies").values():
        current.update(code for code, _, until, tender in spans if until is None and tender)
    return frozenset(current & list_currencies())


def _plain(value: str, *, lines: bool) -> str:
    value = unicodedata.normalize("NFC", value).strip()
    if any(mark in value for mark in _TEMPLATE_MARKS):
        raise ValueError("looks like a template")
    if value.isprintable():
        return value
    if any(character in _BIDI_CONTROLS for character in value):
        raise ValueError("changes the direction of writing")
    if any(_is_control(character) and not (lines and character == "\n") for character in value):
        raise ValueError("has control characters")
    return value


def _is_control(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cs", "Co", "Zl", "Zp")


def _is_local(host: str) -> bool:
    if host.rpartition(".")[2] in _LOCAL_NAMES:
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _reserved_mailbox(value: str) -> str:
    """`bounce.invalid` and its like: never deliverable, and meant so."""
    local, _, domain = value.strip().rpartition("@")
    if domain.lower().rpartition(".")[2] not in ("invalid", "example", "test"):
        raise ValueError("not a mailbox")
    try:
        checked = validate_email(f"{local}@{domain}.com", check_deliverability=False, allow_smtputf8=False)
    except EmailNotValidError as error:
        raise ValueError("not a mailbox") from error
    return f"{checked.local_part}@{domain.lower()}"


Phone = Annotated[str, StringConstraints(max_length=32), AfterValidator(international)]
Mailbox = Annotated[str, StringConstraints(max_length=254), AfterValidator(mailbox)]
Zone = Annotated[str, StringConstraints(max_length=64), AfterValidator(zone)]
Country = Annotated[str, StringConstraints(max_length=2), AfterValidator(country)]
Currency = Annotated[str, StringConstraints(max_length=3), AfterValidator(currency)]
LocaleName = Annotated[str, StringConstraints(max_length=32), AfterValidator(locale)]
WebAddress = Annotated[str, StringConstraints(max_length=2000), AfterValidator(web_address)]
