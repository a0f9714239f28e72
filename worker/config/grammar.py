"""The small notations of a strategy file: `due - 7d`, `mon-fri`, `09:00-12:00`, `3d`, `4 in 30d`.

Each function reads one and raises ValueError with words that follow what was found ("not a number of days...").
"""

import re
from collections.abc import Iterator
from datetime import time, timedelta
from itertools import pairwise
from typing import NamedTuple, cast

from worker.dunning.strategy import Origin, When

_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WHEN = re.compile(r"(due|previous deadline|previous)(?: ?([+-]) ?([0-9]{1,3})(b?d))?")
_HOURS = re.compile(r"([0-9]{1,2}):([0-9]{2}) ?- ?([0-9]{1,2}):([0-9]{2})")
_DAYS = re.compile(r"([0-9]{1,3}) ?d")
_CAP = re.compile(r"([1-9][0-9]{0,2}) in ([1-9][0-9]{0,2}) ?d")
_WAIT = re.compile(r"([1-9][0-9]{0,3}) ?([smh])")
_AGE = re.compile(r"([1-9][0-9]{0,3}) ?([mhd])")
_RATE = re.compile(r"([1-9][0-9]{0,3}) ?/ ?([sm])")
_RAMP = re.compile(r"([1-9][0-9]?|100) ?% per ([1-9][0-9]{0,3}) ?([mh])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Rate(NamedTuple):
    """At most so many in so long, and as many at once."""

    most: int
    per: timedelta


class Ramp(NamedTuple):
    """So many in a hundred of a backlog, in so long."""

    percent: int
    per: timedelta

    def __str__(self) -> str:
        return f"{self.percent}% per {self.per // timedelta(minutes=1)}m"


def when(value: str) -> When:
    """`due - 7d`, `due`, `previous + 2d`, `previous deadline + 3bd` (bd: business days)."""
    found = _WHEN.fullmatch(" ".join(value.split()))
    if not found:
        raise ValueError("not a day of a ladder (expected one such as 'due - 7d' or 'previous deadline + 3bd')")
    origin, sign, count, unit = found.groups(default="")
    if sign == "-" and origin != "due":
        raise ValueError(f"not a day of a ladder: nothing can be before '{origin}'")
    days = int(count or 0) * (-1 if sign == "-" else 1)
    return When(cast(Origin, origin.replace(" ", "_")), days, business=unit == "bd")


def weekdays(value: str) -> frozenset[int]:
    """`mon-fri`, `mon, wed, fri` or `sat-mon`; 0 is Monday."""
    return frozenset(day for part in value.lower().split(",") for day in _span(part.strip()))


def hours(value: str) -> tuple[time, time]:
    """`09:00-12:00`: open from the first, closed from the second."""
    found = _HOURS.fullmatch(value.strip())
    try:
        opens, closes = (time(int(found[hour]), int(found[hour + 1])) for hour in (1, 3)) if found else (time.min,) * 2
    except ValueError:
        opens = closes = time.min
    if opens >= closes:
        raise ValueError("not open hours of one day (expected some such as '09:00-12:00')")
    return opens, closes


def in_order(pairs: tuple[tuple[time, time], ...]) -> tuple[tuple[time, time], ...]:
    """The open hours, earliest first. Raises ValueError where two overlap."""
    ordered = tuple(sorted(pairs))
    if any(later[0] < earlier[1] for earlier, later in pairwise(ordered)):
        raise ValueError("these hours overlap")
    return ordered


def days(value: str) -> int:
    """`3d`: a number of days."""
    found = _DAYS.fullmatch(value.strip())
    if not found:
        raise ValueError("not a number of days (expected one such as '3d')")
    return int(found[1])


def cap(value: str) -> tuple[int, int]:
    """`4 in 30d`: at most 4 contacts in any 30 days."""
    found = _CAP.fullmatch(" ".join(value.split()))
    if not found:
        raise ValueError("not a cap (expected one such as '4 in 30d')")
    return int(found[1]), int(found[2])


def wait(value: str) -> timedelta:
    """`30s`, `5m`, `2h`."""
    found = _WAIT.fullmatch(value.strip())
    if not found:
        raise ValueError("not a time to wait (expected one such as '5m')")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def age(value: str) -> timedelta:
    """`90m`, `36h`, `3d`."""
    found = _AGE.fullmatch(value.strip())
    if not found:
        raise ValueError("not an age (expected one such as '36h')")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def rate(value: str) -> Rate:
    """`20/s`, `600/m`."""
    found = _RATE.fullmatch(value.strip())
    if not found:
        raise ValueError("not a rate (expected one such as '20/s' or '600/m')")
    return Rate(int(found[1]), timedelta(**{_UNITS[found[2]]: 1}))


def ramp(value: str) -> Ramp:
    """`10% per 10m`: a tenth of the backlog in ten minutes."""
    found = _RAMP.fullmatch(" ".join(value.split()))
    if not found:
        raise ValueError("not a ramp (expected one such as '10% per 10m')")
    return Ramp(int(found[1]), timedelta(**{_UNITS[found[3]]: int(found[2])}))


def _span(part: str) -> Iterator[int]:
    first, dash, last = (name.strip() for name in part.partition("-"))
    if first not in _WEEKDAYS or (dash and last not in _WEEKDAYS):
        raise ValueError("not days of the week (expected some such as 'mon-fri' or 'mon, wed')")
    start, end = _WEEKDAYS.index(first), _WEEKDAYS.index(last or first)
    return ((start + ahead) % 7 for ahead in range((end - start) % 7 + 1))
