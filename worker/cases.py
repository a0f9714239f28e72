"""The store: reads cases and their surroundings, commits, claims from the agenda.

Redis is the store, dramatiq's broker is not. There is one write path, `commit`; see `commit.py` and `commit.lua`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import redis
import structlog

from worker.codec import decode_case, decode_event
from worker.commit import Commit, Keys, Stored, millis, moment
from worker.dunning.contact import Contact
from worker.dunning.events import Event
from worker.dunning.model import Case, creditor_of
from worker.logs import log_event

Client = redis.Redis

#: How long a server may take to write a reservation to its disk, in milliseconds.
DURABLE_WITHIN_MS = 1500


_SCRIPTS = Path(__file__).parent
_log = structlog.get_logger("relance.store")


class Conflict(Exception):
    """Somebody else wrote first: read again, decide again."""


class NotDurable(Exception):
    """The commit happened, but the server did not say in time that it is on disk."""


class Refused(Exception):
    """A guard did not hold; `guard` names it, `detail` says what was found."""

    def __init__(self, guard: str, detail: str) -> None:
        super().__init__(f"{guard}: {detail}")
        self.guard = guard
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Seen:
    """A case with its surroundings, read in one round trip."""

    stored: Stored
    contacts: tuple[Contact, ...]
    paused: frozenset[str]

    @property
    def case(self) -> Case:
        """The case."""
        return self.stored.case


@dataclass(frozen=True, slots=True)
class Claimed:
    """A case whose time has come, and the ladder time its agenda entry bore."""

    case_id: str
    at: datetime


class Cases:
    """Reads and writes cases. One per process; the client's pool is shared by threads."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._commit = client.register_script((_SCRIPTS / "commit.lua").read_text())
        self._claim = client.register_script((_SCRIPTS / "claim.lua").read_text())

    # ---- writing

    def commit(self, commit: Commit, *, durable: bool = False) -> None:
        """Do it, once. With `durable`, return only when it is on disk (`WAITAOF` on the same connection).

        Raises `Conflict`, `Refused`, `NotDurable` (it happened, and may be lost), or redis errors; after a lost answer
        the same commit may be given again.
        """
        keys, plan = commit.request()
        if not durable:
            _check(self._commit(keys=keys, args=[plan]), commit)
            return
        with self.client.pipeline(transaction=False) as pipe:
            self._commit(keys=keys, args=[plan], client=pipe)
            pipe.waitaof(1, 0, DURABLE_WITHIN_MS)
            answer, on_disk = pipe.execute(raise_on_error=False)
        _check(answer, commit)
        _check_durable(on_disk)

    # ---- reading

    def load(self, case_id: str) -> Stored | None:
        """The case, if there is one."""
        return _parse(cast("str | None", self.client.get(Keys(creditor_of(case_id)).case(case_id))))

    def load_many(self, creditor: str, case_ids: Iterable[str]) -> dict[str, Stored]:
        """Several cases of one creditor, in one round trip; those that do not exist are left out."""
        names = sorted(set(case_ids))
        if not names:
            return {}
        values = cast("list[str | None]", self.client.mget([Keys(creditor).case(name) for name in names]))
        found = zip(names, map(_parse, values), strict=True)
        return {name: stored for name, stored in found if stored}

    def see(self, case_id: str) -> Seen | None:
        """The case with its debtor's contacts and what is paused, in one round trip."""
        keys = Keys(creditor_of(case_id))
        with self.client.pipeline(transaction=False) as pipe:
            pipe.get(keys.case(case_id))
            pipe.zrange(keys.contacts(case_id), 0, -1, withscores=True)
            pipe.hkeys(keys.paused)
            value, contacts, paused = pipe.execute()
        stored = _parse(value)
        if stored is None:
            return None
        return Seen(stored, tuple(_contacts(contacts)), frozenset(paused))

    def history(self, case_id: str) -> list[Event]:
        """Every event of the case, oldest first."""
        values = cast("list[str]", self.client.lrange(Keys(creditor_of(case_id)).history(case_id), 0, -1))
        return [decode_event(value) for value in values]

    def cases_of_invoices(self, creditor: str, numbers: Sequence[str]) -> dict[str, str]:
        """The case that last held each of these invoices; unknown ones are left out."""
        found = cast("list[str | None]", self.client.hmget(Keys(creditor).invoices, list(numbers)))
        return {number: case_id for number, case_id in zip(numbers, found, strict=True) if case_id}

    def latest_of_group(self, creditor: str, group: str) -> str | None:
        """The latest case of a group (see `reminders.group_of`), open or ended."""
        return cast("str | None", self.client.hget(Keys(creditor).groups, group))

    def early_payments(self, creditor: str, invoices: Sequence[str]) -> dict[str, list[str]]:
        """Payments that came before their invoice, as JSON, by invoice number."""
        keys = Keys(creditor)
        with self.client.pipeline(transaction=False) as pipe:
            for number in invoices:
                pipe.lrange(keys.early(number), 0, -1)
            found = pipe.execute()
        return dict(zip(invoices, found, strict=True))

    def case_ids(self, creditor: str) -> Iterator[str]:
        """Every case of the creditor, the latest opened first."""
        yield from cast("list[str]", self.client.zrevrange(Keys(creditor).cases, 0, -1))

    # ---- the agenda

    def claim(
        self, creditor: str, *, now: datetime, real: datetime, lease: timedelta, limit: int
    ) -> tuple[list[Claimed], int]:
        """Take up to `limit` cases that are due, and put back those whose lease ran out; (taken, how many put back)."""
        keys = Keys(creditor)
        answer = self._claim(
            keys=[keys.agenda, keys.in_flight, keys.paused],
            args=[int(now.timestamp() * 1000), int(real.timestamp() * 1000), millis(real + lease), limit],
        )
        pairs = zip(answer[1::2], answer[2::2], strict=True)
        return [Claimed(case_id, moment(score)) for case_id, score in pairs], int(answer[0])

    def set_aside(self, case_id: str, until: datetime) -> None:
        """Leave a case alone until then (real time), and then put it back onto the agenda."""
        self.client.zadd(Keys(creditor_of(case_id)).in_flight, {case_id: millis(until)}, gt=True)

    def next_due(self, creditors: Iterable[str]) -> dict[str, datetime]:
        """When each creditor's earliest agenda entry is, in one round trip; creditors with none are left out."""
        names = list(creditors)
        with self.client.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.zrange(Keys(name).agenda, 0, 0, withscores=True)
            found = pipe.execute()
        return {name: moment(first[0][1]) for name, first in zip(names, found, strict=True) if first}

    def in_flight(self, creditors: Iterable[str]) -> int:
        """How many cases somebody is on."""
        with self.client.pipeline(transaction=False) as pipe:
            for name in creditors:
                pipe.zcard(Keys(name).in_flight)
            return sum(pipe.execute())


def _check(answer: Any, commit: Commit) -> None:
    """Logs what happened, or raises what `commit.lua` answered instead."""
    if isinstance(answer, Exception):
        raise answer
    if answer[0] == "conflict":
        raise Conflict
    if answer[0] == "refused":
        raise Refused(answer[1], answer[2])
    for case, event in commit.happened:
        log_event(case, event)


def _check_durable(answer: Any) -> None:
    """A server that keeps no append-only file, or is older than WAITAOF, was chosen so: it is named, not refused."""
    if isinstance(answer, redis.ResponseError):
        _log.warning("store.not_durable", error=str(answer).partition(" ")[0])
    elif isinstance(answer, Exception):
        raise answer
    elif answer[0] < 1:
        raise NotDurable


def _parse(value: str | None) -> Stored | None:
    if value is None:
        return None
    version, _, rest = value.partition("|")
    _, _, snapshot = rest.partition("|")
    return Stored(decode_case(snapshot), int(version))


def _contacts(members: Iterable[tuple[str, float]]) -> Iterator[Contact]:
    for member, score in members:
        run, _, channel = member.rpartition("|")
        yield Contact(moment(score), channel, run)
