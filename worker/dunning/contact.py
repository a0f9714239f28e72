"""When a person may be contacted: business days, open hours in their zone, gaps and caps.

A legal due date on a holiday is not moved; only our own sends move.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from worker.dunning.strategy import ContactRules, Window

_DAY = timedelta(days=1)
_LONGEST_CLOSURE = 60  # days; a window that never opens is refused when the configuration is read


class Calendar(Protocol):
    """The public holidays of the debtor's country and subdivision."""

    def is_holiday(self, day: date) -> bool:
        """Is that day a public holiday there?"""
        ...


@dataclass(frozen=True, slots=True)
class Contact:
    """One message that reached, or may have reached, a debtor; `run` tells the steps of one case apart, `again` the
    calls of one step: the first is 0."""

    at: datetime
    channel: str
    run: str
    again: int = 0


def is_business_day(day: date, calendar: Calendar) -> bool:
    """Monday to Friday and no public holiday."""
    return day.weekday() < 5 and not calendar.is_holiday(day)


def forward(day: date, calendar: Calendar) -> date:
    """The day itself, or the next business day."""
    while not is_business_day(day, calendar):
        day += _DAY
    return day


def backward(day: date, calendar: Calendar) -> date:
    """The day itself, or the business day before it."""
    while not is_business_day(day, calendar):
        day -= _DAY
    return day


def add_business_days(day: date, count: int, calendar: Calendar) -> date:
    """The `count`-th business day after `day` (before it, if negative); 0 gives `day` itself."""
    step = _DAY if count >= 0 else -_DAY
    for _ in range(abs(count)):
        day += step
        while not is_business_day(day, calendar):
            day += step
    return day


def local_date(moment: datetime, zone: str) -> date:
    """The date on the debtor's wall."""
    return moment.astimezone(ZoneInfo(zone)).date()


def start_of_day(day: date, zone: str) -> datetime:
    """Midnight of that day in the zone, as UTC."""
    return datetime.combine(day, time.min, ZoneInfo(zone)).astimezone(UTC)


def end_of_day(day: date, zone: str) -> datetime:
    """The first moment after that day in the zone, as UTC."""
    return start_of_day(day + _DAY, zone)


def next_open(moment: datetime, window: Window, zone: str, calendar: Calendar) -> datetime:
    """The first moment, not before `moment`, at which the window is open in the debtor's zone (as UTC).

    Raises ValueError for a window that does not open within sixty days.
    """
    local = moment.astimezone(ZoneInfo(zone))
    for ahead in range(_LONGEST_CLOSURE):
        day = local.date() + timedelta(days=ahead)
        if day.weekday() not in window.weekdays or (calendar.is_holiday(day) and not window.holidays):
            continue
        for opens, closes in window.hours:
            if ahead == 0 and opens <= local.time() < closes:
                return moment.astimezone(UTC)
            if ahead > 0 or local.time() < opens:
                # Hours that open in the hour that autumn repeats open once.
                return max(moment, datetime.combine(day, opens, ZoneInfo(zone))).astimezone(UTC)
    raise ValueError(f"the contact window does not open within {_LONGEST_CLOSURE} days of {local.date()}")


def gap_ends(contacts: Iterable[Contact], run: str, rules: ContactRules, zone: str) -> datetime | None:
    """The first moment at which the minimum gap since the last contact is over; None if there was no contact.

    Contacts of the same run do not count: the channels of one step go together.
    """
    last = max((contact.at for contact in contacts if contact.run != run), default=None)
    if last is None:
        return None
    return start_of_day(local_date(last, zone) + timedelta(days=rules.min_gap_days), zone)


def cap_ends(contacts: Iterable[Contact], channel: str, rules: ContactRules, zone: str) -> datetime | None:
    """The first moment at which one more contact on that channel keeps its cap; None if the channel has no cap.

    With 4 in 30 days and calls on 1, 5, 10 and 20 June, the fifth may be placed from 1 July.
    """
    if channel not in rules.caps:
        return None
    most, days = rules.caps[channel]
    dates = sorted(local_date(contact.at, zone) for contact in contacts if contact.channel == channel)
    if len(dates) < most:
        return None
    return start_of_day(dates[-most] + timedelta(days=days), zone)
