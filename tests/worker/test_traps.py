"""dramatiq's traps on Redis: each is shown as it ships, and harmless here."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from queue import PriorityQueue
from typing import Any

import dramatiq
import pytest
import redis
import structlog
from dramatiq.brokers.redis import RedisBroker
from dramatiq.encoder import JSONEncoder
from dramatiq.errors import DecodeError
from dramatiq.worker import ConsumerThread

from channels.sandbox import Fault, Sandbox
from tests.conftest import MakeApp
from worker.actors import declare
from worker.app import App
from worker.broker import SafeBroker
from worker.commit import Keys
from worker.dunning.model import attempt_id
from worker.embedded import Urls
from worker.queues import send_message

from .payloads import fact, reminder
from .programs import program, until
from .rig import MORNING, NUMBER, Crash, Rig, bury_workers, outbox
from .test_broker import POISON, message, put, working
from .test_processes import urls


@pytest.fixture
def rig(make_app: MakeApp) -> Rig:
    """A morning on which the first reminder is due."""
    return Rig(make_app(at=MORNING, speed=1))


@contextmanager
def as_shipped(url: str, **options: Any) -> Iterator[RedisBroker]:
    """dramatiq's broker as it comes, on that server."""
    ours = dramatiq.get_encoder()
    dramatiq.set_encoder(JSONEncoder())
    with redis.Redis.from_url(url) as client:
        yield RedisBroker(client=client, middleware=[], **options)
    dramatiq.set_encoder(ours)


def left(app: App) -> dict[str, int]:
    """The messages in each queue, fetched ones included."""
    queues = ("email", "reminders", "facts", "inbound", "email.DQ", "reminders.DQ")
    return {queue: count for queue, count in app.broker.waiting(*queues).items() if count}


# ---- delayed messages


class Dies(ConsumerThread):
    """dramatiq's own, whose process dies between the two halves of a promotion: enqueued, not acknowledged."""

    def post_process_message(self, message: Any) -> None:
        """Not any more."""
        raise Crash


def promote_and_die(broker: SafeBroker, queue: str) -> None:
    """What dramatiq does with a delayed message whose time has come, as far as it gets."""
    arguments = {"prefetch": 4, "worker_timeout": 1}
    thread = Dies(broker=broker, queue_name=queue, work_queue=PriorityQueue(), **arguments)
    thread.consumer = broker.consume(queue, prefetch=4, timeout=1)
    delayed = next(thread.consumer)
    assert delayed
    thread.handle_message(delayed)
    with pytest.raises(Crash):
        until(thread.handle_delayed_messages)


def test_a_delayed_message_that_is_promoted_twice_does_nothing_twice(
    rig: Rig, make_app: MakeApp, tmp_path: Path
) -> None:
    """The trap: promotion enqueues, then acknowledges. Who dies in between leaves two, and both come."""
    case = rig.open()
    attempt = rig.reserve(case)
    rig.app.broker.client.flushdb()
    dying = make_app()
    declare(dying, dying.broker)
    dying.broker.enqueue(send_message("email", attempt, None), delay=1)
    job = reminder(job_id="j-2", debtor__id="D-2", invoices__0__number="F-2")
    dying.broker.enqueue(message(kwargs={"job": job}), delay=1)
    for queue in ("email", "reminders"):
        promote_and_die(dying.broker, f"{queue}.DQ")
    assert left(rig.app) == {"email": 1, "email.DQ": 1, "reminders": 1, "reminders.DQ": 1}
    bury_workers(rig.app)
    with structlog.testing.capture_logs() as logged, working(rig.app, "email", "reminders"):
        until(lambda: not left(rig.app), 60)
    assert [line["event"] for line in logged].count("attempt.superseded") == 1
    assert [line["event"] for line in logged].count("job.repeated") == 1
    assert [entry["attempt"] for entry in outbox(tmp_path)] == [attempt]
    assert len(list(rig.app.cases.case_ids("demo"))) == 2
    assert rig.app.broker.rejected.count() == 0


# ---- poison


@pytest.mark.parametrize("kind", ["bytes", "not JSON", "a list", "no options", "an unknown field"])
def test_poison_that_ends_dramatiqs_consumer_does_not_end_ours(rig: Rig, store: Urls, kind: str) -> None:
    """The trap: decoding raises, and what was fetched with it stays with a worker that lives. Here both are seen to."""
    put(rig.app, POISON[kind], "poison")
    rig.app.broker.enqueue(message())
    with as_shipped(store.broker_url) as shipped:
        with pytest.raises(DecodeError):
            next(shipped.consume("reminders", prefetch=4, timeout=1))
        again = shipped.consume("reminders", prefetch=4, timeout=1)
        assert [next(again) for _ in range(20)] == [None] * 20
    assert left(rig.app) == {"reminders": 2}
    bury_workers(rig.app)
    with working(rig.app, "reminders"):
        until(lambda: not left(rig.app), 60)
    assert len(list(rig.app.cases.case_ids("demo"))) == 1
    assert rig.app.broker.rejected.count() == 1


