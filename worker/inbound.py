"""A fact from outside becomes an event: what providers report, and what debtors answer.

Whoever calls these may call them again: a receipt that says nothing new and an answer that was given before change
nothing.
"""

import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import TypeVar, cast

import structlog

from channels.base import Receipt
from worker.app import App
from worker.beside import keep_in_step, suppressed_fields
from worker.cases import Conflict, Refused, Seen
from worker.commit import Commit, Keys, Stored
from worker.dunning import receipts
from worker.dunning.answers import Answer
from worker.dunning.contact import cap_ends
from worker.dunning.effects import EFFECTS, NotAcceptable, consequences
from worker.dunning.events import (
    AddressSuppressed,
    AttemptAccepted,
    AttemptBegun,
    AttemptFound,
    AttemptReserved,
    Event,
    HoldPlaced,
    ReceiptArrived,
    TaskOpened,
)
from worker.dunning.fold import apply, fold
from worker.dunning.model import (
    LASTING,
    Case,
    Hold,
    Send,
    StepRun,
    address_digest,
    creditor_of,
    parse_attempt_id,
    why_unusable,
)
from worker.dunning.strategy import Strategy
from worker.dunning.view import local_today
from worker.intake import REMEMBERED
from worker.look import commit_of
from worker.reappearing import reappear
from worker.taking import calendar_of

__all__ = ["Heard", "NoSuchCase", "NotAcceptable", "answer", "receive"]

#: How often a case is read and changed again when others write to it, and how much longer, in seconds, each time.
TRIES, WAIT, WAIT_MOST = 200, 0.001, 0.05
#: A message that may not be repeated within this long, in ladder time, is said another way.
CAPPED = timedelta(days=1)
#: What a receipt makes of the address it was sent to.
_SUPPRESSED = {"hard": "bounced", "opted_out": "opted_out", "unsubscribed": "opted_out", "complained": "complained"}

T = TypeVar("T")
_log = structlog.get_logger("relance.inbound")


class NoSuchCase(LookupError):
    """There is no case of that id."""


@dataclass(frozen=True, slots=True)
class Heard:
    """The case as it is after the answer; `repeated`: it had been given before, and changed nothing."""

    case: Case
    repeated: bool = False


# ---- receipts


def receive(app: App, receipt: Receipt) -> bool:
    """Store what a provider said of an attempt, if it is news. Raises redis errors. False: it changed nothing."""
    try:
        case_id, number = parse_attempt_id(receipt.attempt)
    except ValueError:
        case_id, number = "", 0
    return _persist(lambda: _receive_once(app, receipt, case_id, number))


def _receive_once(app: App, receipt: Receipt, case_id: str, number: int) -> bool:
    seen = app.cases.see(case_id) if "-" in case_id else None
    found = seen.case.find_attempt(number) if seen else None
    if seen and found is None and _reappeared(app, seen, receipt, number):
        return True
    if seen and found is None and (latest := _forgotten_try(app, seen.case, number)):
        found = seen.case.find_attempt(latest)
    if seen and found is None and _heed_late(app, seen, receipt, number):
        return True
    if seen is None or found is None:
        _log.warning("receipt.unmatched", provider=receipt.provider, what=receipt.what, code=receipt.code)
        return False
    run, send = found
    if not receipts.is_news(receipt.what, send):
        _log.info("receipt.known", attempt=receipt.attempt, provider=receipt.provider, what=receipt.what)
        return False
    if receipt.what == "account":
        _log.error("receipt.account", attempt=receipt.attempt, provider=receipt.provider, code=receipt.code)
    now = app.clock.now()
    app.cases.commit(commit_of(seen, _received(app, seen, run, send, receipt, now), now))
    return True


def _forgotten_try(app: App, case: Case, number: int) -> int | None:
    """The latest try at the message of which that number was one, where nobody called for either: as far as is known.

    What was begun is on disk first, so a receipt of one that was not is of a call that the store has forgotten.
    """
    reserved: dict[int, tuple[str, str, str]] = {}
    begun: set[int] = set()
    for event in app.cases.history(case.id):
        if isinstance(event, AttemptReserved):
            reserved[event.attempt] = (event.step, event.anchor, event.channel)
        elif isinstance(event, AttemptBegun):
            begun.add(event.attempt)
    latest = max((each for each in reserved if reserved[each] == reserved.get(number)), default=number)
    return None if number not in reserved or begun & {number, latest} else latest


