"""What is measured: read from the store whenever somebody asks, so that it is right whoever of us is dead.

One line of `GAUGES` or `COUNTERS` is one metric. Ids and numbers, and nothing of any debtor.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

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


@dataclass(frozen=True, slots=True)
class Kept:
    """What the store has of one creditor. `heard`: when payments were last told of; None: never yet."""

    uncertain: int
    tasks: int
    paused: tuple[str, ...]
    heard: datetime | None
    counted: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Measured:
    """One moment. `max_ages`: how old each creditor's feed of payments may be, where that is guarded."""

    now: datetime
    due: datetime | None
    in_flight: int
    queues: Mapping[str, int]
    rejected: int
    silent: Mapping[str, int]
    in_line: Mapping[str, int]
    creditors: Mapping[str, Kept]
    max_ages: Mapping[str, timedelta]

    def lag(self) -> float:
        """How long the earliest agenda entry is overdue."""
        return max(0.0, (self.now - self.due).total_seconds()) if self.due else 0.0

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
        lambda m: [((queue,), count) for queue, count in m.queues.items()],
    ),
    Gauge("relance_uncertain", "Messages of which nobody knows whether they went", (), _each(lambda k: k.uncertain)),
    Gauge(
        "relance_silent_messages",
        "Messages that were to go an hour ago or longer, and did not",
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
    """What store and queue say now, in a few round trips, however many cases there are."""
    creditors = app.config.creditors
    guarded = {name: each.payments_feed for name, each in creditors.items() if not app.clock.rehearsal}
    return Measured(
        now=app.clock.now(),
        due=min(app.cases.next_due(creditors).values(), default=None),
        in_flight=app.cases.in_flight(creditors),
        queues=app.broker.waiting(REMINDERS, FACTS, INBOUND, *app.config.channels),
        rejected=RejectedJobs(app.client).count(),
        silent={name: silence.messages for name, silence in silences(app).items()},
        in_line=in_line(app),
        creditors=_kept(app),
        max_ages={name: rules.max_age for name, rules in guarded.items() if rules},
    )


def _kept(app: App) -> dict[str, Kept]:
    with app.client.pipeline(transaction=False) as pipe:
        for name in app.config.creditors:
            keys = Keys(name)
            pipe.zcard(keys.uncertain)
            pipe.hlen(keys.tasks)
            pipe.hkeys(keys.paused)
            pipe.zscore(keys.feed, "heard")
            pipe.hgetall(keys.counters)
        answers: list[Any] = pipe.execute()
    rows = zip(*[iter(answers)] * 5, strict=True)
    return {name: _of_one(*row) for name, row in zip(app.config.creditors, rows, strict=True)}


def _of_one(uncertain: int, tasks: int, paused: Iterable[str], heard: float | None, counted: Mapping[str, str]) -> Kept:
    numbers = {name: int(value) for name, value in counted.items()}
    return Kept(uncertain, tasks, tuple(sorted(paused)), None if heard is None else moment(heard), numbers)
