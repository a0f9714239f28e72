"""What holds for any case, whatever happens to it and in whatever order.

A case is walked through time as the scheduler would, while upstream, providers and operators do what they like.
"""

from collections.abc import Iterator
from contextlib import suppress
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import get_args

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from channels.base import ReceiptWhat
from tests.worker.dunning.builders import B2B, B2C, COMPANY, Story, accepted, at, day, invoice, step, strategy, without
from worker.codec import decode_case, decode_event, encode_case, encode_event
from worker.dunning.answers import AnswerKind, Source
from worker.dunning.contact import local_date, next_open
from worker.dunning.decision import Wait
from worker.dunning.effects import EFFECTS, NotAcceptable
from worker.dunning.events import (
    AttemptAccepted,
    AttemptRejected,
    AttemptReserved,
    AttemptUnavailable,
    AttemptUncertain,
    DebtorChanged,
    Event,
    HoldPlaced,
    HoldReleased,
    JobCredited,
    ReceiptArrived,
)
from worker.dunning.fold import fold
from worker.dunning.model import ERRAND, Case, Debtor, Hold, Invoice, StepRun
from worker.dunning.receipts import LOST, MISSED, REFUSED
from worker.dunning.strategy import HOLDS, Strategy
from worker.look import Outlook

OPENED = at("2026-04-01 08:00")
ALL_KINDS = strategy(
    step("early", "due-14d"),
    step("courtesy", "due-5bd", channels=("email", "sms"), first=True),
    step("first", "due+1d", tone=1, deadline=7),
    step("second", "due+3bd", channels=("sms", "voice"), tone=2),
    step("third", "previous+4d", channels=("email", "sms", "task"), tone=3, deadline=8, min_amount=50),
    step("notice", "due+20d", "previous_deadline+1d", channels=("email", "task"), tone=4, deadline=8, approval=True),
    step("handover", "due+30d", "previous_deadline+3bd", channels=(), approval=True, handover="lawyer"),
    caps={"voice": (2, 30)}, min_amount=10,
)  # fmt: skip
JOBS = strategy(*ALL_KINDS.steps, driven_by="jobs", min_amount=10)

DAYS = st.integers(min_value=-40, max_value=40).map(lambda ahead: (OPENED + timedelta(days=ahead)).date().isoformat())
AMOUNTS = st.sampled_from(["5", "40", "100", "1500"])
NUMBERS = st.sampled_from(["F1", "F2", "F3", "A1"])
INVOICES = st.builds(
    lambda number, due, amount: invoice(number, due, amount, kind="credit_note" if number == "A1" else "invoice"),
    NUMBERS,
    DAYS,
    AMOUNTS,
)
STRATEGIES = st.sampled_from([B2B, B2C, ALL_KINDS, JOBS])
ADDRESSES = st.sampled_from([None, "one@example.com", "two@example.com"])
PHONES = st.sampled_from([None, "+33199001234", "+33199005678"])
DEBTORS = st.builds(
    lambda email, phone, zone: without(COMPANY, email=email, phone=phone, timezone=zone),
    ADDRESSES,
    PHONES,
    st.sampled_from(["Europe/Paris", "America/Martinique", "Pacific/Noumea"]),
)
#: What providers answer, one after the other and round again.
ANSWERS = st.lists(
    st.sampled_from(["accepted"] * 4 + ["address", "content", "down", "uncertain"]), min_size=1, max_size=6
)
#: What happens after how many hours, with a number, an invoice and a debtor to choose from.
Happening = tuple[int, str, int, Invoice, Debtor]
ACTS = st.sampled_from(
    [
        "look",
        "pay",
        "part",
        "bounce",
        "state",
        "hold",
        "hold_one",
        "release",
        "approve",
        "job",
        "move",
        "pause",
        "settle",
        "answer",
        "answer",
        "receipt",
        "receipt",
    ]
)
HAPPENINGS = st.lists(
    st.tuples(st.integers(min_value=0, max_value=500), ACTS, st.integers(min_value=0, max_value=19), INVOICES, DEBTORS),
    max_size=8,
)


