"""The alarm on silence: what the agenda said would go out, and did not."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
import structlog

from channels.base import Rejected, Unavailable, Uncertain
from tests.conftest import MakeApp
from worker.commit import Keys, moment
from worker.dunning.model import Case
from worker.operations import approve, pause, resume
from worker.ramp import in_line
from worker.scheduler import CLAIM_LEASE, Scheduler
from worker.sending import deliver
from worker.silence import silences
from worker.status import status

from .config_copy import B2B, DEMO, Copy
from .payloads import fact
from .rig import MORNING, Rig, Wall, invoice, stated

HOUR = timedelta(hours=1)
AFTERNOON = MORNING.replace(hour=14)
EMAIL = {"debtor__phone": "+33639980001"}


@pytest.fixture
def rig(make_app: MakeApp) -> Rig:
    """An afternoon on which the first reminder is due, on production's clock; the window is open until six."""
    rig = Rig(make_app())
    rig.app.clock = Wall(AFTERNOON)
    return rig


def later(rig: Rig, ahead: timedelta) -> None:
    """So much later."""
    rig.jump(rig.app.clock.now() + ahead)


def expected(rig: Rig, case: Case) -> datetime | None:
    """When the case's next message is to go, for all the store knows."""
    score = rig.app.client.zscore(Keys("demo").expected, case.id)
    return moment(float(str(score))) if score is not None else None


def heard(logged: Sequence[Any]) -> list[str]:
    """What was said of silence, and how loud."""
    return [f"{line['log_level']} {line['event']}" for line in logged if "silence" in line["event"]]


def silent(rig: Rig) -> int:
    """How many messages are late."""
    return sum(each.messages for each in silences(rig.app).values())


def test_a_ladder_that_goes_on_is_never_silent(rig: Rig) -> None:
    """Sent, and expected at the day of the next step; nothing is late then, nor once that has gone."""
    case = rig.open(**EMAIL)
    rig.settle(case)
    day = rig.next_look(case)
    assert day
    assert expected(rig, case) == day == MORNING.replace(day=7, hour=9)
    with structlog.testing.capture_logs() as logged:
        rig.jump(day)
        rig.settle(case)
        later(rig, HOUR * 3)
        rig.settle(case)
    assert (heard(logged), silent(rig)) == ([], 0)
    assert (expected(rig, case) or day) > day


def test_workers_that_take_nothing_are_a_silence(rig: Rig) -> None:
    """Reserved, and nobody sends: told after an hour, again an hour later, and over once it goes."""
    case = rig.open()
    with structlog.testing.capture_logs() as logged:
        for _ in range(12):  # almost two hours
            rig.tick()
            later(rig, timedelta(minutes=10))
    assert heard(logged) == ["error alarm.silence"]
    assert status(rig.app).silent["demo"].messages == 1
    assert abs(status(rig.app).silent["demo"].since - AFTERNOON) < timedelta(seconds=1)
    with structlog.testing.capture_logs() as logged:
        rig.tick()
        rig.tick()
        rig.settle(case)
        later(rig, timedelta(minutes=1))
        rig.tick()
    assert heard(logged) == ["error alarm.silence", "info silence.ended"]
    assert (silent(rig), "AttemptAccepted" in rig.kinds(case)) == (0, True)


def test_a_scheduler_that_was_dead_is_a_silence(rig: Rig) -> None:
    """Nobody logs while none runs, so the status says it; the next one says it at once, before it sends."""
    case = rig.open(**EMAIL)
    rig.settle(case)
    day = rig.next_look(case)
    assert day
    rig.jump(day + HOUR)
    assert silent(rig) == 1
    with structlog.testing.capture_logs() as logged:
        rig.tick()
    assert heard(logged) == ["error alarm.silence"]
    (line,) = [line for line in logged if line["event"] == "alarm.silence"]
    assert (line["creditor"], line["messages"], line["since"]) == ("demo", 1, day.isoformat())