def _reappeared(app: App, seen: Seen, receipt: Receipt, number: int) -> bool:
    """A try that was given up as not sent had gone. False: it was not given up, or it was known."""
    now = app.clock.now()

    def then(after: Case) -> Sequence[Event]:
        said = after.find_attempt(number)
        if said is None or not receipts.is_news(receipt.what, said[1]):
            return ()
        return _received(app, replace(seen, stored=replace(seen.stored, case=after)), *said, receipt, now)

    return reappear(app, seen, number, now, provider_id=receipt.provider_id, by=receipt.provider, then=then)


def _heed_late(app: App, seen: Seen, receipt: Receipt, number: int) -> bool:
    """What is said of a try that another came after still tells what the address is worth. False: nothing new.

    It is heard once: said again after the debtor has switched the channel on, it switches nothing off.
    """
    case, now, why = seen.case, app.clock.now(), _SUPPRESSED.get(receipt.what)
    send = _earlier_try(app, case, number) if why and number <= case.attempts else None
    if why is None or send is None or not _went_to_the_debtor(app, case, send):
        return False
    known = why_unusable(case, send.channel)
    if known in LASTING or known == why:
        return False
    suppressed = AddressSuppressed(at=now, channels=(send.channel,), why=why, by=receipt.provider)
    commit = Commit(case.creditor)
    _mark(commit, f"receipt:{_digest(f'{receipt.attempt}|{receipt.what}')}")
    after = commit.change(seen.stored, [suppressed])
    keep_in_step(commit, after, [suppressed], now)
    commit.look_by(case.id, now)
    try:
        app.cases.commit(commit)
    except Refused:
        return False
    return True


def _mark(commit: Commit, name: str) -> None:
    """Have it refused if another of that name was committed before."""
    mark = commit.keys.job(name)
    commit.guard("absent", mark)
    commit.op("SET", mark, "1", "EX", int(REMEMBERED.total_seconds()))


def _earlier_try(app: App, case: Case, number: int) -> Send | None:
    """The message as it was when that try at it began, from the history; None if it never did."""
    then: Case | None = None
    for event in app.cases.history(case.id):
        then = apply(then, event)
        if isinstance(event, AttemptBegun) and event.attempt == number:
            found = then.find_attempt(number)
            return found[1] if found else None
    return None


def _received(app: App, seen: Seen, run: StepRun, send: Send, receipt: Receipt, now: datetime) -> list[Event]:
    """It was accepted, if nobody had said so yet; what the receipt says beyond that; and what follows from it."""
    case, real_at = seen.case, app.clock.real() if app.clock.rehearsal else None
    events: list[Event] = []
    if receipts.is_forgotten(send):
        provider = _carrier(app, case, send, receipt)
        events.append(AttemptFound(at=now, attempt=send.attempt, provider=provider, provider_id=receipt.provider_id))
        run, send = cast("tuple[StepRun, Send]", fold(case, events).find_attempt(send.attempt))
    if not receipts.was_accepted(send):
        events.append(
            AttemptAccepted(
                at=now,
                attempt=send.attempt,
                provider_id=receipt.provider_id,
                by=receipt.provider,
                real_at=real_at,
            )
        )
    if receipt.what == "taken":
        return events
    strategy = app.config.strategies.get(case.strategy)
    arrived = ReceiptArrived(
        at=now,
        attempt=send.attempt,
        what=receipt.what,
        provider=receipt.provider,
        code=receipt.code,
        provider_id=receipt.provider_id,
        retry_at=_again_at(seen, run, send, strategy, receipt.what, now),
        real_at=real_at,
    )
    events.append(arrived)
    why = _SUPPRESSED.get(receipt.what)
    if why and _went_to_the_debtor(app, case, send):
        events.append(AddressSuppressed(at=now, channels=(send.channel,), why=why, by=receipt.provider))
    if receipt.what in receipts.REFUSED:
        note = f"{run.step}, {send.channel}: the content was refused ({receipt.code})"
        events.append(HoldPlaced(at=now, hold=Hold(reason="error", since=now, note=note)))
    return events


