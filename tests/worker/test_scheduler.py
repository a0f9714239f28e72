"""agenda -> decide -> reserve -> queue: once, at its time, for as many as the queues have room for."""

import time
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest
import redis
import structlog

from tests.conftest import MakeApp
from worker.cases import Claimed
from worker.commit import Keys, moment
from worker.dunning.model import Case
from worker.look import FAILURES
from worker.queues import send_message
from worker.scheduler import ROOM, Scheduler
from worker.sending import deliver

from .payloads import fact
from .rig import MORNING, PARIS, HookedCases, Rig, invoice, outbox


@pytest.fixture
def rig(make_app: MakeApp) -> Rig:
    """A morning on which the first reminder is due."""
    return Rig(make_app(at=MORNING, speed=1))


def many(rig: Rig, count: int) -> list[Case]:
    """As many debtors, each with a case."""
    return [rig.open(job_id=f"j-{n}", debtor__id=f"D-{n}", invoices__0__number=f"F-{n}") for n in range(count)]


def test_two_schedulers_on_one_agenda_reserve_each_message_once(rig: Rig, make_app: MakeApp) -> None:
    """Any number of schedulers may run: every case is decided once, and every attempt enqueued once."""
    cases = many(rig, 30)
    apps = [rig.app, make_app(), make_app()]
    start = Barrier(len(apps))

    def work(scheduler: Scheduler) -> None:
        start.wait()
        time.sleep(0.002)  # the agenda is kept to the millisecond, rounded up
        while scheduler.tick():
            pass

    threads = [Thread(target=work, args=(Scheduler(app, app.broker),)) for app in apps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [rig.kinds(case) for case in cases] == [["CaseOpened", "AttemptReserved"]] * 30
    assert rig.app.broker.waiting("email") == {"email": 30}


def test_two_schedulers_that_look_at_one_case_at_once_reserve_once(rig: Rig, make_app: MakeApp) -> None:
    """A case that a fact put back while it was claimed is looked at twice, and reserved once."""
    case = rig.open()
    other = make_app()
    claims = []
    for app in (rig.app, other):
        time.sleep(0.002)  # the agenda is kept to the millisecond, rounded up
        now, real = app.clock.now(), app.clock.real()
        claimed, _ = app.cases.claim("demo", now=now, real=real, lease=timedelta(seconds=30), limit=1)
        claims += [(app, claimed[0])]
        rig.take(fact("case_released", job_id=f"r-{len(claims)}", invoice="F-2026/001"))
    start = Barrier(2)

    def look(app: Any, claim: Any) -> None:
        start.wait()
        Scheduler(app, app.broker)._look_at([claim], app.clock.now())

    threads = [Thread(target=look, args=claim) for claim in claims]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert rig.kinds(case).count("AttemptReserved") == 1


@pytest.mark.parametrize(("channel", "reserved"), [("voice", 1), ("email", 0)])
def test_a_full_queue_stops_its_own_channel_alone(rig: Rig, channel: str, reserved: int) -> None:
    """Calls that nobody places do not keep an email from leaving; a full queue is given nothing more, for a second."""
    (case,) = many(rig, 1)
    for n in range(ROOM + 1):
        rig.app.broker.enqueue(send_message(channel, f"demo-x.{n}", None))
    assert rig.tick() == 1
    assert rig.kinds(case).count("AttemptReserved") == reserved
    if not reserved:
        look = rig.next_look(case)
        assert look is not None
        assert timedelta() < look - MORNING <= timedelta(seconds=2)


def test_behind_a_full_queue_cases_come_back_one_by_one(rig: Rig) -> None:
    """They would all be looked at again, and put off again, every second; nor does upstream hear of each of them."""
    cases = many(rig, 20)
    for n in range(ROOM + 1):
        rig.app.broker.enqueue(send_message("email", f"demo-x.{n}", None))
    rig.tick()
    looks = sorted(look for case in cases if (look := rig.next_look(case)))
    assert len(looks) == 20
    apart = [round((second - first) / timedelta(milliseconds=1)) for first, second in pairwise(looks)]
    assert min(apart) >= 2  # 400 in a second, on an agenda kept to the millisecond
    assert "queue_full" not in str(rig.app.client.xrange(Keys("demo").events))


def test_a_snapshot_that_cannot_be_read_stops_nobody_else(rig: Rig) -> None:
    """It is set aside for ten minutes and named in the log without a word of it; its neighbour is looked at."""
    broken, healthy = many(rig, 2)
    rig.app.client.set(Keys("demo").case(broken.id), '1||{"id": "demo-secret"}')
    with structlog.testing.capture_logs() as logged:
        rig.tick()
    assert "AttemptReserved" in rig.kinds(healthy)
    (line,) = [line for line in logged if line["event"] == "case.unreadable"]
    assert "secret" not in str(line["error"])
    score = rig.app.client.zscore(Keys("demo").in_flight, broken.id)
    assert score is not None
    assert moment(float(score)) - rig.app.clock.real() > timedelta(minutes=9)


def test_a_case_that_cannot_be_written_stops_nobody_else(rig: Rig) -> None:
    """Something else stands where its history should be: it is set aside and named; its neighbour gets its message."""
    broken, healthy = many(rig, 2)
    rig.app.client.delete(Keys("demo").history(broken.id))
    rig.app.client.hset(Keys("demo").history(broken.id), "no", "list")
    with structlog.testing.capture_logs() as logged:
        assert rig.tick() == 2
    assert [line["case"] for line in logged if line["event"] == "case.unreadable"] == [broken.id]
    assert rig.kinds(healthy)[-1] == "AttemptReserved"
    assert rig.app.broker.waiting("email") == {"email": 1}
    score = rig.app.client.zscore(Keys("demo").in_flight, broken.id)
    assert moment(float(str(score))) - rig.app.clock.real() > timedelta(minutes=9)


def test_a_case_that_fails_for_good_is_held_and_left_alone(rig: Rig) -> None:
    """Its strategy was removed: three looks, then a hold, and no fourth look by itself."""
    (case,) = many(rig, 1)
    rig.app.config = replace(rig.app.config, strategies={})
    for minutes in range(10):
        rig.jump(MORNING + timedelta(minutes=2 * minutes))
        rig.tick()
    assert rig.kinds(case).count("LookFailed") == FAILURES
    assert rig.kinds(case).count("HoldPlaced") == 1
    assert rig.next_look(case) is None


def test_two_cases_of_one_debtor_keep_the_gap(rig: Rig, make_app: MakeApp, tmp_path: Path) -> None:
    """Two cases of one debtor decided at the same moment: one speaks, the other waits for the minimum gap."""
    cases = [rig.open(), rig.open(job_id="j-2", invoices__0__currency="USD", invoices__0__number="F-2")]
    other = Scheduler(app := make_app(), app.broker)
    rig.app.cases.client.zrem(Keys("demo").agenda, cases[1].id)

    def meanwhile() -> None:
        other._look_at([Claimed(cases[1].id, rig.app.clock.now())], rig.app.clock.now())

    rig.app.cases = HookedCases(rig.app.client, meanwhile)
    rig.tick()
    assert [rig.kinds(case).count("AttemptReserved") for case in cases] == [0, 1]
    for case in cases:
        rig.deliver(case)
    assert len(outbox(tmp_path)) == 1
    assert rig.next_look(cases[0]) == datetime(2026, 4, 7, 9, tzinfo=PARIS)  # three days on, behind Easter


def test_rehearsals_look_at_the_time_the_agenda_bears(rig: Rig) -> None:
    """On a clock that has run ahead a look happens at its entry's own time: decide, last look and events agree."""
    case = rig.open(invoices=[invoice("F-1", date(2026, 4, 9))])
    rig.settle(case)
    due = rig.next_look(case)
    assert due is not None
    rig.jump(due + timedelta(days=30, hours=11))
    rig.tick()
    (attempt,) = rig.reserved(case)
    deliver(rig.app, attempt, due)
    later = [event.at for event in rig.history(case)][-3:]
    assert later == [due] * 3


def test_the_time_travels_with_the_queue_message(rig: Rig) -> None:
    """In a rehearsal the queue's message bears the ladder time; in production it bears none."""
    rig.open()
    rig.tick()
    (data,) = rig.app.broker.client.hvals("dramatiq:email.msgs")
    assert b'"at":"2026-04-01T08:00:0' in data
    assert b"example" not in data


def test_three_failing_looks_hold_the_case_with_their_place(rig: Rig) -> None:
    """A case that cannot be decided is tried three times, a minute apart, then held as `error` and left alone."""
    case = rig.open()
    rig.app.config = replace(rig.app.config, strategies={})
    for expected in (1, 2, 3):
        rig.settle(case, 3)
        assert rig.kinds(case).count("LookFailed") == expected
        rig.jump(MORNING + timedelta(minutes=1.1 * expected))
    (hold,) = rig.case(case.id).holds
    assert hold.reason == "error"
    assert "scheduler.py" in hold.note
    assert "KeyError" in hold.note


def test_three_failing_renderings_hold_the_case_with_their_place(rig: Rig, tmp_path: Path) -> None:
    """A message that cannot be made is tried three times, then held: no silent loop, and no contact counted."""
    rig.app.config = replace(rig.app.config, creditors={"demo": replace_sender(rig.app.config.creditors["demo"])})
    case = rig.open(debtor__email=..., debtor__phone="+33639980001")
    for expected in (1, 2, 3):
        rig.settle(case, 3)
        assert rig.kinds(case).count("LookFailed") == expected
        assert rig.contacts(case) == []
        rig.jump(MORNING + timedelta(minutes=1.1 * expected))
    rig.jump(MORNING + timedelta(days=1))
    rig.settle(case)
    assert rig.kinds(case).count("LookFailed") == 3
    (hold,) = rig.case(case.id).holds
    assert hold.reason == "error"
    assert "sms" in hold.note
    assert outbox(tmp_path) == []


def replace_sender(creditor: Any) -> Any:
    """The creditor, without a number to send an SMS from."""
    return creditor.model_copy(update={"sms": None, "voice": None})


def test_one_case_that_cannot_be_handed_over_stops_nobody_else(rig: Rig, tmp_path: Path) -> None:
    """An exception in one case's look, wherever it is, is that case's failure: the others are served."""
    b2b = rig.app.config.strategies["b2b"]
    handover = b2b.steps[-1]
    ladder = (replace(handover, when=b2b.steps[1].when, approval=False, notice="no_such_notice"),)
    broken = replace(b2b, name="broken", steps=ladder)
    rig.app.config = replace(rig.app.config, strategies={**rig.app.config.strategies, "broken": broken})
    bad = rig.open(job_id="bad", strategy="broken", debtor__id="D-bad", invoices__0__number="F-bad")
    good = rig.open()
    rig.settle(bad, 2)
    rig.settle(good)
    assert rig.kinds(bad) == ["CaseOpened", "LookFailed"]
    assert len(outbox(tmp_path)) == 1


def test_a_look_that_fails_while_the_case_changes_is_taken_again(rig: Rig, make_app: MakeApp) -> None:
    """A failure is counted on the version it happened at: a fact meanwhile makes another look, not a dead scheduler."""
    case = rig.open()
    payer = Rig(make_app())

    class Broken(dict[str, Any]):
        def __missing__(self, key: str) -> None:
            if "PaymentReceived" not in payer.kinds(case):
                payer.pay("10.00")
            raise KeyError(key)

    rig.app.config = replace(rig.app.config, strategies=Broken())
    rig.tick()
    assert rig.kinds(case)[-1] == "LookFailed"


def test_a_message_given_back_keeps_the_gap_to_what_was_said_meanwhile(rig: Rig, tmp_path: Path) -> None:
    """Released before anybody called, and overtaken by the debtor's other case: it waits for the gap like any other."""
    case = rig.open()
    attempt = rig.reserve(case)
    pause = Keys("demo").paused
    rig.providers.got = lambda: rig.app.client.hset(pause, "channel:email", "now")
    deliver(rig.app, attempt, None)
    rig.providers.got = lambda: None
    rig.settle(case)
    rig.app.client.delete(pause)
    other = rig.open(job_id="j-2", invoices__0__currency="USD", invoices__0__number="F-2")
    rig.settle(other)
    assert len(outbox(tmp_path)) == 1
    rig.jump(MORNING + timedelta(minutes=6))
    rig.settle(case)
    assert len(outbox(tmp_path)) == 1


def test_what_the_queue_refuses_is_given_to_it_again(rig: Rig) -> None:
    """Reserved, and the queue takes no writes: nothing more is reserved; once it does, none waits a lease."""
    first, queue = rig.open(), rig.app.broker.client
    queue.config_set("min-replicas-to-write", 1)
    try:
        with pytest.raises(redis.ResponseError):
            rig.tick()
        second = rig.open(job_id="j-2", debtor__id="D-2", invoices__0__number="F-2")
        with pytest.raises(redis.ResponseError):
            rig.tick()
        assert (rig.reserved(first) != [], rig.reserved(second)) == (True, [])
    finally:
        queue.config_set("min-replicas-to-write", 0)
    rig.tick()
    assert rig.app.broker.waiting("email") == {"email": 2}
