"""Faults to order: who meets them, what the client sees, what the log says."""

import re
from http.client import RemoteDisconnected
from pathlib import Path
from typing import Any, get_args

import pytest
import requests
from pydantic import ValidationError
from python_http_client.exceptions import HTTPError
from twilio.base.exceptions import TwilioRestException

from channels.sandbox import Fault, Sandbox
from channels.sandbox.faults import ACCEPTING, Kind, load_faults
from channels.sandbox.orders import meets
from tests.conftest import ROOT

from .clients import mail, sendgrid_client, twilio_client
from .conftest import Events

TO = "+33612345678"


def text(twilio: Any, to: str = TO) -> Any:
    return twilio.messages.create(to=to, from_="Creditor", body="Bonjour")


@pytest.mark.parametrize(
    ("kind", "error"), [("429", (429, 20429)), ("500", (500, 20500)), ("503", (503, 20503)), ("refuse", (400, 21211))]
)
def test_twilio_fails_in_its_own_words(
    sandbox: Sandbox, twilio: Any, events: Events, kind: Any, error: tuple[int, int]
) -> None:
    """An answered fault has Twilio's status and code, and nothing is accepted."""
    sandbox.fault(Fault(kind))
    with pytest.raises(TwilioRestException) as caught:
        text(twilio)
    sandbox.close()
    assert (caught.value.status, caught.value.code) == error
    told = [(each["event"], each.get("status")) for each in events()]
    assert told == [("opened", None), ("failed", None), ("answered", error[0])]


@pytest.mark.parametrize(("kind", "status"), [("429", 429), ("500", 500), ("503", 503), ("refuse", 400)])
def test_sendgrid_fails_in_its_own_words(sandbox: Sandbox, sendgrid: Any, kind: Any, status: int) -> None:
    """An answered fault has SendGrid's status and error body, and nothing is accepted."""
    sandbox.fault(Fault(kind))
    with pytest.raises(HTTPError) as caught:
        sendgrid.send(mail())
    assert caught.value.status_code == status
    assert set(caught.value.to_dict["errors"][0]) == {"message", "field", "help"}
    assert sandbox.accepted() == []


def test_a_throttled_client_is_told_to_wait(sandbox: Sandbox) -> None:
    """Twilio's 429 carries Retry-After, in seconds."""
    sandbox.fault(Fault("429", seconds=7))
    url = f"{sandbox.twilio_url}/2010-04-01/Accounts/AC1/Messages.json"
    answer = requests.post(url, data={"To": TO, "From": "X", "Body": "x"}, auth=("AC1", "t"), timeout=5)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "7")


@pytest.mark.parametrize(("kind", "accepted"), [("drop", 0), ("accept_then_drop", 1)])
def test_a_dropped_request_has_no_answer(
    sandbox: Sandbox, twilio: Any, events: Events, kind: Any, accepted: int
) -> None:
    """The client sees a broken connection; only the log and the provider's list know if it was accepted."""
    sandbox.fault(Fault(kind, times=1))
    with pytest.raises(requests.ConnectionError):
        text(twilio)
    assert [each["event"] for each in events()][:2] == ["opened", "accepted" if accepted else "failed"]
    assert len(twilio.messages.list(to=TO)) == len(sandbox.accepted()) == accepted
    sandbox.close()
    assert [each["why"] for each in events("dropped")] == [kind]


def test_an_accepted_message_can_look_like_a_failure(sandbox: Sandbox, twilio: Any) -> None:
    """A 500 after acceptance is one more message in the list and in the log, which names the fault."""
    sandbox.fault(Fault("accept_then_500"))
    with pytest.raises(TwilioRestException, match="500"):
        text(twilio)
    assert [each["fault"] for each in sandbox.accepted()] == ["accept_then_500"]
    assert len(twilio.messages.list(to=TO)) == 1


@pytest.mark.parametrize(("kind", "accepted"), [("hang", []), ("late", ["late"])])
def test_a_silent_provider_outlasts_the_client(
    sandbox: Sandbox, events: Events, kind: Any, accepted: list[str]
) -> None:
    """A client that stops waiting cannot know: a hanging provider took nothing, a late one took it at once."""
    sandbox.fault(Fault(kind, seconds=30))
    with pytest.raises(requests.ReadTimeout):
        text(twilio_client(sandbox.twilio_url, timeout=0.2))
    assert [each["fault"] for each in events("accepted")] == accepted
    with pytest.raises(TimeoutError):
        sendgrid_client(sandbox.sendgrid_url, timeout=0.2).send(mail())
    assert [each["fault"] for each in events("accepted")] == accepted * 2


