"""SIGTERM, to those who talk to the outside: web doors, forwarder, demo."""

import hashlib
import http.client
import json
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from tests.conftest import MakeApp
from worker.commit import Keys
from worker.embedded import Urls
from worker.forward import prepare
from worker.stream import GROUP

from .config_copy import DEMO, Copy
from .programs import Program, free_port, living, program, sweep, until
from .rig import Rig
from .test_processes import urls

KEY = "relance_key-of-the-demo"

#: The doors, with as many seconds for their last answers as they are told.
WEB = """
import sys
from threading import Event
from worker import logs
from worker.app import App
from worker.processes import stop_on_signals
from worker.web import serve

logs.configure()
stop = Event()
stop_on_signals(stop)
serve(App(), stop, lambda: None, int(sys.argv[1]))
"""


# ---- web


@pytest.fixture
def doors(store: Urls, tmp_path: Path) -> dict[str, str]:
    """The environment of web doors that the demo's billing system has a key to."""
    copy = Copy(tmp_path / "config")
    copy.edit(DEMO, "mode: live", f"api_keys: ['sha256:{hashlib.sha256(KEY.encode()).hexdigest()}']")
    return {**urls(store), "RELANCE_CONFIG": str(copy.folder), "WEB_PORT": str(free_port())}


class Guest:
    """Somebody on a connection that the doors have let in."""

    def __init__(self, port: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=20)
        connection.request("GET", "/healthz")
        assert connection.getresponse().read()
        assert isinstance(connection.sock, socket.socket)
        self._socket = connection.sock

    def pay(self, case: str) -> None:
        """Tell of a payment, all but the last byte."""
        body = json.dumps({"case": case, "amount": "1200.50", "currency": "EUR"}).encode()
        head = (
            f"POST /v1/payments HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nIdempotency-Key: p-1\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        self._socket.sendall(head.encode() + body[:-1])

    def finish(self) -> str:
        """The last byte; what comes back, by its first line."""
        self._socket.sendall(b"}")
        return self.rest().partition("\r\n")[0]

    def rest(self) -> str:
        """What comes back until the doors hang up."""
        with closing(self._socket), self._socket.makefile("rb") as answer:
            try:
                return answer.read().decode()
            except ConnectionResetError:
                return ""


def opened(web: Program) -> Program:
    """Wait until the doors are open."""
    until(lambda: web.lines("web.started"))
    return web


def shut(port: str) -> bool:
    """Is nobody let in any more?"""
    try:
        socket.create_connection(("127.0.0.1", int(port)), timeout=5).close()
    except OSError:
        return True
    return False


def test_a_request_under_way_is_answered(make_app: MakeApp, doors: dict[str, str], tmp_path: Path) -> None:
    """The doors close, who is inside gets an answer, and a connection that only waits for more holds up nobody."""
    port, rig = doors["WEB_PORT"], Rig(make_app(config=Path(doors["RELANCE_CONFIG"])))
    case = rig.open()
    with program(tmp_path, "web", **doors) as web:
        opened(web)
        idle, payer = Guest(port), Guest(port)
        payer.pay(case.id)
        web.process.send_signal(signal.SIGTERM)
        until(lambda: shut(port))
        assert idle.rest() == ""
        assert payer.finish() == "HTTP/1.1 200 OK"
        assert web.process.wait(10) == 0
        assert web.lines("web.stopped")
    assert rig.case(case.id).owed() == 0


def test_a_request_that_never_ends_is_cut_in_time(make_app: MakeApp, doors: dict[str, str], tmp_path: Path) -> None:
    """What was not said to the end counts as not said: the billing system hears no yes, and says it again."""
    port, rig = doors["WEB_PORT"], Rig(make_app(config=Path(doors["RELANCE_CONFIG"])))
    case = rig.open()
    with program(tmp_path, "1", code=WEB, **doors) as web:
        opened(web)
        payer = Guest(port)
        payer.pay(case.id)
        web.process.send_signal(signal.SIGTERM)
        assert web.process.wait(15) == 0
        assert not payer.rest().startswith("HTTP/1.1 2")
    assert rig.case(case.id).owed() > 0


def test_the_doors_do_not_wait_when_told_twice(make_app: MakeApp, doors: dict[str, str], tmp_path: Path) -> None:
    """Whoever is inside is cut off."""
    port, rig = doors["WEB_PORT"], Rig(make_app(config=Path(doors["RELANCE_CONFIG"])))
    case = rig.open()
    with program(tmp_path, "web", **doors) as web:
        opened(web)
        payer = Guest(port)
        payer.pay(case.id)
        assert web.stop_twice() == 1
        assert payer.rest() == ""
    assert rig.case(case.id).owed() > 0


# ---- forward


class SlowReceiver:
    """A billing system that answers when it is told to, and keeps the ids of what it was told."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.answer = Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["id"])
                outer.answer.wait(60)
                with suppress(OSError):  # whoever asked may have left
                    self.send_response(204)
                    self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 the library's name
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/events"

    def close(self) -> None:
        """Answer who still waits, and be gone."""
        self.answer.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def receiver() -> Iterator[SlowReceiver]:
    """One, on loopback."""
    with closing(SlowReceiver()) as found:
        yield found


@pytest.fixture
def hooked(store: Urls, receiver: SlowReceiver, tmp_path: Path) -> dict[str, str]:
    """The environment of a forwarder."""
    copy = Copy(tmp_path / "config")
    copy.edit(DEMO, "mode: live", f"webhook: {{url: '{receiver.url}', secret_env: DEMO_SECRET}}")
    return {**urls(store), "RELANCE_CONFIG": str(copy.folder), "DEMO_SECRET": "between us"}


def one_event(make_app: MakeApp, hooked: dict[str, str]) -> Rig:
    """A case was opened, and its webhook is to hear of it."""
    rig = Rig(make_app(config=Path(hooked["RELANCE_CONFIG"]), DEMO_SECRET="between us"))
    prepare(rig.app)
    rig.open()
    return rig


def unsettled(rig: Rig) -> int:
    """How many events were handed on and not acknowledged."""
    found: Any = rig.app.client.xpending(Keys("demo").events, GROUP)
    return int(found["pending"])


def test_an_event_on_its_way_is_waited_for(
    make_app: MakeApp, hooked: dict[str, str], receiver: SlowReceiver, tmp_path: Path
) -> None:
    """The receiver takes its time, the forwarder hears it out and does not hand the event on a second time."""
    rig = one_event(make_app, hooked)
    with program(tmp_path, "forward", **hooked) as forwarder:
        until(lambda: receiver.heard)
        forwarder.process.send_signal(signal.SIGTERM)
        until(lambda: forwarder.lines("process.stopping"))
        receiver.answer.set()
        assert forwarder.process.wait(20) == 0
        assert forwarder.lines("forward.stopped")
    assert unsettled(rig) == 0
    assert len(receiver.heard) == 1


def test_a_forwarder_told_twice_leaves_the_event_to_the_next(
    make_app: MakeApp, hooked: dict[str, str], receiver: SlowReceiver, tmp_path: Path
) -> None:
    """Nobody knows whether it was taken: it comes again, under the same id."""
    rig = one_event(make_app, hooked)
    with program(tmp_path, "forward", **hooked) as forwarder:
        until(lambda: receiver.heard)
        assert forwarder.stop_twice() == 1
    assert unsettled(rig) == 1
    receiver.answer.set()
    rig.app.client.delete(Keys("demo").forwarder)  # its hold on the creditor has run out
    with program(tmp_path, "forward", **hooked):
        until(lambda: len(receiver.heard) == 2 and unsettled(rig) == 0)
    assert receiver.heard[0] == receiver.heard[1]


# ---- demo


@pytest.mark.parametrize("times", [1, 2])
def test_a_demo_that_is_stopped_leaves_nothing(times: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No process, no server, and no file of its own if it was left the time; it says that it did not reach its end."""
    folder = tmp_path_factory.mktemp("d")
    with program(folder, "demo", "--log", str(folder / "sandbox.jsonl"), TMPDIR=str(folder)) as demo:
        until(lambda: "case opened" in demo.text(), 90)
        assert (demo.stop() if times == 1 else stop_twice(demo)) == 1
        until(lambda: living(folder) == {})
    assert times == 2 or list(folder.glob("relance-*")) == []
    sweep(folder)


def stop_twice(demo: Program) -> int:
    """A demo says nothing of the first."""
    demo.process.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    demo.process.send_signal(signal.SIGTERM)
    return demo.process.wait(10)
