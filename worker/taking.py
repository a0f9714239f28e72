"""A job on its way in, and what the handlers of all types share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from worker.app import App
from worker.calendar import calendar_for
from worker.commit import Commit, Stored
from worker.dunning.contact import Calendar
from worker.dunning.events import Event
from worker.dunning.model import Case
from worker.jobs import BadJob


@dataclass(frozen=True, slots=True)
class Found:
    """The cases that last held each invoice, by number; the latest of each group; payments that came before their
    invoice, as JSON, by number; which of the debtor's addresses are suppressed, by field; whether the creditor was read
    back from an export (see `cases.Known`)."""

    holders: Mapping[str, Stored]
    latest: Mapping[str, Stored]
    early: Mapping[str, list[str]]
    suppressed: frozenset[str] = frozenset()
    restored: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Taking:
    """The commit that a job becomes; `now` in ladder time, `as_of` when upstream's books said so.

    `cases` are those it changes, `notes` what of it is ignored and why (no personal data: they are logged).
    """

    app: App
    commit: Commit
    as_of: datetime
    now: datetime
    cases: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def creditor(self) -> str:
        """Whose job it is."""
        return self.commit.creditor

    def change(self, stored: Stored | None, events: list[Event]) -> Case:
        """Add these events to a case, and let it be looked at now."""
        case = self.commit.change(stored, events)
        self.commit.look_by(case.id, self.now)
        self.cases.append(case.id)
        return case

    def case(self, case_id: str) -> Stored:
        """A case that upstream names. Raises BadJob."""
        stored = self.app.cases.load(case_id) if case_id.startswith(f"{self.creditor}-") else None
        if stored is None:
            raise BadJob(["case: the creditor has no such case"])
        return stored

    def known(self, numbers: Sequence[str], groups: Sequence[str] = (), addresses: Sequence[str] = ()) -> Found:
        """What is stored about these invoices, groups and addresses.

        The commit is refused if an invoice has moved since.
        """
        known = self.app.cases.known(self.creditor, numbers, groups, addresses)
        for number in numbers:
            self.commit.guard("is", self.commit.keys.invoices, number, known.held_by.get(number, ""))
        cases = self.app.cases.load_many(self.creditor, [*known.held_by.values(), *known.latest.values()])
        return Found(
            holders={number: cases[case_id] for number, case_id in known.held_by.items() if case_id in cases},
            latest={group: cases[case_id] for group, case_id in known.latest.items() if case_id in cases},
            early=known.early,
            suppressed=known.suppressed,
            restored=known.restored,
        )


def calendar_of(case: Case) -> Calendar:
    """The holidays of the case's debtor."""
    return calendar_for(case.debtor.country, case.debtor.subdivision)
