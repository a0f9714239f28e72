"""The last question before a message, asked of a billing system over real sockets."""

import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog

from channels.base import ConfigurationError
from tests.channels import peers
from tests.channels.peers import Provider, Reply, closed_port, peer
from tests.conftest import MakeApp
from worker.app import App
from worker.dunning.events import AttemptReleased, CaseEnded, InvoicesStated
from worker.dunning.model import ZERO
from worker.still_due import PAUSE
from worker.upstream import LIMIT

from .config_copy import DEMO, Copy
from .payloads import reminder
from .rig import MORNING, NUMBER, Rig, invoice, outbox

SECRET = "between us"
OTHER = "F-2026/002"


@pytest.fixture
def provider() -> Iterator[Provider]:
    """The billing system: it says what a test wants it to."""
    server = Provider()
    yield server
    server.close()


@pytest.fixture
def ask(make_app: MakeApp, tmp_path: Path) -> Callable[..., Rig]:
    """A rig whose creditor asks that URL before each message."""

    def make(url: str, on_error: str = "hold", timeout: str = "2s", **environ: str) -> Rig:
        copy = Copy(tmp_path / f"config-{on_error}")
        asks = f"still_due: {{url: '{url}', timeout: {timeout}, on_error: {on_error}, secret_env: ACME_SECRET}}"
        copy.edit(DEMO, "mode: live", asks)
        return Rig(make_app(at=MORNING, speed=1, config=copy.folder, **{"ACME_SECRET": SECRET, **environ}))

    return make


Ask = Callable[..., Rig]


def test_what_is_due_is_sent_and_the_question_is_signed(provider: Provider, ask: Ask, tmp_path: Path) -> None:
    """The question has ids and numbers, nobody's name; the billing system can tell that it is ours."""
    provider.reply = Reply(200, {"due": True})
    rig = ask(f"{provider.url}/due")
    case = rig.open()
    rig.settle(case)
    assert len(outbox(tmp_path)) == 1
    (asked,) = provider.requests
    said = {"creditor": "demo", "case": case.id, "debtor": "D-1", "invoices": [NUMBER]}
    assert (asked.path, json.loads(asked.body)) == ("/due", said)
    stamp, _, seal = asked.headers["X-Relance-Signature"].removeprefix("t=").partition(",v1=")
    assert abs(int(stamp) - time.time()) < 60
    assert seal == hmac.new(SECRET.encode(), f"{stamp}.".encode() + asked.body, hashlib.sha256).hexdigest()


@pytest.mark.parametrize("answer", [{"due": False}, {"due": False, "paid": [NUMBER]}])
def test_what_is_paid_is_not_chased(provider: Provider, ask: Ask, tmp_path: Path, answer: dict[str, Any]) -> None:
    """No message leaves, none is begun, the case ends as paid, and an older reminder finds nothing owed."""
    provider.reply = Reply(200, answer)
    rig = ask(provider.url)
    case = rig.open()
    rig.settle(case)
    assert outbox(tmp_path) == []
    assert rig.kinds(case) == ["CaseOpened", "AttemptReserved", "InvoicesStated", "AttemptReleased", "CaseEnded"]
    (ended,) = [event for event in rig.history(case) if isinstance(event, CaseEnded)]
    assert (ended.reason, ended.by, rig.case(case.id).owed()) == ("paid", "still_due", ZERO)
    assert rig.contacts(case) == []
    rig.take(reminder(job_id="late"))
    rig.settle(case)
    assert outbox(tmp_path) == []
    assert rig.next_look(case) is None


def test_some_paid_and_others_not(provider: Provider, ask: Ask, tmp_path: Path) -> None:
    """What is paid is settled; the case is decided anew, and the message that goes lists the others alone."""
    provider.reply = Reply(200, {"due": False, "paid": [NUMBER]})
    rig = ask(provider.url)
    first = rig.open()
    case = rig.open(job_id="j-2", invoices=[_invoice(NUMBER), _invoice(OTHER)])
    assert case.id == first.id
    attempt = rig.reserve(case)
    rig.deliver(case)
    assert rig.case(case.id).ended is None
    provider.reply = Reply(200, {"due": True})
    rig.settle(case)
    (sent,) = outbox(tmp_path)
    assert OTHER in sent["text"]
    assert NUMBER not in sent["text"]
    assert attempt != sent["attempt"]
    assert json.loads(provider.last.body)["invoices"] == [OTHER]
    (stated,) = [e for e in rig.history(case) if isinstance(e, InvoicesStated) and e.invoices[0].settled]
    assert [i.number for i in stated.invoices] == [NUMBER]


def _invoice(number: str) -> dict[str, Any]:
    return invoice(number, MORNING.date() - timedelta(days=1), "1200.50")


NONSENSE = [
    Reply(500, {"due": False}),
    Reply(404, {"due": False}),
    Reply(302, {"due": False}, {"Location": "http://127.0.0.1:9/"}),
    Reply(204),
    Reply(200, b"true"),
    Reply(200, b"<html>"),
    Reply(200, b'{"due": fal'),
    Reply(200, {}),
    Reply(200, {"due": "false"}),
    Reply(200, {"due": 0}),
    Reply(200, {"due": None}),
    Reply(200, {"due": False, "paid": []}),
    Reply(200, {"due": False, "paid": ["F-of-another"]}),
    Reply(200, {"due": False, "paid": NUMBER}),
    Reply(200, {"due": True, "paid": [NUMBER]}),
    Reply(200, {"due": False, "reason": "they are nice"}),
    Reply(200, b'{"due": false}' + b" " * LIMIT),
]


