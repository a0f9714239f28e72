"""`reminder_due`: opens the debtor's case, or brings the open one up to date."""

import json
from base64 import b32encode
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, time, timedelta
from decimal import Decimal
from hashlib import blake2b
from zoneinfo import ZoneInfo

from worker.calendar import calendar_for
from worker.commit import DEBTOR_DIGITS, Stored, millis, suppressed_field
from worker.dunning.contact import forward
from worker.dunning.events import (
    AddressSuppressed,
    CaseOpened,
    CaseRestored,
    DebtorChanged,
    Event,
    HoldPlaced,
    InvoicesStated,
    JobCredited,
    Moved,
    PaymentReceived,
)
from worker.dunning.fold import fold
from worker.dunning.forgotten import issued_by
from worker.dunning.model import ZERO, Debtor, Invoice, Movement, StepRun, address_of
from worker.dunning.strategy import Strategy
from worker.dunning.view import run_key
from worker.jobs import BadJob, ReminderDue, strategy_of
from worker.taking import Found, Taking

#: Once a case has ended so, its invoices are somebody else's business: a later reminder does not start over.
_FINAL = frozenset({"handed_over", "insolvency", "written_off", "cancelled", "time_barred", "deceased", "other"})


def remind(taking: Taking, job: ReminderDue) -> None:
    """Bring the debtor's open case, or cases, up to date; open what is new. Raises BadJob."""
    strategy = strategy_of(job, taking.app.config)
    if strategy is None:
        raise BadJob(["debtor.kind: the creditor has no strategy for that kind"])
    debtor = job.debtor.value(taking.app.config.creditors[job.creditor])
    numbers = [invoice.number for invoice in job.invoices]
    found = taking.known(numbers, _group_keys(job, strategy), list(_fields(debtor).values()))
    invoices = _news(taking, job, found.holders)
    if strategy.group_by == "invoice":
        _refuse_credit_notes(job)
        groups = [(i.number, [i]) for i in invoices]
    else:
        groups = [("", invoices)] if invoices or strategy.driven_by == "jobs" else []
    for group, members in groups:
        _Group(taking, job, strategy, debtor, group, found).update(members)


def _fields(debtor: Debtor) -> dict[str, str]:
    """Under what names the debtor's addresses would be on the suppression list, by channel."""
    pairs = ((channel, address_of(debtor, channel)) for channel in ("email", "sms", "voice"))
    return {channel: suppressed_field(channel, address) for channel, address in pairs if address}


def _group_keys(job: ReminderDue, strategy: Strategy) -> list[str]:
    """The groups that the job's invoices may belong to."""
    names = [invoice.number for invoice in job.invoices] if strategy.group_by == "invoice" else [""]
    return [group_of(job.debtor.id, job.invoices[0].currency, name) for name in names]


def _refuse_credit_notes(job: ReminderDue) -> None:
    bad = [i for i, invoice in enumerate(job.invoices) if invoice.kind == "credit_note"]
    if bad:
        raise BadJob([f"invoices.{i}.kind: a credit note has no case of its own (group_by: invoice)" for i in bad])


def _news(taking: Taking, job: ReminderDue, holders: Mapping[str, Stored]) -> list[Invoice]:
    """The job's invoices of which it knows more than we do."""
    news = []
    for data in job.invoices:
        stated = data.value(taking.as_of)
        holder = holders.get(data.number)
        known = holder.case.invoice(data.number) if holder else None
        if holder and known and (why := _old(stated, known, holder)):
            taking.notes.append(why)
        else:
            news.append(_keep_movements(stated, known))
    return news


def _old(stated: Invoice, known: Invoice, holder: Stored) -> str | None:
    """Why a statement is not news; None if it is."""
    ended = holder.case.ended
    if ended and ended.reason in _FINAL:
        return f"an invoice's case had ended: {ended.reason}"
    if stated.as_of < known.known_as_of:
        return "older than what the invoice knows"
    return None


def _keep_movements(stated: Invoice, known: Invoice | None) -> Invoice:
    """A newer statement counts the payments before it; those after it still lower it."""
    later = tuple(move for move in known.movements if move.as_of >= stated.as_of) if known else ()
    return replace(stated, movements=later)