@pytest.mark.parametrize("kind", sorted(set(get_args(Kind)) - ACCEPTING))
def test_who_met_a_fault_is_in_the_log(sandbox: Sandbox, sendgrid: Any, events: Events, kind: Any) -> None:
    """What is not taken leaves whom it was for, as what attempt, and why: that is how a refusal is believed."""
    sandbox.fault(Fault(kind, seconds=0.1))
    with pytest.raises((HTTPError, RemoteDisconnected)):
        sendgrid.send(mail("ana@debtor.test", "att-7"))
    fields = ("channel", "request", "attempt", "to", "fault")
    assert [[each[name] for name in fields] for each in events("failed")] == [
        ["email", 1, "att-7", "ana@debtor.test", kind]
    ]
    assert events("accepted") == []


def test_a_late_answer_is_a_good_one(sandbox: Sandbox, twilio: Any) -> None:
    """A patient client gets the usual answer from a late provider."""
    sandbox.fault(Fault("late", seconds=0.05))
    assert text(twilio).sid == sandbox.accepted()[0]["id"]


def test_a_hang_can_end(sandbox: Sandbox, twilio: Any) -> None:
    """A hang of some seconds ends by a closed connection, never by an answer."""
    sandbox.fault(Fault("hang", seconds=0.1))
    with pytest.raises(requests.ConnectionError):
        text(twilio)


def test_a_fault_can_be_narrow(sandbox: Sandbox, twilio: Any, sendgrid: Any) -> None:
    """A fault reaches its channel and its addresses alone, as often as ordered, the first order winning."""
    sandbox.fault(Fault("refuse", channel="sms", to="+336*", times=2))
    sandbox.fault(Fault("500", channel="sms", to="+336*", times=1))
    assert sendgrid.send(mail()).status_code == 202
    assert text(twilio, "+4915123456789").sid
    assert [_status(twilio) for _ in range(4)] == [400, 400, 500, 201]


def _status(twilio: Any) -> int:
    try:
        text(twilio)
    except TwilioRestException as error:
        return int(error.status)
    return 201


def test_addresses_match_whatever_their_case() -> None:
    """A mailbox is the same mailbox in capitals."""
    assert meets(Fault("500", to="*@Debtor.test"), "email", "ANA@debtor.TEST")


def test_cleared_faults_are_gone(sandbox: Sandbox, twilio: Any) -> None:
    """After `clear` the provider behaves; what it had accepted stays."""
    text(twilio)
    sandbox.fault(Fault("500"))
    sandbox.clear()
    text(twilio)
    assert len(sandbox.accepted()) == 2


@pytest.mark.parametrize("host", ["twilio", "sendgrid"])
def test_faults_can_be_ordered_from_another_process(sandbox: Sandbox, twilio: Any, host: str) -> None:
    """Both HTTP ports take orders, forget them, and tell what was accepted."""
    url = f"{sandbox.urls[host]}/sandbox"
    assert requests.post(f"{url}/faults", json={"kind": "500", "times": 1}, timeout=5).json() == {"ordered": 1}
    assert requests.post(f"{url}/faults", json=[{"kind": "503"}, {"kind": "429"}], timeout=5).status_code == 201
    assert [_status(twilio) for _ in range(2)] == [500, 503]
    assert requests.delete(f"{url}/faults", timeout=5).status_code == 204
    assert _status(twilio) == 201
    assert requests.get(f"{url}/accepted", timeout=5).json() == sandbox.accepted()


@pytest.mark.parametrize(
    "body", ['{"kind": "explode"}', '{"kind": "500", "time": 1}', "[1", '{"kind": "late", "seconds": -1}']
)
def test_a_wrong_order_is_explained(sandbox: Sandbox, twilio: Any, body: str) -> None:
    """An order that is not one is a 400 that says why, and changes nothing."""
    answer = requests.post(f"{sandbox.twilio_url}/sandbox/faults", data=body, timeout=5)
    assert (answer.status_code, bool(answer.json()["error"])) == (400, True)
    assert _status(twilio) == 201


def test_faults_can_be_read_from_a_file(tmp_path: Path) -> None:
    """A YAML or JSON file holds the faults to begin with; a bare 429 is the kind it looks like."""
    (tmp_path / "faults.yaml").write_text("- {kind: 429, channel: sms}\n- {kind: late, seconds: 2}\n")
    (tmp_path / "faults.json").write_text('{"kind": "drop", "to": "*@debtor.test", "times": 3}')
    assert load_faults(tmp_path / "faults.yaml") == [Fault("429", channel="sms"), Fault("late", seconds=2)]
    assert load_faults(tmp_path / "faults.json") == [Fault("drop", to="*@debtor.test", times=3)]


def test_a_fault_nobody_knows_cannot_be_made() -> None:
    """A misspelt kind is an error where it is written, not a fault that never happens."""
    with pytest.raises(ValidationError, match="kind"):
        Fault(kind="explode")  # type: ignore[arg-type]


def test_every_fault_is_in_the_table() -> None:
    """Whoever orders one finds what it does, and whether the message was taken."""
    text = (ROOT / "channels" / "sandbox" / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (yes|no)", text, re.MULTILINE)
    assert {kind: taken == "yes" for kind, taken in rows} == {kind: kind in ACCEPTING for kind in get_args(Kind)}