def _carrier(app: App, case: Case, send: Send, receipt: Receipt) -> str:
    """The configured provider that speaks so: it can be told to drop the message again."""
    names = app.config.providers_for(case.creditor, send.channel)
    return next(
        (name for name in names if app.config.providers[name].kind.startswith(receipt.provider)), receipt.provider
    )


def _again_at(
    seen: Seen, run: StepRun, send: Send, strategy: Strategy | None, what: str, now: datetime
) -> datetime | None:
    """When the message is tried once more. A call that its cap keeps for days is not waited for: the ladder goes on."""
    if run.errand and what in receipts.REFUSED:
        return None
    at = receipts.again_at(what, send, strategy.step(run.step) if strategy else None, now)
    if at is None or strategy is None:
        return at
    cap = cap_ends(seen.contacts, send.channel, strategy.contact, seen.case.debtor.timezone)
    return None if cap and cap > at + CAPPED else at


def _went_to_the_debtor(app: App, case: Case, send: Send) -> bool:
    """To the address that they still have: not to one since corrected, nor to the creditor's own, in staging."""
    redirected = app.config.creditors[case.creditor].redirect_to is not None
    return not redirected and send.to == address_digest(case.debtor, send.channel)


# ---- answers


def answer(app: App, case_id: str, said: Answer) -> Heard:
    """Store what a debtor said and what follows from it; when this returns, nothing that it forbids begins any more.

    Raises NoSuchCase, NotAcceptable and redis errors. The same `ref` twice is one answer.
    """
    return _persist(lambda: _answer_once(app, case_id, said))


def _answer_once(app: App, case_id: str, said: Answer) -> Heard:
    stored = app.cases.load(case_id) if "-" in case_id else None
    if stored is None:
        raise NoSuchCase(case_id)
    now, creditor = app.clock.now(), creditor_of(case_id)
    commit = Commit(creditor)
    _mark(commit, f"answer:{_digest(f'{case_id}|{said.ref}')}")
    events = _answered(app, stored, said, now)
    case = commit.change(stored, events)
    keep_in_step(commit, case, events, now)
    commit.look_by(case_id, now)
    try:
        app.cases.commit(commit)
    except Refused:
        return Heard(stored.case, repeated=True)
    return Heard(case)


def _answered(app: App, stored: Stored, said: Answer, now: datetime) -> list[Event]:
    case = stored.case
    strategy = app.config.strategies.get(case.strategy)
    if strategy is None:
        raise LookupError("the case's strategy is not configured any more")
    if said.kind == "opt_in":
        said = replace(said, channels=_switched_off(app, case, said.channels))
    events = consequences(case, said, strategy.answers, calendar_of(case), now)
    if not EFFECTS[said.kind].task:
        return events
    title, text = app.wordings.answer_task(
        case=case, creditor=app.config.creditors[case.creditor], answer=said, today=local_today(case, now)
    )
    task = f"{case.id}.answer-{_digest(said.ref)[:8]}"
    return [*events, TaskOpened(at=now, task=task, kind=said.kind, title=title, text=text)]


def _switched_off(app: App, case: Case, channels: tuple[str, ...]) -> tuple[str, ...]:
    """Those of them that the debtor had switched off: nothing else is theirs to switch on again."""

    def why(channel: str) -> str:
        known = why_unusable(case, channel)
        for field in suppressed_fields(case, (channel,)) if known not in LASTING else ():
            entry = cast("str | None", app.client.hget(Keys(case.creditor).suppressed, field))
            known = str(json.loads(entry)["why"]) if entry else known
        return known

    return tuple(channel for channel in channels if why(channel) == "opted_out")


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=10).hexdigest()


def _persist(once: Callable[[], T]) -> T:
    """Do it, reading again whenever somebody else wrote first; chance makes it everybody's turn."""
    for turn in range(TRIES):
        try:
            return once()
        except Conflict:
            time.sleep(random.uniform(0, min(WAIT_MOST, WAIT * turn)))
    raise Conflict
