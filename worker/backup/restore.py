"""Reads a backup in, whole or not at all.

Every line is looked at before anything is written; what is written stays aside (`staging.py`) until it is complete, and
becomes what is known of the creditor in one moment, of one creditor after the other. What the store keeps beside them
is added last. An import that is killed leaves each creditor as if it had not begun or whole and paused, and the same
file can be read in again. Every case is told that it was restored, and from when on it knows nothing: its providers are
asked before it sends (`sending.py`).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import IO

from worker import stream
from worker.app import App
from worker.backup.admit import admit, end
from worker.backup.check import Checked, Unfit, check, read_case
from worker.backup.lines import CaseLine, EventLine, Header, KeyLine, WebhookLine, parse
from worker.backup.rebuild import Rebuilt
from worker.backup.staging import BELOW, Staging, pages
from worker.beside import keep_in_step
from worker.codec import UnreadableCase, decode_case, encode_case, encode_event
from worker.commit import Commit, Stored, millis
from worker.dunning.events import AttemptReleased, CaseRestored, Event
from worker.dunning.model import Case
from worker.inbox import hand_in_again
from worker.operations import remember_creditors
from worker.pack import pack

#: By how much clocks may differ, and how long a call may take to be begun.
SLACK = timedelta(minutes=1)
#: Attempts after a restore are numbered by the second in which it was, counted from here: no number was given before.
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
_PAGE = 100


@dataclass(slots=True)
class Restored:
    """What was read in, of which creditors; `before`: those that an earlier run of the same import had read in.

    `uncertain`: messages of which nobody knows yet whether they went. `since`: after that nothing is known. `differed`:
    cases whose snapshot was not what their history says. `no_strategy`: what open cases follow that is not configured.
    """

    header: Header
    creditors: list[str]
    before: list[str] = field(default_factory=list)
    cases: int = 0
    events: int = 0
    open: int = 0
    held: int = 0
    uncertain: int = 0
    since: datetime | None = None
    differed: list[str] = field(default_factory=list)
    no_strategy: list[str] = field(default_factory=list)


def restore(
    app: App, file: IO[bytes], creditors: Sequence[str] | None = None, since: datetime | None = None
) -> Restored:
    """Read it in; `file` is one that can be read twice. May be repeated if it was interrupted.

    `since`: nothing is known after that (real time) although the file is newer: the store it was written from was old.

    Raises Unfit, with nothing written but, where something came in of a creditor meanwhile, those before it;
    ConfigurationError where a rehearsal would reach people; redis errors.
    """
    file.seek(0)
    checked = check(file)
    left, before = admit(app, checked.header, creditors)
    work = _Import(app, checked, left, since, whole=creditors is None and checked.header.whole)
    work.done.before = before
    file.seek(0)
    work.read(file)
    work.restore()
    work.settle()
    work.merge()
    end(app)
    return work.done


@dataclass(frozen=True, slots=True)
class _Noted:
    """What a case's line says beside the case; after `known_until` nothing is known of it."""

    known_until: datetime
    look_at: datetime | None