def test_less_than_an_hour_is_no_silence(rig: Rig) -> None:
    """Queues are long in the morning."""
    rig.open()
    rig.tick()
    later(rig, HOUR - timedelta(seconds=1))
    assert silent(rig) == 0


def test_it_is_told_once_over_all_schedulers(rig: Rig, make_app: MakeApp) -> None:
    """Whoever looks first says it."""
    rig.open()
    rig.tick()
    with structlog.testing.capture_logs() as logged:
        later(rig, HOUR * 2)
        for app in (make_app(), rig.app, make_app()):
            app.clock = Wall(rig.app.clock.now())
            Scheduler(app, app.broker).tick()
    assert heard(logged) == ["error alarm.silence"]


@pytest.mark.parametrize("answer", [Rejected("address", "550", "no"), Uncertain("timeout", "never came")])
def test_an_answer_ends_the_wait(rig: Rig, answer: Any) -> None:
    """Refused for good, or not known: the case is held or goes on otherwise, and somebody is told of that instead."""
    case = rig.open()
    rig.tap.answers = [answer]
    rig.settle(case)
    assert rig.case(case.id).holds or rig.case(case.id).open_sends()
    assert expected(rig, case) is None


def test_a_message_that_went_is_not_waited_for_although_its_sister_is(rig: Rig) -> None:
    """Of an email and an SMS the email went, late; the SMS is late by its own time, from when it is reserved again."""
    by_hand = {"last_step": "call", "on": "2026-03-20"}
    case = rig.open(**EMAIL, history=by_hand, invoices=[invoice("F-1", MORNING.date() - timedelta(days=16))])
    rig.tick()
    first, *others = rig.reserved(case)
    deliver(rig.app, first, None)
    assert (len(others), expected(rig, case)) == (2, None)
    later(rig, timedelta(minutes=2))
    rig.tick()
    rig.tick()
    assert expected(rig, case) == rig.app.clock.now()


def test_another_channel_is_expected_anew(rig: Rig) -> None:
    """An address was refused half an hour late; the SMS that says it instead is not late yet."""
    case = rig.open(**EMAIL)
    rig.tick()
    later(rig, HOUR / 2)
    rig.tick()
    rig.tick()
    rig.tap.answers = [Rejected("address", "550", "no")]
    rig.deliver(case)
    rig.tick()
    assert len(rig.reserved(case)) == 1
    assert (expected(rig, case) or AFTERNOON) - AFTERNOON >= HOUR / 2


def test_a_provider_that_is_down_is_a_silence(rig: Rig) -> None:
    """It is tried again and again, and the message is as late as it is: a back-off is no plan."""
    case = rig.open()
    rig.tap.answers = [Unavailable("down", "503", "no")] * 99
    for _ in range(30):
        rig.tick()
        rig.deliver(case)
        later(rig, timedelta(minutes=5))
    assert rig.kinds(case).count("AttemptUnavailable") > 2
    assert silent(rig) == 1


@pytest.mark.parametrize("scope", ["all", "creditor", "strategy:b2b", "channel:email"])
def test_what_is_paused_is_not_late(rig: Rig, scope: str) -> None:
    """An operator who pressed the button is not cried at, neither while it lasts nor right after."""
    case = rig.open(**EMAIL)
    rig.settle(case)
    due = rig.open(job_id="j-2", debtor__id="D-2", invoices__0__number="F-2")
    rig.tick()
    pause(rig.app, ["demo"], scope, everywhere=False)
    with structlog.testing.capture_logs() as logged:
        rig.deliver(due)  # its worker finds the pause, and gives it back
        for _ in range(9):
            rig.tick()
            later(rig, HOUR / 3)
        resume(rig.app, ["demo"], scope, everywhere=False)
        later(rig, timedelta(minutes=5))
        rig.tick()
        for each in (case, due):
            rig.deliver(each)
        later(rig, timedelta(minutes=1))
        rig.tick()
    assert (heard(logged), silent(rig)) == ([], 0)
    assert "AttemptAccepted" in rig.kinds(due)


