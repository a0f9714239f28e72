"""What is kept beside the cases and goes with their events: contacts, tasks, suppressed addresses, what is in doubt."""

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from worker.commit import Commit, millis, suppressed_field
from worker.dunning.events import (
    AddressRestored,
    AddressSuppressed,
    AttemptAccepted,
    AttemptBegun,
    AttemptFound,
    AttemptReappeared,
    AttemptRecalled,
    AttemptRejected,
    AttemptReleased,
    AttemptReserved,
    AttemptUnavailable,
    AttemptUncertain,
    Event,
    RecallRefused,
    ReceiptArrived,
    TaskOpened,
)
from worker.dunning.model import LASTING, Case, Send, StepRun, address_of, attempt_id
from worker.dunning.questions import QUEUED, QUEUED_FOR
from worker.dunning.receipts import UNHEARD, earlier
from worker.dunning.view import run_key

#: How long a debtor's contacts are remembered: longer than any cap looks back.
CONTACTS_KEPT = timedelta(days=400)
#: How long the ids of calls are kept: one in doubt is asked about within a day, or a person is.
CALLS_KEPT = timedelta(days=2)
#: The events that are counted, and as what (see `metrics.COUNTERS`).
COUNTED: Mapping[type[Event], str] = {
    AttemptAccepted: "attempts_accepted",
    AttemptRejected: "attempts_rejected",
    AttemptUnavailable: "attempts_unavailable",
    AttemptUncertain: "attempts_uncertain",
}


def keep_in_step(commit: Commit, case: Case, events: Iterable[Event], now: datetime) -> None:
    """Change what is kept beside the case as these events, which lead to `case`, ask for."""
    for event in events:
        if type(event) in COUNTED:
            commit.count(COUNTED[type(event)])
        change = _CHANGES.get(type(event))
        if change:
            change(commit, case, event, now)


def expect_nothing(commit: Commit, case: Case) -> None:
    """No message of the case is to go by any time any more: a provider has answered, or nothing is planned."""
    commit.op("ZREM", commit.keys.expected, case.id)


def suppressed_fields(case: Case, channels: Iterable[str]) -> list[str]:
    """Under what names the debtor's addresses for these channels would be on the suppression list."""
    pairs = ((channel, address_of(case.debtor, channel)) for channel in channels)
    return [suppressed_field(channel, address) for channel, address in pairs if address]


# ---- contacts


def _reserved(commit: Commit, case: Case, event: AttemptReserved, now: datetime) -> None:
    """A reservation counts as a contact, until it turns out that nothing was sent."""
    _log_contact(commit, case, event.attempt, now)


def _reappeared(commit: Commit, case: Case, event: AttemptReappeared, now: datetime) -> None:
    """It was a contact after all; or, the try in its place having gone as well, the second."""
    if not case.find_attempt(event.attempt):
        commit.count("copies")
        return
    if event.displaced:
        commit.op("ZREM", commit.keys.uncertain, attempt_id(case, event.displaced))
    _accepted(commit, case, event, now)


def _not_sent(
    commit: Commit, case: Case, event: AttemptReleased | AttemptUnavailable | AttemptRecalled, _: datetime
) -> None:
    _forget_contact(commit, case, event.attempt)


def _rejected(commit: Commit, case: Case, event: AttemptRejected, now: datetime) -> None:
    _forget_contact(commit, case, event.attempt)
    expect_nothing(commit, case)
    if event.why == "opted_out":
        _suppress(commit, case, _channel_of(case, event.attempt), "opted_out", "provider", now)


def _log_contact(commit: Commit, case: Case, attempt: int, now: datetime, *when: str) -> None:
    found = case.find_attempt(attempt)
    if found is None or found[1].channel == "task" or found[0].errand:
        return
    key = commit.keys.contacts(case.id)
    commit.op("ZADD", key, *(when or ("NX",)), millis(now), _member(case, *found))
    commit.op("ZREMRANGEBYSCORE", key, "-inf", millis(now - CONTACTS_KEPT))


def _forget_contact(commit: Commit, case: Case, attempt: int) -> None:
    """The message was surely not sent: it is no contact."""
    found = case.find_attempt(attempt)
    if found:
        commit.op("ZREM", commit.keys.contacts(case.id), _member(case, *found))


def _member(case: Case, run: StepRun, send: Send) -> str:
    """A contact's name. A phone that rang in vain was a contact: calling once more is another."""
    before = earlier(send)
    again = f"#{before}" if send.channel == "voice" and before else ""
    return f"{run_key(case.id, run.step, run.anchor)}|{send.channel}{again}"


def _channel_of(case: Case, attempt: int) -> tuple[str, ...]:
    found = case.find_attempt(attempt)
    return (found[1].channel,) if found else ()


