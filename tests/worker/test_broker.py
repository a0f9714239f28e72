"""The queues: what strangers can put into them harms nobody, and nothing in them is lost."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import Any

import dramatiq
import pytest
import structlog
from dramatiq.errors import ConnectionClosed

from tests.conftest import MakeApp
from worker.actors import declare
from worker.app import App
from worker.commit import Keys
from worker.embedded import Urls
from worker.intake import take
from worker.processes import run_worker
from worker.rejected import RejectedJob

from .payloads import fact, reminder
from .rig import ENQUEUED, NUMBER


@pytest.fixture
def app(make_app: MakeApp) -> App:
    """An app on an empty store."""
    return make_app()


@contextmanager
def working(app: App, *queues: str) -> Iterator[None]:
    """A real dramatiq worker on these queues."""
    stop = Event()
    thread = Thread(target=run_worker, args=(app, app.broker, queues or ("reminders", "facts"), 2, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


def eventually(condition: Callable[[], Any], what: str) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.02)


def message(**fields: Any) -> "dramatiq.Message[None]":
    """A plain message as the README shows it."""
    values: dict[str, Any] = {"queue_name": "reminders", "actor_name": "reminder_due", "args": (), "options": {}}
    return dramatiq.Message(**{**values, "kwargs": {"job": reminder()}, **fields})


def put(app: App, data: bytes, redis_id: str, queue: str = "reminders") -> None:
    """Bytes in a queue, as anybody with the URL could put them."""
    app.broker.client.hset(f"dramatiq:{queue}.msgs", redis_id, data)
    app.broker.client.rpush(f"dramatiq:{queue}", redis_id)


def whole(**changes: Any) -> bytes:
    """A message's bytes, changed; `...` leaves a field out."""
    fields = json.loads(message(options={"redis_message_id": "poison"}).encode()) | changes
    return json.dumps({name: value for name, value in fields.items() if value is not ...}).encode()


def acked(app: App) -> bool:
    """Is nothing left in the queues, waiting or fetched?"""
    names: Any = app.broker.client.keys("dramatiq:*")
    return all(b"heartbeats" in name for name in names)


POISON = {
    "bytes": b"\xff\xfe\x00",
    "empty": b"",
    "not JSON": b"hello",
    "a list": b"[1, 2]",
    "a number": b"1",
    "nothing inside": b"{}",
    "no options": whole(options=...),
    "options without an id": whole(options={}),
    "options of another shape": whole(options=[]),
    "an unknown field": whole(surprise=1),
    "args of another shape": whole(args={"a": 1}),
    "kwargs of another shape": whole(kwargs=[1]),
    "a timestamp that is none": whole(message_timestamp="now"),
    "a delay that never ends": whole(options={"redis_message_id": "poison", "eta": 10**18}),
    "a delay that is no number": whole(options={"redis_message_id": "poison", "eta": float("nan")}),
    "deep nesting": b"[" * 200_000,
    "deep nesting inside": whole(kwargs={"job": 0}).replace(b'"job": 0', b'"job": ' + b"[" * 50_000 + b"]" * 50_000),
    "another queue": whole(queue_name="facts"),
    "an unknown queue": whole(queue_name="nowhere"),
    "an unknown actor": whole(actor_name="nobody"),
    "another id": whole(options={"redis_message_id": "not-mine"}),
    "a job of 10 MB": whole(kwargs={"job": {"type": "x" * 10_000_000}}),
    "positional arguments": whole(args=[1]),
    "an unknown argument": whole(kwargs={"job": reminder(), "more": 1}),
    "no job": whole(kwargs={}),
    "an absurd timestamp": whole(message_timestamp=10**30),
}


def test_poison_is_set_aside_and_the_queue_flows(app: App) -> None:
    """Whatever is in the queue, all that is a job is taken, the rest is kept whole with a reason, nothing stays."""
    with working(app):
        for number, (name, data) in enumerate(POISON.items()):
            put(app, data, "poison" if b'"redis_message_id": "poison"' in data else f"id-{number}")
            eventually(lambda: acked(app), f"an empty queue after {name}")
            assert app.broker.rejected.count() == number + 1, name
        app.broker.enqueue(message())
        eventually(lambda: list(app.cases.case_ids("demo")), "a case")
    reasons = [job.reason for job in app.broker.rejected.all()]
    assert all(reasons)
    assert not any("sarl" in reason.lower() or "example" in reason for reason in reasons)


