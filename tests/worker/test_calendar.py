"""Business days and open hours, held against the vectors of French practice (2025 to 2028)."""

from datetime import UTC, date, datetime, time, timedelta

import pytest

from worker.calendar import calendar_for, known
from worker.dunning import contact
from worker.dunning.contact import Contact
from worker.dunning.strategy import ContactRules, Window

FRANCE = calendar_for("FR")
MOSELLE = calendar_for("FR", "57")
OFFICE = Window(frozenset(range(5)), ((time(9), time(12)), (time(14), time(18))))
CALLS = Window(frozenset(range(5)), ((time(10), time(13)), (time(14), time(20))))


def day(text: str) -> date:
    """A date, short."""
    return date.fromisoformat(text)


def utc(text: str) -> datetime:
    """A moment in UTC, short."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


SHIFTS = [
    ("2026-05-01", "2026-05-04", "2026-05-04", "2026-04-30"),
    ("2026-05-08", "2026-05-11", "2026-05-11", "2026-05-07"),
    ("2026-05-14", "2026-05-15", "2026-05-15", "2026-05-13"),
    ("2026-05-23", "2026-05-26", "2026-05-26", "2026-05-22"),
    ("2026-05-25", "2026-05-26", "2026-05-26", "2026-05-22"),
    ("2026-04-03", "2026-04-03", "2026-04-07", "2026-04-03"),
    ("2026-04-04", "2026-04-07", "2026-04-07", "2026-04-03"),
    ("2026-08-15", "2026-08-17", "2026-08-17", "2026-08-14"),
    ("2025-12-25", "2025-12-26", "2025-12-29", "2025-12-24"),
    ("2026-12-25", "2026-12-28", "2026-12-28", "2026-12-24"),
    ("2027-01-01", "2027-01-04", "2027-01-04", "2026-12-31"),
]


@pytest.mark.parametrize(("on", "after", "after_in_moselle", "before"), SHIFTS)
def test_a_day_off_moves_to_a_business_day(on: str, after: str, after_in_moselle: str, before: str) -> None:
    """What falls on a weekend or a holiday moves forward, or backward before the due date; Moselle has two more."""
    assert contact.forward(day(on), FRANCE) == day(after)
    assert contact.forward(day(on), MOSELLE) == day(after_in_moselle)
    assert contact.backward(day(on), FRANCE) == day(before)


@pytest.mark.parametrize("on", ["2026-04-10 -5 2026-04-03", "2026-05-21 -7 2026-05-13"])
def test_a_courtesy_message_comes_earlier_rather_than_later(on: str) -> None:
    """A step before the due date that falls on a day off is taken on the business day before it."""
    due, offset, expected = on.split()
    assert contact.backward(day(due) + timedelta(days=int(offset)), FRANCE) == day(expected)


def test_eight_business_days_skip_weekends_and_holidays() -> None:
    """8 calendar days from 30 April 2026 end on a holiday; 8 business days end on 15 May."""
    assert contact.forward(day("2026-04-30") + timedelta(days=8), FRANCE) == day("2026-05-11")
    assert contact.add_business_days(day("2026-04-30"), 8, FRANCE) == day("2026-05-15")
    assert contact.add_business_days(day("2026-05-15"), -8, FRANCE) == day("2026-04-30")


@pytest.mark.parametrize(
    ("year", "moving", "good_friday"),
    [
        (2025, ("04-21", "05-29", "06-09"), "04-18"),
        (2026, ("04-06", "05-14", "05-25"), "04-03"),
        (2027, ("03-29", "05-06", "05-17"), "03-26"),
        (2028, ("04-17", "05-25", "06-05"), "04-14"),
    ],
)
def test_the_holidays_of_france_are_its_eleven(year: int, moving: tuple[str, ...], good_friday: str) -> None:
    """Eleven public holidays a year, three of which follow Easter; Alsace-Moselle has two more."""
    fixed = ("01-01", "05-01", "05-08", "07-14", "08-15", "11-01", "11-11", "12-25")
    expected = {day(f"{year}-{monthday}") for monthday in (*fixed, *moving)}
    every = [day(f"{year}-01-01") + timedelta(days=ahead) for ahead in range(365)]
    assert {one for one in every if FRANCE.is_holiday(one)} == expected
    more = {day(f"{year}-{good_friday}"), day(f"{year}-12-26")}
    for department in ("57", "67", "68"):
        local = calendar_for("FR", department)
        assert {one for one in every if local.is_holiday(one)} == expected | more


def test_a_subdivision_without_holidays_of_its_own_has_its_countrys() -> None:
    """Paris is a subdivision that the holidays' source does not list; it has the holidays of France."""
    assert calendar_for("FR", "75") == FRANCE


