"""`redis+sentinel://user:password@host:26379,host:26379/mymaster?db=0`: a store that sentinels watch over.

User and password are the store's own; `sentinel_username` and `sentinel_password` in the query are the sentinels'.
"""

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel, SentinelConnectionPool

_SCHEMES = {"redis+sentinel": False, "rediss+sentinel": True}
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_OPTIONS = {"db", "sentinel_username", "sentinel_password", "ssl_ca_certs"}
_PORT = 26379
#: Seconds that one sentinel may take; then the next one is asked.
_PATIENCE = 1.0


@dataclass(frozen=True, slots=True)
class Watched:
    """The sentinels, the name of what they watch, and how to log in there and with them."""

    sentinels: tuple[tuple[str, int], ...]
    name: str
    options: dict[str, str] = field(repr=False)
    username: str | None = field(repr=False)
    password: str | None = field(repr=False)
    tls: bool

    @property
    def database(self) -> int:
        """Its number."""
        return int(self.options.get("db", "0"))


def is_watched(url: str) -> bool:
    """Does the URL name sentinels?"""
    return url.partition("://")[0] in _SCHEMES


def parse(url: str) -> Watched:
    """What such a URL says. Raises ValueError, whose text may hold a part of it."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    login, _, hosts = parts.netloc.rpartition("@")
    username, _, password = login.partition(":")
    name = parts.path.removeprefix("/")
    if parts.fragment or not _NAME.fullmatch(name) or options.keys() - _OPTIONS:
        raise ValueError("not a name, or an option that is none")
    if not options.get("db", "0").isdecimal():
        raise ValueError("not a number")
    return Watched(
        sentinels=tuple(map(_place, hosts.split(","))),
        name=name,
        options=options,
        username=unquote(username) or None,
        password=unquote(password) or None,
        tls=_SCHEMES[parts.scheme],
    )


def _place(text: str) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise ValueError("not a host")
    return parts.hostname, parts.port or _PORT


def next_database(url: str) -> str:
    """The same servers, one database further."""
    found = parse(url)
    return f"{url.partition('?')[0]}?{urlencode({**found.options, 'db': found.database + 1})}"


class _Client(redis.Redis):
    """Whoever is in charge, as the sentinels say at each new connection."""

    def close(self) -> None:
        """Give the connections back, those to the sentinels too."""
        super().close()
        pool = self.connection_pool
        if isinstance(pool, SentinelConnectionPool):
            pool.sentinel_manager.close()


def client(url: str, **bounds: Any) -> redis.Redis:
    """A client of whoever is in charge; `bounds` are those of its connections.

    Where no sentinel knows one, using it raises a redis ConnectionError. A connection to one that was demoted is
    dropped.
    """
    watched = parse(url)
    tls: dict[str, Any] = {"ssl": True} if watched.tls else {}
    if "ssl_ca_certs" in watched.options:
        tls["ssl_ca_certs"] = watched.options["ssl_ca_certs"]
    sentinel = Sentinel(
        watched.sentinels,
        sentinel_kwargs={
            "username": watched.options.get("sentinel_username"),
            "password": watched.options.get("sentinel_password"),
            "socket_timeout": _PATIENCE,
            "socket_connect_timeout": _PATIENCE,
            "retry": Retry(NoBackoff(), 0),
            **tls,
        },
    )
    found: redis.Redis = sentinel.master_for(
        watched.name,
        redis_class=_Client,
        db=watched.database,
        username=watched.username,
        password=watched.password,
        **tls,
        **bounds,
    )
    return found
