"""Whatever is said, reported, paid and decided, in whatever order: the promises hold, on the real store.

A story is a list of things that happen to one case; after each of them scheduler and workers go on until nothing
happens at that moment. What a provider is given is held against the promises as it is given it, the case after every
chapter.
"""

from datetime import datetime, timedelta
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from channels.base import ChannelError, Receipt, ReceiptWhat, Rejected, Unavailable, Uncertain
from tests.conftest import MakeApp
from worker.clock import RehearsalClock
from worker.dunning.answers import Answer, AnswerKind
from worker.dunning.effects import NotAcceptable
from worker.dunning.events import LookFailed
from worker.dunning.fold import fold
from worker.dunning.model import ZERO, attempt_id
from worker.dunning.receipts import LOST, MISSED, REFUSED, UNHEARD
from worker.dunning.view import local_today, usable
from worker.inbound import answer, receive
from worker.operations import approve, release, settle, uncertain_attempts

from .payloads import fact
from .rig import MORNING, PARIS, Rig, invoice

#: The cap of calls in `b2b` and `b2c`.
CALLS, WITHIN = 4, timedelta(days=30)
FAILURES: dict[str, ChannelError] = {
    "address": Rejected("address", "550"),
    "content": Rejected("content", "30007"),
    "down": Unavailable("down", "503"),
    "lost": Uncertain("timeout"),
}
CHANNELS = ["email", "sms", "voice"]
KINDS: list[AnswerKind] = list(get_args(AnswerKind))
WHATS: list[ReceiptWhat] = list(get_args(ReceiptWhat))


class Story:
    """One debtor's case, and what became of every message."""

    def __init__(self, rig: Rig, strategy: str, reachable: str) -> None:
        self.rig, self.strategy = rig, strategy
        self.email, self.phone = "email" in reachable, "+33639980101" if "phone" in reachable else None
        self.count = 0
        #: Attempts begun, in order; the messages that went as far as anybody knows, and the calls, by attempt.
        self.attempts: list[str] = []
        self.went: dict[str, str] = {}
        self.calls: dict[str, datetime] = {}
        self.wrong: list[Exception] = []
        for name in ("outbox", "task"):
            rig.providers.get(name).before = self.leaves
            rig.providers.get(name).answers = []
        due = rig.app.clock.now().date()
        self.invoices = [invoice("F-1", due - timedelta(days=1), "200.00"), invoice("F-2", due + timedelta(days=3))]
        self.case = rig.case(self.remind())
        self.go_on()

    def tell(self, chapters: list[tuple[str, Any]]) -> None:
        """Let it all happen."""
        for what, detail in chapters:
            getattr(self, what)(detail)
            self.go_on()

    # ---- what can happen

    def waits(self, hours: int) -> None:
        """So many hours; days end in the morning."""
        clock = self.rig.app.clock
        assert isinstance(clock, RehearsalClock)
        later = clock.now() + timedelta(hours=hours)
        clock.skip_to(later if hours < 24 else later.astimezone(PARIS).replace(hour=10))

    def answers(self, detail: tuple[AnswerKind, int, bool, str]) -> None:
        """The debtor says something, of one invoice or of all."""
        kind, days, named, channel = detail
        day = local_today(self.case, self.rig.app.clock.now()) + timedelta(days=days)
        said = Answer(
            kind=kind,
            source="page",
            ref=self.next(),
            on=day if kind in ("promise", "instalments", "approval_circuit") else None,
            invoices=("F-1",) if named else (),
            channels=(channel,),
        )
        try:
            answer(self.rig.app, self.case.id, said)
        except NotAcceptable:
            assert days > 30 or any(hold.reason == "promise" for hold in self.rig.case(self.case.id).holds)

    def reports(self, detail: tuple[ReceiptWhat, int]) -> None:
        """A provider says something of one of the latest attempts."""
        what, back = detail
        for attempt in self.attempts[-1 - back :][:1]:
            news = receive(self.rig.app, Receipt(attempt, what, "provider", "code"))
            if news and what in LOST | MISSED | REFUSED:
                self.went = {key: last for key, last in self.went.items() if last != attempt}
            if news and what in UNHEARD:
                self.calls.pop(attempt, None)

    def fails(self, how: str) -> None:
        """The next call to a provider fails so."""
        self.rig.tap.answers = [FAILURES[how]]

    def pays(self, detail: tuple[str, str]) -> None:
        """A part of an invoice, or all of it."""
        number, amount = detail
        about = {"job_id": self.next(), "invoice": number, "amount": amount, "currency": "EUR"}
        self.rig.take(fact("payment_received", **about), self.rig.app.clock.now())

    def corrects(self, what: str) -> None:
        """Upstream knows another number, or a mailbox."""
        self.phone, self.email = (f"+3363998{self.count:04}", self.email) if what == "phone" else (self.phone, True)
        self.remind()

    def acts(self, what: str) -> None:
        """An operator does what there is to do of that kind."""
        case = self.rig.case(self.case.id)
        for hold in case.holds if what == "approve" and not case.ended else ():
            if hold.reason == "approval_pending":
                approve(self.rig.app, case.id, hold.note, "somebody")
        if what == "release" and case.holds:
            release(self.rig.app, case.id, None, "somebody")
        for attempt, _ in uncertain_attempts(self.rig.app) if what == "settle" else ():
            settle(self.rig.app, attempt, went=False, by="somebody")
            self.went = {key: last for key, last in self.went.items() if last != attempt}
            self.calls.pop(attempt, None)

    def remind(self) -> str:
        """Upstream says what it knows; the case's id."""
        kind = {"b2c": "consumer", "public": "public"}.get(self.strategy, "business")
        debtor = {"id": "D-1", "name": "Exemple SARL", "kind": kind}
        debtor |= {"email": "ap@example.com"} if self.email else {}
        debtor |= {"phone": self.phone} if self.phone else {}
        about = {"strategy": self.strategy, "debtor": debtor, "invoices": self.invoices}
        taken = self.rig.take(fact("reminder_due", **{"job_id": self.next(), **about}), self.rig.app.clock.now())
        return taken.cases[0] if taken.cases else self.case.id

    def next(self) -> str:
        """A name that was not used yet."""
        self.count += 1
        return f"n-{self.count}"

    # ---- what must hold

    def go_on(self) -> None:
        """Until nothing happens at this moment."""
        for _ in range(4):
            self.rig.tick()
            self.rig.deliver(self.case)
        for error in self.wrong:
            raise error
        case, history = self.rig.case(self.case.id), self.rig.history(self.case)
        assert fold(None, history) == case
        assert not [event for event in history if isinstance(event, LookFailed)]
        held = case.case_hold() or not case.chased() or any(send.status == "uncertain" for _, send in case.open_sends())
        assert case.ended or held or self.rig.next_look(case) or self.rig.in_flight(case), "never lost"

    def leaves(self) -> None:
        """A provider is given a message; what is raised here would be taken for its answer."""
        try:
            self.check_message()
        except Exception as error:
            self.wrong.append(error)

    def check_message(self) -> None:
        """May it leave?"""
        case, now = self.rig.case(self.case.id), self.rig.app.clock.now()
        ((run, send),) = ((run, send) for run, send in case.open_sends() if send.status == "sending")
        assert not case.ended, "never after the end"
        assert case.owed() > ZERO, "never after payment"
        assert usable(case, send.channel), "never to an address given up"
        assert run.errand or not case.case_hold(), "never while held"
        assert run.errand or run.anchor not in case.held_invoices(), "never while held"
        message, attempt = f"{run.step}|{run.anchor}|{send.channel}", attempt_id(case, send.attempt)
        assert message not in self.went, "never twice"
        self.attempts.append(attempt)
        tap = self.rig.providers.taps["task" if send.channel == "task" else "outbox"]
        if tap.answers and not isinstance(tap.answers[0], Uncertain):
            return  # it will not go
        self.went[message] = attempt
        if send.channel == "voice":
            self.calls[attempt] = now
            today = local_today(case, now)
            assert sum(today - local_today(case, at) < WITHIN for at in self.calls.values()) <= CALLS, "never too often"