# ---- what is in doubt


def _begun(commit: Commit, case: Case, event: AttemptBegun, now: datetime) -> None:
    """One that waited for its worker, for days maybe, is a contact of the day on which it left."""
    _log_contact(commit, case, event.attempt, now, "XX", "GT")
    if event.possible_copy:
        commit.count("possible_copies")


def _accepted(
    commit: Commit, case: Case, event: AttemptAccepted | AttemptFound | AttemptReappeared, now: datetime
) -> None:
    """The provider's id of a call is accounted for: when another is in doubt, this one is not it.

    What others than its caller say of it may be said of one that had been taken for not sent, and for no contact.
    """
    expect_nothing(commit, case)
    commit.op("ZREM", commit.keys.uncertain, attempt_id(case, event.attempt))
    if event.provider_id and not QUEUED.isdisjoint(_channel_of(case, event.attempt)):
        commit.op("ZADD", commit.keys.queued, millis(event.at), attempt_id(case, event.attempt))
        commit.op("ZREMRANGEBYSCORE", commit.keys.queued, "-inf", millis(event.at - QUEUED_FOR))
    if not isinstance(event, AttemptAccepted) or event.by:
        _log_contact(commit, case, event.attempt, now)
    if event.provider_id and "voice" in _channel_of(case, event.attempt):
        real = getattr(event, "real_at", None) or event.at
        commit.op("ZADD", commit.keys.calls, millis(real), event.provider_id)
        commit.op("ZREMRANGEBYSCORE", commit.keys.calls, "-inf", millis(real - CALLS_KEPT))


def _recalled(commit: Commit, case: Case, event: AttemptRecalled, now: datetime) -> None:
    _not_queued(commit, case, event, now)
    _not_sent(commit, case, event, now)


def _not_queued(
    commit: Commit, case: Case, event: ReceiptArrived | AttemptRecalled | RecallRefused, _: datetime
) -> None:
    """It has left its provider, or never will: there is nothing to call back."""
    commit.op("ZREM", commit.keys.queued, attempt_id(case, event.attempt))


def _uncertain(commit: Commit, case: Case, event: AttemptUncertain, now: datetime) -> None:
    commit.op("ZADD", commit.keys.uncertain, millis(now), attempt_id(case, event.attempt))


def _received(commit: Commit, case: Case, event: ReceiptArrived, now: datetime) -> None:
    _not_queued(commit, case, event, now)
    commit.op("ZREM", commit.keys.uncertain, attempt_id(case, event.attempt))
    if event.what in UNHEARD:
        _forget_contact(commit, case, event.attempt)


# ---- addresses and tasks


def _suppressed(commit: Commit, case: Case, event: AddressSuppressed, now: datetime) -> None:
    _suppress(commit, case, event.channels, event.why, event.by, now)


def _suppress(commit: Commit, case: Case, channels: Iterable[str], why: str, by: str, now: datetime) -> None:
    """Onto the creditor's list; what is there already keeps its first reason, but for one that lasts."""
    entry = json.dumps({"why": why, "by": by, "since": now.isoformat()}, separators=(",", ":"))
    for field in suppressed_fields(case, channels):
        commit.op("HSET" if why in LASTING else "HSETNX", commit.keys.suppressed, field, entry)


def _restored(commit: Commit, case: Case, event: AddressRestored, _: datetime) -> None:
    for field in suppressed_fields(case, event.channels):
        commit.op("HDEL", commit.keys.suppressed, field)


def _task_opened(commit: Commit, case: Case, event: TaskOpened, _: datetime) -> None:
    commit.op("HSET", commit.keys.tasks, event.task, task_entry(case.id, event))


def task_entry(case_id: str, event: TaskOpened) -> str:
    """A task as the list of them has it."""
    fields = {"kind": event.kind, "title": event.title, "text": event.text, "at": event.at.isoformat()}
    return json.dumps({"case": case_id, **fields}, ensure_ascii=False)


_CHANGES: Mapping[type[Event], Callable[[Commit, Case, Any, datetime], None]] = {
    AttemptReserved: _reserved,
    AttemptReappeared: _reappeared,
    AttemptReleased: _not_sent,
    AttemptUnavailable: _not_sent,
    AttemptRecalled: _recalled,
    AttemptRejected: _rejected,
    AttemptBegun: _begun,
    AttemptAccepted: _accepted,
    AttemptFound: _accepted,
    AttemptUncertain: _uncertain,
    RecallRefused: _not_queued,
    ReceiptArrived: _received,
    AddressSuppressed: _suppressed,
    AddressRestored: _restored,
    TaskOpened: _task_opened,
}
