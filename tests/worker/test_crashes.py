"""A crash between any two calls to the store or a provider: nothing is sent twice, nothing is lost."""

import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
import redis

from channels.base import Accepted
from channels.sandbox.faults import Fault
from channels.sandbox.sandbox import Sandbox
from tests.conftest import ROOT, MakeApp
from worker.cases import Cases
from worker.commit import Commit
from worker.embedded import Urls
from worker.outcomes import record
from worker.scheduler import Scheduler
from worker.sending import deliver

from .programs import until
from .rig import MORNING, Crash, Rig, Tripwire, outbox, tripping_client


@pytest.fixture
def rig(make_app: MakeApp) -> Rig:
    """A morning on which the first reminder is due."""
    return Rig(make_app(at=MORNING, speed=1))


def test_a_crash_between_any_two_calls_loses_nothing_and_repeats_nothing(rig: Rig, store: Urls, tmp_path: Path) -> None:
    """Wherever scheduler or worker die, the message leaves once, or is held as uncertain: the case is never lost."""
    whole, steady = rig.app.clock, rig.app.cases
    rig.app.cases = Cases(tripping_client(store.redis_url))
    doubts, crashes = 0, 0
    for number, (after, place) in enumerate((after, place) for after in (False, True) for place in range(1, 40)):
        case = rig.open(job_id=f"j-{number}", debtor__id=f"D-{number}", invoices__0__number=f"F-{number}")
        Tripwire.arm(place, after=after)
        try:
            rig.settle(case, 1)
        except Crash:
            pass
        else:
            continue
        finally:
            Tripwire.arm(-1)
        crashes += 1
        tripping, rig.app.cases = rig.app.cases, steady
        rig.lose_leases()
        rig.settle(case)
        rig.app.clock, rig.app.cases = whole, tripping
        sent = [line for line in outbox(tmp_path) if line["id"].startswith(case.id)]
        doubtful = [send for _, send in rig.case(case.id).open_sends()]
        assert len(sent) + (1 if doubtful and not sent else 0) == 1, (after, place)
        assert [send.status for send in doubtful] in ([], ["uncertain"]), (after, place)
        assert doubtful or rig.next_look(case), (after, place)
        doubts += bool(doubtful)
    assert crashes > 12
    assert 1 <= doubts <= 6  # between `sending` and the record: nobody knows, and nobody sends again


def test_a_worker_killed_during_a_call_leaves_it_uncertain(make_app: MakeApp, store: Urls, tmp_path: Path) -> None:
    """`kill -9` after the provider took the mail and before the record: held as uncertain, never sent again."""
    with Sandbox(faults=[Fault("hang", channel="email", seconds=30)], log=tmp_path / "log") as sandbox:
        environ = {"SENDGRID_API_KEY": "key", "SENDGRID_BASE_URL": sandbox.sendgrid_url}
        rig = Rig(make_app(at=MORNING, speed=1, **environ))
        case = rig.open()
        attempt = rig.reserve(case)
        variables = {"REDIS_URL": store.redis_url, "RELANCE_CONFIG": str(ROOT / "config"), "PYTHONPATH": str(ROOT)}
        child = subprocess.Popen(
            [sys.executable, "-c", _DELIVER, attempt], env=os.environ | variables | environ, cwd=tmp_path
        )
        try:
            _wait_for(tmp_path / "log", '"opened"')
        finally:
            os.kill(child.pid, signal.SIGKILL)
            child.wait()
        assert rig.kinds(case)[-1] == "AttemptBegun"
        rig.jump(MORNING + timedelta(days=3))
        rig.lose_leases()
        sandbox.clear()
        rig.settle(case)
        assert rig.kinds(case)[-1] == "AttemptUncertain"
        assert (tmp_path / "log").read_text().count('"opened"') == 1


_DELIVER = """
import sys
from worker.app import App
from worker.sending import deliver
deliver(App(), sys.argv[1], None)
"""


def _wait_for(log: Path, word: str) -> None:
    until(lambda: log.exists() and word in log.read_text())


def test_a_scheduler_that_dies_before_it_enqueues_is_made_up_for(rig: Rig, tmp_path: Path) -> None:
    """Reserved and never enqueued: when the lease has run out the message is reserved anew, and leaves once."""
    case = rig.open()
    first = rig.reserve(case)
    rig.app.broker.client.flushdb()
    assert rig.tick() == 0
    rig.lose_leases()
    rig.settle(case)
    deliver(rig.app, first, None)
    assert [line["attempt"] for line in outbox(tmp_path)] == [f"{case.id}.2"]
    assert len(rig.contacts(case)) == 1


