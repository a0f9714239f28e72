"""The other side: a real HTTP server that keeps what it is posted and answers what a test says."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message as Headers
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

from twilio.request_validator import RequestValidator

from .clients import TOKEN


@dataclass(frozen=True)
class Got:
    """One request that arrived."""

    method: str
    url: str
    headers: Headers
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.url).path

    @property
    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.url).query)

    @property
    def events(self) -> Any:
        return json.loads(self.body)

    @property
    def signed(self) -> bool:
        """Does Twilio's own validator find it signed with the clients' token?"""
        return bool(RequestValidator(TOKEN).validate(self.url, self.form, self.headers["X-Twilio-Signature"]))


class Receiver:
    """`answer` gives status and body for a request; `got` is what came, in order."""

    def __init__(self) -> None:
        self.got: list[Got] = []
        self.answer: Callable[[Got], tuple[int, str]] = lambda _got: (204, "")
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def wait(self, count: int, path: str = "") -> list[Got]:
        """Wait until so many requests whose path begins so have come, then for a moment in which no more may come."""
        end = time.monotonic() + 30
        while len(self.at(path)) < count and time.monotonic() < end:
            time.sleep(0.005)
        time.sleep(0.05)
        found = self.at(path)
        assert len(found) == count, [each.url for each in self.got]
        return found

    def at(self, path: str) -> list[Got]:
        """What came to paths that begin so."""
        return [each for each in list(self.got) if each.path.startswith(path)]

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                got = Got(self.command, receiver.url + self.path, self.headers, body)
                receiver.got.append(got)
                status, text = receiver.answer(got)
                self.send_response(status)
                self.end_headers()
                self.wfile.write(text.encode())

            do_GET = do_POST  # noqa: N815 - the library's name

            def log_message(self, *_: Any) -> None:
                """Be quiet."""

        return Handler
