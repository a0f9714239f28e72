"""The protocol of a message, model-checked: reserve, begin, call, record, settle, with a crash between any two calls.

Hypothesis tells what happens to one debtor: schedulers and workers that die before or after their n-th word with the
store, or around the provider's; answers that are lost, or that come back to the store late; lists that lag, for longer
than is waited for them, or that are not there; queue messages that come late and twice; receipts in any order. A
provider of the test's own knows what really went. What breaks a promise is shrunk to the shortest story, one line a
step.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from channels.base import Accepted, Channel, Found, Message, Receipt, Rejected, Sought, Unavailable, Uncertain
from tests.conftest import MakeApp
from worker.cases import Cases
from worker.clock import CLOCK_KEY, open_clock
from worker.dunning.events import (
    AttemptAccepted,
    AttemptBegun,
    AttemptFound,
    AttemptReappeared,
    PaymentReceived,
    ReceiptArrived,
)
from worker.dunning.fold import fold
from worker.dunning.model import Case, attempt_id, parse_attempt_id
from worker.embedded import Urls
from worker.inbound import receive
from worker.operations import settle as settle_by_hand
from worker.operations import uncertain_attempts
from worker.outcomes import record
from worker.sending import deliver
from worker.settling import settle

from .config_copy import CHANNELS, Copy
from .rig import MORNING, PARIS, Crash, Rig, Tapped, Tripwire, tripping_client

#: What a call can come to, as the provider sees it; half of them leave everybody else in doubt.
TAKEN, PLAIN = "takes it", ["takes it", "is down", "refuses"]
DOUBTFUL = ["takes it, answer lost", "worker dies after", "worker is cut off", "never gets it", "worker dies before"]
FATES = st.sampled_from(DOUBTFUL) | st.sampled_from(PLAIN)
#: After how many minutes a message is listed; `look_again` is ten, and what lags longer may be taken for not sent.
LAGS = st.sampled_from([0, 9, 0, 9, 25])
#: Where there is no list, a message in doubt is sent again after this long.
RESEND = "resend_after 9m"


@dataclass(frozen=True)
class Dies:
    """The process ends at its n-th word with the store: before it is sent, or after it was heard."""

    at: int
    after: bool

    def __repr__(self) -> str:
        return f"Dies({'after' if self.after else 'before'} word {self.at})"


BOUNDED = settings(
    max_examples=200,
    stateful_step_count=15,
    suppress_health_check=list(HealthCheck),
    phases=set(Phase) - {Phase.explain},
)
#: What says in a history that a try went.
WENT = AttemptAccepted | AttemptFound | AttemptReappeared | ReceiptArrived
DEATHS = st.none() | st.none() | st.builds(Dies, st.integers(1, 12), st.booleans())


class World(Tapped):
    """The provider, and what really went: by attempt, the message and when it is listed.

    `told` are attempts that are known to have gone, whatever the history makes of it; `excused` are messages that
    nobody can keep from going twice: taken for not sent, or sent again in doubt.
    """

    def __init__(self, inner: Channel, rig: Rig) -> None:
        super().__init__(inner)
        self.rig, self.proves, self.finds = rig, False, True
        self.fate, self.lag = TAKEN, timedelta()
        self.went: dict[str, tuple[Message, datetime]] = {}
        self.begun: list[str] = []
        self.cut_off: list[str] = []
        self.told: set[str] = set()
        self.broken: list[str] = []
        self.excused: set[str] = set()

    def send(self, message: Message) -> Accepted:
        """As fate has it."""
        try:
            self._look_on(message)
        except AssertionError as broken:  # whoever calls a provider lets no fault of its adapter through
            self.broken.append(str(broken))
        self.begun.append(message.attempt)
        fate, self.fate = self.fate, TAKEN
        match fate:
            case "never gets it":
                raise Uncertain("RemoteDisconnected")
            case "is down":
                raise Unavailable("down", "503")
            case "refuses":
                raise Rejected("address", "550")
            case "worker dies before":
                raise Crash
        self.went[message.attempt] = (message, self.rig.app.clock.real() + self.lag)
        if self.lag > timedelta(minutes=10) or not self.finds:
            self.excused.add(message.id)
        if fate == "worker is cut off":
            self.cut_off.append(message.attempt)
        if fate in ("worker dies after", "worker is cut off"):
            raise Crash
        if fate == "takes it, answer lost":
            raise Uncertain("ReadTimeout")
        return Accepted(f"P-{message.attempt}")

    def find(self, sought: Sought) -> Found | None:
        """What is listed by now."""
        found = self.went.get(sought.attempt)
        listed = found is not None and found[1] <= self.rig.app.clock.real()
        return Found(f"P-{sought.attempt}") if listed else None

    def _look_on(self, message: Message) -> None:
        """Never after, and never without `sending` in the store; never the same attempt twice, nor what had gone."""
        case_id, number = parse_attempt_id(message.attempt)
        history = self.rig.app.cases.history(case_id)
        kinds = [(type(event), getattr(event, "attempt", None)) for event in history]
        assert (AttemptBegun, number) in kinds, "called before it was begun"
        before = history[: kinds.index((AttemptBegun, number))]
        assert not any(isinstance(event, PaymentReceived) for event in before), "called after the payment"
        assert message.attempt not in self.begun, "the same attempt was called for twice"
        known = self.told | {f"{case_id}.{event.attempt}" for event in before if isinstance(event, WENT)}
        same = {attempt for attempt, (gone, _) in self.went.items() if gone.id == message.id}
        assert not known & same, "called again although it was known to have gone"


def _one(attempts: list[str], back: int) -> list[str]:
    """One of the latest, as long as there is any."""
    return attempts[-1 - back % len(attempts) :][:1] if attempts else []


class Protocol(RuleBasedStateMachine):
    """One debtor, and everybody who can die."""

    rig: Rig
    steady: Cases
    tripping: Cases

    @initialize(
        fate=st.sampled_from(DOUBTFUL) | FATES, lag=LAGS, dies=DEATHS, lists=st.booleans(), given_up=st.booleans()
    )
    def a_case(self, fate: str, lag: int, dies: Dies | None, lists: bool, given_up: bool) -> None:
        """A reminder is due, and goes somehow; half the stories begin once one in doubt was sent again."""
        client = self.rig.app.client
        self.rig.app.broker.client.flushdb()  # nobody reads the queues here, and a full one would keep messages back
        client.hset(CLOCK_KEY, mapping={"since": datetime.now(UTC).isoformat(), "skipped_ms": "0"})
        self.rig.app.clock = open_clock(client)[0]  # every story begins on the same morning
        for key in client.scan_iter("relance:{demo}*"):
            client.delete(key)
        self.world = self.rig.providers.taps["outbox"] = World(self.rig.tap._inner, self.rig)
        self.world.finds = lists
        self.case: Case = self.rig.open(debtor__phone="+33639980001")
        self.known: list[str] = []
        self.a_message_goes(0, fate, lag, dies)
        if given_up:
            self.rig.wait(timedelta(minutes=6))
            self.rig.tick()
            self.a_person_says_that_it_did_not_go(fate)

    # ---- what happens

    @rule(minutes=st.sampled_from([0, 2, 2, 12]), fate=FATES, lag=LAGS, dies=DEATHS)
    def a_message_goes(self, minutes: int, fate: str, lag: int, dies: Dies | None) -> None:
        """A scheduler looks, and a worker takes what it reserved or asks; one of them may die on the way."""
        self.rig.wait(timedelta(minutes=minutes))
        self.world.fate, self.world.lag = fate, timedelta(minutes=lag)
        self._dying(dies, self._look_and_send)

    def _look_and_send(self) -> None:
        self.rig.tick()
        self.rig.deliver(self.case)
        self.rig.ask(self.case)

    @rule(which=st.integers(0, 3), fate=FATES, dies=DEATHS)
    def a_worker_is_given_an_attempt(self, which: int, fate: str, dies: Dies | None) -> None:
        """A queue message comes, late, twice, or for the second time."""
        for attempt in _one(self.known, which):
            self.world.fate = fate
            self._dying(dies, partial(deliver, self.rig.app, attempt, None))

    @rule(which=st.integers(0, 3), dies=DEATHS)
    def a_worker_asks_the_provider(self, which: int, dies: Dies | None) -> None:
        """About a message in doubt, or one that was."""
        for attempt in _one(self.world.begun, which):
            self._dying(dies, partial(settle, self.rig.app, attempt))

    @rule(which=st.sampled_from([0, 0, 1, 2]), dies=DEATHS)
    def a_receipt_comes(self, which: int, dies: Dies | None) -> None:
        """Of something that went, whenever; of what nobody knows yet, and oldest, first of all."""
        unknown = [attempt for attempt in self.world.went if attempt not in self.world.told]
        for attempt in _one(unknown[::-1] or [*self.world.went], which):
            said = Receipt(attempt, "delivered", "provider", "", f"P-{attempt}")
            if self._dying(dies, partial(receive, self.rig.app, said)):
                self.world.told.add(attempt)

    @rule(fate=FATES)
    def a_person_says_that_it_did_not_go(self, fate: str) -> None:
        """Of whatever is in doubt, and rightly or not; then somebody sends it again."""
        for attempt, _ in uncertain_attempts(self.rig.app):
            self.world.excused |= {message.id for name, (message, _) in self.world.went.items() if name == attempt}
            settle_by_hand(self.rig.app, attempt, went=False, by="ana")
        self.a_message_goes(2, fate, 0, None)

    @rule(which=st.integers(0, 3), dies=DEATHS)
    def a_worker_returns(self, which: int, dies: Dies | None) -> None:
        """It was cut off from the store with the provider's yes in hand, and others may have settled it meanwhile."""
        for attempt in _one(self.world.cut_off, which):
            said, now = Accepted(f"P-{attempt}"), self.rig.app.clock.now()
            if self._dying(dies, partial(record, self.rig.app, attempt, said, now)):
                self.world.told.add(attempt)

    @rule(minutes=st.sampled_from([1, 4, 11]), fate=FATES)
    def time_passes(self, minutes: int, fate: str) -> None:
        """Leases run out, and everybody is at work. A few seconds more, so that no story hangs on a moment."""
        self.rig.wait(timedelta(minutes=minutes, seconds=7))
        self.world.fate = fate
        self._dying(None, partial(self.rig.go_on, self.case, 2))

    @rule(days=st.sampled_from([1, 4, 10]))
    def days_pass(self, days: int) -> None:
        """It is ten in the morning of a working day again."""
        self._sleep(days)

    @rule(dies=DEATHS)
    def the_debtor_pays(self, dies: Dies | None) -> None:
        """From the commit on, nobody calls. Nobody pays in a story before a message has been sent, or there is none."""
        if not self.world.begun:
            return
        at = self.rig.app.clock.now()
        number, owed = self.case.invoices[0].number, str(self.case.invoices[0].amount)
        job = {"type": "payment_received", "version": 1, "job_id": "paid", "creditor": "demo", "invoice": number}
        self._dying(dies, lambda: self.rig.take({**job, "amount": owed, "currency": "EUR"}, at))

    def _sleep(self, days: int) -> None:
        now = self.rig.app.clock.now().astimezone(PARIS)
        morning = (now + timedelta(days=days)).replace(hour=10, minute=0, second=0)
        weekend = max(0, 7 - morning.weekday()) if morning.weekday() > 4 else 0
        self.rig.wait(morning + timedelta(days=weekend) - now)

    # ---- what must be so

    def _dying(self, dies: Dies | None, work: Any) -> bool:
        """Do it on a store that may be the last this process speaks to. Was it done?"""
        lives = True
        if dies:
            self.rig.app.cases = self.tripping
            self.tripping.client.ping()  # the words of connecting are none of those that count
            Tripwire.arm(dies.at, after=dies.after)
        try:
            work()
        except Crash:
            lives = False
            self.tripping.client.connection_pool.disconnect()
        finally:
            Tripwire.arm(-1)
            self.rig.app.cases, self.world.fate = self.steady, TAKEN
        self.known += [attempt for attempt in self.rig.reserved(self.case) if attempt not in self.known]
        self._nothing_twice()
        return lives

    def _nothing_twice(self) -> None:
        assert not self.world.broken, self.world.broken
        messages = [message.id for message, _ in self.world.went.values() if message.id not in self.world.excused]
        assert len(messages) == len(set(messages)), "the debtor got the same message twice"

    def teardown(self) -> None:
        """Nobody dies any more: what is in doubt is settled, nothing is lost, and the history tells it all."""
        if not hasattr(self, "case"):
            return
        for _ in range(8):
            self.rig.wait(timedelta(minutes=15))
            self.rig.go_on(self.case, 3)
        self._nothing_twice()
        case = self.rig.case(self.case.id)
        assert not list(case.open_sends()), "something is in doubt for ever"
        assert case.ended or case.holds or self.rig.next_look(self.case), "the case is lost"
        sends = [send for run in case.runs for send in run.sends if send.provider == "outbox"]
        said = {attempt_id(case, send.attempt) for send in sends if send.status == "accepted"}
        went = {attempt for attempt, (message, _) in self.world.went.items() if message.id not in self.world.excused}
        assert went <= said <= set(self.world.went), "the history tells something else than what went"
        assert fold(None, self.rig.history(self.case)) == case


def test_no_crash_between_any_two_calls_breaks_a_promise(make_app: MakeApp, store: Urls, tmp_path: Path) -> None:
    """Never twice, never lost, never after, whoever dies wherever; and never again what is known to have gone."""
    copy = Copy(tmp_path / "config")
    for channel in ("email", "sms", "voice"):
        copy.edit(CHANNELS, f"  {channel}:\n", f"  {channel}:\n    on_uncertain: {RESEND}\n")
    rig = Rig(make_app(at=MORNING, speed=1, config=copy.folder))
    mortal = tripping_client(store.redis_url)
    parts = {"rig": rig, "steady": rig.app.cases, "tripping": Cases(mortal)}
    try:
        run_state_machine_as_test(type("Message", (Protocol,), parts), settings=BOUNDED)
    finally:
        mortal.close()
