"""One clock: ladder time is real time, but for a rehearsal that lives in the store."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from threading import Barrier, Event, Thread, Timer
from typing import Any

import pytest
import redis

from worker.clock import UNREAD, RehearsalClock, SystemClock, open_clock, read_origin
from worker.embedded import Urls
from worker.store import connect

AT = datetime(2026, 4, 2, 7, tzinfo=UTC)


@pytest.fixture
def client(store: Urls) -> Iterator[redis.Redis]:
    """An empty store."""
    with connect(store.redis_url) as client:
        yield client


def rehearsal(client: redis.Redis, speed: float = 1.0) -> RehearsalClock:
    """A clock set to `AT`."""
    clock, _ = open_clock(client, AT, speed)
    assert isinstance(clock, RehearsalClock)
    return clock


def test_without_a_rehearsal_both_times_are_one(client: redis.Redis) -> None:
    """Production writes nothing into the store."""
    clock, heeded = open_clock(client)
    assert isinstance(clock, SystemClock)
    assert heeded
    assert abs(clock.now() - clock.real()) < timedelta(seconds=1)
    assert clock.ladder_after(timedelta(hours=1)) - clock.now() > timedelta(minutes=59)
    assert read_origin(client) is None


def test_a_rehearsal_starts_where_it_is_told_and_runs_as_fast(client: redis.Redis) -> None:
    """Real time goes on as it does; waits of real time are longer in ladder time."""
    clock = rehearsal(client, 43_200)
    first = clock.now()
    assert AT <= first < AT + timedelta(days=1)
    assert clock.ladder_after(timedelta(minutes=1)) >= first + timedelta(days=30)
    assert abs(clock.real() - datetime.now(UTC)) < timedelta(seconds=5)


def test_who_comes_later_takes_the_clock_that_is_there(client: redis.Redis) -> None:
    """Another `--at` is not heeded, and said so; the same one, or none, is."""
    rehearsal(client)
    other, heeded = open_clock(client, AT + timedelta(days=9), 2.0)
    assert abs(other.now() - AT) < timedelta(seconds=30)
    assert not heeded
    assert open_clock(client, AT, 1.0)[1]
    assert open_clock(client)[1]


def test_processes_that_start_together_agree_on_one_clock(client: redis.Redis) -> None:
    """Whoever is first writes all of the origin."""
    start = Barrier(6)

    def begin(n: int) -> None:
        start.wait()
        open_clock(client, AT + timedelta(days=n), float(n + 1))

    together([(begin, n) for n in range(6)])
    origin = read_origin(client)
    assert origin is not None
    assert origin.at == AT + timedelta(days=origin.speed - 1)


class Delayed(redis.Redis):
    """A client that is told things at once, and tells them on late, once."""

    def __init__(self, path: str, until: Event) -> None:
        super().__init__(unix_socket_path=path, decode_responses=True)
        self.asked, self._until = Event(), until

    def hgetall(self, name: Any) -> Any:
        """As the client does; the first answer is kept back."""
        told = super().hgetall(name)
        if not self.asked.is_set():
            self.asked.set()
            self._until.wait(10)
        return told


def test_a_skip_is_not_undone_by_a_thread_that_asked_before_it(client: redis.Redis, store: Urls) -> None:
    """Its answer is of before the skip, and comes after it: whoever skipped must not read that."""
    rehearsal(client)
    tell = Event()
    origin = read_origin(client)
    assert origin is not None
    delayed = Delayed(store.redis_url.removeprefix("unix://"), tell)
    clock = RehearsalClock(delayed, origin)
    time.sleep(0.06)  # what was read is no longer trusted
    early = Thread(target=clock.now)
    early.start()
    assert delayed.asked.wait(10)
    Timer(0.3, tell.set).start()
    clock.skip_to(AT + timedelta(days=3))
    early.join()
    assert clock.now() >= AT + timedelta(days=3)
    delayed.close()


def test_a_skip_moves_the_clock_for_everybody(client: redis.Redis) -> None:
    """A later process, and one that runs, see it; nobody goes back."""
    clock, other = rehearsal(client), rehearsal(client)
    clock.skip_to(AT + timedelta(days=3))
    clock.skip_to(AT + timedelta(days=2))
    assert clock.now() >= AT + timedelta(days=3)
    assert rehearsal(client).now() >= AT + timedelta(days=3)
    eventually = datetime.now(UTC) + timedelta(seconds=2)
    while other.now() < AT + timedelta(days=3):
        assert datetime.now(UTC) < eventually


def test_two_who_skip_to_the_same_moment_arrive_there(client: redis.Redis) -> None:
    """Any number of schedulers may find the agenda idle at once: the clock does not jump twice as far."""
    clocks = [rehearsal(client) for _ in range(4)]
    start = Barrier(4)

    def skip(n: int) -> None:
        start.wait()
        clocks[n].skip_to(AT + timedelta(days=3))

    together([(skip, n) for n in range(4)])
    assert AT + timedelta(days=3) <= rehearsal(client).now() < AT + timedelta(days=3, seconds=30)


def test_nothing_is_skipped_while_somebody_holds_the_clock(client: redis.Redis) -> None:
    """A hold ends by itself, or is given up by who asked for it; another's is not."""
    clock = rehearsal(client)
    assert clock.free() is not None
    clock.hold("the caller", 30)
    clock.hold("the called", 30)
    clock.hold("who was quick", 0)
    assert rehearsal(client).free() is None
    clock.unhold("the caller")
    assert clock.free() is None
    clock.unhold("the called")
    assert clock.free() is not None


def test_nothing_is_skipped_before_the_audience_has_seen_it(client: redis.Redis) -> None:
    """However slow they are to read the event streams; one that is heard of no more is not waited for."""
    clock = rehearsal(client)
    clock.attend({"events": UNREAD, "others": UNREAD}, 30)
    assert clock.free() is not None
    first, last = (str(client.xadd("events", {"event": name})) for name in ("one", "two"))
    clock.attend({"events": first, "others": UNREAD}, 30)
    assert rehearsal(client).free() is None
    clock.attend({"events": last, "others": UNREAD}, 30)
    assert clock.free() is not None
    client.xadd("others", {"event": "three"})
    assert clock.free() is None
    clock.attend({"others": UNREAD}, 0.001)
    eventually = datetime.now(UTC) + timedelta(seconds=2)
    while clock.free() is None:
        assert datetime.now(UTC) < eventually


def together(works: list[tuple[object, int]]) -> None:
    """Run these at once."""
    threads = [Thread(target=work, args=(n,)) for work, n in works]  # type: ignore[arg-type]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
