"""Requests from the sandbox to whoever listens: one try after another, as the provider's rules allow."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import urllib3
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError, SSLError

#: What can be wrong with a try: no connection, no whole answer, no usable URL, or an answer that is no success.
Trouble = Literal["", "ct", "rt", "url", "3xx", "4xx", "5xx"]


@dataclass(frozen=True, slots=True)
class Rules:
    """When to try again, and how long to wait (seconds). `pauses` has one pause for each retry."""

    again: frozenset[str] = frozenset({"ct"})
    pauses: tuple[float, ...] = (0.1,)
    connect: float = 5.0
    read: float = 5.0


@dataclass(frozen=True, slots=True)
class Post:
    """What is asked: a URL without fragment, and a body of some type."""

    url: str
    body: bytes
    headers: Mapping[str, str]
    method: str = "POST"


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: a status and a body, or `error`."""

    status: int = 0
    body: bytes = b""
    error: str = ""
    trouble: Trouble = ""

    @property
    def fields(self) -> dict[str, object]:
        """As the log names it: `status` or `error`."""
        return {"error": self.error} if self.error else {"status": self.status}


@dataclass(frozen=True, slots=True)
class Poster:
    """Sends on a new connection each time: one kept alive could be closed by the other side in the meantime."""

    closing: threading.Event
    _http: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(retries=False))

    def post(self, post: Post, rules: Rules, told: Callable[[int, Reply], None] = lambda _try, _reply: None) -> Reply:
        """Try until it succeeds or the rules have no more pause; `told` hears of every try, the first being 1."""
        number = 1
        while True:
            reply = self._once(post, rules)
            told(number, reply)
            if reply.trouble not in rules.again or number > len(rules.pauses):
                return reply
            if self.closing.wait(rules.pauses[number - 1]):
                return reply
            number += 1

    def _once(self, post: Post, rules: Rules) -> Reply:
        timeout = urllib3.Timeout(connect=rules.connect, read=rules.read)
        headers = {**post.headers, "Connection": "close"}
        try:
            answer = self._http.request(
                post.method, post.url, body=post.body, headers=headers, timeout=timeout, redirect=False
            )
        except HTTPError as error:
            return Reply(error=f"{type(error).__name__}: {error}", trouble=_trouble(error))
        return Reply(answer.status, answer.data, trouble=_hundreds(answer.status))


def _trouble(error: HTTPError) -> Trouble:
    if isinstance(error, ConnectTimeoutError | NewConnectionError | SSLError):
        return "ct"
    return "url" if isinstance(error, ValueError) else "rt"


def _hundreds(status: int) -> Trouble:
    if status < 300:
        return ""
    return "3xx" if status < 400 else "4xx" if status < 500 else "5xx"
