"""What gets lost between us and the queue's server: nothing is sent or taken twice, and nothing stays where it is.

Each loss is a real one: a wire between real clients and a real server (`wire.py`).
"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import dramatiq
import pytest
import redis
import structlog
from dramatiq.brokers.redis import RedisBroker
from dramatiq.encoder import JSONEncoder
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.conftest import MakeApp
from worker.app import App
from worker.dunning.model import attempt_id
from worker.embedded import Urls

from .payloads import reminder
from .programs import program, until
from .rig import MORNING, Rig, bury_workers, outbox
from .test_broker import message, working
from .wire import LOSSES, Loss, Wire, wire


@pytest.fixture
def line(store: Urls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    """A wire to the queue's server."""
    with wire(store.broker_url, tmp_path_factory.mktemp("w") / "wire") as found:
        yield found


@pytest.fixture
def rig(make_app: MakeApp, line: Wire) -> Rig:
    """Everything of ours goes over that wire, on a morning on which the first reminder is due."""
    return Rig(make_app(at=MORNING, speed=1, BROKER_URL=line.url))


@pytest.fixture
def shipped(line: Wire) -> Iterator[RedisBroker]:
    """dramatiq's broker as it comes, over the same wire."""
    dramatiq.set_encoder(JSONEncoder())
    with redis.Redis(unix_socket_path=line.url.removeprefix("unix://"), retry=Retry(NoBackoff(), 3)) as client:
        yield RedisBroker(client=client, middleware=[])


def left(app: App) -> dict[str, int]:
    """The messages in each queue, fetched ones included."""
    return {queue: count for queue, count in app.broker.waiting("email", "reminders").items() if count}


def enqueue_job(app: App, number: int) -> None:
    """A job of a debtor of its own."""
    job = reminder(job_id=f"j-{number}", debtor__id=f"D-{number}", invoices__0__number=f"F-{number}")
    app.broker.enqueue(message(kwargs={"job": job}))


# ---- what dramatiq does as it ships


def test_shipped_a_lost_answer_to_fetch_strands_its_message(shipped: RedisBroker, line: Wire) -> None:
    """The trap: redis-py asks again, gets nothing, and the message belongs to a worker that does not know of it."""
    shipped.enqueue(message())
    line.lose("fetch", "answer")
    consumer = shipped.consume("reminders", prefetch=4, timeout=1)
    assert [next(consumer) for _ in range(20)] == [None] * 20
    assert line.lost == [("fetch", "answer")]
    assert shipped.client.llen("dramatiq:reminders") == 0
    assert shipped.client.hlen("dramatiq:reminders.msgs") == 1


def test_shipped_a_lost_answer_to_enqueue_makes_two(shipped: RedisBroker, line: Wire) -> None:
    """The trap: the message is there already when redis-py says it again."""
    line.lose("enqueue", "answer")
    shipped.enqueue(message())
    assert shipped.client.llen("dramatiq:reminders") == 2


def test_shipped_an_ack_that_times_out_is_given_up(line: Wire) -> None:
    """The trap: a time-out is no lost connection to dramatiq, which repeats nothing then; the message stays fetched."""
    dramatiq.set_encoder(JSONEncoder())
    path = line.url.removeprefix("unix://")
    with redis.Redis(unix_socket_path=path, socket_timeout=0.2, retry=Retry(NoBackoff(), 0)) as client:
        broker = RedisBroker(client=client, middleware=[])
        broker.enqueue(message())
        consumer = broker.consume("reminders", prefetch=4, timeout=1)
        fetched = next(consumer)
        assert fetched
        line.lose("ack", "patience")
        with pytest.raises(redis.TimeoutError):
            consumer.ack(fetched)
        assert client.hlen("dramatiq:reminders.msgs") == 1


# ---- the same, here


#: How often each is lost: for each of the two messages, but for fetches, which six consumers begin with.
TIMES = {"fetch": 6, "ack": 2}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("command", TIMES)
def test_what_is_lost_on_the_way_is_made_up_for(rig: Rig, line: Wire, tmp_path: Path, command: str, loss: Loss) -> None:
    """A message leaves once, a job is taken once, both in the lifetime of the worker that met the loss."""
    case = rig.open()
    attempt = rig.reserve(case)
    enqueue_job(rig.app, 2)
    line.lose(command, loss, TIMES[command])
    with working(rig.app, "email", "reminders", "facts"):
        until(lambda: len(line.lost) == TIMES[command] and not left(rig.app), 60)
    assert set(line.lost) == {(command, loss)}
    assert [entry["attempt"] for entry in outbox(tmp_path)] == [attempt]
    assert len(list(rig.app.cases.case_ids("demo"))) == 2
    assert rig.app.broker.rejected.count() == 0


