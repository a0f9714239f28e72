"""The stale-payment guard: where nobody tells of payments, nobody is chased; and it lets go by itself."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dramatiq
import pytest
import structlog

from tests.conftest import MakeApp
from worker.actors import declare
from worker.commit import Keys
from worker.dunning.model import Case
from worker.explain import explain
from worker.operations import pause, paused, resume
from worker.queues import FACTS
from worker.scheduler import Scheduler
from worker.sending import deliver

from .config_copy import DEMO, Copy
from .payloads import fact
from .rig import MORNING, NUMBER, Rig, Wall, invoice, outbox

MAX_AGE = timedelta(hours=36)
#: The last moment before `MORNING` at which a sign of life still counts.
BEFORE = MORNING - MAX_AGE


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The shipped configuration, with the guard."""
    copy = Copy(tmp_path / "config")
    copy.edit(DEMO, "mode: live", "payments_feed: {max_age: 36h}")
    return copy.folder


@pytest.fixture
def rig(make_app: MakeApp, config: Path) -> Rig:
    """A morning on which the first reminder is due, on production's clock; the feed was heard of 36 hours ago."""
    return started(make_app(config=config), BEFORE)


def started(app: Any, heard: datetime) -> Rig:
    """A store whose schedulers have known the feed since then."""
    rig = Rig(app)
    app.clock = Wall(heard)
    rig.tick()
    rig.jump(MORNING)
    return rig


def later(rig: Rig, **ahead: float) -> None:
    """So much later; a scheduler looks at the feeds once a second."""
    rig.jump(rig.app.clock.now() + timedelta(**ahead))


def checked(job_id: str = "checked-1", **fields: Any) -> dict[str, Any]:
    """A heartbeat."""
    return fact("payments_checked", job_id=job_id, **fields)


def stale(rig: Rig) -> list[str]:
    """The feed's pause, if there is one."""
    return paused(rig.app).get("demo", [])


def alarms(logged: Sequence[Any]) -> list[str]:
    """What was said of the feed, and how loud."""
    return [f"{line['log_level']} {line['event']}" for line in logged if line["event"].startswith("feed.")]


def courtesy(rig: Rig) -> Case:
    """A debtor whose invoice is due in a week."""
    due = MORNING.date() + timedelta(days=7)
    return rig.open(job_id="soon", debtor__id="D-soon", invoices=[invoice("F-soon", due)])


def test_a_feed_that_is_heard_of_holds_nothing_back(rig: Rig, tmp_path: Path) -> None:
    """36 hours are not more than 36 hours."""
    rig.settle(rig.open())
    assert (stale(rig), len(outbox(tmp_path))) == ([], 1)


def test_silence_stops_claims_and_lets_courtesies_go(rig: Rig, tmp_path: Path) -> None:
    """Nothing that asks for money goes; the message a week before the due date, which claims nothing, does."""
    later(rig, seconds=1)
    claim, soon = rig.open(), courtesy(rig)
    rig.tick()
    for case in (claim, soon):
        rig.settle(case)
    assert stale(rig) == ["feed"]
    assert (len(outbox(tmp_path)), rig.kinds(claim), rig.kinds(soon)[-1]) == (1, ["CaseOpened"], "AttemptAccepted")
    assert rig.next_look(claim) == rig.app.clock.now() + timedelta(minutes=5)


def test_a_reserved_claim_does_not_leave(rig: Rig, tmp_path: Path) -> None:
    """It waits in its queue while the feed goes silent; the last look gives it back."""
    case = rig.open()
    attempt = rig.reserve(case)
    later(rig, seconds=1)
    rig.tick()
    deliver(rig.app, attempt, None)
    assert (rig.kinds(case)[-1], outbox(tmp_path)) == ("AttemptReleased", [])


