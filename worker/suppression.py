"""The suppression list: addresses of a creditor's debtors that must not be used, whoever they turn out to belong to.

Answers and receipts write to it (`look.keep_in_step`), operators with `relance suppress`. A new case is held against it
when it is opened, and every message once more in `begin`, which refuses an address that is on it.
"""

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TextIO, cast

from worker.app import App
from worker.cases import Conflict
from worker.commit import Commit, Keys, suppressed_field
from worker.dunning.events import AddressRestored
from worker.dunning.model import Case, address_of
from worker.fields import international, mailbox
from worker.operations import NotPossible

#: What can be suppressed; a letter has its own rules.
CHANNELS = ("email", "sms", "voice")
COLUMNS = ("channel", "address", "why", "by", "since")
#: How many cases are read at a time, when an address is taken off the list.
_BATCH = 500


@dataclass(frozen=True, slots=True)
class Suppressed:
    """An address on the list; `why` is one word, `by` who or what put it there, `since` in ladder time (ISO 8601)."""

    channel: str
    address: str
    why: str
    by: str
    since: str


def listed(app: App, creditor: str) -> list[Suppressed]:
    """All of a creditor's, in order of channel and address."""
    entries = cast("Iterator[tuple[str, str]]", app.client.hscan_iter(Keys(creditor).suppressed))
    return sorted((_read(field, entry) for field, entry in entries), key=lambda found: (found.channel, found.address))


def _read(field: str, entry: str) -> Suppressed:
    channel, _, address = field.partition("|")
    return Suppressed(channel, address, **json.loads(entry))


def add(app: App, creditor: str, channel: str, address: str, *, why: str, by: str) -> bool:
    """Put it on the list; False if it is there already. Raises NotPossible for what is no address."""
    return _add(app, creditor, Suppressed(channel, checked(channel, address), why, by, app.clock.now().isoformat()))


def _add(app: App, creditor: str, entry: Suppressed) -> bool:
    value = json.dumps({"why": entry.why, "by": entry.by, "since": entry.since}, separators=(",", ":"))
    field = suppressed_field(entry.channel, entry.address)
    return bool(app.client.hsetnx(Keys(creditor).suppressed, field, value))


def remove(app: App, creditor: str, channel: str, address: str, by: str) -> bool:
    """Take it off, and let the cases that knew of it use it again. False if it was not on the list."""
    field = suppressed_field(channel, checked(channel, address))
    if not app.client.hdel(Keys(creditor).suppressed, field):
        return False
    names = list(app.cases.case_ids(creditor))
    for start in range(0, len(names), _BATCH):
        for stored in app.cases.load_many(creditor, names[start : start + _BATCH]).values():
            if _knows(stored.case, channel, field):
                _restore(app, stored.case.id, channel, field, by)
    return True


def _knows(case: Case, channel: str, field: str) -> bool:
    address = address_of(case.debtor, channel)
    return bool(address) and suppressed_field(channel, address or "") == field and channel in dict(case.unusable)


def _restore(app: App, case_id: str, channel: str, field: str, by: str) -> None:
    while True:
        stored = app.cases.load(case_id)
        if stored is None or not _knows(stored.case, channel, field):
            return
        now = app.clock.now()
        commit = Commit(stored.case.creditor)
        commit.change(stored, [AddressRestored(at=now, channels=(channel,), by=by)])
        commit.look_by(case_id, now)
        try:
            app.cases.commit(commit)
        except Conflict:
            continue
        return


def checked(channel: str, address: str) -> str:
    """The address as it is compared. Raises NotPossible that says what was expected."""
    if channel not in CHANNELS:
        raise NotPossible(f"{channel!r} is not one of: {', '.join(CHANNELS)}")
    try:
        return mailbox(address).lower() if channel == "email" else international(address)
    except ValueError as error:
        raise NotPossible(f"the address is {error}") from None


def export(app: App, creditor: str, to: TextIO) -> int:
    """Write the list as CSV, with a line of names first; how many."""
    found = listed(app, creditor)
    writer = csv.writer(to, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([entry.channel, entry.address, entry.why, entry.by, entry.since] for entry in found)
    return len(found)


def take_in(app: App, creditor: str, lines: Iterable[str], by: str) -> tuple[int, int]:
    """Add what a CSV says, with at least the columns channel and address: all of it, or nothing.

    Gives how many were added and how many were there. Raises NotPossible, naming every bad line.
    """
    entries = _parse(lines, by, app.clock.now())
    added = sum(_add(app, creditor, entry) for entry in entries)
    return added, len(entries) - added


def _parse(lines: Iterable[str], by: str, now: datetime) -> Sequence[Suppressed]:
    rows = csv.DictReader(lines)
    missing = [name for name in COLUMNS[:2] if name not in (rows.fieldnames or ())]
    if missing:
        raise NotPossible(f"line 1: the column {missing[0]!r} is missing (expected: {', '.join(COLUMNS)})")
    entries: list[Suppressed] = []
    problems: list[str] = []
    for row in rows:
        channel = row["channel"] or ""
        try:
            address = checked(channel, row["address"] or "")
        except NotPossible as error:
            problems.append(f"line {rows.line_num}: {error}")
            continue
        since = row.get("since") or now.isoformat()
        entries.append(Suppressed(channel, address, row.get("why") or "imported", row.get("by") or by, since))
    if problems:
        raise NotPossible("\n".join(problems))
    return entries
