"""What a case weighs, what a claim takes, and how much the provider could have answered."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from statistics import mean, median
from typing import Any, cast

import urllib3

from tests.bench.stage import LADDER_STEPS, BrokenPromise, Stage
from tests.bench.workloads import CREDITOR, reminder_due
from worker.app import App, Rehearsal
from worker.clock import RehearsalClock
from worker.commit import Keys, moment
from worker.dunning.model import attempt_id
from worker.intake import take
from worker.scheduler import CLAIM_LEASE, Scheduler
from worker.sending import deliver

#: A case is opened, and each step taken is reserved, begun and accepted; it waits for the one that is left.
_TAKEN = LADDER_STEPS - 1
EVENTS = 1 + 3 * _TAKEN
#: A database of the servers in which time may pass faster.
_ASIDE = 3


@contextmanager
def app_on(at: Stage, database: int, rehearsal: Rehearsal | None = None) -> Iterator[App]:
    """Our parts on a database of the servers."""
    urls = {"REDIS_URL": at.url("cases", database), "BROKER_URL": at.url("broker", database)}
    app = App({**at.environ, **urls}, rehearsal)
    try:
        yield app
    finally:
        app.close()


# ---- bytes


def bytes_of_a_case(at: Stage, channel: str, cases: int) -> dict[str, int]:
    """What is kept of a case with two invoices after ten events, by key; a share of the keys that all cases share.

    The event stream, which is trimmed, and the mark that a job was taken, which expires, are not the case's own.
    """
    with app_on(at, _ASIDE) as app:
        app.client.flushdb()
    with app_on(at, _ASIDE, Rehearsal(datetime.now(UTC), 1.0)) as app:
        ids = [_opened(app, channel, number) for number in range(cases)]
        for _ in range(_TAKEN):
            _take_step(app, ids)
        keys = Keys(CREDITOR)
        for case in ids:
            if (found := app.client.llen(keys.history(case))) != EVENTS:
                raise BrokenPromise(f"a case meant to have {EVENTS} events has {found}")
        own = {"snapshot": keys.case, "history": keys.history, "contacts": keys.contacts}
        return {name: round(mean(_memory(app, key(case)) for case in ids)) for name, key in own.items()}


def bytes_of_indexes(at: Stage) -> dict[str, int]:
    """What an entry of the keys that all cases share takes, where there are many of them; a case has two invoices."""
    with app_on(at, 0) as app:
        keys = Keys(CREDITOR)
        sizes = {"invoices": app.client.hlen(keys.invoices), "groups": app.client.hlen(keys.groups)}
        sizes["cases"] = app.client.zcard(keys.cases)
        sizes["phones"] = app.client.hlen(keys.phones)
        shares = {name: _memory(app, getattr(keys, name)) / size for name, size in sizes.items() if size}
    return {name: round(share * (2 if name == "invoices" else 1)) for name, share in shares.items()}


def _memory(app: App, key: str) -> int:
    return app.client.memory_usage(key, samples=0) or 0


def _opened(app: App, channel: str, number: int) -> str:
    job = reminder_due(channel, number)
    second = {**job["invoices"][0], "number": f"{job['invoices'][0]['number']}-2"}
    job |= {"strategy": f"bench_{channel}_ladder", "invoices": [*job["invoices"], second]}
    return take(app, job, enqueued_at=app.clock.real()).cases[0]


def _take_step(app: App, ids: Sequence[str]) -> None:
    """Let the next step of every case be due, reserve it and send it."""
    clock = app.clock
    if not isinstance(clock, RehearsalClock):
        raise TypeError("time passes too slowly here")
    due = cast("list[tuple[str, float]]", app.client.zrange(Keys(CREDITOR).agenda, 0, -1, withscores=True))
    clock.skip_to(max(moment(score) for _, score in due))
    scheduler = Scheduler(app, app.broker)
    while scheduler.tick():
        for case_id in ids:
            stored = app.cases.load(case_id)
            for _, send in stored.case.open_sends() if stored else ():
                if stored and send.status == "reserved":
                    deliver(app, attempt_id(stored.case, send.attempt), clock.now())


# ---- claims


def claims(at: Stage, scheduled: int, repeat: int) -> tuple[float, float]:
    """(milliseconds that claiming 100 due cases of so many takes, bytes of an agenda entry); the median."""
    creditor, now = "bench", datetime.now(UTC)
    keys = Keys(creditor)
    with app_on(at, _ASIDE) as app:
        app.client.delete(keys.agenda, keys.in_flight)
        later = int((now + timedelta(days=30)).timestamp() * 1000)
        for first in range(0, scheduled, 50_000):
            app.client.eval(_FILL, 1, keys.agenda, first, min(first + 50_000, scheduled), later)
        size = _memory(app, keys.agenda) / scheduled
        times = [_claim(app, creditor, now, f"due{turn}") for turn in range(repeat)]
        app.client.unlink(keys.agenda, keys.in_flight)
    return round(median(times), 3), size


#: Case ids as long as ours, due over the days that follow.
_FILL = """
for i = ARGV[1], ARGV[2] - 1 do
    redis.call("ZADD", KEYS[1], ARGV[3] + i * 1000, string.format("demo-%016d", i))
end
"""


def _claim(app: App, creditor: str, now: datetime, name: str) -> float:
    keys = Keys(creditor)
    entries: dict[Any, float] = {f"demo-{name}{i:010d}": now.timestamp() * 1000 - 1 - i for i in range(100)}
    app.client.zadd(keys.agenda, entries)
    began = time.perf_counter()
    claimed, _ = app.cases.claim(creditor, now=now, real=now, lease=CLAIM_LEASE, limit=100)
    took = time.perf_counter() - began
    if len(claimed) != 100:
        raise BrokenPromise(f"100 cases were due, {len(claimed)} were claimed")
    app.client.delete(keys.in_flight)
    return took * 1000


# ---- the provider


def provider_rate(at: Stage, requests: int) -> float:
    """How many requests a second the provider answers to two processes that do nothing but ask."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        bundle = str(at.folder / "bundle.pem")
        spans = list(pool.map(_ask, [at.provider.url] * 2, [bundle] * 2, [requests // 2] * 2))
    return requests / (max(end for _, end in spans) - min(start for start, _ in spans))


def _ask(url: str, bundle: str, requests: int) -> tuple[float, float]:
    """Create messages over one connection; when (Unix time) it began and ended."""
    pool = urllib3.PoolManager(ca_certs=bundle)
    path = f"{url}/2010-04-01/Accounts/AC{'0' * 32}/Messages.json"
    fields = "To=%2B33639980000&From=AtelierDemo&Body=Bonjour"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    pool.request("POST", path, body=fields, headers=headers)
    began = time.time()
    for _ in range(requests):
        pool.request("POST", path, body=fields, headers=headers)
    return began, time.time()
