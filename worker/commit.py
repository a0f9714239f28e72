"""One write to the store, being put together: cases by version, guards, and whatever else goes with them.

Every key of a creditor carries its hash tag, so that one script (`commit.lua`) can touch a case, its history, the
agenda, the debtor's contacts and the event stream at once, on one server and on a cluster alike.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import Any

from worker.codec import encode_case, encode_event
from worker.dunning.events import Event
from worker.dunning.fold import fold
from worker.dunning.model import Case
from worker.pack import pack

#: How many entries a creditor's event stream keeps, about.
STREAM_LENGTH = 100_000
#: How many characters of a case id, behind the creditor, stand for the debtor.
DEBTOR_DIGITS = 10

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def millis(moment: datetime) -> int:
    """A moment as a sorted set's score, rounded up: what waits until a moment must not be woken before it."""
    return -((_EPOCH - moment) // timedelta(milliseconds=1))


def moment(score: float | str) -> datetime:
    """A sorted set's score as a moment."""
    return datetime.fromtimestamp(float(score) / 1000, UTC)


@dataclass(frozen=True, slots=True)
class Stored:
    """A case and the version it was read at."""

    case: Case
    version: int


class Keys:
    """The names of one creditor's keys, all in one hash slot.

    `below`: where those are that are not in use yet, while a backup is read in.
    """

    def __init__(self, creditor: str, below: str = "") -> None:
        self._root = f"relance:{{{creditor}}}{below}"
        self.agenda = f"{self._root}:agenda"
        self.in_flight = f"{self._root}:inflight"
        self.events = f"{self._root}:events"
        self.paused = f"{self._root}:paused"
        self.groups = f"{self._root}:groups"
        self.invoices = f"{self._root}:invoices"
        self.cases = f"{self._root}:cases"
        self.uncertain = f"{self._root}:uncertain"
        self.queued = f"{self._root}:queued"
        self.tasks = f"{self._root}:tasks"
        self.suppressed = f"{self._root}:suppressed"
        self.phones = f"{self._root}:phones"
        self.rate = f"{self._root}:rate"
        self.feed = f"{self._root}:feed"
        self.expected = f"{self._root}:expected"
        self.silence = f"{self._root}:silence"
        self.forgiven = f"{self._root}:forgiven"
        self.counters = f"{self._root}:counters"
        self.line = f"{self._root}:line"
        self.turns = f"{self._root}:turns"
        self.missed = f"{self._root}:missed"
        self.gone = f"{self._root}:gone"
        self.ramp = f"{self._root}:ramp"
        self.forwarder = f"{self._root}:forwarder"
        self.calls = f"{self._root}:calls"
        self.early_ones = f"{self._root}:early"
        self.restored = f"{self._root}:restored"

    def named(self, name: str) -> str:
        """The key of that name."""
        return f"{self._root}:{name}"

    def case(self, case_id: str) -> str:
        """The snapshot of a case."""
        return f"{self._root}:case:{case_id}"

    def history(self, case_id: str) -> str:
        """The events of a case."""
        return f"{self._root}:history:{case_id}"

    def contacts(self, case_id: str) -> str:
        """The contacts of a case's debtor, over all cases: the first part of a case id is the debtor's own."""
        debtor = case_id.partition("-")[2][:DEBTOR_DIGITS]
        return f"{self._root}:contacts:{debtor}"

    def job(self, job_id: str) -> str:
        """The mark that a job was taken."""
        return f"{self._root}:job:{job_id}"

    def early(self, invoice: str) -> str:
        """Payments for an invoice not known yet; `early_ones` has all their numbers, and until when each is kept."""
        return f"{self._root}:early:{invoice}"


def suppressed_field(channel: str, address: str) -> str:
    """The name under which an address is on the suppression list; a mailbox is one whatever its letters' case."""
    return f"{channel}|{address.lower()}"


@dataclass(slots=True)
class Commit:
    """One write, being put together. Everything in it happens, or nothing."""

    creditor: str
    id: str = field(default_factory=lambda: token_hex(5))
    below: str = ""
    _keys: list[str] = field(default_factory=list)
    _cases: list[dict[str, Any]] = field(default_factory=list)
    _guards: list[list[Any]] = field(default_factory=list)
    _ops: list[list[Any]] = field(default_factory=list)
    _events: list[list[Any]] = field(default_factory=list)
    _stream: list[list[Any]] = field(default_factory=list)
    _values: list[str | bytes] = field(default_factory=list)
    #: What happens to which case, for the log.
    happened: list[tuple[Case, Event]] = field(default_factory=list)

    @property
    def keys(self) -> Keys:
        """The creditor's keys."""
        return Keys(self.creditor, self.below)

    def _key(self, name: str) -> int:
        if name not in self._keys:
            self._keys.append(name)
        return self._keys.index(name) + 1

    def change(self, stored: Stored | None, events: Sequence[Event]) -> Case:
        """Fold the events into the case, to be stored if it is still at the version read. Returns the case after."""
        after = fold(stored.case if stored else None, events)
        version = stored.version if stored else 0
        entry: dict[str, Any] = {"key": self._key(self.keys.case(after.id)), "expect": version}
        if events:
            entry |= {"value": self._place(pack(encode_case(after))), "version": version + 1}
        self._cases.append(entry)
        for event in events:
            self.happened.append((after, event))
            data = encode_event(event)
            self._events.append([self._key(self.keys.history(after.id)), self._place(pack(data))])
            self._publish(after.id, version + 1, data)
        return after

    def _place(self, value: str | bytes) -> int:
        """Keeps it for the request, beside the plan; returns its place in ARGV."""
        self._values.append(value)
        return len(self._values) + 1

    def announce(self, case_id: str, version: int, kind: str, **fields: str) -> None:
        """Put an entry into the event stream that is news, not history: when a case is looked at next, and why."""
        self._publish(case_id, version, json.dumps({"type": kind, **fields}, separators=(",", ":")))

    def _publish(self, case_id: str, version: int, data: str) -> None:
        self._stream.append([self._key(self.keys.events), STREAM_LENGTH, case_id, version, self._place(data)])

    def guard(self, name: str, key: str, *arguments: str | int) -> None:
        """What must hold for any of it to happen; the guards are `commit.lua`'s."""
        self._guards.append([name, self._key(key), *arguments])

    def guard_server(self, replid: str) -> None:
        """None of it happens on another server than that one (see `continuity.py`)."""
        self._guards.append(["server", replid])

    def op(self, command: str, key: str, *arguments: str | int) -> None:
        """A plain command that goes with it."""
        self._ops.append([command, self._key(key), *map(str, arguments)])

    def count(self, what: str) -> None:
        """One more of what `metrics.COUNTERS` names."""
        self.op("HINCRBY", self.keys.counters, what, 1)

    def look_at(self, case_id: str, at: datetime) -> None:
        """The agenda says when the case is looked at again."""
        self.op("ZADD", self.keys.agenda, millis(at), case_id)

    def look_by(self, case_id: str, at: datetime) -> None:
        """The case is looked at then at the latest: earlier, if that was due."""
        self.op("ZADD", self.keys.agenda, "LT", millis(at), case_id)

    def lease(self, case_id: str, until: datetime) -> None:
        """Somebody is on the case until then (real time), or died."""
        self.op("ZADD", self.keys.in_flight, "GT", millis(until), case_id)

    def unlease(self, case_id: str) -> None:
        """Nobody is on the case."""
        self.op("ZREM", self.keys.in_flight, case_id)

    def request(self) -> tuple[list[str], list[str | bytes]]:
        """The keys and the arguments for `commit.lua`."""
        plan = {
            "id": self.id,
            "cases": self._cases,
            "guards": self._guards,
            "ops": self._ops,
            "events": self._events,
            "stream": self._stream,
        }
        return self._keys, [json.dumps(plan, separators=(",", ":"), ensure_ascii=False), *self._values]
