"""The store: reads cases and their surroundings, commits, claims from the agenda.

Redis is the store, dramatiq's broker is not. There is one write path, `commit`; see `commit.py` and `commit.lua`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast

import redis
from redis.client import NEVER_DECODE

from worker.codec import UnreadableCase, decode_case, decode_event
from worker.commit import Commit, Keys, Stored, millis, moment
from worker.dunning.contact import Contact
from worker.dunning.events import Event
from worker.dunning.model import Case, creditor_of
from worker.durable import Durable, tell
from worker.logs import log_event
from worker.pack import unpack
from worker.store import Script

Client = redis.Redis

#: Packed values are bytes, on connections that otherwise speak text.
_PACKED: Mapping[str, Any] = {NEVER_DECODE: []}

_SCRIPTS = Path(__file__).parent


class Conflict(Exception):
    """Somebody else wrote first: read again, decide again."""


class Refused(Exception):
    """A guard did not hold; `guard` names it, `detail` says what was found."""

    def __init__(self, guard: str, detail: str) -> None:
        super().__init__(f"{guard}: {detail}")
        self.guard = guard
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Seen:
    """A case with its surroundings, read in one round trip. `expected`: when its next message is to go (`silence`)."""

    stored: Stored
    contacts: tuple[Contact, ...]
    paused: frozenset[str]
    expected: datetime | None

    @property
    def case(self) -> Case:
        """The case."""
        return self.stored.case


@dataclass(frozen=True, slots=True)
class Known:
    """What the store knows of invoices and of groups that a job names, read in one round trip.

    `held_by`: the case that last held each invoice, by number; `latest`: the latest case of each group (see
    `reminders.group_of`), open or ended; unknown ones are left out. `early`: payments that came before their invoice,
    as JSON, by number. `suppressed`: those of the addresses asked for that are on the suppression list, by field (see
    `commit.suppressed_field`). `restored`: of a creditor that was read back from an export, when that was (`at`, ladder
    time) and since when nothing is known (`since`, real time).
    """

    held_by: Mapping[str, str]
    latest: Mapping[str, str]
    early: Mapping[str, list[str]]
    suppressed: frozenset[str] = frozenset()
    restored: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A case whose time has come, and the ladder time its agenda entry bore."""

    case_id: str
    at: datetime


