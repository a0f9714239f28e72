"""Servers for the adapters to meet: real sockets that answer, refuse, hang, trickle or hang up."""

import json
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import Message as Headers
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Request:
    """What a server was asked."""

    method: str
    path: str
    headers: Headers
    body: bytes
    client: tuple[str, int]


@dataclass
class Reply:
    """What a server shall say."""

    status: int = 200
    body: bytes | dict[str, Any] = b""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def raw(self) -> bytes:
        return json.dumps(self.body).encode() if isinstance(self.body, dict) else self.body


class Provider:
    """An HTTP server that gives `reply` to every request and keeps what it was asked."""

    def __init__(self) -> None:
        self.reply = Reply()
        self.requests: list[Request] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def last(self) -> Request:
        return self.requests[-1]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                client = (str(self.client_address[0]), int(self.client_address[1]))
                provider.requests.append(Request(self.command, self.path, self.headers, body, client))
                self._say(provider.reply)

            do_GET = do_POST  # noqa: N815 the library's name

            def _say(self, reply: Reply) -> None:
                self.send_response(reply.status)
                for name, value in {"Content-Length": str(len(reply.raw)), **reply.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(reply.raw)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 the library's name
                pass

        return Handler


#: Seconds within which is over, on the busiest machine, what would otherwise last for as long as anybody listens.
SOON = 8.0


@contextmanager
def peer(behave: Callable[[socket.socket], None]) -> Iterator[int]:
    """A raw TCP server on a free port; `behave` has each connection to itself, and its errors are expected."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []
    connections: list[socket.socket] = []

    def converse(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            behave(connection)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.settimeout(10)
            connections.append(connection)
            threads.append(threading.Thread(target=converse, args=(connection,)))
            threads[-1].start()

    acceptor = threading.Thread(target=accept)
    acceptor.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join()
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()


def closed_port() -> int:
    """A port of this machine on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def read_request(connection: socket.socket) -> bytes:
    """One HTTP request, headers and body."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _some(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    while len(body) < length:
        body += _some(connection)
    return head + b"\r\n\r\n" + body


def _some(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise ConnectionAbortedError
    return data


def ignore(connection: socket.socket) -> None:
    """Reads nothing and says nothing, for as long as anybody is there."""
    gone = select.poll()
    gone.register(connection, select.POLLRDHUP)
    gone.poll(30_000)


def hang(connection: socket.socket) -> None:
    """Takes the request and never answers."""
    read_request(connection)
    connection.recv(1)


def drop(connection: socket.socket) -> None:
    """Takes the request and hangs up."""
    read_request(connection)


def reset(connection: socket.socket) -> None:
    """Takes the request and resets the connection."""
    read_request(connection)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")


def cut(connection: socket.socket) -> None:
    """Promises more of an answer than it gives."""
    read_request(connection)
    connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 500\r\n\r\n{")


def garble(connection: socket.socket) -> None:
    """Answers with success and something that is not JSON."""
    read_request(connection)
    connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\n<htm>")


def speak_nonsense(connection: socket.socket) -> None:
    """Answers with something that is not HTTP."""
    read_request(connection)
    connection.sendall(b"it is a fine day\r\n\r\n")


def trickle(connection: socket.socket) -> None:
    """Answers a byte now and then, for as long as anybody listens."""
    read_request(connection)
    connection.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 100000\r\n\r\n")
    drip(connection)


def trickle_headers(connection: socket.socket) -> None:
    """The same, and never comes to the end of the headers."""
    read_request(connection)
    connection.sendall(b"HTTP/1.1 201 Created\r\nX-Slow: ")
    drip(connection)


def drip(connection: socket.socket) -> None:
    """A byte now and then, for as long as anybody listens, or twenty seconds."""
    for _ in range(400):
        connection.sendall(b" ")
        time.sleep(0.05)
