"""A wire that is listened to: between a client and a server of loopback, every byte with the moment it passed."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Lock, Thread

from tests.channels.peers import peer


@dataclass(frozen=True, slots=True)
class Passed:
    """Bytes that passed at `at` (monotonic) on the n-th connection to `server`, towards it or from it."""

    at: float
    server: str
    connection: int
    towards: bool
    data: bytes


class Recorder:
    """What passed on all of its wires, in order. It is written down before it goes on."""

    def __init__(self) -> None:
        self.passed: list[Passed] = []
        self._connections = 0
        self._lock = Lock()

    @contextmanager
    def wire(self, server: str, port: int) -> Iterator[int]:
        """A port that leads to that one, until the end of the block, which cuts whatever is still connected."""
        ends: list[socket.socket] = []

        def behave(near: socket.socket) -> None:
            with self._lock:
                self._connections += 1
                number = self._connections
            near.settimeout(None)
            with socket.create_connection(("127.0.0.1", port)) as far:
                ends.extend((near, far))
                back = Thread(target=self._pump, args=(far, near, server, number, False))
                back.start()
                self._pump(near, far, server, number, True)
                back.join()

        with peer(behave) as own:
            yield own
            for end in ends:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def _pump(self, source: socket.socket, to: socket.socket, server: str, number: int, towards: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                with self._lock:
                    self.passed.append(Passed(time.monotonic(), server, number, towards, data))
                to.sendall(data)
        with suppress(OSError):
            to.shutdown(socket.SHUT_WR)

    def first(self, server: str, words: bytes = b"", since: Passed | None = None) -> Passed:
        """The first bytes towards that server in which these are, from those on if they are given."""
        found = self.passed[self.passed.index(since) :] if since else self.passed
        return next(each for each in found if each.server == server and each.towards and words in each.data)

    def answers(self, asked: Passed) -> list[tuple[float, bytes]]:
        """What came back on that connection from then on: when, and all of it until then."""
        found: list[tuple[float, bytes]] = []
        for each in self.passed[self.passed.index(asked) :]:
            if (each.server, each.connection, each.towards) == (asked.server, asked.connection, False):
                found.append((each.at, (found[-1][1] if found else b"") + each.data))
        return found
