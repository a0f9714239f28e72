"""The last question before a message: the billing system is asked whether what it asks for is still due.

    POST {"creditor": "acme", "case": "acme-...", "debtor": "C-1002", "invoices": ["F-1", "F-2"]}

The answer is 200 and one of three:

    {"due": true}                     all of them are: the message goes
    {"due": false}                    none is any more: they are settled, the case ends as paid, nothing goes
    {"due": false, "paid": ["F-1"]}   these are not any more: they are settled, and the case is decided anew

Anything else is no answer, and `on_error` decides. The question is asked while nothing has begun, so its time counts
against no promise; what it finds is committed, and a message that goes is looked at once more by `begin`.
"""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta

import structlog
from pydantic import BaseModel, ConfigDict, ValidationError

from worker.app import App
from worker.beside import keep_in_step
from worker.cases import Seen
from worker.commit import Commit
from worker.config import StillDue
from worker.dunning.events import AttemptReleased, CaseEnded, Event, InvoicesStated
from worker.dunning.fold import fold
from worker.dunning.model import Case
from worker.facts import all_settled, settled
from worker.look import settle_agenda, withdraw_tasks
from worker.upstream import LIMIT, NoAnswer

#: With `on_error: hold`, the case is looked at again after this long (real time), and asked about again.
PAUSE = timedelta(minutes=5)

_log = structlog.get_logger("relance.still_due")


class _Answer(BaseModel):
    """What the billing system says. Nothing else may be in it."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)

    due: bool
    paid: list[str] | None = None


def may_go(app: App, seen: Seen, attempt: int, now: datetime) -> bool:
    """May the message of that attempt go, for all the billing system knows? If not, it was given back, and why.

    Raises Conflict when somebody else wrote first, and redis errors.
    """
    to = app.config.creditors[seen.case.creditor].still_due
    if to is None:
        return True
    asked = tuple(invoice.number for invoice in seen.case.invoices if invoice.unsettled)
    try:
        paid = _ask(app, to, seen.case, asked)
    except NoAnswer as error:
        case = seen.case
        _log.warning("upstream.silent", case=case.id, creditor=case.creditor, code=error.code, then=to.on_error)
        if to.on_error == "send":
            return True
        later = max(now, app.clock.ladder_after(PAUSE))
        _give_back(app, seen, [AttemptReleased(at=now, attempt=attempt, why="upstream did not answer")], now, later)
        return False
    if paid:
        _give_back(app, seen, _events(app, seen.case, attempt, asked, paid, now), now, now)
    return not paid


def _ask(app: App, to: StillDue, case: Case, asked: Sequence[str]) -> frozenset[str]:
    """The numbers of those that are not due any more. Raises NoAnswer."""
    question = {"creditor": case.creditor, "case": case.id, "debtor": case.debtor.id, "invoices": asked}
    answer = app.upstream.post(to, json.dumps(question).encode(), to.timeout)
    if answer.status != 200:
        raise NoAnswer(str(answer.status))
    try:
        said = _Answer.model_validate_json(answer.body if len(answer.body) < LIMIT else b"")  # the rest was not read
    except ValidationError:
        raise NoAnswer("nonsense") from None
    paid = frozenset(asked if said.paid is None and not said.due else said.paid or ())
    if said.due == bool(paid) or not paid <= set(asked):
        raise NoAnswer("nonsense")
    return paid


def _events(
    app: App, case: Case, attempt: int, asked: Sequence[str], paid: frozenset[str], now: datetime
) -> list[Event]:
    as_of = app.clock.real()
    released = AttemptReleased(at=now, attempt=attempt, why="upstream says it is paid")
    if paid == set(asked):
        stated = all_settled(case, as_of)
        ended = CaseEnded(at=now, reason="paid", by="still_due")
        return [InvoicesStated(at=now, invoices=stated), released, ended]
    some = tuple(settled(invoice, as_of) for invoice in case.invoices if invoice.number in paid)
    return [InvoicesStated(at=now, invoices=some), released]


def _give_back(app: App, seen: Seen, events: list[Event], now: datetime, again: datetime) -> None:
    commit = Commit(seen.case.creditor)
    withdrawn = withdraw_tasks(commit, fold(seen.case, events), events, now)
    after = commit.change(seen.stored, [*events, *withdrawn])
    keep_in_step(commit, after, events, now)
    settle_agenda(commit, after, None, again)
    app.cases.commit(commit)