def test_a_resume_of_what_was_not_paused_hides_nothing(rig: Rig) -> None:
    """What is late stays late."""
    rig.open()
    rig.tick()
    later(rig, HOUR * 2)
    assert resume(rig.app, ["demo"], "all", everywhere=True) == 0
    assert silent(rig) == 1


def test_a_shut_window_is_no_silence(rig: Rig) -> None:
    """What is due while it is shut goes at nine: nobody is told of it all night, whatever else is heard of the case."""
    rig.jump(AFTERNOON.replace(hour=18))
    case = rig.open()
    for hour in (0, 6, 5):
        later(rig, HOUR * hour)
        rig.take(stated(19, str(700 - hour), job_id=f"s-{hour}", as_of=rig.app.clock.now().isoformat()))
        rig.tick()
        assert expected(rig, case) == rig.next_look(case) == AFTERNOON.replace(day=2, hour=9)


def test_what_was_late_when_the_window_shut_is_as_late_when_it_opens(rig: Rig) -> None:
    """Half an hour of yesterday's and half an hour of today's are an hour; of the night between nobody is told."""
    rig.jump(AFTERNOON.replace(hour=17, minute=30))
    case = rig.open()
    rig.tick()
    rig.jump(AFTERNOON.replace(hour=18))
    rig.tick()
    assert rig.next_look(case) == AFTERNOON.replace(day=2, hour=9)
    rig.jump(AFTERNOON.replace(day=2, hour=3))
    rig.take(stated(19, "700", as_of=rig.app.clock.now().isoformat()))  # a look in the night takes nothing off
    rig.tick()
    assert silent(rig) == 0
    assert expected(rig, case) == AFTERNOON.replace(day=2, hour=8, minute=30)
    for minutes, late in ((0, 0), (29, 0), (31, 1)):
        rig.jump(AFTERNOON.replace(day=2, hour=9, minute=minutes))
        rig.tick()
        assert silent(rig) == late


def test_a_window_that_is_shorter_than_an_hour_hides_nothing(make_app: MakeApp, tmp_path: Path) -> None:
    """Nobody sends; on the second morning it is told of, and on the third again, though it never opens for an hour."""
    copy = Copy(tmp_path / "config")
    copy.edit(B2B, '["09:00-12:00", "14:00-18:00"]', '["09:00-09:50"]')
    rig = Rig(make_app(config=copy.folder))
    rig.app.clock = Wall(MORNING.replace(hour=9))
    case = rig.open()
    told = []
    for day in (1, 2, 3):
        with structlog.testing.capture_logs() as logged:
            for minutes in range(0, 60, 10):
                rig.jump(MORNING.replace(day=day, hour=9, minute=minutes))
                rig.tick()
        told.append("error alarm.silence" in heard(logged))
    assert told == [False, True, True]
    assert "AttemptAccepted" not in rig.kinds(case)


@pytest.mark.parametrize("claimed", [False, True])
def test_a_case_that_nobody_looks_at_is_a_silence(rig: Rig, claimed: bool) -> None:
    """Taken in and due at once, and no scheduler runs, or the one that took it died before it looked."""
    rig.open()
    if claimed:
        now = rig.app.clock.now()
        rig.app.cases.claim("demo", now=now + HOUR / 60, real=now, lease=CLAIM_LEASE, limit=1)
    later(rig, HOUR)
    assert silent(rig) == (0 if claimed else 1)
    later(rig, HOUR / 60)
    assert silent(rig) == 1
    with structlog.testing.capture_logs() as logged:
        rig.tick()
        later(rig, HOUR / 60)
        rig.tick()
    assert heard(logged) == ["error alarm.silence", "info silence.ended"]


@pytest.mark.parametrize("reserved", [False, True])
def test_after_a_pause_a_dead_scheduler_is_a_silence(rig: Rig, reserved: bool) -> None:
    """Whatever was due before or meanwhile has an hour from the moment at which the button was let go."""
    rig.open()
    if reserved:
        rig.tick()
    pause(rig.app, ["demo"], "all", everywhere=True)
    later(rig, HOUR * 5)
    resume(rig.app, ["demo"], "all", everywhere=True)
    later(rig, HOUR - timedelta(seconds=1))
    assert silent(rig) == 0
    later(rig, timedelta(seconds=1))
    assert silent(rig) == 1


