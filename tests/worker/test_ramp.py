"""The backlog guard: after an outage or an import a share goes in each stretch, everybody in turn, never in a burst."""

import random
from bisect import bisect_left
from collections.abc import Container, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, time, timedelta
from itertools import cycle, pairwise
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from channels.base import Unavailable
from tests.conftest import MakeApp
from worker.app import App
from worker.cases import Claimed
from worker.commit import Keys, millis
from worker.config import Ramp, grammar
from worker.dunning.events import AttemptAccepted, AttemptReserved
from worker.dunning.model import Case
from worker.explain import explain
from worker.queues import send_message
from worker.ramp import Asking, Ramps, in_line
from worker.scheduler import ROOM
from worker.sending import deliver
from worker.status import status

from .config_copy import DEMO, Copy
from .dunning.builders import B2B, Story
from .dunning.builders import invoice as claim
from .payloads import fact
from .rig import MORNING, PARIS, Rig, Wall, invoice, outbox

FREE = 100
KEYS = Keys("demo")
#: How long, in milliseconds, before the next thing happens; now and then nobody is there for a quarter of an hour.
PACES = [1, 50, 700, 2_000, 4_000, 1, 50, 700, 2_000, 45_000] * 9 + [900_000]
RAMPS = ["5% per 1m", "15% per 5m", "20% per 10m", "50% per 30m", "100% per 10m"]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The shipped configuration, with the guard."""
    copy = Copy(tmp_path / "config")
    copy.edit(DEMO, "mode: live", "ramp: 10% per 10m")
    return copy.folder


@pytest.fixture
def rig(make_app: MakeApp, config: Path) -> Rig:
    """On production's clock, on a morning on which the first reminder is due."""
    return standing(make_app(config=config))


def standing(app: App) -> Rig:
    """All of it on a clock that stands at `MORNING`."""
    app.clock = Wall(MORNING)
    return Rig(app)


# ---- the line, without a scheduler around it


def most(times: Sequence[datetime], per: timedelta) -> int:
    """The most that went in any stretch of that length."""
    ordered = sorted(times)
    return max((bisect_left(ordered, first + per) - i for i, first in enumerate(ordered)), default=0)


@dataclass
class Hand:
    """A scheduler that can be stopped between any two things it does: call, claim, ask."""

    app: App
    ramps: Ramps
    held: list[Claimed] = field(default_factory=list)
    called: list[str] = field(default_factory=list)

    def move(self, cases: dict[str, Case], now: datetime, went: Container[str]) -> list[str]:
        """Its next thing; the cases that went by it. One that went by another is seen to be in flight, and left."""
        if not self.held:
            self.ramps.call("demo", now)
            self.held, _ = self.app.cases.claim("demo", now=now, real=now, lease=timedelta(days=9), limit=40)
            return []
        asked = [each.case_id for each in self.held if each.case_id not in went]
        entries = [Asking(cases[each.case_id], each.at) for each in self.held if each.case_id not in went]
        running = self.app.client.exists(KEYS.ramp)
        until, self.held = self.ramps.put_off(entries, now), []
        self.called += [name for name in asked if running and name not in until]
        for name, moment in until.items():
            self.app.client.zadd(KEYS.agenda, {name: millis(moment)})
        return [name for name in asked if name not in until]


@dataclass(frozen=True)
class Flood:
    """So many cases, all late or opened one by one over so long, under a ramp, before so many schedulers."""

    count: int
    opened_within: timedelta | None
    ramp: Ramp
    hands: int
    seed: int


def floods() -> st.SearchStrategy[Flood]:
    """Any of them."""
    return st.builds(
        Flood,
        count=st.integers(1, 300),
        opened_within=st.sampled_from([None, timedelta(), timedelta(minutes=5), timedelta(hours=1)]),
        ramp=st.sampled_from([grammar.ramp(text) for text in RAMPS]),
        hands=st.integers(1, 3),
        seed=st.integers(0, 2**32),
    )


@dataclass(frozen=True)
class Went:
    """When each case went, and which of them were called up from the line."""

    at: dict[str, datetime]
    called: list[datetime]


