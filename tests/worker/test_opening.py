"""What a process that stays does before it works: it waits for its servers, and refuses those that may forget."""

import http.client
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
import redis

from worker.embedded import Urls

from .programs import free_port, program, run, until
from .valkeys import ALWAYS, Server, ending
from .web.served import Sendgrid

#: Those that open their parts each in a way of their own, and one that does as the scheduler.
STAYING = [("scheduler",), ("worker", "--queues", "email"), ("web",), ("up",)]


@pytest.fixture
def evicting(store: Urls, request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """Where the servers are, one of which evicts: the one that the test names."""
    urls = {"REDIS_URL": store.redis_url, "BROKER_URL": store.broker_url}
    with redis.Redis.from_url(urls[request.param]) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        yield urls
        client.config_set("maxmemory-policy", "noeviction")


@pytest.mark.parametrize("evicting", ["REDIS_URL"], indirect=True)
@pytest.mark.parametrize("arguments", STAYING, ids=" ".join)
def test_whoever_stays_refuses_a_store_that_evicts(
    evicting: dict[str, str], tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    """Exit code 2 before anything is done, naming the variable and what to set; cases would vanish without a word."""
    refused = run(tmp_path, *arguments, **evicting)
    assert refused.returncode == 2
    assert refused.stderr.startswith("REDIS_URL: this server may evict what it holds (maxmemory-policy allkeys-lru)")
    assert refused.stderr.endswith("set maxmemory-policy noeviction there\n")


@pytest.mark.parametrize("evicting", ["BROKER_URL"], indirect=True)
def test_a_queue_that_evicts_is_refused_too(evicting: dict[str, str], tmp_path: Path) -> None:
    """By its own variable; what an operator asks is answered all the same."""
    refused = run(tmp_path, "scheduler", **evicting)
    assert refused.returncode == 2
    assert refused.stderr.startswith("BROKER_URL: this server may evict")
    assert run(tmp_path, "status", **evicting).returncode == 0


def test_a_user_who_may_not_ask_is_told_what_to_allow(store: Urls, tmp_path: Path) -> None:
    """Waiting would be for ever."""
    with redis.Redis.from_url(store.redis_url) as client:
        client.execute_command("ACL", "SETUSER", "shy", "on", "nopass", "~*", "+@all", "-info")
        try:
            url = store.redis_url.replace("unix://", "unix://shy:x@")
            refused = run(tmp_path, "scheduler", REDIS_URL=url, BROKER_URL=store.broker_url)
        finally:
            client.execute_command("ACL", "DELUSER", "shy")
    assert refused.returncode == 2
    assert refused.stderr == "REDIS_URL: its user may not ask INFO, which relance needs; allow it: +info\n"


@pytest.mark.parametrize("name", ["REDIS_URL", "BROKER_URL"])
@pytest.mark.parametrize("arguments", STAYING, ids=" ".join)
def test_a_wrong_password_is_told_at_once(tmp_path: Path, name: str, arguments: tuple[str, ...]) -> None:
    """Exit code 2, naming the variable and nothing of its value: to wait for a server that says no would be silence."""
    with ending() as keep:
        server, locked = (keep(Server(tmp_path / folder, *ALWAYS)).start() for folder in ("open", "locked"))
        locked.ask("CONFIG", "SET", "requirepass", "x")
        urls = {"REDIS_URL": server.url, "BROKER_URL": server.url.replace("/0", "/1")} | {name: locked.url}
        refused = run(tmp_path, *arguments, **urls)
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[-1] == f"{name}: this server refuses its user or its password"


def ask(port: int, method: str, path: str) -> int:
    """What a door answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path)
        return connection.getresponse().status
    finally:
        connection.close()


def test_whoever_is_started_before_its_store_waits_for_it(tmp_path: Path) -> None:
    """Nobody ends; the doors say that they are there and cannot serve; once the store is there, all of them work."""
    with ending() as keep, ExitStack() as stack:
        server = keep(Server(tmp_path / "store", *ALWAYS))
        port = free_port()
        key = Sendgrid().public_key
        environ = {"REDIS_URL": server.url, "WEB_PORT": str(port), "SENDGRID_WEBHOOK_PUBLIC_KEY": key}
        commands = (("scheduler",), ("worker", "--queues", "email"), ("worker",), ("forward",), ("web",))
        started = [stack.enter_context(program(tmp_path, *command, **environ)) for command in commands]
        for each in started:
            until(partial(each.lines, "store.away"))
        web = started[-1]
        until(lambda: web.lines("web.started"))
        assert [ask(port, "GET", path) for path in ("/healthz", "/readyz")] == [200, 503]
        assert ask(port, "POST", "/webhooks/sendgrid/events") == 503
        assert [each.process.poll() for each in started] == [None] * len(started)

        server.start()
        for each, event in zip(started, ("scheduler", "worker", "worker", "forward", "process"), strict=True):
            until(partial(each.lines, f"{event}.started"))
        until(lambda: ask(port, "GET", "/readyz") == 200)
        assert ask(port, "POST", "/webhooks/sendgrid/events") == 403
        assert [each.process.poll() for each in started] == [None] * len(started)
        assert not any(each.lines("child.died") for each in started)


def test_what_evicts_when_it_comes_ends_the_doors_that_waited(tmp_path: Path) -> None:
    """They were bound before anybody could know."""
    with ending() as keep:
        server = keep(Server(tmp_path / "store", *ALWAYS, "--maxmemory-policy", "allkeys-lru"))
        with program(tmp_path, "web", REDIS_URL=server.url) as web:
            until(lambda: web.lines("web.started"))
            server.start()
            assert web.process.wait(30) == 2
            assert "REDIS_URL: this server may evict" in web.text()


def test_up_that_waits_for_a_store_can_be_stopped(tmp_path: Path) -> None:
    """One SIGTERM is enough, and nothing remains."""
    with program(tmp_path, "up", REDIS_URL=f"redis://127.0.0.1:{free_port()}") as up:
        until(lambda: up.lines("store.away"))
        assert up.stop() == 0


def test_a_command_does_not_wait(tmp_path: Path) -> None:
    """An operator who types one is told at once."""
    found = run(tmp_path, "status", REDIS_URL=f"redis://127.0.0.1:{free_port()}")
    assert found.returncode == 2
    assert found.stderr == "the store does not answer: ConnectionError\n"
