"""What a process that stays asks of its servers before it works: it waits for them, and refuses those that forget."""

from collections.abc import Callable
from contextlib import closing
from threading import Event
from typing import TypeVar

import redis
import structlog

from channels.base import ConfigurationError
from worker.app import App
from worker.durable import Durable, tell
from worker.server import Server, ask
from worker.store import connect, until_it_answers

_log = structlog.get_logger("relance.store")
T = TypeVar("T")


def opened(make: Callable[[], App], stop: Event | None = None) -> App:
    """The parts, once store and queue are there and fit. `stop` ends the waiting, and with it the process.

    Raises what `make` and `prove` raise, but for redis errors while a server is away.
    """
    app = until_it_answers(lambda: _admitted(make, "REDIS_URL"), stop=stop)
    until_it_answers(lambda: prove(app), stop=stop)
    return app


def prove(app: App) -> None:
    """Are store and queue such that work can begin? What they cannot promise to keep is said.

    Raises ConfigurationError for a server that may evict what it holds or does not let us in, and redis errors.
    """
    store = _ask(app.client, "REDIS_URL")
    app.open()
    _demand_no_eviction("REDIS_URL", store)
    source = "BROKER_URL" if app.environment.broker_url else "REDIS_URL"
    with closing(connect(app.urls.broker_url)) as queue:
        _demand_no_eviction(source, _ask(queue, source))
    app.cases.durable = _durable(app, store)
    _warn(store, app.cases.durable)
    app.continuity.renew()


def _admitted(work: Callable[[], T], source: str) -> T:
    """At a start a refused login is a wrong setting, and waiting would be for ever; later it is a server away."""
    try:
        return work()
    except redis.exceptions.AuthenticationError:
        raise ConfigurationError(f"{source}: this server refuses its user or its password") from None


def _ask(client: redis.Redis, source: str) -> Server:
    try:
        return _admitted(lambda: ask(client), source)
    except redis.exceptions.NoPermissionError:
        raise ConfigurationError(f"{source}: its user may not ask INFO, which relance needs; allow it: +info") from None


def _durable(app: App, store: Server) -> Durable:
    """What can be had, and was asked for. Who has a replica and says nothing wants it to count."""
    replicas = min(1, store.replicas) if app.replicas is None else app.replicas
    return Durable(disk=store.appends and store.can_wait, replicas=replicas)


def _warn(store: Server, durable: Durable) -> None:
    if not durable.disk:
        lacks = "WAITAOF (Valkey, or Redis 7.2 or newer)" if store.appends else "an append-only file (appendonly yes)"
        who = "the store and its replicas die at once" if durable.replicas else "the store dies"
        tell(lacks, f"when {who}, what was sent last is forgotten and may go twice")
    if durable.replicas and not store.guarded:
        _log.warning("store.unguarded", replicas=durable.replicas)


def _demand_no_eviction(source: str, server: Server) -> None:
    if server.policy != "noeviction":
        raise ConfigurationError(
            f"{source}: this server may evict what it holds (maxmemory-policy {server.policy or 'unknown'}), and cases "
            "or jobs would vanish without a word: set maxmemory-policy noeviction there"
        )
