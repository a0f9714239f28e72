"""A form of the debtor's page, read: fields in, an answer out, or which fields are wrong. Pure."""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from hashlib import blake2b
from typing import Any, cast

from worker.dunning.answers import LONGEST, Answer, AnswerKind, Method
from worker.dunning.model import Case
from worker.links import Grant
from worker.render.local import one_line
from worker.web.page.view import CHANNELS, METHODS, REASONS, switched_off

Given = Mapping[str, list[str]]

#: The fields of each form, and whether it cannot do without.
CHOICES: dict[str, dict[str, bool]] = {
    "promise": {"on": True, "method": False},
    "already_paid": {"invoices": False, "method": False, "text": False},
    "instalments": {"count": True, "on": True, "text": False},
    "problem": {"reason": True, "invoices": False, "on": False, "text": False},
    "method": {"method": True},
    "refusal": {"text": False},
    "mediation": {"text": False},
    "call_me": {"text": False},
    "message": {"text": True},
    "wrong_person": {},
    "opt_out": {"channel": True},
    "opt_in": {"channel": True},
}

#: The field in which what a debtor cannot settle alone is named (`effects.NotAcceptable`).
FIELD_OF = {"date": "on", "instalments": "count"}

_DAY = re.compile(r"(\d{4})-(\d{2})-(\d{2})", re.ASCII)
_DAY_FIRST = re.compile(r"(\d{1,2})[/.](\d{1,2})[/.](\d{4})", re.ASCII)
_COUNT = re.compile(r"[0-9]{1,3}")


class Mistakes(ValueError):
    """The fields that are missing, or hold what they cannot."""

    def __init__(self, fields: Sequence[str]) -> None:
        super().__init__(", ".join(fields))
        self.fields = tuple(fields)


class NotAForm(ValueError):
    """No form of ours looks like that: it holds what nobody could have chosen."""


def read(pairs: Sequence[tuple[str, str]], case: Case, grant: Grant, number: str) -> tuple[str, Given, Answer | None]:
    """The choice, its fields as given, and the answer; None where it asks for what is so already.

    `number` is the form's own: sent again it is the same answer, changed and sent again it is another. Raises Mistakes,
    and NotAForm.
    """
    choice, given = sort(pairs)
    values, wrong = _values(choice, given, case)
    if wrong:
        raise Mistakes(wrong)
    if choice == "opt_in" and not switched_off(case, values["channels"][0]):
        return choice, given, None
    if choice == "wrong_person" and grant.channel in CHANNELS:
        values["channels"] = (grant.channel,)
    kind = cast("AnswerKind", values.pop("reason", choice))
    ref = f"page-{number}-{_digest(choice, given)}"
    return choice, given, Answer(kind=kind, source="page", ref=ref, **values)


def sort(pairs: Sequence[tuple[str, str]]) -> tuple[str, Given]:
    """Which form it is, and the values of its own fields. Raises NotAForm."""
    choice = next((value for name, value in pairs if name == "answer"), "")
    if choice not in CHOICES:
        raise NotAForm(choice[:20])
    return choice, {name: [value for key, value in pairs if key == name] for name in CHOICES[choice]}


def _values(choice: str, given: Given, case: Case) -> tuple[dict[str, Any], list[str]]:
    values: dict[str, Any] = {}
    wrong = []
    for name, required in CHOICES[choice].items():
        try:
            value = _READERS[name](given[name], case)
        except NotAForm:
            raise
        except ValueError:
            wrong.append(name)
            continue
        if value:
            values["channels" if name == "channel" else name] = value
        elif required:
            wrong.append(name)
    return values, wrong


def _one(given: list[str]) -> str:
    return given[0].strip() if given else ""


def _day(given: list[str], _: Case) -> date | None:
    """As a browser sends it; and, from one that has no field for dates, as people in Europe write it."""
    text = _one(given)
    if not text:
        return None
    if found := _DAY.fullmatch(text):
        return date(*map(int, found.groups()))
    if found := _DAY_FIRST.fullmatch(text):
        day, month, year = map(int, found.groups())
        return date(year, month, day)
    raise ValueError


def _count(given: list[str], _: Case) -> int:
    text = _one(given)
    if text and not _COUNT.fullmatch(text):
        raise ValueError
    return int(text or 0)


def _method(given: list[str], _: Case) -> Method:
    return cast("Method", _among(_one(given), METHODS))


def _reason(given: list[str], _: Case) -> str:
    return _among(_one(given), REASONS)


def _channel(given: list[str], case: Case) -> tuple[str, ...]:
    has = {"email": case.debtor.email, "sms": case.debtor.phone, "voice": case.debtor.phone}
    if not has.get(_one(given)):
        raise NotAForm("channel")
    return (_one(given),)


def _invoices(given: list[str], case: Case) -> tuple[str, ...]:
    known = {one_line(invoice.number): invoice.number for invoice in case.invoices if invoice.kind == "invoice"}
    chosen = dict.fromkeys(given)
    if not known.keys() >= chosen.keys():
        raise NotAForm("invoices")
    return tuple(known[number] for number in chosen)


def _text(given: list[str], _: Case) -> str:
    """In lines, without what a screen should not be sent."""
    lines = (given[0] if given else "").replace("\r\n", "\n").replace("\r", "\n").strip()
    text = "".join(sign for sign in lines if sign == "\n" or unicodedata.category(sign) not in ("Cc", "Cs", "Cn"))
    if len(text) > LONGEST:
        raise ValueError
    return text


def _among(text: str, known: Sequence[str]) -> str:
    if text and text not in known:
        raise ValueError
    return text


def _digest(choice: str, given: Given) -> str:
    return blake2b(repr((choice, sorted(given.items()))).encode(errors="replace"), digest_size=6).hexdigest()


_READERS: dict[str, Callable[[list[str], Case], Any]] = {
    "on": _day, "count": _count, "method": _method, "reason": _reason, "channel": _channel, "invoices": _invoices,
    "text": _text,
}  # fmt: skip
