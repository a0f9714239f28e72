"""Where the store and the queue are, by their URLs; a URL may hold a password."""

from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from threading import Thread

import pytest
import redis

from channels.base import ConfigurationError
from tests.conftest import MakeApp
from worker.app import App
from worker.config import environment
from worker.embedded import Urls
from worker.sentinel import parse
from worker.store import away, check_url, connect, next_database

from .programs import until

GOOD = {
    "redis://store": "redis://store/1",
    "redis://:p%2Fw@store:6379/3": "redis://:p%2Fw@store:6379/4",
    "redis://user:pw@store:6379/?db=2": "redis://user:pw@store:6379/?db=3",
    "rediss://store:6379/0": "rediss://store:6379/1",
    "unix:///run/valkey.sock": "unix:///run/valkey.sock?db=1",
    "unix://:p%2Fw@/run/valkey.sock?db=4": "unix://:p%2Fw@/run/valkey.sock?db=5",
}
UNWATCHED = [
    "redis+sentinel://",
    "redis+sentinel://host:26379",
    "redis+sentinel://host:26379/",
    "redis+sentinel:///mymaster",
    "redis+sentinel://host:x/mymaster",
    "redis+sentinel://one,,two/mymaster",
    "redis+sentinel://host/mymaster?db=x",
    "redis+sentinel://host/mymaster?no_such_option=1",
    "redis+sentinel://user:s3/cret@host/mymaster",
    "redis+sentinel://user:3/s3cret@host/mymaster",
    "redis+sentinel://user:3#s3cret@host/mymaster",
    "redis+sentinel://user:3?s3cret=1@host/mymaster",
]
WATCHED = {
    "redis+sentinel://one,two:7000/mymaster": "redis+sentinel://one,two:7000/mymaster?db=1",
    "redis+sentinel://:p%2Fw@one/m?db=2": "redis+sentinel://:p%2Fw@one/m?db=3",
    "rediss+sentinel://user:pw@[::1]:7000/m?db=0&sentinel_password=x%26y": (
        "rediss+sentinel://user:pw@[::1]:7000/m?db=1&sentinel_password=x%26y"
    ),
}


@pytest.mark.parametrize("url", GOOD)
def test_the_queue_takes_the_next_database(url: str) -> None:
    """However the URL names its own, credentials stay, and the client understands what comes out."""
    check_url(url, "REDIS_URL")
    assert next_database(url) == GOOD[url]
    old, new = (redis.ConnectionPool.from_url(each).connection_kwargs for each in (url, next_database(url)))
    assert new["db"] == old.get("db", 0) + 1
    assert all(new.get(name) == old.get(name) for name in ("host", "port", "path", "username", "password"))


@pytest.mark.parametrize("url", WATCHED)
def test_the_queue_takes_the_next_database_of_what_sentinels_watch(url: str) -> None:
    """The same sentinels, the same name, the same credentials."""
    check_url(url, "REDIS_URL")
    assert next_database(url) == WATCHED[url]
    old, new = parse(url), parse(next_database(url))
    assert new.database == old.database + 1
    assert replace(new, options={}) == replace(old, options={})
    with closing(connect(url)) as client:
        assert client.connection_pool.connection_kwargs["db"] == old.database


def test_a_url_of_sentinels_says_who_they_are() -> None:
    """Each with its port, what they watch, and who logs in with what; percent-signs are read."""
    found = parse("redis+sentinel://me:p%2Fw%40@one:7000,[::1],three/cases?sentinel_username=s&sentinel_password=t")
    assert found.sentinels == (("one", 7000), ("::1", 26379), ("three", 26379))
    assert (found.name, found.username, found.password, found.tls) == ("cases", "me", "p/w@", False)
    assert found.options == {"sentinel_username": "s", "sentinel_password": "t"}
    assert "p/w" not in repr(found)


def test_a_queue_on_a_socket_needs_no_url_of_its_own(make_app: MakeApp, store: Urls) -> None:
    """What is enqueued there is in the store's server, and not among the cases."""
    app = make_app(BROKER_URL="")
    app.broker.client.set("here", "1")
    with redis.Redis.from_url(f"{store.redis_url}?db=1") as client:
        assert client.get("here") == b"1"
    assert app.client.get("here") is None


