"""Twilio's doors: what it signed goes into the queue, and nothing else does."""

import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from twilio.request_validator import RequestValidator

from tests.conftest import MakeApp
from tests.worker.config_copy import Copy
from worker.embedded import Embedded
from worker.web import gates
from worker.web.gates import LONGEST_FORM

from .served import FORM, PUBLIC, TOKEN, TWILIO, Doors, opened, without

ATTEMPT = "demo-abc.1"
SM, CA = "SM" + "0a" * 16, "CA" + "1b" * 16
NUMBER, TEXT = "+33639980101", "Bonjour, c'est réglé"
SMS_STATUS = {"MessageSid": SM, "MessageStatus": "undelivered", "ErrorCode": "30005", "To": NUMBER, "From": "Atelier"}
CALL_STATUS = {"CallSid": CA, "CallStatus": "busy", "To": NUMBER, "Timestamp": "Sun, 22 Nov 2026 09:00:01 +0000"}
CALLED = "2026-11-22T09:00:01+00:00"
AMD = {"CallSid": CA, "AnsweredBy": "machine_end_beep", "MachineDetectionDuration": "3000"}
SMS = {"MessageSid": SM, "From": NUMBER, "To": "+33948000000", "Body": TEXT, "NumMedia": "0", "Blank": ""}
STATUS_PATH, AMD_PATH = f"/webhooks/twilio/status/{ATTEMPT}", f"/webhooks/twilio/amd/{ATTEMPT}"
SMS_PATH = "/webhooks/twilio/sms"
#: Each door, and a form that it understands.
KNOCKS = {
    "twilio/status": (STATUS_PATH, SMS_STATUS),
    "twilio/amd": (AMD_PATH, AMD),
    "twilio/sms": (SMS_PATH, SMS),
}
EVERY = pytest.mark.parametrize(("name", "path", "form"), [(name, *each) for name, each in KNOCKS.items()])


@pytest.fixture
def doors(make_app: MakeApp) -> Iterator[Doors]:
    """The doors of an app with an account, known outside as PUBLIC."""
    with opened(make_app(**TWILIO)) as found:
        yield found


@pytest.mark.parametrize(
    ("path", "form", "receipt"),
    [
        (STATUS_PATH, SMS_STATUS, {"what": "hard", "code": "30005", "provider_id": SM}),
        (STATUS_PATH, {"SmsSid": SM, "SmsStatus": "sent"}, {"what": "sent", "code": "sent", "provider_id": SM}),
        (STATUS_PATH, CALL_STATUS, {"what": "unanswered", "code": "busy", "provider_id": CA, "at": CALLED}),
        (AMD_PATH, AMD, {"what": "machine", "code": "machine_end_beep", "provider_id": CA}),
    ],
    ids=["sms lost", "sms sent", "call busy", "voicemail"],
)
def test_what_became_of_a_message_is_handed_in(
    doors: Doors, path: str, form: dict[str, str], receipt: dict[str, str]
) -> None:
    """Ids and words of ours go into the queue; no number does."""
    with capture_logs() as logged:
        answer = doors.twilio(path, form)
    assert (answer.status, answer.body) == (204, b"")
    assert doors.queued() == [{"receipt": {"attempt": ATTEMPT, "provider": "twilio", **receipt}}]
    without(logged, NUMBER)
    assert not any(NUMBER.encode() in value for value in doors.kept().values())


def test_what_somebody_texts_is_kept_and_answered_with_silence(doors: Doors) -> None:
    """The text waits in the store, the queue bears its id; nothing is texted back by itself."""
    with capture_logs() as logged:
        answer = doors.twilio(SMS_PATH, SMS)
    assert (answer.status, answer.kind.partition(";")[0]) == (200, "text/xml")
    assert answer.body.endswith(b"<Response/>")
    (handed,) = doors.queued()
    kept = str(doors.app.client.get(f"relance:inbox:{handed['reply']}"))
    assert TEXT in kept
    assert NUMBER in kept
    without(logged, NUMBER, TEXT)


@EVERY
def test_a_repetition_is_answered_alike(doors: Doors, name: str, path: str, form: dict[str, str]) -> None:
    """Twilio repeats what it had no answer to; whoever works on it finds that it is known."""
    first, second = doors.twilio(path, form), doors.twilio(path, form)
    assert first == second
    assert doors.queued()[0] == doors.queued()[1]


