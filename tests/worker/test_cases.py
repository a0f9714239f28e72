"""The store: one write path, all or nothing, once."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from threading import Barrier, Thread
from typing import Any

import pytest
import redis

from worker.cases import Cases, Conflict, Refused
from worker.codec import encode_event
from worker.commit import Commit, Keys, Stored
from worker.dunning.events import CaseEnded, CaseOpened, Event, HoldPlaced, HoldReleased
from worker.dunning.fold import fold
from worker.dunning.model import Debtor, Hold, Invoice
from worker.durable import NotDurable
from worker.embedded import Urls
from worker.store import connect

NOW = datetime(2026, 4, 1, 8, tzinfo=UTC)
CASE = "demo-abcdefghijklmnop"
KEYS = Keys("demo")


@pytest.fixture
def cases(store: Urls) -> Iterator[Cases]:
    """An empty store."""
    with connect(store.redis_url) as client:
        yield Cases(client)


def opened(case: str = CASE) -> CaseOpened:
    """A case with one invoice."""
    day = NOW.date()
    owed = Decimal("120.50")
    return CaseOpened(
        at=NOW,
        case=case,
        creditor="demo",
        debtor=Debtor(
            id="D", name="Élan | & Co", kind="business", locale="fr_FR", timezone="Europe/Paris", country="FR"
        ),
        currency="EUR",
        strategy="b2b",
        invoices=(Invoice(number="F|1", issued_on=day, due_on=day, amount=owed, stated=owed, as_of=NOW),),
    )


def held(reason: str) -> HoldPlaced:
    """A hold."""
    return HoldPlaced(at=NOW, hold=Hold(reason=reason, since=NOW))


def store_one(cases: Cases, *events: Event, case: str = CASE) -> Stored:
    """Open a case and let this happen to it; returns it as stored."""
    commit = Commit("demo")
    commit.change(None, [opened(case), *events])
    cases.commit(commit)
    return loaded(cases, case)


def loaded(cases: Cases, case: str = CASE) -> Stored:
    """The case as stored."""
    stored = cases.load(case)
    assert stored is not None
    return stored


def change(stored: Stored | None, *events: Event) -> Commit:
    """A commit of these events on top of what was read."""
    commit = Commit("demo")
    commit.change(stored, events)
    return commit


def test_a_case_is_read_as_it_was_written(cases: Cases) -> None:
    """Snapshot, version and history come back equal, whatever characters are in them."""
    stored = store_one(cases, held("dispute"))
    assert stored.version == 1
    assert stored.case == fold(None, cases.history(CASE))
    assert stored.case.debtor.name == "Élan | & Co"


def test_the_snapshot_is_the_fold_of_the_history(cases: Cases) -> None:
    """However a case was changed, its history rebuilds it."""
    stored = store_one(cases)
    for reason in ("dispute", "manual", "represented"):
        cases.commit(change(stored, held(reason), HoldReleased(at=NOW, reason="manual")))
        stored = loaded(cases)
    assert fold(None, cases.history(CASE)) == stored.case
    assert stored.version == 4


def test_who_read_an_older_version_is_refused_and_changes_nothing(cases: Cases) -> None:
    """A conflict leaves case, history, agenda and stream as they were."""
    old = store_one(cases)
    cases.commit(change(old, held("dispute")))
    before = _everything(cases)
    late = change(old, CaseEnded(at=NOW, reason="cancelled"))
    late.look_at(CASE, NOW)
    with pytest.raises(Conflict):
        cases.commit(late)
    assert _everything(cases) == before


def test_a_case_is_opened_once(cases: Cases) -> None:
    """Two who open the same case collide instead of opening two."""
    store_one(cases)
    with pytest.raises(Conflict):
        store_one(cases)


def test_a_commit_whose_answer_was_lost_may_be_repeated(cases: Cases) -> None:
    """The same commit again is done once and is no conflict, even if others wrote in between."""
    commit = change(store_one(cases), held("dispute"))
    commit.look_at(CASE, NOW)
    cases.commit(commit)
    cases.commit(commit, durable=True)
    for reason in ("manual", "represented", "mediation"):
        cases.commit(change(loaded(cases), held(reason)))
    before = _everything(cases)
    cases.commit(commit)
    assert _everything(cases) == before
    assert len(cases.history(CASE)) == 5


def test_a_commit_repeated_after_many_others_is_a_conflict_and_never_done_twice(cases: Cases) -> None:
    """Only the last few commits are remembered; an older one is refused by its version."""
    commit = change(store_one(cases), held("dispute"))
    cases.commit(commit)
    for _ in range(6):
        cases.commit(change(loaded(cases), held("manual")))
    with pytest.raises(Conflict):
        cases.commit(commit)


def test_a_repeat_is_no_more_durable_than_the_first_time(cases: Cases, store: Urls) -> None:
    """On a new connection too the answer waits for the disk: what was written by the lost one counts."""
    commit = change(None, opened())
    cases.client.config_set("appendfsync", "no")
    try:
        for _ in range(2):
            with pytest.raises(NotDurable), connect(store.redis_url) as client:
                Cases(client).commit(commit, durable=True)
    finally:
        cases.client.config_set("appendfsync", "always")
    assert loaded(cases).version == 1


def test_a_commit_of_two_cases_changes_both_or_none(cases: Cases) -> None:
    """One stale case out of two refuses all of it."""
    other = "demo-abcdefghij222222"
    one, two = store_one(cases), store_one(cases, case=other)
    cases.commit(change(two, held("manual")))
    commit = change(one, held("dispute"))
    commit.change(two, [held("dispute")])
    with pytest.raises(Conflict):
        cases.commit(commit)
    assert loaded(cases).version == 1


Prepare = list[tuple[str, ...]]


@pytest.mark.parametrize(
    ("guard", "arguments", "prepare", "holds"),
    [
        ("absent", (), [], True),
        ("absent", (), [("SET", "k", "1")], False),
        ("free", ("all", "creditor"), [("HSET", "k", "channel:sms", "1")], True),
        ("free", ("all", "creditor"), [("HSET", "k", "creditor", "1")], False),
        ("is", ("F-1", ""), [("HSET", "k", "F-2", "1")], True),
        ("is", ("F-1", ""), [("HSET", "k", "F-1", "1")], False),
        ("is", ("F-1", "1"), [("HSET", "k", "F-1", "1")], True),
        ("is", ("F-1", "1"), [("HSET", "k", "F-1", "2")], False),
        ("length", (1,), [("RPUSH", "k", "a")], True),
        ("length", (1,), [("RPUSH", "k", "a", "b")], False),
        ("length", (0,), [], True),
        ("quiet", (1000, "mine|"), [("ZADD", "k", "999", "other|sms")], True),
        ("quiet", (1000, "mine|"), [("ZADD", "k", "2000", "mine|sms")], True),
        ("quiet", (1000, "mine|"), [("ZADD", "k", "1000", "other|sms")], False),
    ],
)
def test_a_guard_that_does_not_hold_stops_everything(
    cases: Cases, guard: str, arguments: tuple[Any, ...], prepare: Prepare, holds: bool
) -> None:
    """What a commit depends on besides its cases is checked in the same breath as it is written."""
    key = "relance:{demo}:k"
    for command, _, *rest in prepare:
        cases.client.execute_command(command, key, *rest)
    commit = change(None, opened())
    commit.guard(guard, key, *arguments)
    if holds:
        cases.commit(commit)
    else:
        with pytest.raises(Refused) as caught:
            cases.commit(commit)
        assert caught.value.guard == guard
    assert (cases.load(CASE) is not None) == holds


def test_threads_that_write_to_one_case_lose_nothing(cases: Cases) -> None:
    """Every write of eight threads is in the history, in one order, and the snapshot agrees."""
    store_one(cases)
    start = Barrier(8)

    def write(number: int) -> None:
        start.wait()
        for turn in range(5):
            while True:
                try:
                    cases.commit(change(loaded(cases), replace(held("manual"), by=f"{number}.{turn}")))
                    break
                except Conflict:
                    continue

    threads = [Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    by = {event.by for event in cases.history(CASE) if isinstance(event, HoldPlaced)}
    assert len(by) == 40
    assert loaded(cases).version == 41


def test_every_event_is_in_the_stream_once(cases: Cases) -> None:
    """The creditor's event stream carries what the history does, with case and version."""
    cases.commit(change(store_one(cases), held("dispute")))
    entries: Any = cases.client.xrange(KEYS.events)
    assert [(fields["case"], fields["version"]) for _, fields in entries] == [(CASE, "1"), (CASE, "2")]
    assert [fields["event"] for _, fields in entries] == [encode_event(event) for event in cases.history(CASE)]


def _everything(cases: Cases) -> dict[Any, Any]:
    """Every key and its value, as the server dumps it."""
    path = cases.client.connection_pool.connection_kwargs["path"]
    with redis.Redis(unix_socket_path=path) as raw:
        return {key: raw.dump(key) for key in raw.scan_iter()}