class Walk(Story):
    """A story in which every look is held against the promises."""

    outcomes: tuple[str, ...] = ("accepted",)

    def answered(self, run: StepRun, channel: str, attempt: int, now: datetime) -> Event | None:
        """What the provider makes of it; while it is here, the promises about what may leave."""
        if run.errand:
            self.check_errand(channel)
        else:
            self.check_leaving(run, channel)
        match self.outcomes[attempt % len(self.outcomes)]:
            case "address" | "content" as why if channel != "task":
                return AttemptRejected(at=now, attempt=attempt, why=why, code="x")
            case "down":
                later = now + timedelta(minutes=30)
                return AttemptUnavailable(at=now, attempt=attempt, why="down", code="x", retry_at=later)
            case "uncertain" if channel != "task":
                return AttemptUncertain(at=now, attempt=attempt, code="x")
        return accepted(run, channel, attempt, now)

    def check_leaving(self, run: StepRun, channel: str) -> None:
        """Nothing leaves when nothing is owed, when held or paused, or at a time when the channel is closed."""
        assert self.case.owed() > 0
        assert self.case.case_hold() is None
        assert run.anchor not in self.case.held_invoices()
        assert self.claim(run.anchor).outstanding > 0
        assert not self.paused & {"all", "creditor", f"channel:{channel}"}
        window = self.strategy.contact.window_for(channel)
        assert next_open(self.now, window, self.zone, self.calendar) == self.now
        step = self.strategy.step(run.step)
        assert step
        assert (self.claim(run.anchor).due_on < self.local) is not step.pre_due

    def check_errand(self, channel: str) -> None:
        """What was asked for leaves whatever holds the case; not when it is paid, paused or told to stop."""
        assert self.case.owed() > 0
        assert not self.paused & {"all", "creditor", f"channel:{channel}"}
        assert channel not in dict(self.case.unusable)

    @property
    def zone(self) -> str:
        """Where the debtor's clock hangs."""
        return self.case.debtor.timezone

    @property
    def local(self) -> date:
        """The date on the debtor's wall."""
        return local_date(self.now, self.zone)

    def look(self) -> Outlook:
        """As ever; and each look leaves the case with a time, a hold with a name, or an end."""
        outlook = super().look()
        wait = outlook.wait
        if wait and wait.until is None:
            assert wait.reason.startswith("held: ") or wait.reason == "ended", wait
        if wait and wait.until is not None:
            assert wait.until > self.now, wait
        return outlook

    def happen(self, act: str, number: int, news: Invoice, debtor: Debtor) -> None:  # noqa: PLR0912  # one per act
        """Upstream, a debtor or an operator does something."""
        claims = [item for item in self.case.invoices if item.kind == "invoice"]
        one = claims[number % len(claims)] if claims else news
        if self.case.ended:
            return
        match act:
            case "pay" if claims:
                self.pay(one.number)
            case "part" if claims:
                self.pay(one.number, "30")
            case "bounce" if one.movements:
                self.bounce(one.number, str(max(Decimal(1), one.movements[0].amount)))
            case "state":
                self.state(news)
            case "hold" | "hold_one":
                reason = sorted(HOLDS)[number % len(HOLDS)]
                until = self.now + timedelta(hours=20 * number) if number % 3 else None
                scope = one.number if act == "hold_one" and claims else None
                self.tell(HoldPlaced(at=self.now, hold=Hold(reason=reason, since=self.now, until=until, invoice=scope)))
            case "release":
                self.tell(HoldReleased(at=self.now))
            case "approve":
                self.approve(("notice", "formal_notice", "handover")[number % 3])
            case "job":
                self.tell(JobCredited(at=self.now))
            case "move":
                self.tell(DebtorChanged(at=self.now, debtor=debtor))
            case "pause":
                self.paused = (
                    set() if self.paused else {("all", "creditor", "channel:email", "channel:sms")[number % 4]}
                )
            case "settle":
                self.settle()
            case "answer":
                self.answer_with(sorted(EFFECTS)[number % len(EFFECTS)], number, one.number if claims else None)
            case "receipt":
                self.hear_of_the_last(sorted(get_args(ReceiptWhat))[number % len(get_args(ReceiptWhat))])

    def answer_with(self, kind: AnswerKind, number: int, invoice: str | None) -> None:
        """The debtor says that, of an invoice or of all; a date is within what they may name."""
        named = (invoice,) if invoice and number % 2 else ()
        on = self.local + timedelta(days=number) if kind in ("promise", "approval_circuit") else None
        channels = (("email", "sms", "voice")[number % 3],) if EFFECTS[kind].suppress or kind == "opt_in" else ()
        source: Source = "call" if number % 3 == 0 else "page"
        latest = self.case.attempts if source == "call" else None
        with suppress(NotAcceptable):
            self.say(kind, source=source, invoices=named, on=on, channels=channels, attempt=latest)

    def hear_of_the_last(self, what: str) -> None:
        """The provider says that of the latest message it took."""
        taken = [
            send.attempt for run in self.case.runs for send in run.sends if send.status in ("accepted", "uncertain")
        ]
        if taken and not (what == "content" and self.case.case_hold()):
            self.receipt(max(taken), what)

    def settle(self) -> None:
        """A person finds out what became of what may have gone."""
        for run, send in list(self.case.open_sends()):
            event = accepted(run, send.channel, send.attempt, self.now)
            assert event
            self.tell(event)


