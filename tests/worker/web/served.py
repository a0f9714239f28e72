"""The doors on a free port, those who knock at them, and what is kept before and after."""

import base64
import http.client
import json
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from urllib.parse import urlencode

import redis
import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from twilio.request_validator import RequestValidator

from worker.app import App
from worker.queues import INBOUND
from worker.web import create

#: Where Twilio believes the doors to be.
PUBLIC = "https://relance.example/here"
TOKEN = "sandbox"
TWILIO = {"PUBLIC_URL": PUBLIC, "TWILIO_ACCOUNT_SID": "AC" + "0" * 32, "TWILIO_AUTH_TOKEN": TOKEN}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}

Pairs = Sequence[tuple[str, str]]


@contextmanager
def serving(app: App, listener: socket.socket) -> Iterator[None]:
    """The doors, on uvicorn, on that socket."""
    # What asyncio sets where it makes the socket itself; without it each answer waits for an acknowledgement, 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    server = uvicorn.Server(uvicorn.Config(create(app), log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(10)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a door said."""

    status: int
    body: bytes
    kind: str


@dataclass(frozen=True, slots=True)
class Doors:
    """The doors of an app, open at a port of loopback."""

    app: App
    port: int

    def ask(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, dict(headers or {}))
            answer = connection.getresponse()
            return Answer(answer.status, answer.read(), answer.headers.get("Content-Type", ""))
        finally:
            connection.close()

    def twilio(
        self, path: str, form: Mapping[str, str], *, token: str = TOKEN, public: str = PUBLIC, **headers: str
    ) -> Answer:
        """As Twilio posts a form."""
        signature = RequestValidator(token).compute_signature(public + path, form)
        signed = {**FORM, "X-Twilio-Signature": signature, **headers}
        return self.ask("POST", path, urlencode(form).encode(), signed)

    def queued(self) -> list[dict[str, Any]]:
        """What was handed in, oldest first."""
        client = self.app.broker.client
        ids = cast("list[bytes]", client.lrange(f"dramatiq:{INBOUND}", 0, -1))
        messages = cast("list[bytes]", client.hmget(f"dramatiq:{INBOUND}.msgs", ids)) if ids else []
        return [json.loads(message)["kwargs"] for message in messages]

    def kept(self) -> dict[bytes, bytes]:
        """Every key of store and queue, and what it holds."""
        found: dict[bytes, bytes] = {}
        for url in (self.app.urls.redis_url, self.app.urls.broker_url):
            with redis.Redis.from_url(url) as client:
                keys = cast("list[bytes]", client.keys())
                found |= {url.encode() + key: cast(bytes, client.dump(key)) for key in keys}
        return found


@contextmanager
def opened(app: App) -> Iterator[Doors]:
    """The doors of this app, until the end of the block."""
    with socket.create_server(("127.0.0.1", 0)) as listener, serving(app, listener):
        yield Doors(app, listener.getsockname()[1])


class Sendgrid:
    """Signs as SendGrid does, with a key of its own."""

    def __init__(self) -> None:
        self._private = ec.generate_private_key(ec.SECP256R1())
        public = self._private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        self.public_key = base64.b64encode(public).decode()

    def headers(self, body: bytes, at: datetime) -> dict[str, str]:
        """The two that bear the signature of these bytes, made at that time."""
        stamp = str(int(at.timestamp()))
        signature = self._private.sign(stamp.encode() + body, ec.ECDSA(SHA256()))
        return {
            "Content-Type": "application/json",
            "X-Twilio-Email-Event-Webhook-Signature": base64.b64encode(signature).decode(),
            "X-Twilio-Email-Event-Webhook-Timestamp": stamp,
        }


def without(logged: Sequence[Mapping[str, Any]], *secrets: str) -> None:
    """None of these is in any line."""
    text = json.dumps([dict(line) for line in logged], default=str, ensure_ascii=False)
    assert [secret for secret in secrets if secret in text] == []
