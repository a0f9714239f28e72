"""Servers at the limit of their memory, and messages that nobody finishes: said, waited for, and done once."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread

import dramatiq
import pytest
import redis
import structlog
from dramatiq.brokers.redis import RedisBroker
from dramatiq.encoder import JSONEncoder

from tests.conftest import MakeApp
from worker.dunning.model import attempt_id
from worker.embedded import Urls
from worker.processes import run_worker
from worker.queues import send_message
from worker.stuck import Unfinished

from .payloads import fact
from .programs import until
from .rig import MORNING, Rig, outbox
from .test_broker import message, working


@pytest.fixture
def rig(make_app: MakeApp) -> Rig:
    """A morning on which the first reminder is due."""
    return Rig(make_app(at=MORNING, speed=1))


Fill = Callable[[str, bool], None]


@pytest.fixture
def fill(store: Urls) -> Iterator[Fill]:
    """`fill(url, full)`: that server has not a byte left to write to; or has again."""

    def change(url: str, full: bool) -> None:
        with redis.Redis.from_url(url) as client:
            client.config_set("maxmemory", int(full))

    yield change
    for url in (store.redis_url, store.broker_url):
        change(url, False)


def left(rig: Rig) -> dict[str, int]:
    """The messages in each queue, fetched ones included."""
    waiting = rig.app.broker.waiting("email", "facts", "reminders")
    return {queue: count for queue, count in waiting.items() if count}


def test_shipped_a_full_server_ends_what_is_to_be_acknowledged(store: Urls, fill: Fill) -> None:
    """The trap: an acknowledgement is a write too, and one that is refused is no lost connection: none is repeated."""
    dramatiq.set_encoder(JSONEncoder())
    with redis.Redis.from_url(store.broker_url) as client:
        broker = RedisBroker(client=client, middleware=[])
        broker.enqueue(message())
        consumer = broker.consume("reminders", prefetch=4, timeout=1)
        fetched = next(consumer)
        assert fetched
        fill(store.broker_url, True)
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            consumer.ack(fetched)
        assert client.hlen("dramatiq:reminders.msgs") == 1


def test_a_full_queue_drains_once_there_is_memory_again(rig: Rig, store: Urls, fill: Fill, tmp_path: Path) -> None:
    """What was sent cannot be acknowledged, what is decided cannot be enqueued: later both, and each message once."""
    first, second = rig.open(), rig.open(job_id="j-2", debtor__id="D-2", invoices__0__number="F-2")
    rig.tick()
    rig.tap.before = lambda: fill(store.broker_url, True)
    with working(rig.app, "email"):
        until(lambda: outbox(tmp_path))
        until(lambda: "AttemptAccepted" in rig.kinds(first) + rig.kinds(second))
        assert left(rig)["email"] >= 1
        rig.tap.before = lambda: None
        fill(store.broker_url, False)
        until(lambda: not left(rig), 60)
    sent = sorted(entry["attempt"] for entry in outbox(tmp_path))
    assert sent == sorted(attempt_id(case, 1) for case in (first, second))


def test_what_a_full_queue_did_not_take_is_reserved_anew(rig: Rig, store: Urls, fill: Fill, tmp_path: Path) -> None:
    """The commit stands, the message could not be enqueued: its lease brings it back, and it leaves once."""
    case = rig.open()
    fill(store.broker_url, True)
    with pytest.raises(redis.exceptions.OutOfMemoryError):
        rig.tick()
    fill(store.broker_url, False)
    assert len(rig.reserved(case)) == 1
    rig.lose_leases(timedelta(seconds=61))
    rig.tick()
    with working(rig.app, "email"):
        until(lambda: outbox(tmp_path) and not left(rig), 60)
    assert [entry["attempt"] for entry in outbox(tmp_path)] == [attempt_id(case, 2)]


@pytest.mark.parametrize("moment", ["rendered", "called"])
def test_a_full_store_holds_everything_up_and_loses_nothing(
    rig: Rig, store: Urls, fill: Fill, tmp_path: Path, moment: str
) -> None:
    """Full before `sending` could be written: nobody is called. Full after the call: its outcome is stored in the end.

    A payment of somebody else's that comes meanwhile waits in its queue, and is taken when there is memory again.
    """
    case = rig.open()
    attempt = rig.reserve(case)
    other = rig.open(job_id="j-2", debtor__id="D-2", invoices__0__number="F-2")
    full = Event()

    def fill_up() -> None:
        if not full.is_set():
            fill(store.redis_url, True)
            full.set()

    if moment == "rendered":
        rig.providers.got = fill_up
    else:
        rig.tap.after = fill_up
    with structlog.testing.capture_logs() as logged, working(rig.app, "email", "facts"):
        until(full.is_set)
        job = fact("payment_received", job_id="pay-2", invoice="F-2", amount="1200.50", currency="EUR")
        rig.app.broker.enqueue(message(queue_name="facts", actor_name="payment_received", kwargs={"job": job}))
        until(lambda: sum(line["event"] == "store.away" for line in logged) >= 2)
        assert left(rig) == {"email": 1, "facts": 1}
        assert len(outbox(tmp_path)) == (moment == "called")
        fill(store.redis_url, False)
        until(lambda: not left(rig), 60)
    assert rig.case(other.id).owed() == 0
    assert rig.kinds(case)[-1] == "AttemptAccepted"
    rig.settle(case)
    assert [entry["attempt"] for entry in outbox(tmp_path)] == [attempt]
    assert rig.app.broker.rejected.count() == 0


# ---- messages that nobody finishes


def test_what_is_fetched_and_never_done_is_told_once(rig: Rig) -> None:
    """After five minutes, with queue and number; again when another one joins it; never of what was done in time."""
    broker = rig.app.broker
    watch = Unfinished(broker, ["email", "sms"])
    told: list[tuple[float, str, int]] = []

    def look(now: float) -> None:
        with structlog.testing.capture_logs() as logged:
            watch.look(now)
        told.extend((now, line["queue"], line["messages"]) for line in logged if line["event"] == "queue.stuck")

    for number in (1, 2):
        broker.enqueue(send_message("email", f"demo-x.{number}", None))
    broker.do_fetch("email", 9)
    for now in (0, 150, 299, 300, 330):
        look(now)
    broker.enqueue(send_message("email", "demo-x.3", None))
    broker.do_fetch("email", 9)
    broker.enqueue(send_message("sms", "demo-x.4", None))
    broker.do_fetch("sms", 9)
    look(400)
    broker.do_ack("sms", *broker.fetched("sms"))
    for now in (699, 700, 900):
        look(now)
    assert told == [(300, "email", 2), (700, "email", 3)]


def test_a_worker_tells_what_it_does_not_finish(rig: Rig) -> None:
    """The watch runs in every worker: here one whose provider does not answer."""
    case = rig.open()
    rig.reserve(case)
    answer, stop = Event(), Event()
    rig.tap.before = lambda: answer.wait(60)
    with structlog.testing.capture_logs() as logged:
        arguments = (rig.app, rig.app.broker, ("email",), 1, stop)
        worker = Thread(target=run_worker, args=arguments, kwargs={"stuck_after": 0.5})
        worker.start()
        try:
            until(lambda: [line for line in logged if line["event"] == "queue.stuck"])
        finally:
            answer.set()
            stop.set()
            worker.join(30)
    (line,) = [line for line in logged if line["event"] == "queue.stuck"]
    assert (line["queue"], line["messages"], line["log_level"]) == ("email", 1, "warning")
    assert not left(rig)