def test_messages_fetched_with_poison_are_not_stranded(app: App) -> None:
    """All kinds of poison between good jobs, fetched in one go: every job is taken, all poison is kept."""
    for number, data in enumerate(POISON.values()):
        put(app, data.replace(b'"redis_message_id": "poison"', b'"redis_message_id": "id-%d"' % number), f"id-{number}")
        app.broker.enqueue(
            message(
                kwargs={
                    "job": reminder(job_id=f"j-{number}", debtor__id=f"D-{number}", invoices__0__number=f"F-{number}")
                }
            )
        )
    with working(app):
        eventually(lambda: acked(app), "an empty queue")
    assert len(list(app.cases.case_ids("demo"))) == len(POISON)
    assert app.broker.rejected.count() == len(POISON)


def only(app: App) -> RejectedJob:
    """The one rejected job there must be."""
    (job,) = app.broker.rejected.all()
    return job


def test_a_rejected_message_is_kept_byte_for_byte(app: App) -> None:
    """What was no message can be looked at as it came."""
    put(app, b"\xff not a message \x00", "x")
    with working(app):
        eventually(app.broker.rejected.count, "a rejected job")
    assert only(app).payload == b"\xff not a message \x00"
    assert only(app).queue == "reminders"


def test_an_actor_that_raises_loses_nothing(app: App) -> None:
    """A fault of ours in an actor keeps the message, with the kind of fault and no word of its text."""
    app.broker.enqueue(dramatiq.Message("email", "send_email", (), {"attempt": "nobody@example.com"}, {}))
    with working(app, "email"):
        eventually(app.broker.rejected.count, "a rejected job")
        eventually(lambda: acked(app), "an empty queue")
    assert only(app).reason == "ValueError in send_email"
    assert b"nobody@example.com" in only(app).payload


def heard(app: App) -> list[dict[str, str]]:
    """What upstream reads of refusals in its stream."""
    entries: Any = app.client.xrange(Keys("demo").events)
    news = [json.loads(entry["event"]) for _, entry in entries]
    return [event for event in news if event["type"] == "JobRejected"]


def test_a_bad_job_is_rejected_with_its_reason_and_can_be_retried(app: App) -> None:
    """A hold for a case that is not there yet waits in the list; enqueued again when it is, it is taken.

    Upstream hears of it in its stream, with where it waits.
    """
    job = fact("case_held", reason="dispute", invoice="F-2026/001")
    app.broker.enqueue(message(queue_name="facts", actor_name="case_held", kwargs={"job": job}))
    with working(app):
        eventually(app.broker.rejected.count, "a rejected job")
        rejected = only(app)
        assert rejected.reason == "invoice: no case of the creditor holds it"
        eventually(lambda: heard(app), "news for upstream")
        assert [(news["rejected"], news["job_id"], news["reason"]) for news in heard(app)] == [
            (rejected.id, job["job_id"], rejected.reason)
        ]
        (case_id,) = take(app, reminder(), enqueued_at=ENQUEUED).cases
        app.broker.enqueue(dramatiq.Message.decode(rejected.payload))
        assert app.broker.rejected.drop(rejected.id)
        eventually(lambda: (stored := app.cases.load(case_id)) and stored.case.holds, "a hold")
    assert app.broker.rejected.count() == 0


def test_the_same_poison_twice_is_one_entry(app: App) -> None:
    """A producer that repeats itself cannot fill the list."""
    with working(app):
        for number in range(3):
            put(app, b"poison", f"x-{number}")
        eventually(lambda: acked(app), "an empty queue")
    assert app.broker.rejected.count() == 1


_UPSTREAM = """
import importlib.util, json, sys
assert importlib.util.find_spec("worker") is None
import dramatiq
from dramatiq.brokers.redis import RedisBroker
broker = RedisBroker(url=sys.argv[1])
kwargs = {"job": json.loads(sys.argv[2])}
broker.enqueue(
    dramatiq.Message(queue_name="reminders", actor_name="reminder_due", args=(), kwargs=kwargs, options={})
)
"""


def test_upstream_needs_nothing_but_dramatiq_and_the_url(app: App, store: Urls, tmp_path: Path) -> None:
    """A plain message, from an interpreter that cannot import this project, with `RedisBroker(url=...)` as it comes."""
    site = Path(dramatiq.__file__).parent.parent
    code = f"import sys; sys.path.append({str(site)!r})\n{_UPSTREAM}"
    command = [sys.executable, "-I", "-S", "-c", code, store.broker_url, json.dumps(reminder())]
    subprocess.run(command, check=True, cwd=tmp_path, env={})
    with working(app):
        eventually(lambda: list(app.cases.case_ids("demo")), "a case")
    assert app.broker.rejected.count() == 0


