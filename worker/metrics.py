"""What is measured: read from the store whenever somebody asks, so that it is right whoever of us is dead.

One line of `GAUGES` or `COUNTERS` is one metric. Ids and numbers, and nothing of any debtor.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import redis
import structlog
from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from worker.app import App
from worker.commit import Keys, moment
from worker.queues import FACTS, INBOUND, REMINDERS
from worker.ramp import in_line
from worker.rejected import RejectedJobs
from worker.silence import silences

Samples = Iterable[tuple[tuple[str, ...], float]]

_log = structlog.get_logger("relance.metrics")


@dataclass(frozen=True, slots=True)
class Kept:
    """What the store has of one creditor. `uncertain_since`: the oldest of those. `heard`: when payments were last told
    of; None: never yet.
    """

    uncertain: int
    uncertain_since: datetime | None
    tasks: int
    paused: tuple[str, ...]
    heard: datetime | None
    counted: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Measured:
    """One moment. `queues`: None where the queue does not answer. `max_ages`: how old each creditor's feed of payments
    may be, where that is guarded.
    """

    now: datetime
    due: datetime | None
    in_flight: int
    queues: Mapping[str, int] | None
    rejected: int
    silent: Mapping[str, int]
    in_line: Mapping[str, int]
    creditors: Mapping[str, Kept]
    max_ages: Mapping[str, timedelta]

    def lag(self) -> float:
        """How long the earliest agenda entry is overdue."""
        return self._since(self.due)

    def in_doubt(self) -> float:
        """How long the oldest message in doubt has been so."""
        since = (kept.uncertain_since for kept in self.creditors.values())
        return self._since(min((moment for moment in since if moment), default=None))

    def _since(self, moment: datetime | None) -> float:
        return max(0.0, (self.now - moment).total_seconds()) if moment else 0.0

    def stale(self, creditor: str) -> bool:
        """Has its feed been silent for too long?"""
        heard = self.creditors[creditor].heard
        return heard is not None and self.now - heard > self.max_ages[creditor]


@dataclass(frozen=True, slots=True)
class Gauge:
    """A value as it is now, by labels; `read` gives those of a moment."""

    name: str
    help: str
    labels: tuple[str, ...]
    read: Callable[[Measured], Samples]


def _one(value: Callable[[Measured], float]) -> Callable[[Measured], Samples]:
    return lambda m: [((), value(m))]


def _each(value: Callable[[Kept], int]) -> Callable[[Measured], Samples]:
    return _one(lambda m: sum(value(kept) for kept in m.creditors.values()))


GAUGES = (
    Gauge("relance_agenda_lag_seconds", "How long the earliest agenda entry is overdue", (), _one(Measured.lag)),
    Gauge("relance_in_flight", "Cases that a scheduler or a worker is on", (), _one(lambda m: m.in_flight)),
    Gauge(
        "relance_queue_messages",
        "Messages in a queue, fetched ones included",
        ("queue",),
        lambda m: [((queue,), count) for queue, count in (m.queues or {}).items()],
    ),
    Gauge("relance_queue_away", "1 where the queue does not answer", (), _one(lambda m: m.queues is None)),
    Gauge("relance_uncertain", "Messages of which nobody knows whether they went", (), _each(lambda k: k.uncertain)),
    Gauge("relance_uncertain_seconds", "How long the oldest of them has been so", (), _one(Measured.in_doubt)),
    Gauge(
        "relance_silent_messages",
        "Messages that did not go, and cases that nobody looked at, for an hour after they were due",
        ("creditor",),
        lambda m: [((name,), m.silent.get(name, 0)) for name in m.creditors],
    ),
    Gauge(
        "relance_feed_stale",
        "1 where nothing was heard of payments for too long",
        ("creditor",),
        lambda m: [((name,), m.stale(name)) for name in m.max_ages],
    ),
    Gauge(
        "relance_ramp_cases",
        "Cases that stand in line, since too many are due at once",
        ("creditor",),
        lambda m: [((name,), count) for name, count in m.in_line.items()],
    ),
    Gauge("relance_rejected_jobs", "Jobs that could not be taken, and are kept", (), _one(lambda m: m.rejected)),
    Gauge("relance_open_tasks", "Tasks that people have not done", (), _each(lambda k: k.tasks)),
    Gauge(
        "relance_paused",
        "1 for each scope that is paused",
        ("creditor", "scope"),
        lambda m: [((name, scope), 1) for name, kept in m.creditors.items() for scope in kept.paused],
    ),
)

#: What is counted in commits (`Commit.count`), by creditor: `relance_{name}_total`.
COUNTERS = {
    "attempts_accepted": "Messages that a provider took",
    "attempts_rejected": "Messages that a provider will never take",
    "attempts_unavailable": "Tries that surely did not go",
    "attempts_uncertain": "Tries of which nobody knew whether they went",
    "possible_copies": "Tries that began although an earlier one may have gone, since nobody could tell",
    "copies": "Messages that a debtor surely got twice",
}


def exposition(app: App) -> bytes:
    """All of it, as Prometheus reads it. Raises redis errors."""
    return generate_latest(_Store(app))


class _Store(Collector):
    """Asks the store once for each collection."""

    def __init__(self, app: App) -> None:
        self._app = app

    def collect(self) -> Iterator[Metric]:
        """Every metric, as of now."""
        measured = measure(self._app)
        for gauge in GAUGES:
            family = GaugeMetricFamily(gauge.name, gauge.help, labels=gauge.labels)
            for labels, value in gauge.read(measured):
                family.add_metric(labels, float(value))
            yield family
        for name, words in COUNTERS.items():
            counter = CounterMetricFamily(f"relance_{name}", words, labels=("creditor",))
            for creditor, kept in measured.creditors.items():
                counter.add_metric((creditor,), kept.counted.get(name, 0))
            yield counter


def measure(app: App) -> Measured:
    """What store and queue say now, in a few round trips, however many cases there are.

    Raises redis errors of the store; a queue that is away must not hide what else is the matter.
    """
    creditors = app.config.creditors
    guarded = {name: each.payments_feed for name, each in creditors.items() if not app.clock.rehearsal}
    return Measured(
        now=app.clock.now(),
        due=min(app.cases.next_due(creditors).values(), default=None),
        in_flight=app.cases.in_flight(creditors),
        queues=_queues(app),
        rejected=RejectedJobs(app.client).count(),
        silent={name: silence.messages for name, silence in silences(app).items()},
        in_line=in_line(app),
        creditors=_kept(app),
        max_ages={name: rules.max_age for name, rules in guarded.items() if rules},
    )


def _queues(app: App) -> Mapping[str, int] | None:
    try:
        return app.broker.waiting(REMINDERS, FACTS, INBOUND, *app.config.channels)
    except redis.RedisError as error:
        _log.warning("store.away", error=type(error).__name__)
        return None


def _kept(app: App) -> dict[str, Kept]:
    with app.client.pipeline(transaction=False) as pipe:
        for name in app.config.creditors:
            keys = Keys(name)
            pipe.zcard(keys.uncertain)
            pipe.zrange(keys.uncertain, 0, 0, withscores=True)
            pipe.hlen(keys.tasks)
            pipe.hkeys(keys.paused)
            pipe.zscore(keys.feed, "heard")
            pipe.hgetall(keys.counters)
        answers: list[Any] = pipe.execute()
    rows = zip(*[iter(answers)] * 6, strict=True)
    return {name: _of_one(*row) for name, row in zip(app.config.creditors, rows, strict=True)}


def _of_one(
    uncertain: int,
    oldest: Sequence[tuple[str, float]],
    tasks: int,
    paused: Iterable[str],
    heard: float | None,
    counted: Mapping[str, str],
) -> Kept:
    return Kept(
        uncertain=uncertain,
        uncertain_since=moment(oldest[0][1]) if oldest else None,
        tasks=tasks,
        paused=tuple(sorted(paused)),
        heard=None if heard is None else moment(heard),
        counted={name: int(value) for name, value in counted.items()},
    )
