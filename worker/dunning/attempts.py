"""What each event does to a message: its attempts, from the reservation to what became of it."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from worker.dunning import receipts
from worker.dunning.events import (
    AttemptAccepted,
    AttemptBegun,
    AttemptFound,
    AttemptReappeared,
    AttemptRecalled,
    AttemptRejected,
    AttemptReleased,
    AttemptReserved,
    AttemptSought,
    AttemptUnavailable,
    AttemptUncertain,
    AttemptUnsettled,
    Event,
    RecallRefused,
    ReceiptArrived,
)
from worker.dunning.model import RESTORED, Case, Send, StepRun, address_digest


def _reserve(case: Case, event: AttemptReserved) -> Case:
    begun = case.run(event.step, event.anchor)
    run = begun or StepRun(step=event.step, anchor=event.anchor, at=event.at, firmer=case.firmer)
    if not run.taken:
        run = replace(run, at=event.at, deadline=event.deadline)
    before = run.send(event.channel)
    send = Send(
        channel=event.channel,
        status="reserved",
        attempt=event.attempt,
        tries=before.tries if before else 0,
        missed=before.missed if before else 0,
        config=event.config,
        lease=event.lease,
        given_up=before.given_up if before else (),
        vouched=before.vouched if before else False,
        copies=before.copies if before else 0,
        possible_copy=before.possible_copy if before else False,
    )
    others = tuple(s for s in run.sends if s.channel != event.channel)
    run = replace(run, sends=(*others, send), channels=event.channels, covers=event.covers)
    if not run.taken:
        case = replace(case, runs=tuple(r for r in case.runs if (r.step, r.anchor) != (run.step, run.anchor)))
    case = replace(case, attempts=max(case.attempts, event.attempt)).with_run(run)
    if begun or run.errand:
        return case
    approved = tuple(a for a in case.approved if a[0] != event.step)
    # The step that a person had to approve is the one a refusal leads to.
    refusal = case.refusal and event.step not in dict(case.approved)
    return replace(case, credit=False, firmer=False, approved=approved, refusal=refusal)


def _set_send(case: Case, attempt: int, send: Send) -> Case:
    found = case.find_attempt(attempt)
    if found is None:
        raise ValueError(f"attempt {attempt} is not the latest of any message")
    run, _ = found
    sends = tuple(send if s.attempt == attempt else s for s in run.sends)
    return case.with_run(replace(run, sends=sends))


def _send(case: Case, attempt: int) -> Send:
    found = case.find_attempt(attempt)
    if found is None:
        raise ValueError(f"attempt {attempt} is not the latest of any message")
    return found[1]


def _release(case: Case, event: AttemptReleased) -> Case:
    send = replace(_send(case, event.attempt), status="released", lease=None, code=event.why)
    return _set_send(case, event.attempt, send)


def _begin(case: Case, event: AttemptBegun) -> Case:
    before = _send(case, event.attempt)
    send = replace(
        before,
        status="sending",
        lease=event.lease,
        provider=event.provider,
        tries=before.tries + 1,
        to=address_digest(case.debtor, before.channel),
        begun=event.real_at or event.at,
        sender=event.sender,
        possible_copy=before.possible_copy or event.possible_copy,
    )
    return _set_send(replace(case, failures=0), event.attempt, send)


def _settled(send: Send) -> Send:
    """What is only of use as long as it is not known what became of the call is forgotten."""
    return replace(send, lease=None, begun=None, sender="", settle_at=None, looks=0)


def _accept(case: Case, event: AttemptAccepted) -> Case:
    send = replace(
        _settled(_send(case, event.attempt)),
        status="accepted",
        provider_id=event.provider_id,
        taken_at=event.at,
        code="",
        config="",
        possible_copy=False,
    )
    return _set_send(case, event.attempt, send)


def _find(case: Case, event: AttemptFound) -> Case:
    send = replace(
        _settled(_send(case, event.attempt)),
        status="accepted",
        provider=event.provider,
        provider_id=event.provider_id,
        taken_at=event.at,
        to=address_digest(case.debtor, _send(case, event.attempt).channel),
        code="",
        config="",
        possible_copy=False,
    )
    return _set_send(case, event.attempt, send)


def _reject(case: Case, event: AttemptRejected) -> Case:
    send = replace(_settled(_send(case, event.attempt)), status="rejected", code=event.code)
    case = _set_send(case, event.attempt, send)
    if event.why == "content" or send.to not in ("", address_digest(case.debtor, send.channel)):
        return case  # nothing is wrong with the address, or upstream has corrected it meanwhile
    unusable = (*(u for u in case.unusable if u[0] != send.channel), (send.channel, event.code))
    return replace(case, unusable=unusable)


def _unavailable(case: Case, event: AttemptUnavailable) -> Case:
    """One that had been uncertain may turn up all the same: which it was is remembered."""
    before = _send(case, event.attempt)
    given_up = (*before.given_up, event.attempt) if before.status == "uncertain" else before.given_up
    send = replace(
        _settled(before),
        status="unavailable",
        code=event.code,
        retry_at=event.retry_at,
        given_up=given_up,
        vouched=before.vouched or (before.status == "uncertain" and before.code == RESTORED),
        possible_copy=before.possible_copy or event.possible_copy,
    )
    return _set_send(case, event.attempt, send)


def _reappear(case: Case, event: AttemptReappeared) -> Case:
    """It was said after all, by that try; or, the one in its place having gone as well, it was said twice."""
    found = case.find_given_up(event.attempt)
    if found is None:
        raise ValueError(f"attempt {event.attempt} was not given up")
    _, send = found
    given_up = tuple(number for number in send.given_up if number != event.attempt)
    if send.status in ("sending", "uncertain") and event.displaced:
        given_up = (*given_up, event.displaced)
    if event.displaced or send.status in ("released", "unavailable"):
        after = replace(
            _settled(send),
            attempt=event.attempt,
            status="accepted",
            provider=event.provider or send.provider,
            provider_id=event.provider_id,
            taken_at=event.at,
            code="",
            config="",
            retry_at=None,
            receipt="",
            recall="",
            possible_copy=False,
            given_up=given_up,
        )
    else:
        after = replace(send, given_up=given_up, copies=send.copies + 1)
    return _set_send(case, send.attempt, after)


def receive(case: Case, event: ReceiptArrived) -> Case:
    """Whatever it says, the provider had the message. A lost one is for another channel, one missed is tried again."""
    send = _send(case, event.attempt)
    heard = replace(
        _settled(send),
        status="accepted",
        config="",
        code="",
        provider_id=event.provider_id or send.provider_id,
        receipt=event.what,
        missed=receipts.missed(event.what, send),
        retry_at=None,
        possible_copy=False,
    )
    if event.retry_at:
        heard = replace(heard, status="unavailable", code=event.code, retry_at=event.retry_at)
    elif event.what in receipts.LOST | receipts.MISSED:
        heard = replace(heard, status="undelivered", code=event.code)
    return _set_send(case, event.attempt, heard)


def _uncertain(case: Case, event: AttemptUncertain) -> Case:
    send = replace(
        _send(case, event.attempt), status="uncertain", lease=None, code=event.code, settle_at=event.settle_at
    )
    return _set_send(case, event.attempt, send)


def _sought(case: Case, event: AttemptSought) -> Case:
    send = _send(case, event.attempt)
    return _set_send(case, event.attempt, replace(send, looks=send.looks + 1, settle_at=event.settle_at))


def _unsettled(case: Case, event: AttemptUnsettled) -> Case:
    return _set_send(case, event.attempt, replace(_send(case, event.attempt), settle_at=event.settle_at))


def _recall(case: Case, event: AttemptRecalled) -> Case:
    """Nobody got it: once the case may be chased again, it is sent again."""
    send = replace(_send(case, event.attempt), status="unavailable", code="recalled", retry_at=event.at, recall="done")
    return _set_send(case, event.attempt, send)


def _refuse_recall(case: Case, event: RecallRefused) -> Case:
    return _set_send(case, event.attempt, replace(_send(case, event.attempt), recall="refused"))


CHANGES: Mapping[type[Event], Callable[[Case, Any], Case]] = {
    AttemptReserved: _reserve,
    AttemptReleased: _release,
    AttemptBegun: _begin,
    AttemptAccepted: _accept,
    AttemptFound: _find,
    AttemptRejected: _reject,
    AttemptUnavailable: _unavailable,
    AttemptUncertain: _uncertain,
    AttemptSought: _sought,
    AttemptUnsettled: _unsettled,
    AttemptReappeared: _reappear,
    AttemptRecalled: _recall,
    RecallRefused: _refuse_recall,
}