@pytest.mark.parametrize("loss", LOSSES)
def test_a_message_that_is_enqueued_twice_does_nothing_twice(rig: Rig, line: Wire, tmp_path: Path, loss: Loss) -> None:
    """Scheduler and billing system alike say it again when they hear nothing."""
    case = rig.open()
    line.lose("enqueue", loss)
    attempt = rig.reserve(case)
    line.lose("enqueue", loss)
    enqueue_job(rig.app, 2)
    assert line.lost == [("enqueue", loss)] * 2
    twice = 2 if loss == "answer" else 1
    assert [rig.app.broker.client.llen(f"dramatiq:{queue}") for queue in ("email", "reminders")] == [twice, twice]
    with working(rig.app, "email", "reminders"):
        until(lambda: not left(rig.app), 60)
    assert [entry["attempt"] for entry in outbox(tmp_path)] == [attempt]
    assert len(list(rig.app.cases.case_ids("demo"))) == 2
    assert rig.app.broker.rejected.count() == 0


def test_reservations_whose_messages_could_not_be_enqueued_are_made_anew(rig: Rig, line: Wire, tmp_path: Path) -> None:
    """The commit stands, the queue is gone: the leases of the reservations bring all of them back, each leaves once."""
    cases = [rig.open(job_id=f"j-{n}", debtor__id=f"D-{n}", invoices__0__number=f"F-{n}") for n in range(3)]
    line.lose("enqueue", "question", 99)
    with pytest.raises(redis.ConnectionError):
        rig.tick()
    assert [len(rig.reserved(case)) for case in cases] == [1, 1, 1]
    assert not left(rig.app)
    line.heal()
    assert rig.tick() == 0
    rig.lose_leases(timedelta(seconds=61))
    rig.tick()
    assert left(rig.app) == {"email": 3}
    with working(rig.app, "email"):
        until(lambda: not left(rig.app), 60)
    assert sorted(entry["attempt"] for entry in outbox(tmp_path)) == sorted(attempt_id(case, 2) for case in cases)


def test_a_message_that_cannot_be_acknowledged_runs_again_and_does_nothing(
    rig: Rig, line: Wire, make_app: MakeApp, store: Urls, tmp_path: Path
) -> None:
    """The server forgets a worker that is alive: another runs its messages too. The first one's late words are void."""
    case = rig.open()
    attempt = rig.reserve(case)
    enqueue_job(rig.app, 2)
    line.lose("ack", "question", 10**6)
    other = make_app(BROKER_URL=store.broker_url)
    with working(rig.app, "email", "reminders"):
        until(lambda: rig.kinds(case)[-1] == "AttemptAccepted" and len(list(rig.app.cases.case_ids("demo"))) == 2)
        until(lambda: {command for command, _ in line.lost} == {"ack"} and len(line.lost) >= 2)
        assert left(other) == {"email": 1, "reminders": 1}
        with structlog.testing.capture_logs() as logged, working(other, "email", "reminders"):
            until(lambda: forgotten(other))
        line.heal()
    assert {"attempt.superseded", "job.repeated"} <= {entry["event"] for entry in logged}
    assert [entry["attempt"] for entry in outbox(tmp_path)] == [attempt]
    assert len(list(rig.app.cases.case_ids("demo"))) == 2
    assert not left(other)
    assert other.broker.rejected.count() == 0


def forgotten(app: App) -> bool:
    """Let the server believe that nobody is alive until whoever is has everything done."""
    bury_workers(app)
    return not left(app)


def test_a_wire_that_loses_every_fifth_command_loses_no_job(line: Wire, make_app: MakeApp, tmp_path: Path) -> None:
    """Forty jobs, by turns the question lost and the answer: all are taken, each once, by one worker that lives on."""
    app = make_app()
    for number in range(40):
        enqueue_job(app, number)
    line.lose_every(5)
    environ = {"REDIS_URL": app.urls.redis_url, "BROKER_URL": line.url, "dramatiq_restart_delay": "50"}
    with program(tmp_path, "worker", "--queues", "reminders", "--threads", "4", **environ) as worker:
        until(lambda: not left(app), 90)
        taken = [entry["job"] for entry in worker.lines("job.taken")]
        assert worker.stop() == 0
    assert len(line.lost) > 8
    assert sorted(taken) == sorted(set(taken))
    assert len(list(app.cases.case_ids("demo"))) == 40
    assert app.broker.rejected.count() == 0
