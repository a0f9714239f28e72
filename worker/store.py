"""Connections to the store."""

import hashlib
import time
from collections.abc import Callable, Sequence
from threading import Event
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import redis
import structlog
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ReadOnlyError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from channels.base import ConfigurationError
from worker import sentinel

#: The store is away, slow, loading, read-only, full, or has just restarted: wait and try again, nothing is lost.
AWAY = (
    RedisConnectionError,
    RedisTimeoutError,
    ReadOnlyError,
    redis.exceptions.OutOfMemoryError,
    redis.exceptions.NoPermissionError,
    redis.exceptions.ClusterDownError,
    redis.exceptions.MasterDownError,
    redis.exceptions.TryAgainError,
    NoScriptError,
)
_WATCHED = "redis+sentinel://user:password@host:26379,host:26379/mymaster?db=0"
#: The same, said by servers in words that redis-py has no class for.
_REFUSALS = ("NOREPLICAS", "MISCONF", "BUSY", "UNKILLABLE")
#: What redis-py puts before those words, and the whole command before that, where it was one of a pipeline.
_BEFORE_IT = " of pipeline caused error: "


def away(error: BaseException) -> bool:
    """Will the same request succeed once the store is well again? What is wrong with the request itself never will."""
    said = str(error).rpartition(_BEFORE_IT)[2]
    return isinstance(error, AWAY) or (isinstance(error, redis.ResponseError) and said.startswith(_REFUSALS))


def check_url(url: str, source: str) -> None:
    """Raises ConfigurationError for what is no server's URL; it names `source` and never quotes the URL.

    A password with a bare `/`, `#` or `@` cuts a URL into odd pieces, and redis-py's own words would print them.
    """
    if sentinel.is_watched(url):
        _check_watched(url, source)
        return
    try:
        parts = urlsplit(url)
        database = dict(parse_qsl(parts.query)).get("db") or ("" if parts.scheme == "unix" else parts.path[1:])
        place = parts.path if parts.scheme == "unix" else parts.hostname
        valid = bool(place) and not parts.fragment and (database.isdecimal() or not database)
        pool = redis.ConnectionPool.from_url(url)
        pool.connection_class(**pool.connection_kwargs)  # connects nowhere yet
    except (ValueError, TypeError):
        valid = False
    if not valid:
        raise ConfigurationError(
            f"{source}: expected redis://user:password@host:port/0, rediss://..., unix:///path?db=0 "
            f"or {_WATCHED}, with what is special in a password percent-encoded"
        )


def _check_watched(url: str, source: str) -> None:
    try:
        sentinel.parse(url)
    except ValueError:
        raise ConfigurationError(
            f"{source}: expected {_WATCHED}, with what is special in a password percent-encoded"
        ) from None


def next_database(url: str) -> str:
    """The same server, one database further. `url` is one that `check_url` lets pass."""
    if sentinel.is_watched(url):
        return sentinel.next_database(url)
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    if parts.scheme != "unix" and "db" not in query:  # where the query names one, redis-py heeds it
        return urlunsplit(parts._replace(path=f"/{int(parts.path[1:] or '0') + 1}"))
    query["db"] = str(int(query.get("db", "0")) + 1)
    return f"{url.partition('?')[0]}?{urlencode(query)}"


def same_database(one: str, other: str) -> bool:
    """Do both URLs name one database of one server, as far as they themselves tell?"""
    return _place(one) == _place(other)


def _place(url: str) -> tuple[str, int, int]:
    """Host, socket, or what sentinels watch by which name; port, and database."""
    if sentinel.is_watched(url):
        watched = sentinel.parse(url)
        return f"{sorted(watched.sentinels)} {watched.name}", 0, watched.database
    parts = urlsplit(url)
    named = dict(parse_qsl(parts.query)).get("db")
    if parts.scheme == "unix":
        return parts.path, 0, int(named or 0)
    host = "localhost" if parts.hostname in ("127.0.0.1", "::1") else parts.hostname or ""
    return host, parts.port or 6379, int(named or parts.path[1:] or 0)


def connect(url: str, *, text: bool = True, retries: int = 3) -> redis.Redis:
    """A client with bounded waits. Commits carry an id, so asking again after a lost answer does no harm.

    No health checks: each is repeated as often as the command behind it, and the waits of the two multiply.
    """
    bounds: dict[str, Any] = {
        "decode_responses": text,
        "socket_timeout": 5,
        "socket_connect_timeout": 2,
        "retry": Retry(ExponentialBackoff(cap=0.5, base=0.05), retries=retries),
        "retry_on_error": [RedisConnectionError, RedisTimeoutError],
    }
    if sentinel.is_watched(url):
        return sentinel.client(url, **bounds)
    client = redis.Redis.from_url(url, **bounds)
    pool = client.connection_pool
    pool.connection_class = _LEAVING[pool.connection_class]
    return client


def hurry(client: redis.Redis) -> None:
    """Let whoever waits for it hear within some ten seconds that the server does not answer, instead of twenty."""
    client.set_retry(Retry(ExponentialBackoff(cap=0.5, base=0.05), retries=1))


class _Leaving:
    """A connection that is dropped when its server turns out to be a replica: the name may lead elsewhere by now."""

    def read_response(self, *arguments: Any, **options: Any) -> Any:
        try:
            return super().read_response(*arguments, **options)  # type: ignore[misc]  # its sibling's
        except ReadOnlyError:
            self.disconnect()  # type: ignore[attr-defined]  # its sibling's
            raise


class _Plain(_Leaving, redis.Connection):
    pass


class _Tls(_Leaving, redis.SSLConnection):
    pass


class _Local(_Leaving, redis.UnixDomainSocketConnection):
    pass


_LEAVING: dict[type, Any] = {
    redis.Connection: _Plain,
    redis.SSLConnection: _Tls,
    redis.UnixDomainSocketConnection: _Local,
}


class Script:
    """A Lua script, called by its digest; a server that does not know it is given it first."""

    def __init__(self, client: redis.Redis, text: str | bytes) -> None:
        self._client = client
        self._text = text.encode() if isinstance(text, str) else text
        self.digest = hashlib.sha1(self._text, usedforsecurity=False).hexdigest()

    def __call__(self, keys: Sequence[Any] = (), args: Sequence[Any] = ()) -> Any:
        """Its answer. Raises redis errors."""
        try:
            return self._client.execute_command("EVALSHA", self.digest, len(keys), *keys, *args)
        except NoScriptError:
            self.load()
            return self._client.execute_command("EVALSHA", self.digest, len(keys), *keys, *args)

    def load(self) -> None:
        """Give it to the server."""
        self._client.script_load(self._text)


T = TypeVar("T")
_log = structlog.get_logger("relance.store")


def until_it_answers(work: Callable[[], T], *, patient: bool = False, stop: Event | None = None) -> T:
    """Do it; while the store is away (`patient`: or says anything but yes), wait and do all of it again.

    A process that is told to stop meanwhile leaves the queue's message unacknowledged, and it comes back. One that has
    begun nothing yet gives its `stop`, and ends when that is set.
    """
    pause = 0.05
    while True:
        try:
            return work()
        except redis.RedisError as error:
            if not (patient or away(error)):
                raise
            _log.warning("store.away", error=type(error).__name__)
            if stop is None:
                time.sleep(pause)
            elif stop.wait(pause):
                raise SystemExit(0) from None
            pause = min(2.0, pause * 2)