class Cases:
    """Reads and writes cases. One per process; the client's pool is shared by threads.

    `durable` says what a commit that must not be lost waits for.
    """

    def __init__(self, client: Client, durable: Durable | None = None) -> None:
        self.client = client
        self.durable = durable or Durable()
        self._told = False
        self._commit = Script(client, (_SCRIPTS / "commit.lua").read_text())
        self._claim = Script(client, (_SCRIPTS / "claim.lua").read_text())

    # ---- writing

    def commit(self, commit: Commit, *, durable: bool = False) -> None:
        """Do it, once. With `durable`, return only when it is on disk, as far as `self.durable` asks.

        Raises `Conflict`, `Refused`, `durable.NotDurable` (it happened, and may be lost), or redis errors; after a lost
        answer the same commit may be given again.
        """
        answers = self._ask([commit], durable=durable)
        if isinstance(answers[0], redis.exceptions.NoScriptError):
            self._commit.load()
            answers = self._ask([commit], durable=durable)
        _check(answers[0], commit)
        if durable:
            self._demand_durable(answers[1:])

    def _demand_durable(self, answers: Sequence[Any]) -> None:
        if not self.durable.demand(answers) and not self._told:
            self._told = True
            tell("what WAITAOF needs", "when the store dies, what was sent last is forgotten and may go twice")

    def commit_each(self, commits: Sequence[Commit]) -> list[Conflict | Refused | redis.RedisError | None]:
        """Do them one by one, in one round trip; what became of each (None: done). Raises redis errors of them all."""
        answers = self._ask(commits) if commits else []
        if any(isinstance(answer, redis.exceptions.NoScriptError) for answer in answers):
            self._commit.load()
            answers = self._ask(commits)
        pairs = zip(answers, commits, strict=True)
        return [
            answer if isinstance(answer, redis.RedisError) else _refusal(answer, commit) for answer, commit in pairs
        ]

    def _ask(self, commits: Sequence[Commit], *, durable: bool = False) -> list[Any]:
        """The script's answer to each, as it came; then what is on disk. By digest, so that it is one round trip."""
        with self.client.pipeline(transaction=False) as pipe:
            for commit in commits:
                keys, arguments = commit.request()
                pipe.execute_command("EVALSHA", self._commit.digest, len(keys), *keys, *arguments)
            for question in self.durable.questions() if durable else ():
                pipe.execute_command(*question)
            return pipe.execute(raise_on_error=False)

    # ---- reading

    def load(self, case_id: str) -> Stored | None:
        """The case, if there is one."""
        return _parse(self.client.execute_command("GET", Keys(creditor_of(case_id)).case(case_id), **_PACKED))

    def load_many(self, creditor: str, case_ids: Iterable[str], below: str = "") -> dict[str, Stored]:
        """Several cases of a creditor, in one round trip, but for those that do not exist. `below`: as in `Keys`."""
        names = sorted(set(case_ids))
        if not names:
            return {}
        keys = Keys(creditor, below)
        wanted = [keys.case(name) for name in names]
        values: list[bytes | None] = self.client.execute_command("MGET", *wanted, **_PACKED)
        found = zip(names, map(_parse, values), strict=True)
        return {name: stored for name, stored in found if stored}

    def see(self, case_id: str) -> Seen | None:
        """The case with its debtor's contacts and what is paused, in one round trip. Raises UnreadableCase."""
        found = self.see_each([case_id])[0]
        if isinstance(found, UnreadableCase):
            raise found
        return found

    def see_each(self, case_ids: Sequence[str]) -> list[Seen | UnreadableCase | None]:
        """Several cases of any creditors as `see` reads them, all in one round trip, in the order asked for."""
        with self.client.pipeline(transaction=False) as pipe:
            for case_id in case_ids:
                keys = Keys(creditor_of(case_id))
                pipe.execute_command("GET", keys.case(case_id), **_PACKED)
                pipe.zrange(keys.contacts(case_id), 0, -1, withscores=True)
                pipe.hkeys(keys.paused)
                pipe.zscore(keys.expected, case_id)
            answers = pipe.execute()
        return [_seen(*answers[i : i + 4]) for i in range(0, len(answers), 4)]

    def history(self, case_id: str) -> list[Event]:
        """Every event of the case, oldest first."""
        key = Keys(creditor_of(case_id)).history(case_id)
        values: list[bytes] = self.client.execute_command("LRANGE", key, 0, -1, **_PACKED)
        return [decode_event(unpack(value)) for value in values]

    def known(
        self, creditor: str, numbers: Sequence[str], groups: Sequence[str] = (), addresses: Sequence[str] = ()
    ) -> Known:
        """What the store knows of these invoices, groups and addresses, in one round trip."""
        keys = Keys(creditor)
        with self.client.pipeline(transaction=False) as pipe:
            pipe.hmget(keys.invoices, list(numbers))
            if groups:
                pipe.hmget(keys.groups, list(groups))
            if addresses:
                pipe.hmget(keys.suppressed, list(addresses))
            pipe.hgetall(keys.restored)
            for number in numbers:
                pipe.lrange(keys.early(number), 0, -1)
            held_by, *found = pipe.execute()
        latest = found.pop(0) if groups else []
        listed = found.pop(0) if addresses else []
        restored = found.pop(0)
        return Known(
            _paired(numbers, held_by),
            _paired(groups, latest),
            dict(zip(numbers, found, strict=True)),
            frozenset(_paired(addresses, listed)),
            restored,
        )

    def latest_of_group(self, creditor: str, group: str) -> str | None:
        """The latest case of a group (see `reminders.group_of`), open or ended."""
        return cast("str | None", self.client.hget(Keys(creditor).groups, group))

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
    refusal = _refusal(answer, commit)
    if refusal:
        raise refusal


def _refusal(answer: Any, commit: Commit) -> Conflict | Refused | None:
    """Why it did not happen; None, logged, if it did. Raises redis errors."""
    if isinstance(answer, Exception):
        raise answer
    if answer[0] == "conflict":
        return Conflict()
    if answer[0] == "refused":
        return Refused(answer[1], answer[2])
    for case, event in commit.happened:
        log_event(case, event)
    return None


def _seen(
    value: bytes | None, contacts: Iterable[tuple[str, float]], paused: Iterable[str], expected: float | None
) -> Seen | UnreadableCase | None:
    try:
        stored = _parse(value)
    except UnreadableCase as error:
        return error
    if stored is None:
        return None
    return Seen(stored, tuple(_contacts(contacts)), frozenset(paused), None if expected is None else moment(expected))


def _paired(names: Sequence[str], values: Sequence[str | None]) -> dict[str, str]:
    return {name: value for name, value in zip(names, values, strict=True) if value}


def _parse(value: bytes | None) -> Stored | None:
    if value is None:
        return None
    version, _, rest = value.partition(b"|")
    _, _, snapshot = rest.partition(b"|")
    try:
        text = unpack(snapshot)
    except ValueError as error:
        raise UnreadableCase(str(error)) from None
    return Stored(decode_case(text), int(version))


def _contacts(members: Iterable[tuple[str, float]]) -> Iterator[Contact]:
    for member, score in members:
        run, _, message = member.rpartition("|")
        channel, _, again = message.partition("#")
        yield Contact(moment(score), channel, run, int(again or 0))
