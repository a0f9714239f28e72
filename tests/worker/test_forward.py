"""Events on their way to a creditor's webhook: all of them, in order per case, whatever the receiver does."""

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import structlog

from tests.channels import peers
from tests.channels.peers import closed_port, peer
from tests.conftest import MakeApp
from worker import forward
from worker.app import App
from worker.commit import Keys
from worker.config import Webhook
from worker.forward import Forwarder, deliver, prepare
from worker.stream import Behind, Entry, behind, since

from .config_copy import DEMO, Copy
from .payloads import fact
from .rig import MORNING, Crash, Later, Rig, outbox

SECRET = "between us"


@dataclass
class Receiver:
    """A billing system that keeps what it takes, refuses what it is told to, and sees how many ask at once."""

    refuses: Callable[[str], bool] = lambda case: False
    status: int = 500
    taken: list[dict[str, Any]] = field(default_factory=list)
    tried: list[str] = field(default_factory=list)
    headers: list[Any] = field(default_factory=list)
    url: str = ""

    def take(self, body: bytes, headers: Any) -> int:
        """The status of the answer."""
        found = json.loads(body)
        self.tried.append(found["id"])
        if self.refuses(found["case"]):
            return self.status
        self.taken.append(found)
        self.headers.append((headers, body))
        return 204

    def of(self, case: str) -> list[str]:
        """The events of a case, as they came."""
        return [each["event"]["type"] for each in self.taken if each["case"] == case]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """One, on loopback."""
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(found.take(body, self.headers))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 the library's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def config(receiver: Receiver, tmp_path: Path) -> Path:
    """The shipped configuration, with a webhook."""
    copy = Copy(tmp_path / "config")
    copy.edit(DEMO, "mode: live", f"webhook: {{url: '{receiver.url}/events', secret_env: DEMO_SECRET}}")
    return copy.folder


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits are short, and as they are in proportion."""
    monkeypatch.setattr(forward, "BACKOFF", (0.05,))
    monkeypatch.setattr(forward, "PATIENCE", 0.02)
    monkeypatch.setattr(forward, "DOWN_PAUSE", 0.04)
    monkeypatch.setattr(forward, "DOWN_PAUSE_MOST", 0.4)


@pytest.fixture
def rig(make_app: MakeApp, config: Path) -> Rig:
    """A creditor whose events are kept for its webhook from the start."""
    app = make_app(at=MORNING, speed=1, config=config, DEMO_SECRET=SECRET)
    prepare(app)
    return Rig(app)


def hook(app: App) -> Webhook:
    """The demo's."""
    found = app.config.creditors["demo"].webhook
    assert found is not None
    return found


def forwarder(app: App) -> Forwarder:
    """One that has begun nothing."""
    return Forwarder(app, "demo", hook(app))


def turn(each: Forwarder, until: Callable[[], bool] = lambda: False, most: int = 20) -> None:
    """Let it work, for so many turns or until that is so."""
    with ThreadPoolExecutor(8) as pool:
        for _ in range(most):
            if not each.turn(pool):
                time.sleep(0.01)
            if until():
                return


def streamed(app: App) -> list[Entry]:
    """Everything in the stream."""
    return list(since(app.client, "demo", MORNING.replace(year=2020)))


def two_cases(rig: Rig) -> tuple[str, str]:
    """Two, each with some events."""
    number = "F-9"
    first = rig.open()
    second = rig.open(job_id="j-9", debtor__id="D-9", debtor__email="other@example.com", invoices__0__number=number)
    for case in (first, second):
        rig.take(fact("case_held", job_id=f"h{case.id}", case=case.id, reason="dispute"))
        rig.take(fact("case_released", job_id=f"r{case.id}", case=case.id))
    return first.id, second.id


ALL = ["CaseOpened", "HoldPlaced", "HoldReleased"]


def test_every_event_arrives_signed_and_in_order(rig: Rig, receiver: Receiver) -> None:
    """What is in the stream is what is taken, under its id, and a stranger could not have said it."""
    first, second = two_cases(rig)
    turn(forwarder(rig.app))
    assert receiver.of(first) == receiver.of(second) == ALL
    known = {entry.id: json.loads(entry.event) for entry in streamed(rig.app)}
    assert {each["id"]: each["event"] for each in receiver.taken} == known
    headers, body = receiver.headers[0]
    assert headers["X-Relance-Event"] == receiver.taken[0]["id"]
    assert genuine(SECRET.encode(), headers["X-Relance-Signature"], body)
    assert behind(rig.app.client, "demo") == Behind(0, None, 0)


