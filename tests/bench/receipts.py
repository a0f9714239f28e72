"""How many signed receipts `relance web` answers in one process, and how fast: somebody else knocks, from outside."""

import http.client
import socket
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from statistics import median
from threading import Thread
from urllib.parse import urlencode, urlsplit

from twilio.request_validator import RequestValidator

from tests.bench.parts import app_on
from tests.bench.stage import BrokenPromise, Program, Stage, until
from worker.messages import STATUS_DOOR
from worker.queues import INBOUND

#: A database of the servers where no worker takes the receipts away.
_ASIDE = 4
#: Connections that are kept, as a proxy in front of the doors keeps them; each asks again once it is answered.
CONNECTIONS = 4


@dataclass(frozen=True, slots=True)
class Answers:
    """Receipts answered a second, and the median of how long an answer took, in milliseconds, both at full load."""

    rate: float
    median_ms: float


def answers(at: Stage, requests: int) -> Answers:
    """Knock with so many SMS receipts, each another attempt's. Raises BrokenPromise if one was not taken."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    public = f"http://127.0.0.1:{port}"
    urls = {"REDIS_URL": at.url("cases", _ASIDE), "BROKER_URL": at.url("broker", _ASIDE)}
    web = Program(at, "web", "worker.main", "web", WEB_PORT=str(port), PUBLIC_URL=public, **urls)
    try:
        until(lambda: _is_open(port), "the doors open")
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            pool.submit(knock, public, at.environ["TWILIO_AUTH_TOKEN"], "warm", requests // 10).result()
            found = pool.submit(knock, public, at.environ["TWILIO_AUTH_TOKEN"], "demo-receipt", requests).result()
    finally:
        web.stop()
    with app_on(at, _ASIDE) as app:
        waiting = app.broker.waiting(INBOUND)[INBOUND]
        app.broker.client.flushdb()
    if waiting != requests + requests // 10:
        raise BrokenPromise(f"{requests + requests // 10} receipts were answered, {waiting} are in the queue")
    return found


def _is_open(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def knock(public: str, token: str, case: str, requests: int) -> Answers:
    """Post so many signed receipts over a few connections, in a process of its own."""
    signed = [_request(public, token, f"{case}.{number}", number) for number in range(requests)]
    times: list[float] = []
    threads = [
        Thread(target=_ask_each, args=(urlsplit(public).port, signed[turn::CONNECTIONS], times))
        for turn in range(CONNECTIONS)
    ]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    if len(times) != requests:
        raise BrokenPromise(f"{requests - len(times)} receipts were not answered with 204")
    return Answers(requests / seconds, median(times) * 1000)


def _request(public: str, token: str, attempt: str, number: int) -> bytes:
    """The whole request, byte by byte: what knocks must not be slower than what answers."""
    path = f"{STATUS_DOOR}/{attempt}"
    sid = f"SM{number:032x}"
    form = {
        "SmsSid": sid,
        "SmsStatus": "delivered",
        "MessageStatus": "delivered",
        "To": "+33639980101",
        "MessageSid": sid,
        "AccountSid": "AC" + "0" * 32,
        "From": "AtelierDemo",
        "ApiVersion": "2010-04-01",
    }
    body = urlencode(form)
    head = [
        f"POST {path} HTTP/1.1",
        f"Host: {urlsplit(public).netloc}",
        "User-Agent: TwilioProxy/1.1",
        "Accept: */*",
        "Content-Type: application/x-www-form-urlencoded; charset=utf-8",
        f"X-Twilio-Signature: {RequestValidator(token).compute_signature(public + path, form)}",
        f"I-Twilio-Idempotency-Token: {sid}",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*head, "", body]).encode()


def _ask_each(port: int, requests: Sequence[bytes], times: list[float]) -> None:
    """One after the other; how long each took, in seconds, if it was answered as it should be."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for request in requests:
            began = time.perf_counter()
            connection.sendall(request)
            answer = connection.recv(65536)
            while b"\r\n\r\n" not in answer:
                answer += connection.recv(65536)
            if answer.startswith(b"HTTP/1.1 204"):
                times.append(time.perf_counter() - began)
