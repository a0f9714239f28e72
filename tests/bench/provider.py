"""A provider that costs next to nothing: TLS, kept alive, the sandbox's own answers, and a count of what it accepted.

The sandbox's HTTP host journals each request and can be late or wrong to order; here it would take more of the machine
than what is measured. This one reads a request, notes for whom it was and when, and answers what the SDKs need.
A program of its own, told what to do by lines on its standard input; see `Provider` in `stage.py`.
"""

import json
import secrets
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import parse_qs

from channels.sandbox.orders import ChannelName
from channels.sandbox.twilio_resources import new_sid, resource

HOST = "127.0.0.1"


class Acceptances:
    """When each address's messages were accepted (Unix time), by channel and address."""

    def __init__(self) -> None:
        self.at: dict[str, list[float]] = {}
        self.latency = 0.0
        self._lock = threading.Lock()

    def add(self, channel: str, to: str) -> None:
        """Take one message."""
        with self._lock:
            self.at.setdefault(f"{channel} {to}", []).append(time.time())
        if self.latency:
            time.sleep(self.latency)

    def count(self) -> int:
        """How many were accepted."""
        with self._lock:
            return sum(map(len, self.at.values()))

    def clear(self) -> None:
        """Forget them."""
        with self._lock:
            self.at = {}


def serve(connection: socket.socket, taken: Acceptances) -> None:
    """Answer one connection's requests until the client leaves."""
    with connection, suppress(OSError):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for head, body in _requests(connection):
            connection.sendall(_answer(head, body, taken))
            if b"\nconnection: close" in head.lower():
                return


def _requests(connection: socket.socket) -> Iterator[tuple[bytes, bytes]]:
    buffer = b""
    while True:
        while b"\r\n\r\n" not in buffer:
            if not (more := connection.recv(65536)):
                return
            buffer += more
        head, _, buffer = buffer.partition(b"\r\n\r\n")
        _, _, rest = head.lower().partition(b"\ncontent-length:")
        length = int(rest.partition(b"\r")[0] or 0)
        while len(buffer) < length:
            if not (more := connection.recv(65536)):
                return
            buffer += more
        yield head, buffer[:length]
        buffer = buffer[length:]


def _answer(head: bytes, body: bytes, taken: Acceptances) -> bytes:
    path = head.split(b" ", 2)[1]
    if path == b"/v3/mail/send":
        taken.add("email", json.loads(body)["personalizations"][0]["to"][0]["email"])
        return _response("202 Accepted", b"", f"X-Message-Id: {secrets.token_urlsafe(16)}\r\n")
    channel: ChannelName = "voice" if b"/Calls" in path else "sms"
    form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
    taken.add(channel, form["To"])
    made = resource(channel, path.split(b"/")[3].decode(), new_sid(channel), form)
    return _response("201 Created", json.dumps(made).encode(), "Content-Type: application/json\r\n")


def _response(status: str, body: bytes, headers: str) -> bytes:
    return f"HTTP/1.1 {status}\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _accept(listener: socket.socket, context: ssl.SSLContext, taken: Acceptances) -> None:
    while True:
        plain, _ = listener.accept()
        threading.Thread(target=_welcome, args=(plain, context, taken), daemon=True).start()


def _welcome(plain: socket.socket, context: ssl.SSLContext, taken: Acceptances) -> None:
    with suppress(OSError):
        serve(context.wrap_socket(plain, server_side=True), taken)


def main(pair: Path) -> None:
    """Listen on any free port, say which, and obey the lines that come."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair)
    taken = Acceptances()
    with socket.create_server((HOST, 0), backlog=256) as listener:
        threading.Thread(target=_accept, args=(listener, context, taken), daemon=True).start()
        _say(listener.getsockname()[1])
        for line in sys.stdin:
            word, _, value = line.strip().partition(" ")
            match word:
                case "count":
                    _say(taken.count())
                case "report":
                    _say(taken.at)
                case "clear":
                    taken.clear()
                    _say("cleared")
                case "latency":
                    taken.latency = float(value)
                    _say("set")


def _say(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