def walked(
    rules: Strategy, invoices: list[Invoice], debtor: Debtor, answers: list[str], happenings: list[Happening]
) -> Walk:  # fmt: skip
    """A case that all of it happened to, and then months without anything."""
    walk = Walk(rules, OPENED, debtor=debtor)
    walk.outcomes, walk.answer = tuple(answers), walk.answered
    walk.open(*{item.number: item for item in (*invoices, invoice("F1", "2026-04-10", "200"))}.values())
    for hours, act, number, news, moved in happenings:
        go_on(walk, walk.now + timedelta(hours=hours))
        walk.happen(act, number, news, moved)
    walk.paused.clear()
    go_on(walk, walk.now + timedelta(days=90))
    return walk


def go_on(walk: Walk, end: datetime) -> None:
    """Looks whenever one is due; a pause is looked at every five minutes, and we need not see that each time."""
    while walk._settle() and isinstance(wait := walk.wait, Wait) and wait.until and wait.until <= end:
        walk.now = max(wait.until, walk.now + timedelta(hours=6)) if wait.reason.startswith("paused") else wait.until
    walk.now = end


def ladder_runs(walk: Walk) -> Iterator[tuple[datetime, str, str, str]]:
    """(when, step, anchor, channel) of every message that was reserved and may have reached somebody."""
    runs = {(run.step, run.anchor): run for run in walk.case.runs}
    for event in walk.history:
        if isinstance(event, AttemptReserved) and event.channel != "task" and not event.step.startswith(ERRAND):
            run = runs.get((event.step, event.anchor))
            send = run.send(event.channel) if run else None
            if send and send.attempt == event.attempt and send.status in ("accepted", "uncertain"):
                yield event.at, event.step, event.anchor, event.channel


def check_gap(walk: Walk) -> None:
    """Two steps never reach the debtor within the minimum gap."""
    last: dict[tuple[str, str], datetime] = {}
    for when, name, anchor, _ in ladder_runs(walk):
        others = [moment for key, moment in last.items() if key != (name, anchor)]
        if (name, anchor) not in last and others:
            days = (local_date(when, walk.zone) - local_date(max(others), walk.zone)).days
            assert days >= walk.strategy.contact.min_gap_days or walk.zone != walk.debtor.timezone
        last[name, anchor] = when


def check_once(walk: Walk) -> None:
    """Each (anchor, step, channel) is accepted at most once, and the steps of an anchor only go up."""
    accepted_sends = [(r.anchor, r.step, s.channel) for r in walk.case.runs for s in r.sends if s.status == "accepted"]
    assert len(accepted_sends) == len(set(accepted_sends))
    tries: dict[tuple[str, str, str], int] = {}
    highest: dict[str, int] = {}
    lost = {event.attempt for event in walk.history if isinstance(event, ReceiptArrived) and event.what in NOT_ARRIVED}
    done = {event.attempt for event in walk.history if isinstance(event, AttemptAccepted)} - lost
    for event in walk.history:
        if isinstance(event, AttemptReserved):
            key = (event.anchor, event.step, event.channel)
            tries[key] = tries.get(key, 0) + (event.attempt in done)
            place = walk.strategy.index(event.step)
            assert place >= highest.get(event.anchor, -1), walk.case.runs
            if event.attempt in done:
                highest[event.anchor] = place
    assert all(count <= 1 for count in tries.values())


def check_store(walk: Walk) -> None:
    """The snapshot is the fold of the history, through JSON and back."""
    history = [decode_event(encode_event(event)) for event in walk.history]
    rebuilt: Case = fold(None, history)
    assert rebuilt == walk.case == decode_case(encode_case(walk.case))


#: After these nobody has read the message, and the same may be said again.
NOT_ARRIVED = MISSED | LOST | REFUSED

BOUNDED = settings(max_examples=200, phases=set(Phase) - {Phase.explain})


@BOUNDED
@given(STRATEGIES, st.lists(INVOICES, max_size=3), DEBTORS, ANSWERS, HAPPENINGS)
def test_whatever_happens_the_promises_hold(
    rules: Strategy, invoices: list[Invoice], debtor: Debtor, answers: list[str], happenings: list[Happening]
) -> None:  # fmt: skip
    """Never twice, never too soon, never after; never silent, never in circles; and the history tells it all."""
    walk = walked(rules, invoices, debtor, answers, happenings)
    check_gap(walk)
    check_once(walk)
    check_store(walk)


@settings(max_examples=40)
@given(STRATEGIES, st.integers(min_value=-30, max_value=200))
def test_whenever_a_case_is_opened_its_first_claim_is_the_first_step(rules: Strategy, late: int) -> None:
    """However old the debt: never a notice first."""
    story = Story(rules, at("2026-06-01"))
    story.open(invoice("F1", (day("2026-06-01") - timedelta(days=late)).isoformat())).until("2026-07-15")
    claims = [name for _, name, _ in story.sent if name not in ("courtesy", "early")]
    first = next(step.name for step in rules.steps if not step.pre_due)
    assert not claims or claims[0] == first