@pytest.mark.parametrize("reply", NONSENSE, ids=lambda reply: f"{reply.status} {reply.raw[:40]!r}")
def test_nonsense_is_no_answer(provider: Provider, ask: Ask, tmp_path: Path, reply: Reply) -> None:
    """`hold`: the message is given back, nothing is settled, and the case is asked about again five minutes later."""
    provider.reply = reply
    rig = ask(provider.url)
    case = rig.open()
    rig.settle(case)
    assert outbox(tmp_path) == []
    (released,) = [event for event in rig.history(case) if isinstance(event, AttemptReleased)]
    assert released.why == "upstream did not answer"
    look = rig.next_look(case)
    assert look is not None
    assert timedelta() <= look - MORNING - PAUSE < timedelta(minutes=1)
    assert len(provider.requests) == 1
    provider.reply = Reply(200, {"due": True})
    rig.jump(MORNING + PAUSE + timedelta(minutes=1))
    rig.settle(case)
    assert len(outbox(tmp_path)) == 1


BREAKS = [peers.hang, peers.drop, peers.reset, peers.cut, peers.garble, peers.speak_nonsense, peers.trickle]


@pytest.mark.parametrize("behave", BREAKS)
@pytest.mark.parametrize("on_error", ["send", "hold"])
def test_a_billing_system_that_breaks_decides_nothing(
    behave: Callable[..., None], on_error: str, ask: Ask, tmp_path: Path
) -> None:
    """`send`: the message goes; `hold`: it does not, now. Either way soon, and nothing is taken for paid."""
    with peer(behave) as port:
        rig = ask(f"http://127.0.0.1:{port}", on_error, "1s")
        case = rig.open()
        rig.reserve(case)
        begun = time.monotonic()
        rig.deliver(case)
    assert time.monotonic() - begun < 5
    assert len(outbox(tmp_path)) == (1 if on_error == "send" else 0)
    assert rig.case(case.id).owed() == case.owed()
    assert rig.case(case.id).case_hold() is None


@pytest.mark.parametrize("on_error", ["send", "hold"])
def test_nobody_there_is_said_each_time(ask: Ask, on_error: str, tmp_path: Path) -> None:
    """An alarm in the log for each message that was not asked about: never silence."""
    rig = ask(f"http://127.0.0.1:{closed_port()}", on_error)
    case = rig.open()
    with structlog.testing.capture_logs() as logged:
        for minutes in (0, 6, 12):
            rig.jump(MORNING + timedelta(minutes=minutes))
            rig.settle(case)
    said = [(line["log_level"], line["then"]) for line in logged if line["event"] == "upstream.silent"]
    assert said == [("warning", on_error)] * (1 if on_error == "send" else 3)
    assert len(outbox(tmp_path)) == (1 if on_error == "send" else 0)


def test_a_payment_that_arrives_while_it_is_asked_wins(provider: Provider, ask: Ask, tmp_path: Path) -> None:
    """The answer is older than the payment: the message is looked at again, and does not go."""
    provider.reply = Reply(200, {"due": True})
    rig = ask(provider.url)
    case = rig.open()
    rig.reserve(case)
    real = rig.app.upstream.post

    def meanwhile(*args: Any, **kwargs: Any) -> Any:
        answer = real(*args, **kwargs)
        if not rig.case(case.id).ended:
            rig.pay()
        return answer

    rig.app.upstream.post = meanwhile  # type: ignore[method-assign]  # something that happens in between
    rig.deliver(case)
    assert outbox(tmp_path) == []
    assert "AttemptBegun" not in rig.kinds(case)


def test_a_missing_secret_is_found_before_anything_starts(ask: Ask) -> None:
    """A question that cannot be signed is not asked, and not taken for answered."""
    rig = ask("http://127.0.0.1:9/due", ACME_SECRET="")
    with pytest.raises(ConfigurationError, match=r"creditors\.demo\.still_due: ACME_SECRET is not set"):
        rig.app.upstream.demand("still_due")


def test_a_rehearsal_asks_nobody_outside(make_app: MakeApp, tmp_path: Path) -> None:
    """A store with a rehearsal's clock takes no billing system elsewhere, and one that is up already is not asked."""
    copy = Copy(tmp_path / "config")
    copy.edit(DEMO, "mode: live", "still_due: {url: 'https://billing.example/due', on_error: send}")
    with pytest.raises(ConfigurationError, match=r"creditors\.demo\.still_due reach real people or systems"):
        make_app(at=MORNING, speed=1, config=copy.folder)
    app: App = make_app(config=copy.folder)
    make_app(at=MORNING, speed=1)
    with pytest.raises(Exception, match="rehearsal"):
        app.upstream.post(app.config.creditors["demo"].still_due, b"{}", timedelta(seconds=1))  # type: ignore[arg-type]  # it has one