class _Group:
    """The invoices of one case: the debtor's in one currency, or with `group_by: invoice` a single one."""

    def __init__(
        self, taking: Taking, job: ReminderDue, strategy: Strategy, debtor: Debtor, group: str, found: Found
    ) -> None:
        self.taking, self.job, self.strategy, self.group = taking, job, strategy, group
        self.holders, self.early, self.suppressed = found.holders, found.early, found.suppressed
        self.restored = found.restored
        self.debtor = debtor
        self.currency = job.invoices[0].currency
        self.key = group_of(self.debtor.id, self.currency, group)
        self.latest = found.latest.get(self.key)
        if job.strategy is None and self.current:  # a job that names no strategy follows the open case's
            self.strategy = taking.app.config.strategies.get(self.current.case.strategy, strategy)

    @property
    def current(self) -> Stored | None:
        """The group's open case."""
        return self.latest if self.latest and not self.latest.case.ended else None

    def update(self, invoices: list[Invoice]) -> None:
        """Bring the open case up to date, or open one if anything is owed."""
        current = self.current
        self._check(invoices)
        if current is None and not _owed(invoices) and not any(invoice.unclear for invoice in invoices):
            if any(i.kind == "credit_note" and i.outstanding > ZERO for i in invoices):
                raise BadJob(["invoices: a credit note without anything owed; send it with, or after, an invoice"])
            self.taking.notes.append("nothing is owed")
            return
        opened = self._changes(current, invoices) if current else self._opening(invoices)
        early = self._early_payments(invoices)
        credit: list[Event] = [JobCredited(at=self.taking.now)] if self.strategy.driven_by == "jobs" else []
        events = [*opened, *early, *credit]
        if current is not None and not events:
            return
        if current is None and self.latest:  # nobody may have taken the ended case up again meanwhile
            self.taking.commit.change(self.latest, [])
        case = self.taking.change(current, events)
        keys, commit = self.taking.commit.keys, self.taking.commit
        for invoice in invoices:
            commit.op("HSET", keys.invoices, invoice.number, case.id)
        if current is None:
            commit.op("HSET", keys.groups, self.key, case.id)
            commit.op("ZADD", keys.cases, millis(self.taking.now), case.id)

    def _check(self, invoices: list[Invoice]) -> None:
        current = self.current
        if self.job.case and (current is None or current.case.id != self.job.case):
            raise BadJob(["case: not this debtor's open case (leave it out to let one be found or opened)"])
        if current and current.case.strategy != self.strategy.name:
            raise BadJob([f"strategy: the debtor's open case follows {current.case.strategy!r}"])
        if current and self.job.history:
            self.taking.notes.append("history: the case is open already")
        # An invoice is in one open case at most: a payment must reach every message about it.
        held_by = [self.holders[i.number].case for i in invoices if i.number in self.holders]
        if any(not case.ended and (current is None or case.id != current.case.id) for case in held_by):
            raise BadJob(["invoices: one of them is in another open case (another debtor's, or grouped otherwise)"])

    def _changes(self, current: Stored, invoices: list[Invoice]) -> list[Event]:
        events: list[Event] = []
        changed = tuple(invoice for invoice in invoices if current.case.invoice(invoice.number) != invoice)
        if changed:
            events.append(InvoicesStated(at=self.taking.now, invoices=changed))
        known = current.case.debtor_as_of
        if current.case.debtor != self.debtor and (known is None or self.taking.as_of >= known):
            changed_debtor = DebtorChanged(at=self.taking.now, debtor=self.debtor, as_of=self.taking.as_of)
            after = fold(current.case, [changed_debtor])
            events += [changed_debtor, *self._suppressed(dict(after.unusable))]
        return events

    def _opening(self, invoices: list[Invoice]) -> list[Event]:
        opened = CaseOpened(
            at=self.taking.now,
            case=self._next_id(),
            creditor=self.job.creditor,
            debtor=self.debtor,
            currency=self.currency,
            strategy=self.strategy.name,
            group=self.group,
            invoices=tuple(invoices),
            as_of=self.taking.as_of,
        )
        return [self._with_history(opened), *self._forgotten(opened), *self._lasting_holds(), *self._suppressed({})]

    def _next_id(self) -> str:
        """After the latest case; where that was taken up again (a payment came back), another had come after it."""
        before = self.latest.case.id if self.latest else ""
        name = case_id_of(self.job.creditor, self.debtor.id, self.key, before)
        while before and self.taking.app.cases.load(name):
            name = case_id_of(self.job.creditor, self.debtor.id, self.key, name)
        return name

    def _forgotten(self, opened: CaseOpened) -> list[Event]:
        """The creditor was restored, and this very case may have been open in the time that is not known."""
        if not self.restored:
            return []
        at = datetime.fromisoformat(self.restored["at"])
        if not any(issued_by(invoice, at) for invoice in opened.invoices):
            return []
        since, attempts = datetime.fromisoformat(self.restored["since"]), int(self.restored["attempts"])
        return [CaseRestored(at=at, since=since, attempts=attempts)]

    def _suppressed(self, known: Mapping[str, str]) -> list[Event]:
        """Which of the debtor's addresses are on the suppression list, besides those the case knows of."""
        found = (channel for channel, field in _fields(self.debtor).items() if field in self.suppressed)
        channels = tuple(channel for channel in found if channel not in known)
        return (
            [AddressSuppressed(at=self.taking.now, channels=channels, why="suppressed", by="list")] if channels else []
        )

    def _lasting_holds(self) -> list[Event]:
        """What was said of the person, not of the debt, outlives the case before."""
        holds = self.latest.case.holds if self.latest else ()
        lasting = (hold for hold in holds if hold.invoice is None and hold.reason in ("represented", "vulnerable"))
        return [HoldPlaced(at=self.taking.now, hold=hold) for hold in lasting]

    def _with_history(self, opened: CaseOpened) -> CaseOpened:
        """Let the ladder stand where people had brought it by hand."""
        by_hand = self.job.history
        unpaid = sorted((i for i in opened.invoices if i.kind == "invoice"), key=lambda i: (i.due_on, i.number))
        step = self.strategy.step(by_hand.last_step) if by_hand else None
        if by_hand is None or step is None or not unpaid:
            return opened
        case_calendar = calendar_for(self.debtor.country, self.debtor.subdivision)
        at = datetime.combine(by_hand.on, time(12), ZoneInfo(self.debtor.timezone))
        deadline = forward(by_hand.on + timedelta(days=step.deadline), case_calendar) if step.deadline else None
        run = StepRun(
            step=step.name,
            anchor=unpaid[0].number,
            at=at,
            covers=tuple(i.number for i in unpaid if i.due_on < by_hand.on) or (unpaid[0].number,),
            deadline=deadline,
            by_hand=True,
        )
        member = f"{run_key(opened.case, run.step, run.anchor)}|by_hand"
        self.taking.commit.op("ZADD", self.taking.commit.keys.contacts(opened.case), millis(at), member)
        return replace(opened, ran=(run,))

    def _early_payments(self, invoices: list[Invoice]) -> list[Event]:
        """Payments that came before their invoice, applied now; the guard makes sure that none slips in between."""
        commit, keys = self.taking.commit, self.taking.commit.keys
        events: list[Event] = []
        for invoice in invoices:
            entries = self.early[invoice.number]
            commit.guard("length", keys.early(invoice.number), len(entries))
            if entries:
                commit.op("DEL", keys.early(invoice.number))
                commit.op("ZREM", keys.early_ones, invoice.number)
            events += [e for entry in entries if (e := self._early(invoice, json.loads(entry)))]
        return events

    def _early(self, invoice: Invoice, entry: dict[str, str]) -> Event | None:
        as_of = datetime.fromisoformat(entry["as_of"])
        if entry["currency"] != self.currency:
            self.taking.notes.append("an early payment was in another currency")
            return None
        # It came before we knew the invoice, so only the books can say that they counted it: by a stated `as_of`.
        if self.job.as_of is not None and as_of < invoice.as_of:
            self.taking.notes.append("an early payment is older than what the invoice knows")
            return None
        movement = Movement(amount=Decimal(entry["amount"]), as_of=as_of, reference=entry["reference"])
        return PaymentReceived(
            at=self.taking.now,
            parts=(Moved(invoice=invoice.number, movement=movement),),
            reference=entry["reference"],
            means=entry["means"],
        )


def _owed(invoices: list[Invoice]) -> bool:
    return sum((i.outstanding if i.kind == "invoice" else -i.outstanding for i in invoices), ZERO) > ZERO


def group_of(debtor_id: str, currency: str, group: str) -> str:
    """The name of what one open case is for."""
    return f"{debtor_id}|{currency}|{group}"


def case_id_of(creditor: str, debtor_id: str, group: str, before: str) -> str:
    """A case's id: the creditor, the debtor's digest, then one of the group and the case `before` it.

    The same on every try, so that two workers who open the same case collide instead of opening two.
    """
    return f"{creditor}-{_digest(debtor_id)[:DEBTOR_DIGITS]}{_digest(f'{group}|{before}')[:6]}"


def _digest(text: str) -> str:
    return b32encode(blake2b(text.encode(), digest_size=10).digest()).decode().lower()
