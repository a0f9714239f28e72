"""Kept-alive HTTP for the channels: one request, one answer, never a second try.

What went wrong is told by phase, not by the name of an exception: before the request's first byte the provider surely
has nothing; after it, nobody knows. Redirects, proxies and netrc files are not followed or read.
"""

import io
import logging
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.client import HTTPResponse
from typing import Any

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import InvalidHeader
from urllib3.response import BaseHTTPResponse
from urllib3.util import Retry

from channels.base import ChannelError, Unavailable, Uncertain
from channels.deadline import Deadline, Reader, dial, send_all

#: Seconds after which an idle connection is not used again: a server that hangs up while we write makes an
#: uncertain message out of nothing.
IDLE = 15.0
#: Bytes of an answer that are read; providers' answers are a few hundred.
LIMIT = 1024 * 1024
#: Nobody waits longer than this on a provider's word alone.
LONGEST_WAIT = timedelta(days=1)

for _name in ("urllib3", "twilio.http_client", "python_http_client"):  # they print numbers, keys and bodies below this
    logging.getLogger(_name).setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole HTTP answer; `headers` ignores case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", errors="replace")


class _Call:
    """The request under way on this thread. `begun` turns true just before its first byte leaves."""

    def __init__(self, connect: float, read: float) -> None:
        self.connecting = Deadline(connect)
        self.whole = Deadline(connect + read)
        self.begun = False


_call: ContextVar[_Call] = ContextVar("_call")


@contextmanager
def _calling(connect: float, read: float) -> Iterator[_Call]:
    call = _Call(connect, read)
    token = _call.set(call)
    try:
        yield call
    finally:
        _call.reset(token)


class _Response(HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = io.BufferedReader(Reader(sock, self.fp.detach(), _call.get().whole))


class _Connection(HTTPConnection):
    response_class = _Response
    _used = 0.0

    def _new_conn(self) -> socket.socket:
        sock = dial(self._dns_host, self.port, _call.get().connecting)
        sock.settimeout(_call.get().connecting.left())
        return sock

    @property
    def is_connected(self) -> bool:
        return super().is_connected and time.monotonic() - self._used < IDLE

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        _call.get().begun = True
        send_all(self.sock, data, _call.get().whole)
        self._used = time.monotonic()


class _SecureConnection(_Connection, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class Http:
    """A pool of connections, shared by threads. `connect` and `read` are seconds; a call takes no more than both.

    `connections` are kept alive per host; more threads than that work too, on connections of their own. No more than
    `limit` bytes of an answer are read.
    """

    def __init__(self, connect: float, read: float, connections: int = 32, limit: int = LIMIT) -> None:
        self._connect = connect
        self._read = read
        self._limit = limit
        self._pools = PoolManager(maxsize=connections, block=False)
        self._pools.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}

    def request(self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        """Ask once. Raises Unavailable("down") if the request surely never left, else Uncertain."""
        with _calling(self._connect, self._read) as call:
            try:
                return self._exchange(method, url, body, headers)
            except Exception as error:
                raise _failure(error, call.begun) from None

    def _exchange(self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]) -> Answer:
        response = self._pools.urlopen(
            method,
            url,
            redirect=False,
            body=body,
            headers=headers,
            retries=False,
            timeout=Timeout(connect=self._connect, read=self._read),
            preload_content=False,
        )
        return Answer(response.status, response.headers, _read(response, self._limit))


def _read(response: BaseHTTPResponse, limit: int) -> bytes:
    body = response.read(limit)
    if response.connection is not None:  # there is more than we read: this connection is of no further use
        response.close()
        response.release_conn()
    return body


def _failure(error: Exception, begun: bool) -> ChannelError:
    word = type(_root(error)).__name__
    if begun:
        return Uncertain(word, "the request left and its answer did not come whole")
    return Unavailable("down", word, "no connection, so nothing was sent")


def _root(error: BaseException) -> BaseException:
    """The first cause; urllib3 wraps the socket's own word, as a cause or as an argument."""
    inner = error.__cause__ or next((part for part in error.args if isinstance(part, BaseException)), None)
    return error if inner is None else _root(inner)


def retry_after(headers: Mapping[str, str]) -> timedelta | None:
    """How long the answer asks to wait: `Retry-After` (seconds or a date), else `X-RateLimit-Reset` (Unix time)."""
    try:
        if value := headers.get("Retry-After"):
            seconds = Retry(retry_after_max=int(LONGEST_WAIT.total_seconds())).parse_retry_after(value)
        elif value := headers.get("X-RateLimit-Reset"):
            seconds = float(value) - datetime.now(UTC).timestamp()
        else:
            return None
        return max(timedelta(0), min(timedelta(seconds=seconds), LONGEST_WAIT))
    except (InvalidHeader, ValueError, OverflowError):
        return None
