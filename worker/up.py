"""`relance up` and `relance worker`: which children there are."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

from worker import forward
from worker.app import VAR, App, Rehearsal
from worker.config.environment import environment
from worker.embedded import Embedded
from worker.opening import opened
from worker.processes import Stop, Supervisor, worker_groups
from worker.store import until_it_answers

#: Threads of a worker process.
THREADS = 8


def run_all(
    environ: Mapping[str, str],
    stop: Stop,
    *,
    at: datetime | None,
    speed: float | None,
    skip_idle: bool,
    processes: int,
) -> None:
    """Servers, scheduler, workers, web doors; until `stop` is set.

    The servers are started first and stopped last, gently.
    """
    with servers(environ, stop) as variables:
        app = opened(lambda: App(variables, Rehearsal(at, speed)), stop)
        app.refuse_real_providers()  # here too: a child that refuses would only be started again
        for key in ("still_due", "webhook"):
            app.upstream.demand(key)
        commands: dict[str, tuple[str, ...]] = {"scheduler": ("scheduler", *(["--skip-idle"] if skip_idle else []))}
        commands |= {**_workers(app, THREADS, processes), "web": ("web",)}
        if any(creditor.webhook for creditor in app.config.creditors.values()):
            until_it_answers(lambda: forward.prepare(app), stop=stop)  # before anything can happen that it would miss
            commands["forward"] = ("forward",)
        app.close()
        Supervisor(commands, variables).run(stop)


@contextmanager
def servers(environ: Mapping[str, str], stop: Stop) -> Iterator[Mapping[str, str]]:
    """The environment, with the embedded servers in it as long as this lasts where it names none."""
    if environment(environ).redis_url:
        yield environ
        return
    embedded = Embedded(VAR)
    stop.kill_at_last(embedded.kill)
    with embedded as urls:
        yield {**environ, "REDIS_URL": urls.redis_url, "BROKER_URL": urls.broker_url}


def run_workers(app: App, stop: Stop, *, threads: int, processes: int) -> None:
    """So many children per group of queues. Raises ConfigurationError for real providers on a rehearsal's store."""
    app.refuse_real_providers()
    app.upstream.demand("still_due")
    Supervisor(_workers(app, threads, processes), app.environ).run(stop)


def _workers(app: App, threads: int, processes: int) -> dict[str, tuple[str, ...]]:
    return {
        f"{name}-{number}" if number > 1 else name: ("worker", "--threads", str(threads), "--queues", ",".join(queues))
        for name, queues in worker_groups(app).items()
        for number in range(1, processes + 1)
    }
