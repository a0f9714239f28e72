"""Days as people write them, and only those that can be read in one way."""

import re
from calendar import monthrange
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

from worker.understanding.words import Words

#: A promise for a day further away is read by a person.
FURTHEST = timedelta(days=366)
# A day without a year that has passed within these days was meant, wrongly, for this year.
_SLIPPED = timedelta(days=60)
# How far back "paid on 12 April" and "paid on the 12th" may reach.
_PAST_DAY, _PAST_DAY_OF_MONTH = timedelta(days=300), timedelta(days=20)


@dataclass(frozen=True, slots=True)
class Found:
    """A day that was named: what it means for a promise, None where that is not sure, and whether it may be past."""

    day: date | None
    past: bool


def take(text: str, words: Words, *, today: date, day_first: bool) -> tuple[str, list[Found]]:
    """The folded text with DATE in place of each day, and the days; "the invoice of 12 April" names none."""
    found: list[Found] = []

    def replaced(match: re.Match[str]) -> str:
        if match["not_when"]:
            return " "
        found.append(_read(match, words, today, day_first))
        return " DATE "

    return _pattern(words).sub(replaced, text), found


def _any(names: Mapping[str, int]) -> str:
    return "|".join(sorted(names, key=len, reverse=True))


@lru_cache(maxsize=4)
def _pattern(words: Words) -> re.Pattern[str]:
    c = words.calendar
    the, of = rf"(?:{c.the}\s+)?", rf"(?:{c.of}\s+)?" if c.of else ""
    day = rf"\d{{1,2}}(?:\s?(?:{c.ordinal}))?"
    year = r"(?:,?\s+(?P<{0}>20\d\d))?"
    nexts, lasts = _around(c.next_before, c.next_after, "next"), _around(c.last_before, c.last_after, "last")
    forms = [
        r"(?P<iso>20\d\d-\d\d?-\d\d?)",
        r"(?P<numeric>\d{1,2}\s?(?P<sep>[/.-])\s?\d{1,2}(?:\s?(?P=sep)\s?(?:20)?\d\d)?)(?![/.-]?\d)",
        rf"(?P<next_month_end>{c.next_month_end})",
        rf"(?P<month_end>{c.month_end})",
        rf"(?:{c.month_end_of})(?P<end_month>{_any(c.months)})" + year.format("end_year"),
        rf"(?P<day>{day})\s*{of}(?P<month>{_any(c.months)})\.?" + year.format("year"),
        rf"(?P<us_month>{_any(c.months)})\.?\s+{the}(?P<us_day>{day})" + year.format("us_year"),
        rf"(?P<relative>{_any(c.relative)})",
        rf"(?:{c.spans})\s+(?P<count>\d{{1,2}}|{_any(c.numbers)})\s+(?P<unit>{_any(c.units)})",
        rf"(?:{c.spans})\s+(?P<hours>{_any(c.units)})",
        rf"(?P<only_day>(?<=\b{c.the} ){day})(?!\s*[/.,:h€$£]?\d)",
    ]
    weekday = rf"{nexts[0]}{lasts[0]}(?P<weekday>{_any(c.weekdays)})\b\.?,?{nexts[1]}{lasts[1]}"
    numbered = rf"(?:\s+{the}(?P<numbered>{day})(?=\s|[.,;!]|$))?"
    dated = f"(?:(?P<weekday_before>{_any(c.weekdays)})\\b\\.?,?\\s+{the})?(?:{'|'.join(forms)})"
    return re.compile(rf"(?<![\w/.-])(?P<not_when>(?:{c.not_when})\s+)?{the}(?:{dated}|{weekday}{numbered})(?!\w)")


def _around(before: str, after: str, name: str) -> tuple[str, str]:
    return (
        rf"(?:(?P<{name}_before>{before})\s+)?" if before else rf"(?P<{name}_before>(?!))?",
        rf"(?:\s+(?P<{name}_after>{after}))?" if after else rf"(?P<{name}_after>(?!))?",
    )


def _read(match: re.Match[str], words: Words, today: date, day_first: bool) -> Found:
    found = _dated(match, words, today, day_first)
    meant = match["weekday_before"]
    if meant and (found.day is None or found.day.weekday() != words.calendar.weekdays[meant]):
        return Found(None, found.past)  # "Friday 12 April" where the 12th is no Friday
    return found