@pytest.mark.parametrize("queue", ["reminders.DQ", "email", "inbound", "email.DQ"])
def test_poison_in_any_queue_is_set_aside(rig: Rig, tmp_path: Path, queue: str) -> None:
    """Not only where jobs come in: all kinds of it, and what is good behind them goes on."""
    case = rig.open()
    attempt = rig.reserve(case)
    for number, data in enumerate(POISON.values()):
        put(
            rig.app,
            data.replace(b'"redis_message_id": "poison"', b'"redis_message_id": "id-%d"' % number),
            f"id-{number}",
            queue,
        )
    job = reminder(job_id="j-2", debtor__id="D-2", invoices__0__number="F-2")
    rig.app.broker.enqueue(message(kwargs={"job": job}), delay=1)
    with working(rig.app, "email", "inbound", "reminders"):
        until(lambda: not left(rig.app), 90)
    assert rig.app.broker.rejected.count() == len(POISON)
    assert [entry["attempt"] for entry in outbox(tmp_path)] == [attempt]
    assert len(list(rig.app.cases.case_ids("demo"))) == 2


# ---- the messages of a worker that died


def test_what_a_killed_worker_had_fetched_comes_back(make_app: MakeApp, store: Urls, tmp_path: Path) -> None:
    """The trap: it comes back when somebody's call happens to do the upkeep, one in a thousand.

    Here messages come back with their reservations' leases, whatever dramatiq does; and jobs with the first call of
    anybody's once the worker has not been heard of for 15 seconds.
    """
    with Sandbox(faults=[Fault("late", seconds=60, times=1)]) as sandbox:
        sendgrid = {"SENDGRID_API_KEY": "SG.x", "SENDGRID_BASE_URL": sandbox.sendgrid_url}
        rig = Rig(make_app(at=MORNING, speed=1, **sendgrid))
        cases = [rig.open(job_id=f"j-{n}", debtor__id=f"D-{n}", invoices__0__number=f"F-{n}") for n in (2, 3)]
        with program(
            tmp_path, "worker", "--queues", "email,facts", "--threads", "1", **urls(store), **sendgrid
        ) as worker:
            until(lambda: worker.lines("worker.started"))
            rig.tick()
            until(sandbox.accepted)
            paid = rig.open()
            job = fact("payment_received", job_id="p-1", invoice=NUMBER, amount="1200.50", currency="EUR")
            rig.app.broker.enqueue(message(queue_name="facts", actor_name="payment_received", kwargs={"job": job}))
            until(lambda: not any(rig.app.broker.client.llen(f"dramatiq:{queue}") for queue in ("email", "facts")))
            worker.kill()
        assert left(rig.app) == {"email": 2, "facts": 1}
        (begun,) = [case for case in cases if rig.kinds(case)[-1] == "AttemptBegun"]
        (fetched,) = [case for case in cases if case != begun]

        rig.lose_leases(timedelta(seconds=61))
        rig.tick()
        rig.deliver(fetched)
        sent = [attempt_id(begun, 1), attempt_id(fetched, 2)]
        assert [entry["attempt"] for entry in sandbox.accepted()] == sent

        bury_workers(rig.app)
        with as_shipped(store.broker_url) as shipped:
            random.seed(1)
            assert [shipped.do_fetch("facts", 9) for _ in range(100)] == [[]] * 100
        other = make_app(**sendgrid)
        assert len(other.broker.do_fetch("facts", 9)) == 1
        rig.app.client.hset(Keys("demo").paused, "channel:email", "1")  # the third case may wait
        with working(other, "email", "facts"):
            until(lambda: not left(other), 60)
        assert rig.case(paid.id).owed() == 0
        assert [entry["attempt"] for entry in sandbox.accepted()] == sent
        assert other.broker.rejected.count() == 0


# ---- upkeep


def upkeep(broker: RedisBroker, server: redis.Redis) -> list[int]:
    """What the server is made to scan by a fetch that finds a dead worker: databases, one for each `KEYS`."""
    with server.monitor() as monitor:
        broker.do_fetch("reminders", 1)
        broker.client.echo("over")
        seen: list[int] = []
        for command in monitor.listen():
            if command["command"].startswith("ECHO"):
                return seen
            if command["command"].upper().startswith("KEYS"):
                seen.append(command["db"])
    raise AssertionError("the server stopped")


def test_upkeep_never_walks_through_the_cases(make_app: MakeApp, store: Urls) -> None:
    """The trap: for each dead worker it looks at every key of its database. On one server too, ours is another one."""
    app = make_app(BROKER_URL="")
    with redis.Redis.from_url(store.redis_url, decode_responses=True) as server:
        server.mset({f"relance:{{demo}}:case:{number}": "x" for number in range(5000)})
        for broker in (app.broker, make_app(BROKER_URL="").broker):
            broker.enqueue(message())
            broker.do_fetch("reminders", 1)
        bury_workers(app)
        assert set(upkeep(make_app(BROKER_URL="").broker, server)) == {1}
        assert app.broker.client.dbsize() < 20

        with as_shipped(store.redis_url, maintenance_chance=1_000_000) as shipped:
            server.zadd("dramatiq:__heartbeats__", {"one that died": 1})
            assert set(upkeep(shipped, server)) == {0}
            assert server.dbsize() > 5000