def test_who_stands_in_line_is_expected_at_their_turn(make_app: MakeApp, tmp_path: Path) -> None:
    """An import under a ramp, and then nobody calls from the line: all of it is silent, each once."""
    copy = Copy(tmp_path / "config")
    copy.edit(DEMO, "mode: live", "ramp: 10% per 10m")
    rig = Rig(make_app(config=copy.folder))
    rig.app.clock = Wall(AFTERNOON)
    cases = [rig.open(job_id=f"j{n}", debtor__id=f"D{n}", invoices__0__number=f"F{n}") for n in range(103)]
    for _ in range(3):
        rig.tick()
    assert in_line(rig.app) == {"demo": 3}
    line = [case for case in cases if not rig.in_flight(case)]
    assert [expected(rig, case) for case in line] == [rig.next_look(case) for case in line]
    later(rig, HOUR * 3)
    assert silent(rig) == 103


def test_a_queue_that_is_away_does_not_hush_the_alarm(make_app: MakeApp, tmp_path: Path) -> None:
    """What a scheduler cannot enqueue is told of by it all the same, and so is a feed that went stale meanwhile."""
    copy = Copy(tmp_path / "config")
    copy.edit(DEMO, "mode: live", "payments_feed: {max_age: 36h}")
    rig = Rig(make_app(config=copy.folder))
    rig.app.clock = Wall(AFTERNOON)
    rig.tick()
    rig.open()
    queue = rig.app.broker.client
    queue.config_set("min-replicas-to-write", 1)
    try:
        with structlog.testing.capture_logs() as logged:
            for hours in (0, 2, 36):
                later(rig, HOUR * hours)
                with pytest.raises(redis.ResponseError):
                    rig.tick()
    finally:
        queue.config_set("min-replicas-to-write", 0)
    assert heard(logged) == ["error alarm.silence"] * 2
    assert [line["event"] for line in logged if "feed" in line["event"]] == ["feed.stale"]


@pytest.mark.parametrize("kind", ["case_held", "case_closed"])
def test_what_is_held_or_over_is_not_expected(rig: Rig, kind: str) -> None:
    """Nothing is planned any more."""
    case = rig.open(**EMAIL)
    rig.settle(case)
    assert expected(rig, case)
    rig.take(fact(kind, job_id="h", case=case.id, reason={"case_held": "dispute", "case_closed": "paid"}[kind]))
    rig.settle(case)
    assert expected(rig, case) is None


def test_a_step_that_waits_for_a_person_is_not_expected(rig: Rig) -> None:
    """An approval may take days; once it is given, the message is to go."""
    case = rig.open(strategy="direct_notice", invoices=[invoice("F-1", MORNING.date() - timedelta(days=1))])
    rig.settle(case)
    assert rig.case(case.id).case_hold()
    assert expected(rig, case) is None
    approve(rig.app, case.id, "formal_notice", "somebody")
    rig.tick()
    assert expected(rig, case)


def test_a_case_that_failed_three_times_is_not_expected(rig: Rig) -> None:
    """It is held `error`, which is told of."""
    case = rig.open()
    rig.tick()
    rig.app.config = replace(rig.app.config, strategies={})
    for _ in range(4):
        later(rig, timedelta(minutes=2))
        rig.tick()
    assert [hold.reason for hold in rig.case(case.id).holds] == ["error"]
    assert expected(rig, case) is None


def test_a_rehearsal_is_never_silent(make_app: MakeApp) -> None:
    """Its hours are seconds."""
    rig = Rig(make_app(at=MORNING, speed=1))
    case = rig.open()
    rig.tick()
    with structlog.testing.capture_logs() as logged:
        rig.jump(MORNING + timedelta(days=2))
        rig.tick()
    assert (heard(logged), silent(rig), status(rig.app).silent) == ([], 0, {})
    assert expected(rig, case)
