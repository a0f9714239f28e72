"""The agenda: what is due is claimed once, under a lease, and comes back when the lease runs out."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.cases import Cases
from worker.commit import Commit, Keys, millis, moment
from worker.embedded import Urls
from worker.store import connect

NOW = datetime(2026, 4, 1, 8, tzinfo=UTC)
KEYS = Keys("demo")


@pytest.fixture
def cases(store: Urls) -> Iterator[Cases]:
    """An empty store."""
    with connect(store.redis_url) as client:
        yield Cases(client)


def _look(cases: Cases, *entries: tuple[str, datetime]) -> None:
    commit = Commit("demo")
    for case, at in entries:
        commit.look_at(case, at)
    cases.commit(commit)


def _claim(cases: Cases, at: datetime, *, real: datetime = NOW, limit: int = 10) -> tuple[list[str], int]:
    claimed, back = cases.claim("demo", now=at, real=real, lease=timedelta(seconds=30), limit=limit)
    return [claim.case_id for claim in claimed], back


def test_what_is_due_is_claimed_once_oldest_first(cases: Cases) -> None:
    """A claim takes what is due, no more than asked for, and nobody else gets it."""
    _look(cases, ("demo-b", NOW), ("demo-a", NOW - timedelta(hours=1)), ("demo-c", NOW + timedelta(seconds=1)))
    assert _claim(cases, NOW, limit=1) == (["demo-a"], 0)
    assert _claim(cases, NOW) == (["demo-b"], 0)
    assert _claim(cases, NOW) == ([], 0)


def test_an_expired_lease_puts_the_case_back(cases: Cases) -> None:
    """What was claimed and not finished is due again when its lease has run out, in real time."""
    _look(cases, ("demo-a", NOW))
    _claim(cases, NOW)
    assert _claim(cases, NOW + timedelta(days=9), real=NOW + timedelta(seconds=29)) == ([], 0)
    assert _claim(cases, NOW, real=NOW + timedelta(seconds=30)) == (["demo-a"], 1)


def test_a_renewed_lease_is_not_shortened(cases: Cases) -> None:
    """The longest promise of work counts."""
    _look(cases, ("demo-a", NOW))
    _claim(cases, NOW)
    commit = Commit("demo")
    commit.lease("demo-a", NOW + timedelta(minutes=5))
    commit.lease("demo-a", NOW + timedelta(seconds=1))
    cases.commit(commit)
    assert _claim(cases, NOW, real=NOW + timedelta(minutes=4)) == ([], 0)


@pytest.mark.parametrize("scope", ["all", "creditor"])
def test_nothing_is_claimed_under_a_pause(cases: Cases, scope: str) -> None:
    """The stop button leaves the agenda as it is; expired leases are put back all the same."""
    _look(cases, ("demo-a", NOW))
    cases.client.hset(KEYS.paused, scope, "now")
    assert _claim(cases, NOW) == ([], 0)
    assert cases.client.zcard(KEYS.agenda) == 1


def test_a_fact_brings_a_look_forward_and_never_back(cases: Cases) -> None:
    """`look_by` never delays what is due already."""
    _look(cases, ("demo-a", NOW))
    commit = Commit("demo")
    commit.look_by("demo-a", NOW + timedelta(days=1))
    cases.commit(commit)
    assert _claim(cases, NOW) == (["demo-a"], 0)


@given(st.timedeltas(timedelta(), timedelta(days=20_000)))
def test_no_case_is_woken_before_its_time(later: timedelta) -> None:
    """The time an agenda entry bears is never before the one asked for, and less than a millisecond after it."""
    at = NOW + later
    assert timedelta() <= moment(millis(at)) - at < timedelta(milliseconds=1)
