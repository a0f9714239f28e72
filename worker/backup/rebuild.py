"""What is kept beside the cases and their histories tell: which case holds an invoice, what people are to do."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from worker.beside import task_entry
from worker.commit import millis
from worker.dunning.events import AttemptUncertain, CaseOpened, CaseReopened, Event, InvoicesStated, TaskOpened
from worker.dunning.model import Case, attempt_id
from worker.reminders import group_of

#: Who is the likelier holder: an open case, then the one that was last said to be it.
_Claim = tuple[bool, datetime, str]


class Rebuilt:
    """One creditor's, gathered case by case."""

    def __init__(self) -> None:
        self._cases: dict[str, float] = {}
        self._uncertain: dict[str, float] = {}
        self._tasks: dict[str, str] = {}
        self._groups: dict[str, _Claim] = {}
        self._invoices: dict[str, _Claim] = {}

    def add(self, case: Case, events: Iterable[Event]) -> None:
        """One more case."""
        in_doubt = {send.attempt for _, send in case.open_sends() if send.status == "uncertain"}
        for event in events:
            match event:
                case CaseOpened():
                    self._cases[case.id] = millis(event.at)
                    self._claim_group(case, event.at)
                    self._claim_invoices(case, event)
                case CaseReopened():
                    self._claim_group(case, event.at)
                case InvoicesStated():
                    self._claim_invoices(case, event)
                case AttemptUncertain(attempt=attempt) if attempt in in_doubt:
                    self._uncertain[attempt_id(case, attempt)] = millis(event.at)
                case TaskOpened(task=task) if task in case.tasks:
                    self._tasks[task] = task_entry(case.id, event)

    def _claim_group(self, case: Case, at: datetime) -> None:
        _claim(self._groups, group_of(case.debtor.id, case.currency, case.group), (not case.ended, at, case.id))

    def _claim_invoices(self, case: Case, event: CaseOpened | InvoicesStated) -> None:
        for invoice in event.invoices:
            _claim(self._invoices, invoice.number, (not case.ended, event.at, case.id))

    def sorted_sets(self) -> Iterator[tuple[str, dict[str, float]]]:
        """Each by its key's name: the score of every member."""
        yield "cases", self._cases
        yield "uncertain", self._uncertain

    def hashes(self) -> Iterator[tuple[str, dict[str, str]]]:
        """Each by its key's name."""
        yield "tasks", self._tasks
        yield "groups", {name: claim[2] for name, claim in self._groups.items()}
        yield "invoices", {number: claim[2] for number, claim in self._invoices.items()}


def _claim(claims: dict[str, _Claim], name: str, claim: _Claim) -> None:
    claims[name] = max(claims.get(name, claim), claim)
