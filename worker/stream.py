"""A creditor's event stream, as those read it who hand it on: entries by id, and how far a group of readers is."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import redis

from worker.commit import Keys

#: The group of readers that hands events to the creditor's webhook.
GROUP = "webhook"

_BATCH = 500


@dataclass(frozen=True, slots=True)
class Entry:
    """What the stream holds under an id. `event` is JSON; `case` is empty where it is about none."""

    id: str
    case: str
    version: str
    event: str

    @property
    def at(self) -> datetime:
        """When it was written, in real time."""
        return moment_of(self.id)

    def document(self) -> str:
        """As JSON, on one line."""
        return f'{{"id":"{self.id}","case":"{self.case}","version":{self.version},"event":{self.event}}}'


@dataclass(frozen=True, slots=True)
class Behind:
    """What the group has still to hand on: how many entries, since when, and how many were trimmed before it read."""

    entries: int
    since: datetime | None
    trimmed: int


def moment_of(entry: str) -> datetime:
    """When an entry of that id was written."""
    return datetime.fromtimestamp(int(entry.partition("-")[0]) / 1000, UTC)


def entry_of(name: str, fields: dict[str, str]) -> Entry | None:
    """The entry; None for one that was trimmed meanwhile."""
    return Entry(name, fields["case"], fields["version"], fields["event"]) if fields else None


def since(client: redis.Redis, creditor: str, moment: datetime) -> Iterator[Entry]:
    """What the stream still has of that moment and later, oldest first."""
    return between(client, creditor, f"{int(moment.timestamp() * 1000)}")


def between(client: redis.Redis, creditor: str, start: str, end: str = "+") -> Iterator[Entry]:
    """What the stream still has of those ids, oldest first; one behind an opening parenthesis is not meant itself."""
    while True:
        found = cast("list[tuple[str, dict[str, str]]]", client.xrange(Keys(creditor).events, start, end, count=_BATCH))
        yield from (entry for name, fields in found if (entry := entry_of(name, fields)))
        if len(found) < _BATCH:
            return
        start = f"({found[-1][0]}"


def first(client: redis.Redis, creditor: str) -> datetime | None:
    """When the oldest entry was written that the stream still has."""
    found = cast("list[tuple[str, Any]]", client.xrange(Keys(creditor).events, count=1))
    return moment_of(found[0][0]) if found else None


def join(client: redis.Redis, creditor: str) -> None:
    """Let the group read what comes from now on, unless it reads already."""
    key = Keys(creditor).events
    try:
        stream = client.xinfo_stream(key)
        last, added = stream["last-generated-id"], stream["entries-added"]
    except redis.ResponseError:
        last, added = "0", 0  # there is none yet
    try:
        client.xgroup_create(key, GROUP, last, mkstream=True, entries_read=added)
    except redis.ResponseError as error:
        if not str(error).startswith("BUSYGROUP"):
            raise


def behind(client: redis.Redis, creditor: str) -> Behind | None:
    """How far the group is; None if it does not read this stream."""
    key = Keys(creditor).events
    try:
        stream, groups = client.xinfo_stream(key), client.xinfo_groups(key)
    except redis.ResponseError:
        return None
    group = next((each for each in groups if each["name"] == GROUP), None)
    if group is None:
        return None
    gone = stream["entries-added"] - stream["length"]
    read = gone if group["entries-read"] is None else group["entries-read"]
    unread = stream["entries-added"] - max(read, gone)
    return Behind(group["pending"] + unread, _oldest(client, key, group, unread), max(0, gone - read))


def _oldest(client: redis.Redis, key: str, group: dict[str, Any], unread: int) -> datetime | None:
    """When the oldest of them was written."""
    if group["pending"]:
        return moment_of(cast("dict[str, str]", client.xpending(key, GROUP))["min"])
    if not unread:
        return None
    found = cast("list[tuple[str, Any]]", client.xrange(key, f"({group['last-delivered-id']}", "+", count=1))
    return moment_of(found[0][0]) if found else None
