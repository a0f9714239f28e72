"""The embedded servers: found when they run, safe from a killed parent, and stopped with everything on disk."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest
import redis

from worker.embedded import Embedded, EmbeddedError, Urls, running


def ask(url: str, *command: str) -> object:
    """One command."""
    with redis.Redis.from_url(url, decode_responses=True) as client:
        return client.execute_command(*command)


def test_what_was_committed_is_there_after_a_restart(tmp_path: Path) -> None:
    """Both servers keep their data, and neither evicts."""
    with Embedded(tmp_path) as urls:
        for url in (urls.redis_url, urls.broker_url):
            assert ask(url, "SET", "k", "v") in (True, "OK")
            assert ask(url, "CONFIG", "GET", "maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert ask(urls.redis_url, "CONFIG", "GET", "appendfsync") == {"appendfsync": "always"}
        assert running(tmp_path) == urls
    assert running(tmp_path) is None
    with Embedded(tmp_path) as urls:
        assert [ask(url, "GET", "k") for url in (urls.redis_url, urls.broker_url)] == ["v", "v"]


def test_only_one_process_runs_them_in_a_folder(tmp_path: Path) -> None:
    """A second one is told so, and the first goes on."""
    with Embedded(tmp_path) as urls:
        with pytest.raises(EmbeddedError, match="another process"):
            Embedded(tmp_path).start()
        assert ask(urls.redis_url, "PING")


def orphans(folder: Path) -> Urls:
    """Servers whose parent was killed."""
    code = f"""
import pathlib, time
from worker.embedded import Embedded
Embedded(pathlib.Path({str(folder)!r})).start()
print("up", flush=True)
time.sleep(60)
"""
    root = Path(__file__).parents[2]
    environ = os.environ | {"PYTHONPATH": str(root)}
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environ, start_new_session=True)
    assert parent.stdout is not None
    with parent.stdout:
        assert parent.stdout.readline() == b"up\n"
    os.killpg(parent.pid, signal.SIGKILL)
    parent.wait()
    found = running(folder)
    assert found is not None
    return found


def server(folder: Path) -> int:
    """The pid of the cases' server."""
    return int((folder / "cases" / "pid").read_text())


def test_servers_whose_parent_was_killed_are_used(tmp_path: Path) -> None:
    """`kill -9` of who started them leaves them running, out of its group; the next one finds and stops them."""
    found = orphans(tmp_path)
    ask(found.redis_url, "SET", "k", "v")
    with Embedded(tmp_path) as urls:
        assert urls == found
        assert ask(urls.redis_url, "GET", "k") == "v"
    assert running(tmp_path) is None


def test_a_server_that_is_about_to_end_is_waited_for(tmp_path: Path) -> None:
    """Never two of them on the same files, however soon the next one comes; and nothing of the last one's is lost."""
    ask(orphans(tmp_path).redis_url, "SET", "k", "v")
    last = server(tmp_path)
    os.kill(last, signal.SIGSTOP)
    os.kill(last, signal.SIGTERM)
    following = Embedded(tmp_path)
    starting = Thread(target=following.start)
    starting.start()
    starting.join(3)
    assert starting.is_alive()
    assert server(tmp_path) == last
    os.kill(last, signal.SIGCONT)
    starting.join(20)
    found = running(tmp_path)
    assert found is not None
    assert server(tmp_path) != last
    assert ask(found.redis_url, "GET", "k") == "v"
    following.stop()


def test_a_server_that_stands_still_is_named(tmp_path: Path) -> None:
    """It may go on at any time, so no other is started in its place; once it answers it is used."""
    orphans(tmp_path)
    last = server(tmp_path)
    os.kill(last, signal.SIGSTOP)
    try:
        with pytest.raises(EmbeddedError, match=r"does not answer still runs in .*/cases: let it end, or end it"):
            Embedded(tmp_path, patience=0.2).start()
    finally:
        os.kill(last, signal.SIGCONT)
    with Embedded(tmp_path):
        assert server(tmp_path) == last


def test_a_folder_too_deep_for_a_socket_is_named(tmp_path: Path) -> None:
    """The system's limit is told before a server fails for it."""
    with pytest.raises(EmbeddedError, match="shorter folder"):
        Embedded(tmp_path / ("x" * 120)).start()


def test_a_socket_that_nobody_serves_is_no_server(tmp_path: Path) -> None:
    """What a power cut left behind is neither found nor in the way."""
    (tmp_path / "cases.sock").touch()
    (tmp_path / "broker.sock").touch()
    assert running(tmp_path) is None
    with Embedded(tmp_path) as urls:
        assert ask(urls.redis_url, "PING")
