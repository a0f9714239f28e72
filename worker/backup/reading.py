"""Reads what is to be written of a creditor: cases in one moment with what must agree with them, and what changed."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, cast

import redis
from redis.client import NEVER_DECODE

from worker.app import App
from worker.backup.families import CREDITORS, Family, Kind, those
from worker.commit import DEBTOR_DIGITS, Keys
from worker.store import Script
from worker.stream import between

_PAGE = 1000
#: How a whole key is read; what is behind the key.
_COMMANDS: Mapping[Kind, tuple[str, ...]] = {
    "string": ("GET",),
    "hash": ("HGETALL",),
    "set": ("SMEMBERS",),
    "zset": ("ZRANGE", "0", "-1", "WITHSCORES"),
    "list": ("LRANGE", "0", "-1"),
}
_READ = (Path(__file__).parent / "read.lua").read_text()


@dataclass(frozen=True, slots=True)
class Reading:
    """What `read.lua` answered; `real` is from before it was asked."""

    real: datetime
    now: int
    _last: bytes
    cases: list[Any]
    whole: list[Any]
    _early: list[Any]
    place: list[Any] | None

    @property
    def last(self) -> str:
        """The newest entry of the stream."""
        return text(self._last)

    @property
    def early(self) -> list[tuple[str, int, list[str]]]:
        """Those that are still kept."""
        return [(text(name), expiry, [text(each) for each in found]) for name, expiry, found in self._early if found]


class Reader:
    """Asks the store. Raises redis errors."""

    def __init__(self, app: App) -> None:
        self._app, self._client = app, app.client
        self._script = Script(app.client, _READ)
        self._script.load()

    def case_ids(self, creditor: str) -> Iterator[str]:
        """The earliest opened first: what is opened meanwhile comes last."""
        start = 0
        while page := cast("list[str]", self._client.zrange(Keys(creditor).cases, start, start + _PAGE - 1)):
            yield from page
            start += len(page)

    def changed(self, creditor: str, after: str) -> tuple[str, set[str]]:
        """The newest entry of the stream, and the cases of all those behind that one."""
        newest, changed = after, set[str]()
        for entry in between(self._client, creditor, f"({after}"):
            newest = entry.id
            changed |= {entry.case} - {""}
        return newest, changed

    def last(self, creditor: str) -> str:
        """The newest entry of the stream."""
        found = cast("list[tuple[str, Any]]", self._client.xrevrange(Keys(creditor).events, count=1))
        return found[0][0] if found else "0-0"

    def added(self, creditor: str) -> int:
        """How many entries the stream ever had."""
        found = self._stream(creditor)
        return int(found["entries-added"]) if found else 0

    def trimmed(self, creditor: str) -> int:
        """How many of them it has dropped."""
        found = self._stream(creditor)
        return int(found["entries-added"]) - int(found["length"]) if found else 0

    def _stream(self, creditor: str) -> dict[str, Any] | None:
        try:
            return self._client.xinfo_stream(Keys(creditor).events)
        except redis.ResponseError:
            return None  # there is none

    def read(self, creditor: str, ids: Sequence[str], after: str = "") -> Reading:
        """These cases and those that changed behind that entry, in one moment; then all that is read at once, too."""
        keys, real = Keys(creditor), self._app.clock.real()
        families = at_once() if after else []
        wanted = [[_COMMANDS[each.kind][0], each.name, *_COMMANDS[each.kind][1:]] for each in families]
        arguments = [keys.named(""), after, DEBTOR_DIGITS, json.dumps(wanted), *ids]
        options: dict[str, Any] = {NEVER_DECODE: []}
        answer = self._client.execute_command("EVALSHA", self._script.digest, 1, keys.agenda, *arguments, **options)
        return Reading(real, *answer)


def at_once() -> list[Family]:
    """What is read whole, in the moment of the last cases."""
    return [each for each in those(CREDITORS, "at_once") if not each.name.endswith(":")]


def decoded(value: Any, kind: Kind) -> Any:
    """What the store answered of a whole key, as it is in a line."""
    if kind == "zset":
        return scores(value)
    if kind == "string":
        return text(value) if value is not None else ""
    found = [text(each) for each in value]
    return dict(zip(found[::2], found[1::2], strict=True)) if kind == "hash" else found


def scores(flat: list[bytes]) -> dict[str, float]:
    """A sorted set, as it is in a line."""
    found = [text(each) for each in flat]
    return {member: _number(score) for member, score in zip(found[::2], found[1::2], strict=True)}


def _number(score: str) -> float:
    value = float(score)
    return int(value) if value.is_integer() else value


def text(value: bytes) -> str:
    """What the store answered, where it is a text."""
    return value.decode()