DAYS = st.tuples(st.just("waits"), st.sampled_from([24, 72, 24 * 5]))
CHAPTERS = st.one_of(
    DAYS,
    DAYS,
    st.tuples(st.just("waits"), st.sampled_from([1, 4, 7, 24 * 20])),
    st.tuples(st.just("acts"), st.sampled_from(["approve", "release", "release", "settle"])),
    st.tuples(
        st.just("answers"),
        st.tuples(st.sampled_from(KINDS), st.sampled_from([0, 3, 10, 40]), st.booleans(), st.sampled_from(CHANNELS)),
    ),
    st.tuples(st.just("reports"), st.tuples(st.sampled_from(WHATS), st.integers(0, 3))),
    st.tuples(st.just("reports"), st.tuples(st.sampled_from(["soft", "unanswered", "hard"]), st.just(0))),
    st.tuples(st.just("fails"), st.sampled_from(sorted(FAILURES))),
    st.tuples(st.just("corrects"), st.sampled_from(["phone", "email"])),
    st.tuples(st.just("pays"), st.sampled_from([("F-1", "50.00"), ("F-1", "200.00"), ("F-2", "100.00")])),
)


@pytest.fixture
def rig(make_app: MakeApp) -> Rig:
    """The shipped strategies, and the outbox."""
    return Rig(make_app(at=MORNING, speed=1))


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(
    strategy=st.sampled_from(["b2b", "b2b", "b2c", "public", "direct_notice"]),
    reachable=st.sampled_from(["email and phone", "email and phone", "email", "phone"]),
    chapters=st.lists(CHAPTERS, min_size=10, max_size=24),
)
def test_no_story_breaks_a_promise(rig: Rig, strategy: str, reachable: str, chapters: list[tuple[str, Any]]) -> None:
    """Never twice, never after, never lost, never to whom must not be written, never called too often."""
    for key in rig.app.client.scan_iter("relance:{demo}*", count=1000):
        rig.app.client.delete(key)
    Story(rig, strategy, reachable).tell(chapters)
