"""Public holidays by country and subdivision, from the `holidays` package."""

from dataclasses import dataclass
from datetime import date
from functools import cache

import holidays

from worker.dunning.contact import Calendar
from worker.fields import overseas

#: ISO 3166-2 subdivisions that the package calls otherwise: Bas-Rhin and Haut-Rhin are its Alsace.
_SUBDIVISIONS = {("FR", "67"): "6AE", ("FR", "68"): "6AE"}


@dataclass(frozen=True, slots=True)
class PublicHolidays:
    """The public holidays of a country, and of a subdivision that has its own."""

    country: str
    subdivision: str | None

    def is_holiday(self, day: date) -> bool:
        """Is that day a public holiday there?"""
        return day in _days(self.country, self.subdivision, day.year)


def calendar_for(country: str, subdivision: str | None = None) -> Calendar:
    """The calendar of an ISO 3166-1 country and an ISO 3166-2 subdivision ("57", without the country).

    A subdivision without holidays of its own has its country's. Of a country that is not `known` only the weekends are.
    """
    if territory := overseas(country, subdivision):
        return PublicHolidays(territory, None)
    if not known(country):
        return PublicHolidays("", None)
    subdivision = _SUBDIVISIONS.get((country, subdivision or ""), subdivision)
    return PublicHolidays(country, subdivision if subdivision in _subdivisions(country) else None)


@cache
def known(country: str) -> bool:
    """Are that country's holidays known? If not, it is for the caller to say so in its log."""
    return country in holidays.list_supported_countries()


@cache
def _subdivisions(country: str) -> frozenset[str]:
    kind = holidays.country_holidays(country)
    return frozenset(kind.subdivisions) | frozenset(kind.subdivisions_aliases)


@cache
def _days(country: str, subdivision: str | None, year: int) -> frozenset[date]:
    """A year at a time: the package's own objects fill up as they are asked, which two threads must not do at once."""
    if not country:
        return frozenset()
    return frozenset(holidays.country_holidays(country, subdiv=subdivision, years=year))