def _dated(match: re.Match[str], words: Words, today: date, day_first: bool) -> Found:
    months, parts = words.calendar.months, match.groupdict()
    if parts["iso"]:
        year, month, day = map(int, parts["iso"].split("-"))
        return _exact(year, month, day, today)
    if parts["numeric"]:
        return _numeric(re.split(r"\s?[/.-]\s?", parts["numeric"]), today, day_first)
    if parts["month_end"] or parts["next_month_end"]:
        return _month_end(today, 1 if parts["next_month_end"] else 0)
    if parts["end_month"]:
        return _end_of(months[parts["end_month"]], parts["end_year"], today)
    if parts["month"] or parts["us_month"]:
        month = months[parts["month"] or parts["us_month"]]
        given = parts["year"] or parts["us_year"]
        day = _number(parts["day"] or parts["us_day"])
        return _exact(int(given), month, day, today) if given else _yearless(month, day, today)
    if parts["only_day"]:
        return _day_of_month(_number(parts["only_day"]), today)
    if parts["weekday"]:
        return _weekday(match, words, today)
    days = _days_away(parts, words)
    return Found(today + timedelta(days=days), past=days == 0)


def _number(text: str) -> int:
    return int(re.match(r"\d+", text)[0])  # type: ignore[index]  # the pattern begins with digits


def _days_away(parts: Mapping[str, str | None], words: Words) -> int:
    c = words.calendar
    if parts["relative"]:
        return _value(c.relative, parts["relative"])
    if parts["hours"]:
        return _value(c.units, parts["hours"])
    count, unit = str(parts["count"]), str(parts["unit"])
    return (int(count) if count.isdigit() else c.numbers[count]) * _value(c.units, unit)


def _value(patterns: Mapping[str, int], text: str) -> int:
    return next(value for pattern, value in patterns.items() if re.fullmatch(pattern, text))


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _exact(year: int, month: int, day: int, today: date) -> Found:
    found = _date(year, month, day)
    if found is None:
        return Found(None, past=False)
    return Found(found if today <= found <= today + FURTHEST else None, past=found <= today)


def _numeric(numbers: list[str], today: date, day_first: bool) -> Found:
    first, second = int(numbers[0]), int(numbers[1])
    if not day_first and first <= 12 and second <= 12 and first != second:
        return Found(None, past=False)  # 04/05: the fourth of May, or April the fifth
    day, month = (second, first) if second > 12 else (first, second)
    if second > 12 and day_first:
        return Found(None, past=False)
    if len(numbers) == 3:
        return _exact(int(numbers[2]) % 100 + 2000, month, day, today)
    return _yearless(month, day, today)


def _yearless(month: int, day: int, today: date) -> Found:
    years = [found for year in (-1, 0, 1) if (found := _date(today.year + year, month, day))]
    coming = min((found for found in years if found >= today), default=None)
    gone = max((found for found in years if found <= today), default=date.min)
    slipped = gone != today and today - gone <= _SLIPPED
    return Found(None if slipped else coming, past=today - gone <= _PAST_DAY)


def _day_of_month(day: int, today: date) -> Found:
    if not 1 <= day <= 31:
        return Found(None, past=False)
    later = today.replace(day=1) + timedelta(days=32)
    coming = _date(today.year, today.month, day) if day > today.day else _date(later.year, later.month, day)
    earlier = today.replace(day=1) - timedelta(days=1)
    gone = _date(today.year, today.month, day) if day <= today.day else _date(earlier.year, earlier.month, day)
    past = gone is not None and today - gone <= _PAST_DAY_OF_MONTH
    return Found(None if day == today.day else coming, past)


def _weekday(match: re.Match[str], words: Words, today: date) -> Found:
    """The next such day; not on that very day, and "next Friday" only where Friday is no longer of this week."""
    weekday = words.calendar.weekdays[match["weekday"]]
    if match["numbered"]:
        found = _day_of_month(_number(match["numbered"]), today)
        fits = found.day is not None and found.day.weekday() == weekday
        return found if fits else Found(None, found.past)
    if match["last_before"] or match["last_after"]:
        return Found(None, past=True)
    if match["next_before"] or match["next_after"]:
        sure = weekday <= today.weekday()
        return Found(today + timedelta(days=(weekday - today.weekday() - 1) % 7 + 1) if sure else None, past=False)
    away = (weekday - today.weekday()) % 7
    return Found(today + timedelta(days=away) if away else None, past=True)


def _month_end(today: date, months: int) -> Found:
    first = today.replace(day=1)
    for _ in range(months):
        first = (first + timedelta(days=32)).replace(day=1)
    last = _last_day(first.year, first.month)
    return Found(last if last > today else None, past=False)


def _end_of(month: int, year: str | None, today: date) -> Found:
    if year:
        last = _last_day(int(year), month)
        return _exact(last.year, last.month, last.day, today)
    last = _last_day(today.year + (month < today.month), month)
    return Found(last if today < last <= today + FURTHEST - _SLIPPED else None, past=False)


def _last_day(year: int, month: int) -> date:
    return date(year, month, monthrange(year, month)[1])


def names(found: list[Found]) -> Iterator[date]:
    """The days that can be read with certainty."""
    return (one.day for one in found if one.day is not None)
