"""Connections to the store."""

import time
from collections.abc import Callable
from typing import TypeVar

import redis
import structlog
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

#: The store is away, slow, loading or read-only: wait and try again, nothing is lost.
AWAY = (
    RedisConnectionError,
    RedisTimeoutError,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.OutOfMemoryError,
)


def connect(url: str, *, text: bool = True) -> redis.Redis:
    """A client with bounded waits. Commits carry an id, so asking again after a lost answer does no harm."""
    retry = Retry(ExponentialBackoff(cap=0.5, base=0.05), retries=3)
    return redis.Redis.from_url(
        url,
        decode_responses=text,
        socket_timeout=5,
        socket_connect_timeout=2,
        retry=retry,
        retry_on_error=[RedisConnectionError, RedisTimeoutError],
        health_check_interval=30,
    )


T = TypeVar("T")
_log = structlog.get_logger("relance.store")


def until_it_answers(work: Callable[[], T]) -> T:
    """Do it; while the store is away, wait and do all of it again.

    A process that is told to stop meanwhile leaves the queue's message unacknowledged, and it comes back.
    """
    pause = 0.05
    while True:
        try:
            return work()
        except AWAY as error:
            _log.warning("store.away", error=type(error).__name__)
            time.sleep(pause)
            pause = min(2.0, pause * 2)