def run(app: App, flood: Flood, paces: Sequence[int] = ()) -> Went:
    """Let them all come, in an order and at a pace that chance decides, or at these (ms); who went, and when."""
    chance, now = random.Random(flood.seed), MORNING
    app.config = replace(
        app.config, creditors={"demo": app.config.creditors["demo"].model_copy(update={"ramp": flood.ramp})}
    )
    app.client.flushdb()
    template = Story(B2B, MORNING).open(claim("F-1", "2026-03-31")).case
    hands = [Hand(app, Ramps(app)) for _ in range(flood.hands)]
    cases: dict[str, Case] = {}
    spread, late = flood.opened_within or timedelta(), timedelta(hours=flood.opened_within is None)
    coming = sorted((MORNING + spread * chance.random(), f"demo-{n}") for n in range(flood.count))
    went: dict[str, datetime] = {}
    pace = cycle(paces or [0])
    end = MORNING + spread + 20 * (flood.ramp.per + timedelta(minutes=1)) * (100 / flood.ramp.percent)
    while len(went) < flood.count and now < end:
        while coming and coming[0][0] <= now:
            opened, name = coming.pop(0)
            cases[name] = replace(template, id=name, opened_at=opened - late * 24)
            app.client.zadd(KEYS.agenda, {name: millis(opened - late)})
        for name in chance.choice(hands).move(cases, now, went):
            went[name] = now
        now += timedelta(milliseconds=next(pace) or chance.choice(PACES))
    return Went(went, [went[name] for hand in hands for name in hand.called])


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(flood=floods())
def test_in_any_stretch_no_more_than_the_share_goes_and_everybody_does(rig: Rig, flood: Flood) -> None:
    """However they come and however schedulers interleave: of the line the share, with those before it a hundred more.

    And each goes, once.
    """
    went, share = run(rig.app, flood), flood.count * flood.ramp.percent // 100
    assert len(went.at) == flood.count
    assert most(list(went.at.values()), flood.ramp.per) <= FREE + share
    assert most(went.called, flood.ramp.per) <= max(1, share)


def test_calls_are_evenly_apart(rig: Rig) -> None:
    """Not a tenth at the first minute of each ten: one after another, all of them at the same pace."""
    late = Flood(300, None, grammar.ramp("10% per 10m"), 1, 0)
    called = run(rig.app, late, [1_000]).called
    gaps = [(after - before).total_seconds() for before, after in pairwise(called)]
    assert (min(gaps), max(gaps), len(called)) == (22, 22, 200)  # eleven minutes for thirty: they have one to come in


def test_a_line_that_nobody_called_from_is_not_made_up_for_at_once(rig: Rig) -> None:
    """The schedulers were away for an hour in the middle of it: on they go, at the same pace."""
    late = Flood(300, None, grammar.ramp("10% per 10m"), 1, 0)
    went = run(rig.app, late, [1_000] * 400 + [3_600_000])
    assert most(went.called, timedelta(minutes=10)) <= 19  # as many as 400 seconds have turns, 22 seconds apart


# ---- whole schedulers


def flood(rig: Rig, count: int, name: str = "D", **changes: Any) -> list[Case]:
    """So many debtors of that name, each with a case."""
    names = (f"{name}-{n}" for n in range(count))
    return [rig.open(job_id=each, debtor__id=each, invoices__0__number=each, **changes) for each in names]


def reserved_at(rig: Rig, cases: Sequence[Case]) -> list[datetime]:
    """When each message was reserved that a case got, in order."""
    return sorted(e.at for case in cases for e in rig.history(case) if isinstance(e, AttemptReserved))


def go_on(rig: Rig, until: datetime, step: timedelta) -> None:
    """Tick on and on; whatever is reserved is sent at once."""
    while rig.app.clock.now() < until:
        send_all(rig)
        while rig.tick():
            send_all(rig)
        rig.jump(min(until, rig.app.clock.now() + step))


def send_all(rig: Rig) -> None:
    """As the workers would."""
    names: Any = rig.app.client.zrange(KEYS.in_flight, 0, -1)
    for name in names:
        for attempt in rig.reserved(rig.case(name)):
            deliver(rig.app, attempt, None)
    rig.app.broker.client.flushdb()


def test_an_import_goes_bit_by_bit(rig: Rig) -> None:
    """A hundred go as they come; the others wait on the agenda and nowhere else, and go in their turn."""
    cases = flood(rig, 120)
    with structlog.testing.capture_logs() as logged:
        for _ in range(3):
            rig.tick()
    assert len(reserved_at(rig, cases)) == FREE
    assert in_line(rig.app) == status(rig.app).in_line == {"demo": 20}
    (line,) = [line for line in logged if line["event"] == "ramp.begun"]
    assert (line["creditor"], line["cases"], line["per"], line["log_level"]) == ("demo", 120, "10% per 10m", "warning")
    waiting = [case for case in cases if not rig.in_flight(case)]
    assert (len(waiting), len({rig.next_look(case) for case in waiting})) == (20, 20)
    assert '"reason":"ramp"' not in str(rig.app.client.xrange(KEYS.events))
    seen = rig.app.cases.see(waiting[0].id)
    assert seen
    found = explain(rig.app, seen, rig.app.clock.now())
    assert (found.state, found.at) == ("waiting", rig.next_look(waiting[0]))
    assert found.why == "many are due at once, and they go one after another"
    with structlog.testing.capture_logs() as logged:
        go_on(rig, MORNING + timedelta(minutes=50), timedelta(seconds=5))
    assert [line["cases"] for line in logged if line["event"] == "ramp.ended"] == [120]
    assert [len(rig.case(case.id).runs) for case in cases] == [1] * 120
    assert most(reserved_at(rig, cases), timedelta(minutes=10)) <= FREE + 12
    assert in_line(rig.app) == {"demo": 0}


