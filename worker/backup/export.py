"""Writes what the store knows, line by line, while everything runs.

A creditor's cases are read page by page. Those that changed meanwhile, as the event stream tells, are read again, the
last of them in one moment with all that must agree with them: so what is written is the creditor as it stood in that
moment. What has no place in it is in `families.py`, with the reason.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from secrets import token_hex
from typing import Any, cast

from worker.app import App
from worker.backup.families import CREDITORS, STORE, Family, Kind, family_of, those
from worker.backup.lines import FORMAT, write, write_case, write_event
from worker.backup.reading import Reader, Reading, at_once, decoded, scores, text
from worker.backup.staging import pages
from worker.clock import CLOCK_KEY
from worker.commit import Keys, moment
from worker.intake import REMEMBERED
from worker.operations import known_creditors
from worker.pack import unpack
from worker.stream import between

#: So many cases are read in one moment, so many keys, and so many fields are in one line.
PAGE, KEYS, FIELDS = 50, 1000, 500
#: So often those that changed meanwhile are read in pages, before the rest is read in one moment.
ROUNDS = 20


@dataclass(slots=True)
class Exported:
    """What was written. `unread`: cases whose history is broken, and which are not in it; `unknown`: kinds of keys that
    this version does not know, with how many there are."""

    lines: int = 0
    cases: set[str] = field(default_factory=set)
    unread: list[str] = field(default_factory=list)
    unknown: dict[str, int] = field(default_factory=dict)


def export(app: App, creditors: Sequence[str] | None, to: Callable[[str], object]) -> Exported:
    """Write all that is known of these creditors; None: of all, and what the store keeps beside them.

    `to` is given each line, without its end. Raises redis errors.
    """
    names = list(creditors) if creditors is not None else known_creditors(app)
    work = _Export(app, to)
    work.write_header(names, whole=creditors is None)
    moments = {name: work.write_creditor(name) for name in names}
    work.write_each(moments, whole=creditors is None)
    if creditors is None:
        for family in those(STORE, "piecemeal"):
            work.write_piecemeal("", family)
    work.say(write("end", lines=work.done.lines + 1))
    return work.done


class _Export:
    """One of them."""

    def __init__(self, app: App, to: Callable[[str], object]) -> None:
        self._app, self._client, self._to = app, app.client, to
        self._reader = Reader(app)
        self.done = Exported()

    def say(self, line: str) -> None:
        """Write it."""
        self._to(line)
        self.done.lines += 1

    def write_header(self, creditors: Sequence[str], *, whole: bool) -> None:
        self.say(
            write(
                "export",
                format=FORMAT,
                id=token_hex(8),
                at=self._app.clock.real(),
                relance=release(),
                config=self._app.config.digest,
                creditors=creditors,
                whole=whole,
                clock=self._client.hgetall(CLOCK_KEY),
            )
        )

    # ---- one creditor

    def write_creditor(self, creditor: str) -> int:
        """All but what is found by going through the store's keys; when it stood so, in ms by the store's clock."""
        while True:
            begun = self._reader.added(creditor)
            last = self._write_cases(creditor)
            reading = self._reader.read(creditor, [], after=last)
            if self._reader.trimmed(creditor) <= begun:
                break
        self._say_cases(creditor, reading, again=True)
        for family, value in zip(at_once(), reading.whole, strict=True):
            self._say_key(creditor, family.name, family.kind, decoded(value, family.kind))
        for number, expiry, payments in reading.early:
            self._say_key(creditor, f"early:{number}", "list", payments, expiry)
        self._write_stream(creditor, reading)
        for family in those(CREDITORS, "piecemeal"):
            self.write_piecemeal(creditor, family)
        return reading.now

    def _write_cases(self, creditor: str) -> str:
        """Every case, and again those that changed meanwhile; the stream's entry up to which nothing is missing."""
        last = self._reader.last(creditor)
        for ids in pages(self._reader.case_ids(creditor), PAGE):
            self._say_cases(creditor, self._reader.read(creditor, ids))
        for _ in range(ROUNDS):
            newest, changed = self._reader.changed(creditor, last)
            if len(changed) <= PAGE:
                break
            last = newest
            for ids in pages(sorted(changed), PAGE):
                self._say_cases(creditor, self._reader.read(creditor, ids), again=True)
        return last

    def _say_cases(self, creditor: str, reading: Reading, *, again: bool = False) -> None:
        """`again`: what was written of their debtors' contacts before may be over."""
        contacts = {Keys(creditor).contacts(text(case[0])): scores(case[5]) for case in reading.cases}
        for key, value in contacts.items():
            name = key.removeprefix(Keys(creditor).named(""))
            self._say_key(creditor, name, "zset", value, even_empty=again)
        for case in reading.cases:
            if case[1] is not None:
                self._say_case(creditor, reading.real, case)

    def _say_case(self, creditor: str, read_at: datetime, case: list[Any]) -> None:
        name, stored, history, look_at, in_flight, _ = case
        number, _, rest = stored.partition(b"|")
        fields = {
            "creditor": creditor,
            "id": text(name),
            "read_at": read_at,
            "version": int(number),
            "look_at": moment(text(look_at)) if look_at else None,
            "in_flight": moment(text(in_flight)) if in_flight else None,
        }
        try:
            events = [unpack(event) for event in history]
        except ValueError:
            self.done.unread.append(text(name))
            return
        self.say(write_case(_snapshot(rest.partition(b"|")[2]), events, **fields))
        self.done.cases.add(text(name))

    def _write_stream(self, creditor: str, reading: Reading) -> None:
        if reading.place:
            self.say(write("webhook", creditor=creditor, after=_taken(*map(text, reading.place))))
        for entry in between(self._client, creditor, "-", reading.last):
            fields = {"creditor": creditor, "id": entry.id, "case": entry.case, "version": int(entry.version)}
            self.say(write_event(entry.event, **fields))

    def _say_key(
        self, creditor: str, name: str, kind: Kind, value: Any, expiry: int = -1, *, even_empty: bool = False
    ) -> None:
        if value or even_empty:
            expires_at = moment(expiry) if expiry > 0 else None
            fields = {"creditor": creditor or None, "name": name, "type": kind, "value": value}
            self.say(write("key", **fields, expires_at=expires_at))

    # ---- what is large, and what is a key for itself

    def write_piecemeal(self, creditor: str, family: Family) -> None:
        """A hash or a set, in pieces."""
        key = Keys(creditor).named(family.name) if creditor else f"relance:{family.name}"
        if family.kind == "hash":
            fields = cast("Iterator[tuple[str, str]]", self._client.hscan_iter(key, count=FIELDS))
            for piece in pages(fields, FIELDS):
                self._say_key(creditor, family.name, family.kind, dict(piece))
        else:
            members = cast("Iterator[str]", self._client.sscan_iter(key, count=FIELDS))
            for names in pages(members, FIELDS):
                self._say_key(creditor, family.name, family.kind, names)

    def write_each(self, moments: Mapping[str, int], *, whole: bool) -> None:
        """The keys that only going through all of them finds; and what is there that this version does not know."""
        for names in pages(cast("Iterator[str]", self._client.scan_iter("relance:*", count=KEYS)), KEYS):
            found = map(_placed, names)
            mine = [each for each in found if (each.creditor in moments if each.creditor else whole)]
            for each in mine:
                if each.family is None:
                    kind = each.name.partition(":")[0]
                    self.done.unknown[kind] = self.done.unknown.get(kind, 0) + 1
            self._write_marks([each for each in mine if each.family and each.family.how == "each"], moments)

    def _write_marks(self, keys: Sequence["_Placed"], moments: Mapping[str, int]) -> None:
        """A job taken after that moment is not in the cases either: whoever sends it again shall have it taken."""
        with self._client.pipeline(transaction=False) as pipe:
            for each in keys:
                pipe.pexpiretime(each.key)
                pipe.get(each.key)
            answers = pipe.execute()
        for each, expiry, value in zip(keys, answers[::2], answers[1::2], strict=True):
            written = expiry - REMEMBERED // timedelta(milliseconds=1)
            if value is not None and (not each.creditor or written < moments[each.creditor]):
                self._say_key(each.creditor, each.name, "string", value, expiry)


@dataclass(frozen=True, slots=True)
class _Placed:
    """A key of the store, and where it belongs."""

    key: str
    creditor: str
    name: str
    family: Family | None


def _placed(key: str) -> _Placed:
    name = key.removeprefix("relance:")
    if not name.startswith("{"):
        return _Placed(key, "", name, family_of(name, STORE))
    creditor, _, name = name[1:].partition("}:")
    return _Placed(key, creditor, name, family_of(name, CREDITORS))


def _snapshot(packed: bytes) -> str | None:
    try:
        return unpack(packed)
    except ValueError:
        return None  # the history tells the same


def _taken(last: str, oldest: str) -> str:
    """Up to which entry all were taken: just before the oldest that was not."""
    if not oldest:
        return last
    at, _, number = oldest.partition("-")
    return f"{at}-{int(number) - 1}" if number != "0" else f"{int(at) - 1}-{2**64 - 1}"


def release() -> str:
    """The version that runs here, as it was installed."""
    try:
        return version("relance")
    except PackageNotFoundError:
        return "unknown"