def test_a_job_is_as_of_when_it_was_enqueued_but_never_of_the_future(app: App) -> None:
    """Without `as_of` the enqueuing counts; a clock of upstream's that is wrong does not outdate all that follows."""
    ahead = int((time.time() + 10 * 365 * 86400) * 1000)
    app.broker.enqueue(message(kwargs={"job": reminder(as_of=...)}, message_timestamp=ahead))
    with working(app):
        eventually(lambda: list(app.cases.case_ids("demo")), "a case")
    (case_id,) = app.cases.case_ids("demo")
    stored = app.cases.load(case_id)
    assert stored is not None
    assert stored.case.invoices[0].as_of.timestamp() < time.time() + 60


def test_what_a_lost_answer_left_fetched_comes_back(app: App) -> None:
    """Fetched, but the answer never arrived: the next consumer of the same process takes it up again."""
    app.broker.enqueue(message())
    app.broker.do_fetch("reminders", 1)
    assert app.broker.client.llen("dramatiq:reminders") == 0
    with working(app):
        eventually(lambda: list(app.cases.case_ids("demo")), "a case")
        eventually(lambda: acked(app), "an empty queue")


def test_a_worker_that_stops_hands_back_what_it_has_not_begun(app: App, make_app: MakeApp) -> None:
    """Fifty jobs, a worker stopped at once, and another one: all are taken, each once."""
    for number in range(50):
        app.broker.enqueue(
            message(
                kwargs={
                    "job": reminder(job_id=f"j-{number}", debtor__id=f"D-{number}", invoices__0__number=f"F-{number}")
                }
            )
        )
    with working(app):
        pass
    other = make_app()
    with working(other):
        eventually(lambda: acked(other), "an empty queue")
    assert len(list(app.cases.case_ids("demo"))) == 50
    assert app.broker.rejected.count() == 0


def test_a_payment_is_not_lost_while_the_store_refuses_to_write(app: App) -> None:
    """A store without its replicas says no in words of its own: the job waits, and is neither dropped nor rejected."""
    case_id = take(app, reminder(), enqueued_at=ENQUEUED).cases[0]
    app.client.config_set("min-replicas-to-write", 1)
    try:
        job = fact("payment_received", invoice=NUMBER, amount="1200.50", currency="EUR")
        app.broker.enqueue(message(queue_name="facts", actor_name="payment_received", kwargs={"job": job}))
        with working(app), structlog.testing.capture_logs() as logged:
            eventually(lambda: any(line["event"] == "store.away" for line in logged), "a store that is away")
            assert not acked(app)
            app.client.config_set("min-replicas-to-write", 0)
            eventually(lambda: acked(app), "an empty queue")
    finally:
        app.client.config_set("min-replicas-to-write", 0)
    stored = app.cases.load(case_id)
    assert stored is not None
    assert stored.case.owed() == 0
    assert app.broker.rejected.count() == 0


@contextmanager
def refusing(app: App) -> Iterator[None]:
    """The queue's server refuses to write: it has lost its replicas."""
    app.broker.client.config_set("min-replicas-to-write", 1)
    try:
        yield
    finally:
        app.broker.client.config_set("min-replicas-to-write", 0)


def test_while_the_queue_refuses_to_write_dramatiq_is_told_that_it_is_away(app: App) -> None:
    """Any other exception ends its consumer for good, and an acknowledgement that failed so is never repeated."""
    declare(app, app.broker)
    for job_id in ("j-1", "j-2"):
        app.broker.enqueue(message(kwargs={"job": reminder(job_id=job_id)}))
    consumer = app.broker.consume("reminders", prefetch=4, timeout=100)
    done = next(consumer)
    assert done
    with refusing(app):
        for work in (lambda: consumer.ack(done), lambda: next(app.broker.consume("reminders")), consumer.close):
            with pytest.raises(ConnectionClosed):
                work()  # type: ignore[no-untyped-call]
    consumer.ack(done)
    consumer.close()
    assert app.broker.client.llen("dramatiq:reminders") == 1
    assert app.broker.waiting("reminders") == {"reminders": 1}


def test_a_delayed_message_survives_its_consumer(app: App) -> None:
    """dramatiq forgets what it was holding back when it loses the connection: the next consumer has it again."""
    declare(app, app.broker)
    app.broker.enqueue(message(), delay=60_000)
    held_back = next(app.broker.consume("reminders.DQ"))
    again = next(app.broker.consume("reminders.DQ"))
    assert held_back
    assert again
    assert again.message_id == held_back.message_id
