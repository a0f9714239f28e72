"""What pydantic found wrong, said the way an operator or an upstream developer reads it.

A line is a dotted path and what was expected: `debtor.phone: not a phone number`. Values are shown only where the
caller says so: those of a job may be somebody's name.
"""

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

Place = tuple[str | int, ...]

#: An unknown key is shown if it looks like the name of a field; anything else may be data in the wrong place.
_FIELD_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")

_WORDS = {
    "missing": "required",
    "string_type": "not a text",
    "string_too_short": "empty",
    "string_too_long": "longer than {max_length} characters",
    "string_pattern_mismatch": "not of the form {pattern}",
    "int_type": "not a whole number",
    "int_parsing": "not a whole number",
    "bool_type": "not true or false",
    "bool_parsing": "not true or false",
    "dict_type": "not an object",
    "mapping_type": "not an object",
    "model_type": "not an object",
    "model_attributes_type": "not an object",
    "list_type": "not a list",
    "tuple_type": "not a list",
    "too_long": "more than {max_length}",
    "too_short": "empty",
    "greater_than_equal": "less than {ge}",
    "greater_than": "not more than {gt}",
    "less_than_equal": "more than {le}",
    "date_type": "not a date (expected one such as '2026-03-31')",
    "date_parsing": "not a date (expected one such as '2026-03-31')",
    "date_from_datetime_parsing": "not a date (expected one such as '2026-03-31')",
    "date_from_datetime_inexact": "not a date (expected one such as '2026-03-31')",
    "datetime_type": "not a date and time (expected one such as '2026-03-31T09:00:00+02:00')",
    "datetime_parsing": "not a date and time (expected one such as '2026-03-31T09:00:00+02:00')",
    "datetime_from_date_parsing": "not a date and time (expected one such as '2026-03-31T09:00:00+02:00')",
    "timezone_aware": "not a date and time with its UTC offset",
    "recursion_loop": "contains itself",
    "string_unicode": "not a text in UTF-8",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """Where, and what is wrong there."""

    place: Place
    says: str

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.place))}: {self.says}" if self.place else self.says


def from_pydantic(error: ValidationError, known: Iterable[str], *, show: bool) -> list[Problem]:
    """The problems of a ValidationError. `known` are the field names to suggest from; `show`: may values be shown?"""
    names = frozenset(known)
    details = error.errors(include_url=False, include_context=True, include_input=show)
    # A list whose items are wrong is not also too short.
    wrong = {detail["loc"][:end] for detail in details for end in range(len(detail["loc"]))}
    told = [detail for detail in details if detail["type"] != "too_short" or detail["loc"] not in wrong]
    return [_problem(detail, names, show=show) for detail in told]


@cache
def field_names(model: type[BaseModel]) -> frozenset[str]:
    """The names of all fields of a model and of the models inside it."""
    schema = model.model_json_schema()
    parts = [schema, *schema.get("$defs", {}).values()]
    return frozenset(name for part in parts for name in part.get("properties", {}))


def unknown(value: str, kind: str, known: Iterable[str]) -> str:
    """`'emial' is not a channel; did you mean 'email'?`, or without a likeness what there is to choose from."""
    return f"{value!r} is not {kind}{hint(value, known)}"


def hint(value: str, known: Iterable[str]) -> str:
    """`; did you mean 'email'?`, or `(one of: call, email)`, or nothing if nothing is known."""
    names = sorted(known)
    close = difflib.get_close_matches(value, names, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f" (one of: {', '.join(names)})" if names else ""


def _problem(detail: ErrorDetails, known: frozenset[str], *, show: bool) -> Problem:
    place = detail["loc"]
    if detail["type"] == "extra_forbidden":
        return _unknown_field(place, known, show=show)
    if detail["type"] == "invalid_key":
        return Problem(place[:-1], "has a key that is not a text")
    says = _says(detail)
    found = detail.get("input")
    if show and says.startswith(("not ", "less ", "more ")) and isinstance(found, str | int) and len(str(found)) <= 80:
        says = f"{found!r} is {says}"
    return Problem(place, says)


def _unknown_field(place: Place, known: frozenset[str], *, show: bool) -> Problem:
    *around, key = place
    if not isinstance(key, str) or not (show or _FIELD_NAME.fullmatch(key)):
        return Problem(tuple(around), "has an unknown field")
    close = difflib.get_close_matches(key, known, n=1)
    return Problem((*around, key), f"unknown field; did you mean {close[0]!r}?" if close else "unknown field")


def _says(detail: ErrorDetails) -> str:
    context: dict[str, Any] = detail.get("ctx", {})
    if detail["type"] == "literal_error":
        return f"not one of: {context['expected']}"
    if detail["type"] == "value_error":
        return str(context["error"])
    words = _WORDS.get(detail["type"])
    return words.format(**context) if words else f"not valid ({detail['type']})"