def test_an_empty_line_is_not_yet_the_end(rig: Rig) -> None:
    """The last one was called four minutes ago: fifty more are not let through as if nothing had been."""
    flood(rig, FREE + 1)
    go_on(rig, MORNING + timedelta(minutes=5), timedelta(seconds=9))
    assert in_line(rig.app) == {"demo": 0}
    more = flood(rig, 50, "E")
    look(rig)
    assert (len(reserved_at(rig, more)), in_line(rig.app)) == (1, {"demo": 49})


def test_a_hundred_are_no_backlog(rig: Rig) -> None:
    """They go as they come, and so do as many later."""
    assert rig.app.config.creditors["demo"].ramp == Ramp(10, timedelta(minutes=10))
    with structlog.testing.capture_logs() as logged:
        cases = flood(rig, FREE)
        rig.tick()
    assert len(reserved_at(rig, cases)) == FREE
    assert "ramp" not in str(logged)


def test_without_the_key_everything_goes_at_once(make_app: MakeApp) -> None:
    """Off unless configured."""
    rig = standing(make_app())
    cases = flood(rig, FREE + 10)
    rig.tick()
    rig.tick()
    assert len(reserved_at(rig, cases)) == FREE + 10


def test_a_rehearsal_has_no_ramp(make_app: MakeApp, config: Path) -> None:
    """Its ten minutes are no time."""
    rig = Rig(make_app(at=MORNING, speed=1, config=config))
    cases = flood(rig, FREE + 10)
    rig.tick()
    rig.tick()
    assert len(reserved_at(rig, cases)) == FREE + 10


def test_the_days_own_messages_are_no_backlog(rig: Rig) -> None:
    """What is due this morning, planned long before, goes when the window opens."""
    cases = flood(rig, FREE + 10, invoices__0__due_on=(MORNING.date() + timedelta(days=30)).isoformat())
    for _ in range(3):
        rig.tick()
    day = max(filter(None, map(rig.next_look, cases)))
    rig.jump(day)
    rig.tick()
    rig.tick()
    assert len(reserved_at(rig, cases)) == FREE + 10


def open_hours(moment: datetime) -> bool:
    """Is it within the window of `b2b`?"""
    local = moment.astimezone(PARIS)
    return local.weekday() < 5 and (time(9) <= local.time() < time(12) or time(14) <= local.time() < time(18))


def test_after_weeks_without_schedulers_each_case_gets_one_step_in_its_window(rig: Rig) -> None:
    """Five weeks, in which five steps would have gone; shortly before six it begins anew, with one step for each.

    What does not go until six goes the next morning, and not all of it at nine: it stands in line again.
    """
    by_hand = {"last_step": "first_reminder", "on": "2026-04-01"}
    cases = flood(rig, 260, debtor__phone="+33639980001", history=by_hand)
    back = datetime(2026, 5, 6, 17, 52, tzinfo=PARIS)
    rig.jump(back)
    go_on(rig, back + timedelta(minutes=18), timedelta(seconds=9))
    assert FREE < len(reserved_at(rig, cases)) < 130
    go_on(rig, back + timedelta(hours=15), timedelta(minutes=30))
    go_on(rig, back + timedelta(hours=17), timedelta(seconds=9))
    times = reserved_at(rig, cases)
    assert len(times) == 260
    assert all(map(open_hours, times))
    assert most(times, timedelta(minutes=10)) <= FREE + 26
    assert {tuple(run.step for run in rig.case(case.id).runs) for case in cases} == {("first_reminder", "sms_reminder")}


@pytest.mark.parametrize("scope", ["all", "strategy:b2b", "channel:email"])
def test_what_a_pause_kept_back_is_a_backlog(rig: Rig, scope: str) -> None:
    """Whatever was paused: once it is over, not everything goes within five minutes."""
    rig.app.client.hset(KEYS.paused, scope, "now")
    cases = flood(rig, FREE + 50)
    wait_out(rig)
    rig.app.client.hdel(KEYS.paused, scope)
    assert gone_at_once(rig, cases) == FREE
    assert in_line(rig.app) == {"demo": 50}