@pytest.mark.parametrize(
    "url",
    [
        "store:6379",
        "http://store",
        "redis://",
        "redis://store:x",
        "redis://store/cases",
        "redis://store/?db=x",
        "redis://store/?no_such_option=1",
        "unix://store",
        "redis://user:s3/cret@store:6379/0",
        "redis://user:s3#cret@store:6379/0",
        "redis://user:s3?cret=1@store:6379/0",
        "redis://user:3/s3cret@store:6379/0",
        "redis://user:3#s3cret@store:6379/0",
        "redis://user:3?s3cret=1@store:6379/0",
        *UNWATCHED,
    ],
)
@pytest.mark.parametrize("name", ["REDIS_URL", "BROKER_URL"])
def test_a_url_that_is_none_is_named_and_not_quoted(name: str, url: str) -> None:
    """A password with a bare sign in it cuts a URL into pieces, of which libraries would print one."""
    with pytest.raises(ConfigurationError) as caught:
        environment({"REDIS_URL": "redis://store", name: url})
    assert "s3cret" not in str(caught.value)
    plain = "redis://user:password@host:port/0, rediss://..., unix:///path?db=0 or "
    assert str(caught.value) == (
        f"{name}: expected {'' if url in UNWATCHED else plain}"
        "redis+sentinel://user:password@host:26379,host:26379/mymaster?db=0, "
        "with what is special in a password percent-encoded"
    )


def test_a_queue_without_a_store_is_a_mistake() -> None:
    """Jobs would be enqueued where no worker looks."""
    with pytest.raises(ConfigurationError, match=r"^BROKER_URL is set but REDIS_URL is not:"):
        environment({"BROKER_URL": "redis://queue"})


@pytest.mark.parametrize(
    ("url", "same", "apart"),
    [
        ("redis://store", "redis://STORE:6379/0", "redis://store/1"),
        ("redis://:pw@store:6379/2", "redis://store?db=2", "redis://:pw@store:6380/2"),
        ("redis://localhost:7000/1", "redis://127.0.0.1:7000/1", "redis://queue:7000/1"),
        ("rediss://store/3", "redis://store/3", "rediss://store/4"),
        ("unix:///run/valkey.sock", "unix:///run/valkey.sock?db=0", "unix:///run/valkey.sock?db=1"),
        ("redis+sentinel://:pw@a,b/main?db=1", "redis+sentinel://b,a/main?db=1", "redis+sentinel://a,b/main"),
        ("unix:///run/valkey.sock?db=1", "unix://:pw@/run/valkey.sock?db=1", "unix:///run/queue.sock?db=1"),
    ],
)
def test_a_queue_among_the_cases_is_refused(url: str, same: str, apart: str) -> None:
    """However the two URLs are written; the text names both variables and quotes neither."""
    with pytest.raises(ConfigurationError, match=r"^REDIS_URL and BROKER_URL name the same database: ") as caught:
        environment({"REDIS_URL": url, "BROKER_URL": same})
    assert "pw" not in str(caught.value)
    assert environment({"REDIS_URL": url, "BROKER_URL": apart}).broker_url == apart


def test_what_holds_a_password_does_not_show_it() -> None:
    """Neither what the environment said nor where the servers are prints a URL."""
    url = "redis://:s3cret@store"
    found = environment({"REDIS_URL": url, "BROKER_URL": f"{url}/1"})
    assert "s3cret" not in f"{found!r}{Urls(url, url)!r}"


@pytest.fixture
def app(make_app: MakeApp) -> App:
    """An app on an empty store."""
    return make_app()


@pytest.fixture
def stuck(app: App, store: Urls) -> Iterator[None]:
    """A server on which somebody's script does not end: it answers everybody else that it is busy."""
    with redis.Redis.from_url(store.redis_url) as client, redis.Redis.from_url(store.redis_url) as other:
        client.config_set("busy-reply-threshold", 1)
        loop = Thread(target=lambda: suppress_killed(other))
        loop.start()
        until(lambda: is_busy(client))
        yield
        client.script_kill()
        loop.join(10)
        client.config_set("busy-reply-threshold", 5000)


def suppress_killed(client: redis.Redis) -> None:
    """Run a script until it is killed."""
    with suppress(redis.ResponseError):
        client.eval("while true do end", 0)


def is_busy(client: redis.Redis) -> bool:
    """Does it say so?"""
    try:
        client.ping()
    except redis.ResponseError as error:
        return str(error).startswith("BUSY")
    return False


@pytest.fixture
def orphaned(app: App) -> Iterator[None]:
    """A replica that has never seen its primary, and says so."""
    app.client.config_set("replica-serve-stale-data", "no")
    app.client.replicaof("127.0.0.1", "1")
    yield
    app.client.replicaof("no", "one")
    app.client.config_set("replica-serve-stale-data", "yes")


@pytest.mark.parametrize("trouble", ["stuck", "orphaned"])
def test_a_store_that_refuses_to_be_read_is_waited_for_whoever_asks(
    app: App, trouble: str, request: pytest.FixtureRequest
) -> None:
    """In a pipeline the server's words come behind redis-py's own: they are understood there too."""
    request.getfixturevalue(trouble)
    cases = app.cases
    asks: tuple[Callable[[], object], ...] = (
        lambda: cases.known("demo", ["F-1"]),
        lambda: cases.see("demo-x"),
        lambda: cases.load("demo-x"),
    )
    for ask in asks:
        with pytest.raises(redis.ResponseError) as caught:
            ask()
        assert away(caught.value)