def test_a_claim_that_was_rendered_does_not_begin(rig: Rig, tmp_path: Path) -> None:
    """Between rendering and the call: `begin` itself refuses."""
    case = rig.open()
    attempt = rig.reserve(case)

    def silence() -> None:
        later(rig, seconds=1)
        rig.tick()

    rig.providers.got = silence
    deliver(rig.app, attempt, None)
    assert (rig.kinds(case)[-1], outbox(tmp_path)) == ("AttemptReleased", [])


def test_a_courtesy_that_was_rendered_begins(rig: Rig, tmp_path: Path) -> None:
    """The last look, too, lets it go."""
    attempt = rig.reserve(courtesy(rig))

    def silence() -> None:
        later(rig, seconds=1)
        rig.tick()

    rig.providers.got = silence
    deliver(rig.app, attempt, None)
    assert (stale(rig), len(outbox(tmp_path))) == (["feed"], 1)


def test_one_alarm_over_all_schedulers(rig: Rig, make_app: MakeApp, config: Path) -> None:
    """Said once, with the creditor and since when; nobody is woken by each scheduler, nor every second."""
    others = [make_app(config=config), make_app(config=config)]
    with structlog.testing.capture_logs() as logged:
        for n in range(4):
            later(rig, seconds=1)
            for app in others:
                app.clock = Wall(rig.app.clock.now())
                Scheduler(app, app.broker).tick()
            rig.tick()
            assert stale(rig) == ["feed"], n
    assert alarms(logged) == ["warning feed.stale"]
    (line,) = [line for line in logged if line["event"] == "feed.stale"]
    assert (line["creditor"], line["since"]) == ("demo", BEFORE.astimezone(rig.app.clock.now().tzinfo).isoformat())


@pytest.mark.parametrize(
    "job",
    [
        checked(),
        fact("payment_received", job_id="p", invoice=NUMBER, amount="10.00", currency="EUR"),
        fact("payment_received", job_id="p", invoice="F-unknown", amount="10.00", currency="EUR"),
        fact("payment_failed", job_id="p", invoice="F-unknown", amount="10.00", currency="EUR"),
        fact("payment_received", job_id="p", invoice=NUMBER, amount="1.00", currency="EUR", as_of="2026-01-02T08:00Z"),
    ],
    ids=["heartbeat", "payment", "early payment", "failure", "old payment"],
)
def test_a_sign_of_life_lifts_it_in_the_same_commit(rig: Rig, job: dict[str, Any], tmp_path: Path) -> None:
    """A heartbeat, or any payment that is taken, however old what it tells: claims go again, and it is said once."""
    case = rig.open(debtor__id="D-other", invoices__0__number="F-other", job_id="other")
    rig.open()
    later(rig, seconds=1)
    rig.tick()
    assert stale(rig) == ["feed"]
    rig.take(job, rig.app.clock.now())
    assert stale(rig) == []
    with structlog.testing.capture_logs() as logged:
        later(rig, minutes=5)
        rig.settle(case)
        later(rig, seconds=2)
        rig.tick()
    assert alarms(logged) == ["info feed.returned"]
    assert len(outbox(tmp_path)) == 1


def test_other_jobs_are_no_sign_of_payments(rig: Rig) -> None:
    """Reminders come from another export than payments: that one runs says nothing of the other."""
    later(rig, seconds=1)
    rig.tick()
    case = rig.open()
    rig.take(fact("case_held", job_id="h", case=case.id, reason="dispute"))
    assert stale(rig) == ["feed"]


def test_a_heartbeat_counts_from_what_it_speaks_of(rig: Rig) -> None:
    """Payments up to the day before yesterday are told: that is too long ago, whenever it is said."""
    later(rig, seconds=1)
    rig.tick()
    old, recent = MORNING - timedelta(hours=37), MORNING - timedelta(hours=30)
    rig.take(checked("c-1", as_of=old.isoformat()), rig.app.clock.now())
    assert stale(rig) == ["feed"]
    rig.take(checked("c-2", as_of=recent.isoformat()), rig.app.clock.now())
    assert stale(rig) == []
    later(rig, hours=6, minutes=1)
    rig.tick()
    assert stale(rig) == ["feed"]


