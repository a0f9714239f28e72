"""An HTTP/1.1 server whose answers can be late, missing or wrong, to order."""

import logging
import select
import socket
import ssl
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any

from channels.sandbox import control
from channels.sandbox.contracts import Contracts
from channels.sandbox.faults import Fault
from channels.sandbox.journal import Exchange, Journal
from channels.sandbox.outside import Outside
from channels.sandbox.provider import Answer, Change, Look, Order, Provider, Request

LOG = logging.getLogger(__name__)
HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Desk:
    """What all servers of one sandbox share. `latency` is in seconds and passes between acceptance and answer."""

    outside: Outside
    controls: control.Controls
    latency: float = 0.0
    contracts: Contracts | None = None

    @property
    def journal(self) -> Journal:
        """What all of them write to."""
        return self.outside.journal

    @property
    def closing(self) -> threading.Event:
        """Set when the sandbox ends."""
        return self.outside.closing


class HttpHost:
    """One provider, served on 127.0.0.1 until `close`. Port 0 means any free one."""

    def __init__(self, provider: Provider, desk: Desk, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self._server = _Server(provider, desk, port, tls)
        self.url = f"{'https' if tls else 'http'}://{HOST}:{self._server.server_address[1]}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name=provider.name, daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening, cut every connection, and wait for the threads."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server.cut()


class _Server(ThreadingHTTPServer):
    request_queue_size = 128

    def __init__(self, provider: Provider, desk: Desk, port: int, tls: ssl.SSLContext | None) -> None:
        self.provider, self.desk, self._tls = provider, desk, tls
        self._open: dict[threading.Thread, socket.socket] = {}
        super().__init__((HOST, port), _Handler)

    def server_bind(self) -> None:
        TCPServer.server_bind(self)  # HTTPServer's own would ask the DNS for this host's name

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, peer = super().get_request()
        if self._tls is not None:  # the handshake is left to the connection's thread
            connection = self._tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, peer

    def process_request(self, request: Any, client_address: Any) -> None:
        arguments = (request, client_address)
        thread = threading.Thread(target=self.process_request_thread, args=arguments, daemon=True)
        self._open[thread] = request
        thread.start()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            del self._open[threading.current_thread()]

    def handle_error(self, request: Any, client_address: Any) -> None:
        LOG.debug("connection ended by an error", exc_info=True)

    def cut(self) -> None:
        for thread, connection in list(self._open.items()):
            with suppress(OSError):  # the plain shutdown: TLS's would pull the object from under its thread
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
            thread.join(5)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_POST(self) -> None:
        if self.path.startswith(control.PREFIX):
            self._write(control.handle(self._request(), self.server.desk.controls))
        else:
            self._exchange()

    def do_GET(self) -> None:
        self.do_POST()

    def do_DELETE(self) -> None:
        self.do_POST()

    def date_time_string(self, timestamp: float | None = None) -> str:
        """What every answer's Date header says, those of the library's own making included: the provider's time."""
        return self.server.desk.outside.clock.http()

    def log_message(self, *_: Any) -> None:
        """Say nothing on stderr: the journal has it all."""

    def _exchange(self) -> None:
        provider, path = self.server.provider, self.path
        exchange = self.server.desk.journal.open(provider.name, provider.channel(path), method=self.command, path=path)
        try:
            self._serve(exchange, self._understand(exchange, self._request()))
        except (OSError, ValueError) as error:
            self._drop(exchange, type(error).__name__)

    def _serve(self, exchange: Exchange, found: Order | Look | Change | Answer) -> None:
        match found:
            case Order():
                self._fulfil(exchange, found)
            case Look():
                self._list(exchange, found)
            case Change():
                self._answer(exchange, found.make(exchange))
            case _:
                self._answer(exchange, found)

    def _request(self) -> Request:
        length = int(self.headers.get("Content-Length") or "0")
        body = self.rfile.read(length)
        if len(body) < length:
            raise ConnectionAbortedError("the client left in mid-request")
        return Request(self.command, self.path, self.headers, body)

    def _understand(self, exchange: Exchange, request: Request) -> Order | Look | Change | Answer:
        provider, contracts = self.server.provider, self.server.desk.contracts
        refusal = provider.authenticate(request)
        if refusal is not None:
            return refusal
        errors = contracts.errors(provider.name, request) if contracts else []
        if errors:
            exchange.write("invalid", errors=errors)
            return provider.invalid(errors)
        try:
            return provider.read(request)
        except (AttributeError, LookupError, TypeError, ValueError) as error:  # not shaped as expected
            return provider.invalid([f"{type(error).__name__}: {error}"])

    def _fulfil(self, exchange: Exchange, order: Order) -> None:
        fault, to = self._fault(order)
        accepted = fault is None or fault.accepts
        for message in order.messages:
            exchange.decide(message, fault)
        if accepted:
            order.keep(exchange)
            order.before(exchange)
        try:
            self._end(exchange, order.answer, fault, to, self.server.desk.latency)
        finally:
            if accepted:
                order.afterwards(exchange)

    def _fault(self, order: Order) -> tuple[Fault | None, str]:
        on_send = self.server.desk.controls.faults.on_send
        for each in order.messages:
            if (fault := on_send(each.channel, each.to, each.attempt)) is not None:
                return fault, each.to
        return None, ""

    def _list(self, exchange: Exchange, look: Look) -> None:
        to = look.asked["to"]
        fault = self.server.desk.controls.faults.on_list(look.channel, to, exchange.number)
        exchange.listed(look.asked, look.count if fault is None or fault.kind == "late" else None, fault)
        self._end(exchange, look.answer, fault, to)

    def _end(self, exchange: Exchange, answer: Answer, fault: Fault | None, to: str, latency: float = 0.0) -> None:
        if fault is not None and fault.silent:
            self._hang(fault)
            self._drop(exchange, fault.kind)
            return
        if self.server.desk.closing.wait(latency + (fault.delay if fault else 0.0)):
            self._drop(exchange, "closing")
        elif fault is None or fault.kind == "late":
            self._answer(exchange, answer)
        else:
            self._answer(exchange, self.server.provider.fail(fault, to))

    def _hang(self, fault: Fault) -> None:
        if fault.kind != "hang":
            return
        poll = select.poll()
        poll.register(self.connection, select.POLLIN)
        end = time.monotonic() + (fault.seconds or float("inf"))
        while time.monotonic() < end and not self.server.desk.closing.is_set():
            if poll.poll(50):  # the client closed its side
                return

    def _answer(self, exchange: Exchange, answer: Answer) -> None:
        self._write(answer)
        exchange.answered(answer.status)

    def _write(self, answer: Answer) -> None:
        lines = [f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}", f"Date: {self.date_time_string()}"]
        lines += [f"{name}: {value}" for name, value in answer.headers.items()]
        lines += [f"Content-Length: {len(answer.body)}", "", ""]
        self.wfile.write("\r\n".join(lines).encode() + answer.body)

    def _drop(self, exchange: Exchange, why: str) -> None:
        self.close_connection = True
        exchange.dropped(why)
        with suppress(OSError):
            socket.socket.shutdown(self.connection, socket.SHUT_RDWR)
