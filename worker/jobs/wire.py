"""How dates, amounts and names are written in a job. Stricter than pydantic on purpose: a float is no amount of money,
a number no date, and nobody's due date lies in the year 9999.

What is refused is said without the value, which may be somebody's.
"""

import re
from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from difflib import get_close_matches
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, StringConstraints, WithJsonSchema

from worker import fields

_AMOUNT = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,6})?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_YEARS = range(2000, 2101)


class Strict(BaseModel):
    """Nothing unknown, nothing changed after, and no value in an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def any_amount(value: object) -> Decimal:
    """A decimal text of at most 15 digits."""
    if not isinstance(value, str) or not _AMOUNT.fullmatch(value) or sum(map(str.isdigit, value)) > 15:
        raise ValueError("not an amount (expected a decimal text such as '120.50')")
    return Decimal(value)


def amount(value: object) -> Decimal:
    """The same, never negative."""
    return not_negative(any_amount(value))


def not_negative(value: Decimal) -> Decimal:
    """The amount. Raises ValueError for one below zero."""
    if value < 0:
        raise ValueError("negative")
    return value


def day(value: object) -> date:
    """A date as 2026-03-31."""
    try:
        found = date.fromisoformat(value) if isinstance(value, str) and _DATE.fullmatch(value) else None
    except ValueError:
        found = None
    if found is None or found.year not in _YEARS:
        raise ValueError(f"not a date from {_YEARS[0]} to {_YEARS[-1]} (expected one such as '2026-03-31')")
    return found


def moment(value: object) -> datetime:
    """A date and time with its UTC offset, as 2026-03-31T09:00:00+02:00."""
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        found = None
    if found is None or found.tzinfo is None or found.year not in _YEARS:
        raise ValueError("not a date and time with its UTC offset (expected one such as '2026-03-31T09:00:00+02:00')")
    return found


def decimals(value: Decimal, currency: str | None) -> Decimal:
    """The amount, which must not be finer than its currency (None: not known, nothing to say). Raises ValueError."""
    if currency is None:
        return value
    most = fields.precision(currency)
    exponent = value.normalize().as_tuple().exponent
    if isinstance(exponent, int) and -exponent > most:
        raise ValueError(f"has more than the {most} decimals of {currency}")
    return value


def one_of(names: Iterable[str]) -> tuple[AfterValidator, WithJsonSchema]:
    """What makes a text one of a few names; a near miss is told the name it may have meant."""
    known = tuple(names)

    def check(value: str) -> str:
        if value not in known:
            raise ValueError(f"not one of: {', '.join(known)}")
        return value

    return AfterValidator(check), WithJsonSchema({"type": "string", "enum": list(known)})


def not_known(what: str, value: str, known: Iterable[str]) -> str:
    """`not a strategy; did you mean 'b2b'?`: the suggestion is ours, the value is not repeated."""
    close = get_close_matches(value, list(known), n=1)
    return f"not {what}; did you mean {close[0]!r}?" if close else f"not {what}"


Amount = Annotated[
    Decimal,
    BeforeValidator(amount),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9]{1,15}(\.[0-9]{1,6})?$", "examples": ["120.50"]}),
]
#: What an invoice says, which may be wrong.
AnyAmount = Annotated[
    Decimal,
    BeforeValidator(any_amount),
    WithJsonSchema({"type": "string", "pattern": r"^-?[0-9]{1,15}(\.[0-9]{1,6})?$", "examples": ["120.50"]}),
]
Day = Annotated[date, BeforeValidator(day)]
Moment = Annotated[datetime, BeforeValidator(moment)]
#: An identifier that upstream chose.
Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:/-]{0,63}$")]
#: A case's id has no dot: those of attempts are `<case>.<number>`.
CaseId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_:/-]{0,63}$")]
InvoiceNumber = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _.:/#-]{0,63}$")]
ShortText = Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(fields.text)]
Name = Annotated[str, StringConstraints(max_length=100), AfterValidator(fields.text)]
LongText = Annotated[str, StringConstraints(max_length=200), AfterValidator(fields.text)]
Subdivision = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{1,3}$")]