@EVERY
def test_what_is_not_signed_by_us_changes_nothing(doors: Doors, name: str, path: str, form: dict[str, str]) -> None:
    """No signature, another account's, another URL's, another form's: 403, and the log names the door alone."""
    before = doors.kept()
    body = urlencode(form).encode()
    good = RequestValidator(TOKEN).compute_signature(PUBLIC + path, form)
    with capture_logs() as logged:
        answers = [
            doors.ask("POST", path, body, FORM),
            doors.ask("POST", path, body, {**FORM, "X-Twilio-Signature": ""}),
            doors.twilio(path, form, token="guessed"),
            doors.twilio(path, form, public="https://other.example"),
            doors.ask("POST", path + "x", body, {**FORM, "X-Twilio-Signature": good}),
            doors.ask("POST", path + "?a=1", body, {**FORM, "X-Twilio-Signature": good}),
            doors.ask("POST", path, body + b"&a=", {**FORM, "X-Twilio-Signature": good}),
            doors.ask("POST", path, body, {"Content-Type": "application/json", "X-Twilio-Signature": good}),
            doors.ask("POST", path, body, {"X-Twilio-Signature": good}),
        ]
    told = [line for line in logged if line["event"] == "webhook.forged"]
    known = [answer.status for answer in answers if answer.status != 404]  # the path of SMS has nothing behind it
    assert known == [403] * len(known)
    assert len(known) >= 8
    assert {line["door"] for line in told} == {name}
    assert len(told) == len(known)
    assert doors.kept() == before
    without(logged, NUMBER, TEXT, ATTEMPT)


def test_where_it_was_asked_for_is_not_what_counts(doors: Doors) -> None:
    """A signature is over PUBLIC_URL, whatever Host and X-Forwarded-* say; one made over what they say is none."""
    lies = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http"}
    assert doors.twilio(STATUS_PATH, SMS_STATUS, **lies).status == 204
    assert doors.twilio(STATUS_PATH, SMS_STATUS, public="http://evil.example", **lies).status == 403


def test_a_query_is_part_of_what_is_signed(doors: Doors) -> None:
    """Just as it was written."""
    assert doors.twilio(f"{STATUS_PATH}?a=%C3%A9&b", SMS_STATUS).status == 204


def test_a_document_bears_its_hash_in_the_query(doors: Doors) -> None:
    """JSON is signed by its SHA-256; it says nothing here, and is no error."""
    body = b'{"a": 1}'
    path = f"{STATUS_PATH}?bodySHA256={hashlib.sha256(body).hexdigest()}"
    signature = RequestValidator(TOKEN).compute_signature(PUBLIC + path, {})
    headers = {"Content-Type": "application/json", "X-Twilio-Signature": signature}
    assert doors.ask("POST", path, body, headers).status == 204
    assert doors.ask("POST", path, body + b" ", headers).status == 403
    assert doors.queued() == []


def test_a_token_can_be_changed_without_losing_anything(make_app: MakeApp) -> None:
    """While both are set, what either signed is let in, or a SharedKey whose secret was put there."""
    with opened(make_app(**{**TWILIO, "TWILIO_AUTH_TOKEN_PREVIOUS": "before"})) as doors:
        for token in (TOKEN, "before"):
            assert doors.twilio(STATUS_PATH, SMS_STATUS, token=token).status == 204
        assert doors.twilio(STATUS_PATH, SMS_STATUS, token="long ago").status == 403
        shared = RequestValidator("before").compute_signature(PUBLIC + STATUS_PATH, SMS_STATUS, "HMAC_SHA256")
        headers = {"X-Twilio-Signature": shared, "X-Twilio-Webhooks-Signature-Settings": "key=k,algorithm=HMAC_SHA256"}
        assert doors.ask("POST", STATUS_PATH, urlencode(SMS_STATUS).encode(), FORM | headers).status == 204


def test_every_account_is_let_in_by_its_own_token(make_app: MakeApp, tmp_path: Path) -> None:
    """A creditor whose SMS are sent by an account of its own, and that account's former token."""
    copy = Copy(tmp_path / "config")
    own = "  own_sms:\n    kind: twilio_sms\n    account_sid_env: OWN_SID\n    auth_token_env: OWN_TOKEN\n"
    copy.edit("channels.yaml", "providers:\n  sendgrid:", f"providers:\n{own}  sendgrid:")
    environ = {"PUBLIC_URL": PUBLIC, "OWN_SID": "AC1", "OWN_TOKEN": "own", "OWN_TOKEN_PREVIOUS": "owned"}
    with opened(make_app(config=copy.folder, **environ)) as doors:
        found = [doors.twilio(SMS_PATH, SMS, token=token).status for token in ("own", "owned", TOKEN)]
    assert found == [200, 200, 403]


@EVERY
@pytest.mark.parametrize("lacking", ["PUBLIC_URL", "TWILIO_"])
def test_without_a_token_or_an_address_there_is_no_door(
    make_app: MakeApp, lacking: str, name: str, path: str, form: dict[str, str]
) -> None:
    """Nothing could be verified."""
    environ = {key: value for key, value in TWILIO.items() if not key.startswith(lacking)}
    with opened(make_app(**environ, TWILIO_AUTH_TOKEN_PREVIOUS="before")) as doors:
        assert [doors.twilio(path, form, token=token).status for token in (TOKEN, "before", "")] == [404] * 3


@EVERY
def test_a_store_that_is_away_is_not_an_answer(
    make_app: MakeApp, tmp_path: Path, name: str, path: str, form: dict[str, str]
) -> None:
    """503: it comes again, and is not lost."""
    with Embedded(tmp_path / "v") as urls:
        app = make_app(**{"REDIS_URL": urls.redis_url, "BROKER_URL": urls.broker_url, **TWILIO})
    with opened(app) as doors, capture_logs() as logged:
        assert doors.twilio(path, form).status == 503
    assert "store.away" in {line["event"] for line in logged}
    without(logged, NUMBER, TEXT)


