"""SendGrid's Email Activity, `GET /v3/messages`: which emails there are, found by what the sender knows of them."""

import re
import threading
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from channels.sandbox.journal import Exchange, Message
from channels.sandbox.outside import Outside
from channels.sandbox.provider import Answer, Look, Request, json_answer

PATH = "/v3/messages"
FIELDS = frozenset({"from_email", "msg_id", "status", "subject", "to_email"})
#: What an event of the webhook makes of an email's status and counts.
STATUS = {"delivered": "delivered", "bounce": "not_delivered", "blocked": "not_delivered", "dropped": "not_delivered"}
COUNTS = {"open": "opens_count", "click": "clicks_count"}
CONDITION = re.compile(
    r"""\s*(?P<paren>\()?\s*(?P<field>\w+)(?:\[\s*'(?P<name>[^']*)'\s*\])?\s*(?P<operator>=|LIKE\b)\s*
    (?P<quote>["'])(?P<value>(?:\\.|(?!(?P=quote))[^\\])*)(?P=quote)\s*(?(paren)\))\s*(?:AND\b|$)""",
    re.VERBOSE,
)


class QueryError(ValueError):
    """A query that Email Activity, or the sandbox, does not understand."""


@dataclass(frozen=True, slots=True)
class _Email:
    """One email to one person: as the list shows it, the arguments it is found by, and from when on (monotonic)."""

    shown: dict[str, Any]
    arguments: Mapping[str, str]
    listed: float


Condition = Callable[[_Email], bool]


class EmailActivity:
    """What the account's Email Activity shows. Without the paid add-on (`open` is false) it is refused."""

    def __init__(self, outside: Outside, *, open: bool) -> None:  # noqa: A002 - what it is
        self._outside, self._open = outside, open
        self._lock = threading.Lock()
        self._emails: dict[str, _Email] = {}

    def keep(self, message: Message, arguments: Mapping[str, str], exchange: Exchange) -> None:
        """Remember an accepted email; the lists show it when its `Listing` says so."""
        if not self._open:
            return
        shown: dict[str, Any] = {
            "from_email": message.sender,
            "msg_id": full_id(message),
            "subject": message.subject,
            "to_email": message.to,
            "status": "processed",
            "opens_count": 0,
            "clicks_count": 0,
            "last_event_time": _iso(self._outside.clock.now()),
        }
        delay = self._outside.listings.delay(message, exchange)
        with self._lock:
            self._emails[shown["msg_id"]] = _Email(shown, arguments, time.monotonic() + delay)

    def saw(self, message: Message, word: str) -> None:
        """Follow an event of the webhook."""
        with self._lock:
            found = self._emails.get(full_id(message))
            if found is None:
                return
            found.shown["last_event_time"] = _iso(self._outside.clock.now())
            found.shown["status"] = STATUS.get(word, found.shown["status"])
            if word in COUNTS:
                found.shown[COUNTS[word]] += 1

    def read(self, request: Request) -> Look | Answer:
        """Understand a request for a list, newest first."""
        if not self._open:
            return json_answer(400, {"errors": [{"message": "authorization required"}]})
        given = dict(parse_qsl(request.url.query))
        query, limit = given.get("query", ""), given.get("limit", "10")
        if not limit.isdecimal() or not 1 <= int(limit) <= 1000:
            return _refused("limit", "the limit must be greater than 0 and at most 1000")
        try:
            conditions, named = _parsed(query)
        except QueryError as error:
            return _refused("query", f"invalid syntax: {error}")
        asked = {"to": named.get("to_email", ""), "from": named.get("from_email", ""), "query": query}
        return Look("email", asked, *self._page(conditions, int(limit)))

    def _page(self, conditions: list[Condition], limit: int) -> tuple[Answer, int]:
        now = time.monotonic()
        with self._lock:
            found = [
                dict(each.shown)
                for each in reversed(self._emails.values())
                if each.listed <= now and all(met(each) for met in conditions)
            ]
        page = found[:limit]
        return json_answer(200, {"messages": page}), len(page)


def full_id(message: Message) -> str:
    """The id of one email to one person: it begins with the X-Message-Id that all of a request share."""
    return f"{message.id}.recvd-sandbox-{zlib.crc32(message.to.encode()):08x}-1-0.0"


def _parsed(query: str) -> tuple[list[Condition], dict[str, str]]:
    """The conditions of a query, and the plain fields that it names with their values. Raises `QueryError`."""
    conditions: list[Condition] = []
    named: dict[str, str] = {}
    rest = query.strip()
    while rest:
        found = CONDITION.match(rest)
        if found is None:
            raise QueryError(f"expected a condition at {rest[:40]!r}")
        value = re.sub(r"\\(.)", r"\1", found["value"])
        conditions.append(_condition(found["field"], found["name"], found["operator"], value))
        named[found["field"]] = value
        if found.end() == len(rest) and found[0].endswith("AND"):
            raise QueryError("nothing follows AND")
        rest = rest[found.end() :]
    return conditions, named


def _condition(field: str, name: str | None, operator: str, value: str) -> Condition:
    if (field == "unique_args") != (name is not None):
        raise QueryError(f"operator {operator} is incompatible with {field!r}")
    if field != "unique_args" and field not in FIELDS:
        raise QueryError(f"{field!r} is not a known field")
    wanted = re.compile(_like(value) if operator == "LIKE" else re.escape(value), re.DOTALL)

    def met(email: _Email) -> bool:
        held = email.shown[field] if name is None else email.arguments.get(name)
        return held is not None and wanted.fullmatch(held) is not None

    return met


def _like(pattern: str) -> str:
    return "".join({"%": ".*", "_": "."}.get(each, re.escape(each)) for each in pattern)


def _iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _refused(field: str, message: str) -> Answer:
    return json_answer(400, {"errors": [{"message": message, "field": field}]})