def test_what_a_silent_feed_kept_back_is_a_backlog(make_app: MakeApp, config: Path) -> None:
    """The two guards together: payments are told of again, and reminders go again bit by bit."""
    path = config / DEMO
    path.write_text(path.read_text("utf-8") + "\npayments_feed: {max_age: 36h}\n", "utf-8")
    rig = standing(make_app(config=config))
    rig.app.client.zadd(KEYS.feed, {"heard": millis(MORNING - timedelta(hours=37))})
    cases = flood(rig, FREE + 50)
    wait_out(rig)
    assert reserved_at(rig, cases) == []
    rig.take(fact("payments_checked", job_id="c"), rig.app.clock.now())
    assert gone_at_once(rig, cases) == FREE


def wait_out(rig: Rig) -> None:
    """An hour and a quarter of looks."""
    for _ in range(13):
        look(rig)
        rig.jump(rig.app.clock.now() + timedelta(minutes=6))


def look(rig: Rig) -> None:
    """Everything that is due is looked at."""
    while rig.tick():
        pass


def gone_at_once(rig: Rig, cases: Sequence[Case]) -> int:
    """How many are reserved within five minutes, in which each is looked at."""
    rig.jump(rig.app.clock.now() + timedelta(minutes=3))
    look(rig)
    return len(reserved_at(rig, cases))


def test_what_a_dead_worker_kept_back_is_a_backlog(rig: Rig) -> None:
    """Its queue was full for a quarter of an hour: what waited behind it does not follow at once."""
    for n in range(ROOM + 1):
        rig.app.broker.enqueue(send_message("email", f"demo-x.{n}", None))
    cases = flood(rig, FREE + 50)
    for _ in range(16):
        look(rig)
        rig.jump(rig.app.clock.now() + timedelta(minutes=1))
    assert reserved_at(rig, cases) == []
    rig.app.broker.client.flushdb()
    look(rig)
    assert len(reserved_at(rig, cases)) == FREE


def test_who_pays_in_line_leaves_it(rig: Rig, tmp_path: Path) -> None:
    """And whoever disputes: no message, no place in line, and nobody waits for their turn."""
    cases = flood(rig, FREE + 3)
    rig.tick()
    rig.tick()
    paying, disputing, waiting = [case for case in cases if not rig.in_flight(case)]
    number = paying.invoices[0].number
    rig.take(fact("payment_received", job_id="p", invoice=number, amount="1200.50", currency="EUR"))
    rig.take(fact("case_held", job_id="h", case=disputing.id, reason="dispute"))
    rig.tick()
    assert in_line(rig.app) == {"demo": 1}
    go_on(rig, MORNING + timedelta(minutes=10), timedelta(seconds=9))
    assert [rig.kinds(case).count("AttemptReserved") for case in (paying, disputing, waiting)] == [0, 0, 1]
    assert len(outbox(tmp_path)) == FREE + 1


def test_a_message_that_did_not_get_through_needs_no_second_turn(rig: Rig) -> None:
    """What has begun goes on: the other messages of a step that was said, and what debtors ask for."""
    by_hand = {"last_step": "call", "on": "2026-03-20"}
    due = MORNING.date() - timedelta(days=16)
    debtor = {"debtor__id": "D-called", "debtor__phone": "+33639980001"}
    case = rig.open(**debtor, history=by_hand, invoices=[invoice("F-1", due)])
    rig.tick()
    first, sms, task = rig.reserved(case)
    deliver(rig.app, first, None)
    flood(rig, FREE + 10)
    look(rig)
    assert in_line(rig.app)["demo"] > 0
    rig.jump(MORNING + timedelta(minutes=2))  # the lease of the others has run out
    look(rig)
    assert len(rig.reserved(case)) == 2
    assert {sms, task}.isdisjoint(rig.reserved(case))


def test_what_a_provider_kept_back_is_a_backlog(rig: Rig) -> None:
    """It was down for most of an hour: what comes back from its back-off, at the same minute, goes in turn."""
    cases = flood(rig, 2 * FREE)
    rig.tap.answers = [Unavailable("down", "503", "no")] * 10_000
    go_on(rig, MORNING + timedelta(minutes=50), timedelta(seconds=30))
    rig.tap.answers = []
    go_on(rig, MORNING + timedelta(minutes=115), timedelta(seconds=30))
    went = [event.at for case in cases for event in rig.history(case) if isinstance(event, AttemptAccepted)]
    assert went
    assert most(went, timedelta(minutes=10)) <= FREE + 20