@EVERY
def test_a_body_that_is_too_long_is_not_read(doors: Doors, name: str, path: str, form: dict[str, str]) -> None:
    """413 over a megabyte, signed or not."""
    assert doors.twilio(path, {**form, "X": "x" * LONGEST_FORM}).status == 413


@pytest.mark.parametrize(
    ("path", "form"),
    [
        (STATUS_PATH, {"MessageSid": SM, "MessageStatus": "levitating"}),
        (STATUS_PATH, {}),
        (AMD_PATH, {"CallSid": CA, "AnsweredBy": "ghost"}),
        (SMS_PATH, {"MessageSid": SM, "Body": TEXT}),
        ("/webhooks/twilio/status/nonsense", SMS_STATUS),
        (f"/webhooks/twilio/status/{quote('demo-é.1')}", SMS_STATUS),
        (f"/webhooks/twilio/status/{'x' * 300}.1", SMS_STATUS),
    ],
)
def test_what_is_signed_and_not_understood_is_told_and_changes_nothing(
    doors: Doors, path: str, form: dict[str, str]
) -> None:
    """Twilio would only say the same again; somebody here reads the log."""
    before = doors.kept()
    with capture_logs() as logged:
        assert doors.twilio(path, form).status in (200, 204)
    assert [(line["event"], line["count"]) for line in logged] == [("webhook.odd", 1)]
    without(logged, SM, TEXT)
    assert doors.kept() == before


def test_a_body_that_does_not_come_is_not_waited_for(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is slow is told so after a while; who hangs up leaves no error behind. The doors go on."""
    monkeypatch.setattr(gates, "PATIENCE", 0.2)
    head = f"POST {SMS_PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nBody=".encode()
    with capture_logs() as logged:
        with socket.create_connection(("127.0.0.1", doors.port)) as slow:
            slow.sendall(head)
            assert slow.recv(100).startswith(b"HTTP/1.1 408")
        with socket.create_connection(("127.0.0.1", doors.port)) as gone:
            gone.sendall(head)
        assert doors.twilio(SMS_PATH, SMS).status == 200
    assert logged == []


@EVERY
def test_a_fault_of_ours_is_told_by_its_place(doors: Doors, name: str, path: str, form: dict[str, str]) -> None:
    """500, so that it comes again once it is mended; nothing of the request is in the log."""
    with pytest.MonkeyPatch.context() as broken, capture_logs() as logged:
        broken.setitem(vars(doors.app), "broker", None)
        assert doors.twilio(path, form).status == 500
    assert [(line["event"], line["door"], line["error"]) for line in logged] == [
        ("door.failed", name, "AttributeError")
    ]
    without(logged, NUMBER, TEXT, ATTEMPT)


def test_nobody_is_sent_elsewhere(doors: Doors) -> None:
    """A redirect would lose the form; another method is none of a door's."""
    assert doors.twilio(SMS_PATH + "/", SMS).status == 404
    assert doors.ask("GET", SMS_PATH).status == 405


NAMES = ["MessageStatus", "SmsStatus", "CallStatus", "AnsweredBy", "From", "Body", "ErrorCode", "Timestamp", "é", ""]
JUNK = st.text("a+3é\x00 &=%\u202e", max_size=12)
FORMS = st.dictionaries(st.sampled_from(NAMES), JUNK, max_size=6)
HEADER = st.text("abc=,;/é\x7f ", max_size=20)
PATHS = st.sampled_from(["", "x", "%00", "%FF%FE", "..%2f..", "demo-x.1", "demo-x." + "9" * 50, "%C2%B2.%C2%B2", "a;b"])


@EVERY
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_nothing_that_is_forged_or_malformed_is_an_error(
    doors: Doors, name: str, path: str, form: dict[str, str], data: st.DataObject
) -> None:
    """200 requests a door, signed ones among them: no 5xx, and nothing in store or queue is another."""
    signed = data.draw(st.booleans(), "signed")
    asked = path if name.endswith("sms") else f"{path.rpartition('/')[0]}/{data.draw(PATHS, 'path')}"
    pairs: dict[str, str] = data.draw(FORMS, "form")
    before = doors.kept()
    if signed:
        status = doors.twilio(asked, pairs).status
        assert status in (200, 204, 404)
    else:
        headers: dict[str, Any] = {
            "Content-Type": data.draw(st.sampled_from([FORM["Content-Type"], "application/json", "x/y;", ""]), "type"),
            "X-Twilio-Signature": data.draw(HEADER, "signature").encode("latin-1"),
            "X-Twilio-Webhooks-Signature-Settings": data.draw(HEADER, "settings").encode("latin-1"),
        }
        body = data.draw(st.binary(max_size=40) | st.just(urlencode(pairs).encode()), "body")
        query = data.draw(st.sampled_from(["", "?bodySHA256=", "?bodySHA256=%C3%A9", "?a=%FF"]), "query")
        status = doors.ask("POST", asked + query, body, headers).status
        assert status in (400, 403, 404)
    assert doors.kept() == before
