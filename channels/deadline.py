"""One call's time, shared out among all its socket operations.

A socket's timeout bounds one read, so a peer that sends a byte now and then holds a call for ever. Here every
operation is given what is left of the whole call. Looking a host name up is the system's business and bounded by its
own resolver settings; it comes before anything was sent.
"""

import io
import socket
import time

#: How much of a body is handed to a socket at once: TLS counts its timeout anew for each piece.
PIECE = 64 * 1024


class Deadline:
    """`seconds` from now, by the monotonic clock."""

    def __init__(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds left, above zero. Raises TimeoutError when there are none."""
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimeoutError("the call has used up its time")
        return left


def dial(host: str, port: int, deadline: Deadline) -> socket.socket:
    """Connect to the first of the host's addresses that answers, all of them together within the deadline.

    The standard loop gives each address the whole timeout. Raises OSError.
    """
    addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    failed: OSError | None = None
    for tried, (family, kind, protocol, _, address) in enumerate(addresses):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.settimeout(deadline.left() / (len(addresses) - tried))
            sock.connect(address)
        except OSError as error:
            sock.close()
            failed = error
        else:
            return sock
    raise failed or OSError("the host has no address")


def send_all(sock: socket.socket, data: bytes, deadline: Deadline) -> None:
    """Write everything within the deadline. Raises OSError."""
    view = memoryview(data)
    for start in range(0, len(view), PIECE):
        sock.settimeout(deadline.left())
        sock.sendall(view[start : start + PIECE])


class Reader(io.RawIOBase):
    """A socket's reading side of which every read ends at the deadline."""

    def __init__(self, sock: socket.socket, raw: io.RawIOBase, deadline: Deadline) -> None:
        self._sock = sock
        self._raw = raw
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int | None:  # type: ignore[override]  # io wants any buffer; it only ever gives a memoryview
        self._sock.settimeout(self._deadline.left())
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()