class _Import:
    def __init__(
        self, app: App, checked: Checked, creditors: Sequence[str], since: datetime | None, *, whole: bool
    ) -> None:
        self._app, self._checked, self._since, self._whole = app, checked, since, whole
        self._now, self._real = app.clock.now(), app.clock.real()
        self._staging = {name: Staging(app.client, name) for name in creditors}
        self._rebuilt = {name: Rebuilt() for name in creditors}
        self._noted: dict[str, dict[str, _Noted]] = {name: {} for name in creditors}
        self._places: dict[str, tuple[int, int]] = {}
        self._read: dict[str, int] = dict.fromkeys(creditors, 0)
        self._after: dict[str, str] = {}
        self._beside: list[KeyLine] = []
        self._restored: dict[str, datetime] = {}
        missing = sorted(checked.strategies.difference(app.config.strategies))
        self.done = Restored(checked.header, list(creditors), no_strategy=missing)

    # ---- the lines, put aside

    def read(self, lines: IO[bytes]) -> None:
        """Every line of these creditors is put aside; those of the store itself are remembered, where all was asked."""
        for staging in self._staging.values():
            staging.clear()
        for number, text in enumerate(lines, start=1):
            self._take(number, text)
        for creditor, staging in self._staging.items():
            self._finish(creditor, staging)

    def _take(self, number: int, text: bytes) -> None:
        line = parse(text)
        match line:
            case KeyLine(creditor="") if self._whole:
                self._beside.append(line)
            case CaseLine() if line.creditor in self._staging and self._checked.last[line.id] == number:
                self._put_case(line)
            case KeyLine() if line.creditor in self._staging:
                self._put_key(line)
                if line.name == "restored":
                    self._restored[line.creditor] = datetime.fromisoformat(line.value["since"])
            case WebhookLine() if line.creditor in self._staging:
                self._after[line.creditor] = line.after
            case EventLine() if line.creditor in self._staging:
                self._put_event(line)

    def _put_case(self, line: CaseLine) -> None:
        case, events = read_case(line)
        staging = self._staging[line.creditor]
        if _snapshot(line) != case:
            self.done.differed.append(line.id)
        value = f"{line.version}||".encode() + pack(encode_case(case))
        staging.put(f"case:{line.id}", ("SET", value))
        staging.put(f"history:{line.id}", ("DEL",), ("RPUSH", *(pack(encode_event(event)) for event in events)))
        self._rebuilt[line.creditor].add(case, events)
        self._noted[line.creditor][line.id] = _Noted(self._known_until(line.read_at), line.look_at)
        self.done.cases += 1
        self.done.events += len(events)

    def _known_until(self, read_at: datetime) -> datetime:
        return min(read_at, self._since or read_at) - SLACK

    def _put_key(self, line: KeyLine) -> None:
        staging = self._staging[line.creditor]
        match line.type:
            case "hash":
                staging.put_hash(line.name, line.value)
            case "zset":
                staging.put(line.name, ("DEL",))
                staging.put_sorted_set(line.name, line.value)
            case "list":
                staging.put(line.name, ("DEL",), *([("RPUSH", *line.value)] if line.value else []))
            case "set":
                staging.put(line.name, ("SADD", *line.value))
            case _:
                staging.put(line.name, ("SET", line.value))
        if line.expires_at:
            staging.put(line.name, ("PEXPIREAT", millis(line.expires_at)))

    def _put_event(self, line: EventLine) -> None:
        event = json.dumps(line.event, ensure_ascii=False, separators=(",", ":"))
        fields = ("case", line.case, "version", line.version, "event", event)
        self._staging[line.creditor].put("events", ("XADD", line.id, *fields))
        after = self._after.get(line.creditor)
        self._read[line.creditor] += bool(after) and _place(line.id) <= _place(after or "")

    def _finish(self, creditor: str, staging: Staging) -> None:
        """What the cases tell; where the webhook is; and that nobody is chased before somebody says so."""
        for name, scores in self._rebuilt[creditor].sorted_sets():
            staging.put_sorted_set(name, scores)
        for name, fields in self._rebuilt[creditor].hashes():
            staging.put_hash(name, fields)
        if after := self._after.get(creditor):
            place = (stream.GROUP, after, "MKSTREAM", "ENTRIESREAD", self._read[creditor])
            staging.put("events", ("XGROUP CREATE", *place))
        staging.put_hash("paused", {"creditor": self._real.isoformat()})
        staging.put_hash("restored", self._origin(creditor))
        for name in ("agenda", "inflight", "events"):
            staging.put(name)
        staging.flush()

    # ---- every case is told

    def restore(self) -> None:
        """Every case learns that it was restored, in a commit like any other, to what was put aside."""
        for creditor, noted in self._noted.items():
            for ids in pages(sorted(noted), _PAGE):
                stored = self._app.cases.load_many(creditor, ids, BELOW)
                commits = [self._told(stored[name], noted[name]) for name in ids]
                for fault in self._app.cases.commit_each(commits):
                    if fault:
                        raise fault

    def _told(self, stored: Stored, noted: _Noted) -> Commit:
        case, now = stored.case, self._now
        reserved = [send.attempt for _, send in case.open_sends() if send.status == "reserved"]
        events: list[Event] = [AttemptReleased(at=now, attempt=each, why="restored") for each in reserved]
        events.append(CaseRestored(at=now, since=noted.known_until, attempts=self._attempts))
        commit = Commit(case.creditor, below=BELOW)
        after = commit.change(stored, events)
        keep_in_step(commit, after, events, now)
        leases = [send.lease for _, send in after.open_sends() if send.status == "sending" and send.lease]
        if leases:  # whoever was on it died, as far as anybody can tell
            commit.lease(case.id, max(leases))
        elif noted.look_at or not case.ended:
            commit.look_at(case.id, noted.look_at or now)
        self._count(after, len(events))
        return commit

    @property
    def _attempts(self) -> int:
        return int((self._real - _EPOCH).total_seconds())

    def _count(self, case: Case, events: int) -> None:
        self.done.events += events
        self.done.open += not case.ended
        self.done.held += bool(case.case_hold()) and not case.ended
        self.done.uncertain += sum(send.status != "reserved" for _, send in case.open_sends())

    def _origin(self, creditor: str) -> dict[str, str]:
        """What cases that are opened from now on shall know of it (`reminders.py`): they may be forgotten ones."""
        known = [noted.known_until for noted in self._noted[creditor].values()]
        since = min([*known, self._known_until(self._checked.header.at)])
        self.done.since = min(since, self.done.since or since)
        earlier = self._restored.get(creditor, since)
        return {
            "since": min(since, earlier).isoformat(),
            "at": self._now.isoformat(),
            "attempts": str(self._attempts),
            "export": self._checked.header.id,
        }

    # ---- all at once

    def settle(self) -> None:
        """What was put aside becomes what is known. Raises Unfit for a creditor of whom something came in meanwhile."""
        for creditor, staging in self._staging.items():
            if found := staging.settle():
                raise Unfit(
                    f"{creditor}: something came in meanwhile ({found}): stop whoever takes jobs, empty the store, and "
                    "read the file in again"
                )
        remember_creditors(self._app)

    # ---- what the store keeps beside them

    def merge(self) -> None:
        """It is added to; what is there stands. May be repeated."""
        for line in self._beside:
            self._add(line)
        hand_in_again(self._app, [each.name.partition(":")[2] for each in self._beside if each.type == "string"])

    def _add(self, line: KeyLine) -> None:
        client, key = self._app.client, f"relance:{line.name}"
        if line.type == "hash":
            with client.pipeline(transaction=True) as pipe:
                for name, value in line.value.items():
                    pipe.hsetnx(key, name, value)
                pipe.execute()
        elif line.type == "set":
            client.sadd(key, *line.value)
        else:
            client.set(key, line.value, nx=True, pxat=millis(line.expires_at) if line.expires_at else None)


def _snapshot(line: CaseLine) -> Case | None:
    try:
        return decode_case(json.dumps(line.snapshot)) if line.snapshot else None
    except UnreadableCase:
        return None


def _place(entry: str) -> tuple[int, int]:
    at, _, number = entry.partition("-")
    return int(at), int(number)
