"""What a process that stays asks of its servers before it works: it waits for them, and refuses those that forget."""

from collections.abc import Callable
from contextlib import closing
from threading import Event

import redis

from channels.base import ConfigurationError
from worker.app import App
from worker.server import Server, ask
from worker.store import connect, until_it_answers


def opened(make: Callable[[], App], stop: Event | None = None) -> App:
    """The parts, once store and queue are there and fit. `stop` ends the waiting, and with it the process.

    Raises what `make` and `prove` raise, but for redis errors while a server is away.
    """
    app = until_it_answers(make, stop=stop)
    until_it_answers(lambda: prove(app), stop=stop)
    return app


def prove(app: App) -> None:
    """Are store and queue such that work can begin?

    Raises ConfigurationError for a server that may evict what it holds, and redis errors.
    """
    app.open()
    _demand_no_eviction("REDIS_URL", _ask(app.client, "REDIS_URL"))
    source = "BROKER_URL" if app.environment.broker_url else "REDIS_URL"
    with closing(connect(app.urls.broker_url)) as queue:
        _demand_no_eviction(source, _ask(queue, source))


def _ask(client: redis.Redis, source: str) -> Server:
    try:
        return ask(client)
    except redis.exceptions.NoPermissionError:
        raise ConfigurationError(f"{source}: its user may not ask INFO, which relance needs; allow it: +info") from None


def _demand_no_eviction(source: str, server: Server) -> None:
    if server.policy != "noeviction":
        raise ConfigurationError(
            f"{source}: this server may evict what it holds (maxmemory-policy {server.policy or 'unknown'}), and cases "
            "or jobs would vanish without a word: set maxmemory-policy noeviction there"
        )