def test_a_claim_whose_scheduler_died_comes_back(rig: Rig, tmp_path: Path) -> None:
    """Claimed and never looked at: another scheduler takes it when the lease has run out, not before."""
    case = rig.open()
    time.sleep(0.002)  # the agenda is kept to the millisecond, rounded up
    now, real = rig.app.clock.now(), rig.app.clock.real()
    claimed, _ = rig.app.cases.claim("demo", now=now, real=real, lease=timedelta(seconds=30), limit=10)
    assert [claim.case_id for claim in claimed] == [case.id]
    other = Scheduler(rig.app, rig.app.broker)
    assert other.tick() == 0
    rig.lose_leases(timedelta(seconds=31))
    assert other.tick() == 1
    rig.deliver(case)
    assert len(outbox(tmp_path)) == 1


def test_a_receipt_settles_what_a_crash_left_in_doubt(rig: Rig) -> None:
    """A message whose worker died in the call is accepted after all when the provider says so."""
    case = rig.open()
    attempt = rig.reserve(case)

    def die() -> None:
        raise Crash

    rig.tap.after = die
    with pytest.raises(Crash):
        deliver(rig.app, attempt, None)
    rig.lose_leases()
    rig.settle(case)
    assert record(rig.app, attempt, Accepted("by-receipt"), rig.app.clock.now())
    assert rig.kinds(case)[-2:] == ["AttemptUncertain", "AttemptAccepted"]
    assert rig.next_look(case) is not None


def test_a_disk_that_is_too_slow_stops_the_call(rig: Rig, store: Urls, tmp_path: Path) -> None:
    """When the reservation is not on disk in time no call begins; it is tried again when the disk answers."""
    case = rig.open()
    attempt = rig.reserve(case)
    with redis.Redis.from_url(store.redis_url) as server:
        server.config_set("appendfsync", "no")
        try:
            deliver(rig.app, attempt, None)
        finally:
            server.config_set("appendfsync", "always")
    assert outbox(tmp_path) == []
    assert rig.kinds(case)[-1] == "AttemptUnavailable"
    look = rig.next_look(case)
    assert look is not None
    rig.jump(look)
    rig.settle(case)
    assert len(outbox(tmp_path)) == 1


def test_the_reservation_is_on_disk_before_the_provider_hears_of_it(rig: Rig, store: Urls) -> None:
    """WAITAOF follows the commit of `sending`, on the same connection, and comes before the call."""
    case = rig.open()
    attempt = rig.reserve(case)
    with redis.Redis.from_url(store.redis_url, decode_responses=True) as watcher, watcher.monitor() as monitor:
        rig.tap.before = lambda: rig.app.client.echo("the provider is called")
        deliver(rig.app, attempt, None)
        rig.app.client.echo("over")
        seen = []
        for command in monitor.listen():
            seen.append((command["command"], command["client_port"] or command["client_address"]))
            if command["command"] == "ECHO over":
                break
    words = [text for text, _ in seen]
    begun = next(i for i, text in enumerate(words) if text.startswith("EVALSHA") and "AttemptBegun" in text)
    waited = next(i for i, text in enumerate(words) if text.startswith("WAITAOF"))
    assert begun < waited < words.index("ECHO the provider is called")
    assert seen[begun][1] == seen[waited][1]


class LosesAnAnswer(Cases):
    """A store whose first durable commit happens, while its answer is lost on the way."""

    lost = False

    def commit(self, commit: Commit, *, durable: bool = False) -> None:
        """As the store does, and then as a broken connection does."""
        super().commit(commit, durable=durable)
        if durable and not self.lost:
            self.lost = True
            raise redis.ConnectionError


def test_a_lost_answer_to_begin_is_asked_for_again(rig: Rig, tmp_path: Path) -> None:
    """Nobody has called yet, so nothing is in doubt: the same commit again is the same, and the message leaves."""
    case = rig.open()
    attempt = rig.reserve(case)
    rig.app.cases = LosesAnAnswer(rig.app.client)
    deliver(rig.app, attempt, None)
    assert rig.kinds(case)[-2:] == ["AttemptBegun", "AttemptAccepted"]
    assert len(outbox(tmp_path)) == 1