def test_overseas_france_has_its_own_holidays_however_it_is_written() -> None:
    """Abolition of slavery is remembered on 27 May in Guadeloupe and on 20 December in Réunion."""
    guadeloupe, reunion = calendar_for("FR", "971"), calendar_for("FR", "RE")
    assert guadeloupe == calendar_for("FR", "GP") == calendar_for("GP")
    assert guadeloupe.is_holiday(day("2026-05-27"))
    assert reunion.is_holiday(day("2026-12-20"))
    assert not FRANCE.is_holiday(day("2026-05-27"))


def test_an_unknown_country_has_weekends_only() -> None:
    """Nobody's holidays are invented: only weekends are off, and the caller can find out and say so."""
    nowhere = calendar_for("ZZ")
    assert not known("ZZ")
    assert known("FR")
    assert not nowhere.is_holiday(day("2026-12-25"))
    assert contact.forward(day("2026-12-26"), nowhere) == day("2026-12-28")


@pytest.mark.parametrize(
    ("local_ten", "zulu"),
    [
        ("2026-03-27", "2026-03-27T09:00"),
        ("2026-03-30", "2026-03-30T08:00"),
        ("2026-10-23", "2026-10-23T08:00"),
        ("2026-10-26", "2026-10-26T09:00"),
    ],
)
def test_ten_oclock_is_ten_oclock_on_their_wall(local_ten: str, zulu: str) -> None:
    """Calls start at 10:00 in the debtor's zone, on both sides of the changes of clock."""
    night = contact.start_of_day(day(local_ten), "Europe/Paris")
    assert contact.next_open(night, CALLS, "Europe/Paris", FRANCE) == utc(zulu)


@pytest.mark.parametrize(
    ("zone", "allowed"),
    [
        ("Europe/Paris", True),
        ("Indian/Reunion", True),
        ("Indian/Mayotte", True),
        ("America/Martinique", False),
        ("America/Guadeloupe", False),
        ("America/Cayenne", False),
        ("America/Miquelon", False),
        ("Pacific/Noumea", True),
        ("Pacific/Tahiti", False),
    ],
)
def test_a_call_is_placed_only_in_hours_of_the_debtors_zone(zone: str, allowed: bool) -> None:
    """8:00 UTC on a Wednesday is a good time in Paris and Nouméa, night in Cayenne, the evening before in Tahiti."""
    now = utc("2026-07-15T08:00")
    assert (contact.next_open(now, CALLS, zone, FRANCE) == now) is allowed


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-03-31T06:59", "2026-03-31T07:00"),
        ("2026-03-31T07:00", "2026-03-31T07:00"),
        ("2026-03-31T09:59", "2026-03-31T09:59"),
        ("2026-03-31T10:00", "2026-03-31T12:00"),  # noon in Paris: lunch
        ("2026-03-31T16:00", "2026-04-01T07:00"),
        ("2026-04-03T16:00", "2026-04-07T07:00"),  # Friday evening before Easter Monday
        ("2026-03-27T17:00", "2026-03-30T07:00"),  # over the change to summer time
    ],
)
def test_outside_of_open_hours_the_next_ones_are_awaited(now: str, opens: str) -> None:
    """The end of an open hour is closed; lunch, nights, weekends and holidays are waited for."""
    assert contact.next_open(utc(now), OFFICE, "Europe/Paris", FRANCE) == utc(opens)


def test_a_window_may_open_on_holidays() -> None:
    """`holidays: true` opens a window on Christmas Day."""
    christmas = utc("2026-12-25T09:00")
    everyday = Window(OFFICE.weekdays, OFFICE.hours, holidays=True)
    assert contact.next_open(christmas, everyday, "Europe/Paris", FRANCE) == christmas
    assert contact.next_open(christmas, OFFICE, "Europe/Paris", FRANCE) == utc("2026-12-28T08:00")


def test_a_fifth_call_waits_until_the_first_is_a_month_old() -> None:
    """4 in 30 days: after calls on 1, 5, 10 and 20 June, the fifth may be placed from 1 July, Paris time."""
    rules = ContactRules(window=CALLS, caps={"voice": (4, 30)})
    calls = [Contact(utc(f"2026-06-{on}T09:00"), "voice", on) for on in ("01", "05", "10", "20")]
    assert contact.cap_ends(calls, "voice", rules, "Europe/Paris") == utc("2026-06-30T22:00")
    assert contact.cap_ends(calls[1:], "voice", rules, "Europe/Paris") is None
