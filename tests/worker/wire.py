"""A wire to a server on a socket, which loses what it is told to lose: real sockets, and a real server behind them."""

import select
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock, Thread
from typing import Literal

#: What is lost. `question`: the connection breaks before the server hears the command; `answer`: once the server has
#: done it, before anybody hears that; `patience`: nothing is heard on either side, and nobody hangs up.
Loss = Literal["question", "answer", "patience"]
LOSSES: tuple[Loss, ...] = ("question", "answer", "patience")

#: dramatiq's own, which its script is called with.
COMMANDS = ("enqueue", "fetch", "ack", "requeue")


class Wire:
    """Connections to `target` by way of `url`. `lost` is what was lost so far, oldest first."""

    def __init__(self, target: str, at: Path) -> None:
        self.url = f"unix://{at}"
        self.lost: list[tuple[str, Loss]] = []
        self._target = target.removeprefix("unix://")
        self._lock = Lock()
        self._orders: dict[str, tuple[Loss, int]] = {}
        self._every = self._seen = 0
        self._open = True
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(at))
        self._listener.listen(64)
        self._threads = [Thread(target=self._accept)]
        self._threads[0].start()

    def lose(self, command: str, loss: Loss, times: int = 1) -> None:
        """Lose the next so many of these commands."""
        with self._lock:
            self._orders[command] = (loss, times)

    def lose_every(self, nth: int) -> None:
        """Lose every n-th of dramatiq's commands, by turns before the server has heard it and after."""
        with self._lock:
            self._every = nth

    def heal(self) -> None:
        """Lose nothing more."""
        with self._lock:
            self._orders, self._every = {}, 0

    def close(self) -> None:
        """Cut all connections."""
        self._open = False
        for thread in self._threads:
            thread.join(10)
        self._listener.close()

    def _accept(self) -> None:
        while self._open:
            if select.select([self._listener], [], [], 0.05)[0]:
                thread = Thread(target=self._connect, args=(self._listener.accept()[0],))
                self._threads.append(thread)
                thread.start()

    def _connect(self, near: socket.socket) -> None:
        with near, socket.socket(socket.AF_UNIX) as far, suppress(OSError):
            far.connect(self._target)
            while self._open and self._carry(near, far):
                pass

    def _carry(self, near: socket.socket, far: socket.socket) -> bool:
        """What either side has said, to the other; False when the connection is over."""
        for speaker in select.select([near, far], [], [], 0.05)[0]:
            said = speaker.recv(1 << 20)
            loss = self._fate(said) if speaker is near else None
            if loss == "answer":
                far.sendall(said)
                select.select([far], [], [], 10)
            if not said or loss in ("question", "answer"):
                return False
            if loss is None:
                (far if speaker is near else near).sendall(said)
        return True

    def _fate(self, said: bytes) -> Loss | None:
        """What is to become of it; None: it gets there, and its answer back."""
        command = next((word for word in COMMANDS if b"\r\n%s\r\n" % word.encode() in said), "")
        if not command:
            return None
        with self._lock:
            self._seen += 1
            loss, left = self._orders.get(command, (None, 0))
            if loss and left:
                self._orders[command] = (loss, left - 1)
            elif self._every and self._seen % self._every == 0:
                loss = LOSSES[len(self.lost) % 2]
            else:
                return None
            self.lost.append((command, loss))
            return loss


@contextmanager
def wire(target: str, at: Path) -> Iterator[Wire]:
    """One, until the end of the block."""
    found = Wire(target, at)
    try:
        yield found
    finally:
        found.close()