def test_an_older_heartbeat_takes_nothing_back(rig: Rig) -> None:
    """Jobs come in any order; the newest word counts."""
    rig.take(checked("c-1"), MORNING)
    rig.take(checked("c-2", as_of=BEFORE.isoformat()), MORNING)
    later(rig, hours=35)
    rig.tick()
    assert stale(rig) == []


def test_a_repeat_is_no_sign_of_life(rig: Rig) -> None:
    """The same job id twice is one job: an export that hangs and repeats its last word is not alive."""
    rig.take(checked(), MORNING)
    later(rig, hours=36, seconds=1)
    rig.tick()
    assert rig.take(checked(), MORNING).repeated
    assert stale(rig) == ["feed"]


def test_where_the_guard_is_new_nothing_stops(make_app: MakeApp, config: Path, tmp_path: Path) -> None:
    """On a store that never heard of payments the age begins with the first look of a scheduler."""
    rig = Rig(make_app(config=config))
    rig.app.clock = Wall(MORNING)
    rig.settle(rig.open())
    assert (stale(rig), len(outbox(tmp_path))) == ([], 1)


def test_without_the_key_there_is_no_guard(make_app: MakeApp, tmp_path: Path) -> None:
    """Off unless configured; the first scheduler without it lets go of what one with it held."""
    rig = started(make_app(), MORNING - timedelta(days=90))
    rig.app.client.hset(Keys("demo").paused, "feed", "then")
    with structlog.testing.capture_logs() as logged:
        Scheduler(rig.app, rig.app.broker).tick()
    assert alarms(logged) == ["info feed.returned"]
    rig.settle(rig.open())
    assert (stale(rig), len(outbox(tmp_path))) == ([], 1)


def test_a_rehearsal_has_no_guard(make_app: MakeApp, config: Path) -> None:
    """Its days pass in seconds: nobody tells of payments between them."""
    rig = Rig(make_app(at=MORNING, speed=1, config=config))
    case = rig.open()
    rig.tick()
    rig.jump(MORNING + timedelta(days=30))
    rig.tick()
    assert stale(rig) == []
    assert "AttemptReserved" in rig.kinds(case)


def test_resume_does_not_lift_it(rig: Rig) -> None:
    """The stop button is another one: pressed and let go of, it leaves the guard where it is."""
    later(rig, seconds=1)
    rig.tick()
    pause(rig.app, ["demo"], "all", everywhere=True)
    assert stale(rig) == ["all", "feed"]
    resume(rig.app, ["demo"], "all", everywhere=True)
    assert stale(rig) == ["feed"]
    rig.app.client.hdel(Keys("demo").paused, "feed")
    with structlog.testing.capture_logs() as logged:
        later(rig, seconds=1)
        rig.tick()
    assert (stale(rig), alarms(logged)) == (["feed"], [])


def test_it_is_explained(rig: Rig) -> None:
    """Whoever asks why nothing goes reads what is missing, and not that somebody must press a button."""
    later(rig, seconds=1)
    rig.tick()
    seen = rig.app.cases.see(rig.open().id)
    assert seen
    found = explain(rig.app, seen, rig.app.clock.now())
    assert (found.state, found.next) == ("paused", "first_reminder")
    assert "nothing was heard of payments" in found.why


def test_a_heartbeat_comes_by_the_queue(rig: Rig) -> None:
    """An actor of its own, in the queue of facts; the job changes no case."""
    later(rig, seconds=1)
    rig.tick()
    declare(rig.app, rig.app.broker)
    kwargs = {"job": checked(as_of=MORNING.isoformat())}
    message: dramatiq.Message[None] = dramatiq.Message(
        queue_name=FACTS, actor_name="payments_checked", args=(), kwargs=kwargs, options={}
    )
    rig.app.broker.enqueue(message)
    worker = dramatiq.Worker(rig.app.broker, queues={FACTS}, worker_threads=1, worker_timeout=50)
    worker.start()
    rig.app.broker.join(FACTS, timeout=20_000)
    worker.stop()
    assert stale(rig) == []