def genuine(key: bytes, signature: str, body: bytes) -> bool:
    """As the README tells a receiver to check it."""
    stamp, _, seal = signature.removeprefix("t=").partition(",v1=")
    expected = hmac.new(key, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(seal, expected) and abs(time.time() - int(stamp)) < 300


def test_one_case_that_is_refused_holds_up_itself_alone(rig: Rig, receiver: Receiver) -> None:
    """Its later events wait behind the first; the others go; once it is taken, its events come in order."""
    first, second = two_cases(rig)
    receiver.refuses = lambda case: case == first
    each = forwarder(rig.app)
    turn(each)
    assert (receiver.of(first), receiver.of(second)) == ([], ALL)
    assert len(set(receiver.tried)) == 4
    receiver.refuses = lambda case: False
    turn(each, lambda: receiver.of(first) == ALL, 200)
    assert receiver.of(first) == ALL


def many(rig: Rig) -> list[str]:
    """The ids of a dozen cases."""
    opened = [rig.open(job_id=f"j{n}", debtor__id=f"D-{n}", invoices__0__number=f"F-{n}") for n in range(12)]
    return [case.id for case in opened]


def test_a_dead_receiver_is_left_alone(rig: Rig, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once nothing gets through, nobody else's event is tried on it before the pause is over, and then only one."""
    for name in ("DOWN_PAUSE", "DOWN_PAUSE_MOST"):
        monkeypatch.setattr(forward, name, 1000.0)
    many(rig)
    receiver.refuses = lambda case: True
    each = forwarder(rig.app)
    turn(each)
    assert len(receiver.tried) == len(set(receiver.tried)) == forward.PARALLEL
    each._quiet_until = 0.0  # the pause is over
    turn(each)
    assert len(receiver.tried) == forward.PARALLEL + 1


def test_a_dead_receiver_stops_no_reminder(rig: Rig, receiver: Receiver, tmp_path: Path) -> None:
    """Messages go out meanwhile; when it is back everything arrives, in order per case."""
    first, second, *_ = many(rig)
    receiver.refuses = lambda case: True
    each = forwarder(rig.app)
    turn(each)
    rig.settle(rig.case(first))
    rig.settle(rig.case(second))
    assert len(outbox(tmp_path)) == 2
    receiver.refuses = lambda case: False
    turn(each, lambda: len(receiver.taken) == len(streamed(rig.app)), 400)
    taken, known = [(e["case"], e["id"]) for e in receiver.taken], [(e.case, e.id) for e in streamed(rig.app)]
    assert sorted(taken) == sorted(known)
    for case in (first, second):
        assert [name for of, name in taken if of == case] == [name for of, name in known if of == case]


def test_a_crash_before_it_is_acknowledged_repeats_it_under_its_id(rig: Rig, receiver: Receiver) -> None:
    """At least once: the receiver took it, the forwarder died; the next one says it again, and nothing is left out."""
    rig.open()
    rig.pay()
    dying = forwarder(rig.app)

    def die(name: str) -> None:
        raise Crash

    dying._acknowledge = die  # type: ignore[method-assign]  # the moment it dies
    with pytest.raises(Crash):
        turn(dying)
    assert len(receiver.taken) == 1
    rig.app.client.delete(Keys("demo").forwarder)  # its hold runs out
    turn(forwarder(rig.app))
    ids = [each["id"] for each in receiver.taken]
    assert ids == [ids[0], *(entry.id for entry in streamed(rig.app))]


def test_of_several_forwarders_one_has_a_creditor(rig: Rig, receiver: Receiver) -> None:
    """The others wait; when it stops, another takes over at once, and nothing comes twice."""
    rig.open()
    first, second = forwarder(rig.app), forwarder(rig.app)
    turn(first)
    rig.pay()
    with ThreadPoolExecutor(1) as pool:
        assert second.turn(pool) is False
    stop = threading.Event()
    worker = threading.Thread(target=first.run, args=(stop,))
    worker.start()
    stop.set()
    worker.join()
    turn(second)
    assert [each["id"] for each in receiver.taken] == [entry.id for entry in streamed(rig.app)]


def test_what_was_trimmed_before_it_went_is_counted(rig: Rig, receiver: Receiver) -> None:
    """Unread or read and waiting: an alarm with how many, and the rest goes."""
    first, _ = two_cases(rig)
    receiver.refuses = lambda case: case == first
    each = forwarder(rig.app)
    turn(each)
    rig.pay()
    rig.take(fact("payment_failed", job_id="pf", invoice="F-2026/001", amount="1", currency="EUR"))
    app, key = rig.app, Keys("demo").events
    app.client.xtrim(key, maxlen=1, approximate=False)
    found = behind(app.client, "demo")
    assert found is not None
    (last,) = streamed(app)
    receiver.refuses = lambda case: False
    taken = len(receiver.taken)
    with structlog.testing.capture_logs() as logged:
        turn(each, lambda: len(receiver.taken) > taken, 200)
    assert receiver.taken[-1]["id"] == last.id
    lost = sum(line["entries"] for line in logged if line["event"] == "webhook.lost")
    assert lost == found.trimmed + len(ALL)
    assert found.trimmed > 0


def test_after_three_days_an_event_is_passed_over_and_said(rig: Rig, receiver: Receiver) -> None:
    """One that the receiver cannot take does not hold up its case for ever; it is never passed over untried."""
    case = rig.open()
    rig.app.clock = Later(rig.app.clock, timedelta(days=4))
    receiver.refuses = lambda case: True
    each = forwarder(rig.app)
    with structlog.testing.capture_logs() as logged:
        turn(each, lambda: len(receiver.tried) > 0)
        receiver.refuses = lambda case: False
        rig.pay()
        turn(each)
    assert "webhook.given_up" in [line["event"] for line in logged]
    assert "CaseOpened" not in receiver.of(case.id)
    assert "PaymentReceived" in receiver.of(case.id)


def test_only_what_happens_from_then_on_goes(make_app: MakeApp, config: Path, receiver: Receiver) -> None:
    """A webhook that is new is not flooded with the past; `relance events replay` has that."""
    rig = Rig(make_app(at=MORNING, speed=1, config=config, DEMO_SECRET=SECRET))
    case = rig.open()
    each = forwarder(rig.app)
    turn(each)
    rig.pay()
    turn(each)
    assert receiver.of(case.id) == ["PaymentReceived"]


@pytest.mark.parametrize("behave", [peers.hang, peers.drop, peers.cut, peers.speak_nonsense, peers.trickle_headers])
def test_whatever_a_receiver_does_it_is_over_soon(
    behave: Callable[..., None], rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A try ends, and is one that failed."""
    monkeypatch.setattr(forward, "TIMEOUT", timedelta(seconds=1))
    rig.open()
    entry = streamed(rig.app)[0]
    with peer(behave) as port:
        to = hook(rig.app).model_copy(update={"url": f"http://127.0.0.1:{port}"})
        begun = time.monotonic()
        assert deliver(rig.app, to, entry)
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("status", [301, 302, 307, 400, 410, 503])
def test_only_a_2xx_is_taken(rig: Rig, receiver: Receiver, status: int) -> None:
    """A redirect leads nowhere: whoever it names has no right to these events."""
    rig.open()
    receiver.refuses, receiver.status = (lambda case: True), status
    assert deliver(rig.app, hook(rig.app), streamed(rig.app)[0]) == str(status)
    assert len(receiver.tried) == 1
    nobody = hook(rig.app).model_copy(update={"url": f"http://127.0.0.1:{closed_port()}"})
    assert deliver(rig.app, nobody, streamed(rig.app)[0]) == "ConnectionRefusedError"


def test_the_store_knows_how_far_it_is_behind(rig: Rig, receiver: Receiver) -> None:
    """What waits unread, what was read and refused, and since when."""
    assert behind(rig.app.client, "nobody") is None
    first, _ = two_cases(rig)
    receiver.refuses = lambda case: case == first
    unread = behind(rig.app.client, "demo")
    entries = streamed(rig.app)
    assert unread is not None
    assert (unread.entries, unread.since, unread.trimmed) == (len(entries), entries[0].at, 0)
    turn(forwarder(rig.app))
    left = behind(rig.app.client, "demo")
    assert left is not None
    assert (left.entries, left.since) == (len(ALL), next(e.at for e in entries if e.case == first))
