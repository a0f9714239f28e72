"""SendGrid's doors: what it signed, not long ago, goes into the queue, and nothing else does."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
import urllib3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from channels.base import ConfigurationError
from channels.sandbox import Sandbox
from tests.conftest import MakeApp
from worker.embedded import Embedded
from worker.inbox import LONGEST_ASIDE, read_reply
from worker.web import create
from worker.web.sendgrid import LONGEST_BATCH, LONGEST_MAIL

from .served import Answer, Doors, Sendgrid, opened, without

PATH = "/webhooks/sendgrid/events"
MAILBOX = "claire.dupre@client.test"
KEYS = Sendgrid()
ENVIRON = {"SENDGRID_WEBHOOK_PUBLIC_KEY": KEYS.public_key}


@pytest.fixture
def doors(make_app: MakeApp) -> Iterator[Doors]:
    """The doors of an app that knows SendGrid's key."""
    with opened(make_app(**ENVIRON)) as found:
        yield found


def event(number: int, name: str = "delivered", **fields: Any) -> dict[str, Any]:
    """An event of our attempt of that number."""
    common = {"email": MAILBOX, "timestamp": 1600112492, "sg_event_id": f"e{number}", "sg_message_id": "LRzXl.filter"}
    return {**common, "event": name, "relance_attempt": f"demo-abc.{number}", **fields}


def batch(*events: object) -> bytes:
    """As SendGrid writes them."""
    return b"[" + b",\r\n".join(json.dumps(each).encode() for each in events) + b"]\r\n"


def post(doors: Doors, body: bytes, age: timedelta = timedelta(), keys: Sendgrid = KEYS) -> Answer:
    """As SendGrid posts it, signed so long ago."""
    return doors.ask("POST", PATH, body, keys.headers(body, datetime.now(UTC) - age))


def test_each_event_of_a_batch_is_handed_in(doors: Doors) -> None:
    """In our words, with our attempt; SendGrid's words, which quote the mailbox, are left out."""
    reason = f"550 5.1.1 no such user <{MAILBOX}>"
    bounce = event(2, "bounce", type="bounce", status="5.1.1", reason=reason, bounce_classification="Invalid Address")
    with capture_logs() as logged:
        answer = post(doors, batch(event(1), bounce, event(3, "open"), event(4, "click")))
    assert (answer.status, answer.body) == (204, b"")
    common = {"provider": "sendgrid", "provider_id": "LRzXl", "at": "2020-09-14T19:41:32+00:00"}
    assert doors.queued() == [
        {"receipt": {"attempt": "demo-abc.1", "what": "delivered", "code": "delivered", **common}},
        {"receipt": {"attempt": "demo-abc.2", "what": "hard", "code": "5.1.1", **common}},
    ]
    assert logged == []
    assert not any(MAILBOX.encode() in value for value in doors.kept().values())


def test_one_bad_element_loses_no_other(doors: Doors) -> None:
    """The rest is taken; the log says how many were not, and nothing of them."""
    bad: list[object] = [None, 7, MAILBOX, [event(9)], {}, {"event": {}}, event(8, relance_attempt=MAILBOX)]
    bad += [event(7, "levitated"), event(6, timestamp="now")]
    with capture_logs() as logged:
        assert post(doors, batch(event(1), *bad, event(2))).status == 204
    assert [handed["receipt"]["attempt"] for handed in doors.queued()] == ["demo-abc.1", "demo-abc.6", "demo-abc.2"]
    assert [(line["event"], line["door"], line["count"]) for line in logged] == [("webhook.odd", "sendgrid/events", 4)]
    without(logged, MAILBOX)


def test_a_repetition_is_answered_alike(doors: Doors) -> None:
    """SendGrid repeats a batch for a day; whoever works on it finds that it is known."""
    assert post(doors, batch(event(1))) == post(doors, batch(event(1)))
    assert doors.queued()[0] == doors.queued()[1]


def test_what_sendgrid_did_not_sign_changes_nothing(doors: Doors) -> None:
    """No signature, another key's, other bytes, another time: 403, and the log names the door alone."""
    before = doors.kept()
    body = batch(event(1))
    now = datetime.now(UTC)
    good = KEYS.headers(body, now)
    stamp, signature = "X-Twilio-Email-Event-Webhook-Timestamp", "X-Twilio-Email-Event-Webhook-Signature"
    with capture_logs() as logged:
        answers = [
            doors.ask("POST", PATH, body, {"Content-Type": "application/json"}),
            doors.ask("POST", PATH, body.strip(), good),
            doors.ask("POST", PATH, body, {**good, stamp: str(int(now.timestamp()) - 1)}),
            doors.ask("POST", PATH, body, {**good, stamp: "today"}),
            doors.ask("POST", PATH, body, {**good, signature: "!!!not base64!!!"}),
            post(doors, body, keys=Sendgrid()),
        ]
    assert [answer.status for answer in answers] == [403] * len(answers)
    assert [(line["event"], line["door"]) for line in logged] == [("webhook.forged", "sendgrid/events")] * len(answers)
    assert doors.kept() == before
    without(logged, MAILBOX)


@pytest.mark.parametrize(
    ("age", "status"),
    [(timedelta(hours=24), 204), (timedelta(hours=26), 403), (timedelta(minutes=-2), 204), (timedelta(hours=-1), 403)],
)
def test_what_was_signed_long_ago_is_a_replay(doors: Doors, age: timedelta, status: int) -> None:
    """SendGrid repeats for 24 hours, not more; a clock may be minutes ahead, not hours."""
    assert post(doors, batch(event(1)), age).status == status


def test_a_rehearsals_clock_changes_nothing_about_that(make_app: MakeApp) -> None:
    """Signatures live in real time."""
    with opened(make_app(at=datetime(2020, 1, 1, tzinfo=UTC), speed=1000, **ENVIRON)) as doors:
        assert post(doors, batch(event(1))).status == 204


def test_without_a_key_there_is_no_door(make_app: MakeApp) -> None:
    """Nothing could be verified."""
    with opened(make_app()) as doors:
        assert post(doors, batch(event(1))).status == 404


def test_the_key_may_be_in_a_file_and_must_be_one(make_app: MakeApp, tmp_path: Path) -> None:
    """What is no key is told when the doors are to open, not by refusing everything."""
    (tmp_path / "key").write_text(KEYS.public_key + "\n")
    with opened(make_app(SENDGRID_WEBHOOK_PUBLIC_KEY_FILE=str(tmp_path / "key"))) as doors:
        assert post(doors, batch(event(1))).status == 204
    with pytest.raises(ConfigurationError, match="SENDGRID_WEBHOOK_PUBLIC_KEY"):
        create(make_app(SENDGRID_WEBHOOK_PUBLIC_KEY="MFkwEwYH"))


def test_a_queue_that_is_away_is_not_an_answer(make_app: MakeApp, tmp_path: Path) -> None:
    """503: the batch comes again, and is not lost."""
    with Embedded(tmp_path / "v") as urls:
        app = make_app(**{"REDIS_URL": urls.redis_url, "BROKER_URL": urls.broker_url, **ENVIRON})
    with opened(app) as doors, capture_logs() as logged:
        assert post(doors, batch(event(1))).status == 503
    assert "store.away" in {line["event"] for line in logged}


def test_a_batch_that_is_too_long_is_not_read(doors: Doors) -> None:
    """413 over five megabytes."""
    assert post(doors, b"[" + b" " * LONGEST_BATCH + b"]").status == 413


@pytest.mark.parametrize("body", [b"", b"{}", b"null", b"[", b"\xff", b"[" * 100_000, b"[" + b"9" * 5000 + b"]"])
def test_what_is_no_batch_comes_again(doors: Doors, body: bytes) -> None:
    """Signed and not understood at all: 400, so that it is still there when somebody has looked into it."""
    with capture_logs() as logged:
        assert post(doors, body).status == 400
    assert [(line["event"], line["count"]) for line in logged] == [("webhook.odd", 1)]
    assert doors.queued() == []


JUNK = st.text('a{[",:é\x00\u202e', max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | JUNK,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*event(1), "type", "x"]), inner),
    max_leaves=6,
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    body=st.binary(max_size=40) | JSON.map(lambda found: json.dumps(found).encode()),
    signed=st.booleans(),
    kind=st.sampled_from(["application/json", "multipart/form-data; boundary=é", "", "x" * 200]),
    header=st.text("abcAB=+/0189 é", max_size=20),
)
def test_nothing_that_is_forged_or_malformed_is_an_error(
    doors: Doors, body: bytes, signed: bool, kind: str, header: str
) -> None:
    """200 requests, signed ones among them: no 5xx, and nothing in store or queue is another."""
    before = doors.kept()
    headers: dict[str, Any] = {"Content-Type": kind.encode("latin-1")}
    if signed:
        headers |= KEYS.headers(body, datetime.now(UTC))
    else:
        headers["X-Twilio-Email-Event-Webhook-Signature"] = header.encode("latin-1")
        headers["X-Twilio-Email-Event-Webhook-Timestamp"] = str(int(datetime.now(UTC).timestamp()))
    assert doors.ask("POST", PATH, body, headers).status in ((204, 400) if signed else (403,))
    assert doors.kept() == before


# ---- emails that people write back

SECRET = "0123456789abcdefghijABCDEFGHIJ-_"
INBOUND = f"/webhooks/sendgrid/inbound/{SECRET}"
TEXT, TO = "Bonjour, c'est réglé depuis lundi.", "r+demo-abc.sig@answers.example"


def letter(**fields: str) -> tuple[bytes, dict[str, str]]:
    """An email as Inbound Parse posts it: its body and headers."""
    own = {
        "to": TO,
        "from": f"Claire Dupré <{MAILBOX}>",
        "subject": "Re: Facture",
        "text": TEXT,
        "headers": f"Message-ID: <a1@client.test>\nFrom: {MAILBOX}\nTo: {TO}\nSubject: Re: Facture",
        "envelope": json.dumps({"to": [TO], "from": MAILBOX}),
        "charsets": json.dumps({"to": "UTF-8", "from": "UTF-8", "subject": "UTF-8", "text": "utf-8"}),
        "attachments": "0",
    }
    body, kind = urllib3.encode_multipart_formdata({**own, **fields})
    return body, {"Content-Type": kind}


@pytest.fixture
def mailbox(make_app: MakeApp) -> Iterator[Doors]:
    """The doors of an app that takes emails."""
    with opened(make_app(SENDGRID_INBOUND_SECRET=SECRET)) as found:
        yield found


def test_what_somebody_writes_is_kept(mailbox: Doors) -> None:
    """The text waits in the store, once however often it comes; the queue bears its id."""
    with capture_logs() as logged:
        answers = {mailbox.ask("POST", INBOUND, *letter()).status for _ in range(2)}
    assert answers == {204}
    assert len({handed["reply"] for handed in mailbox.queued()}) == 1
    kept = read_reply(mailbox.app, mailbox.queued()[0]["reply"])
    assert (kept.channel, TEXT in kept.text) == ("email", True)
    without(logged, MAILBOX, TEXT, SECRET, "Dupré")


@pytest.mark.parametrize("secret", [SECRET[:-1], SECRET + "x", SECRET.lower(), "x", "%C3%A9", "%FF"])
def test_without_the_secret_nobody_writes(mailbox: Doors, secret: str) -> None:
    """403; the log names the door, and nothing of what was tried."""
    before = mailbox.kept()
    with capture_logs() as logged:
        assert mailbox.ask("POST", f"/webhooks/sendgrid/inbound/{secret}", *letter()).status == 403
    assert [(line["event"], line["door"]) for line in logged] == [("webhook.forged", "sendgrid/inbound")]
    assert mailbox.kept() == before
    without(logged, MAILBOX, TEXT)


def test_without_a_secret_there_is_no_mailbox(make_app: MakeApp) -> None:
    """And one that can be guessed, or would not fit into a path, is none."""
    with opened(make_app()) as doors:
        assert doors.ask("POST", INBOUND, *letter()).status == 404
    for weak in ("short", "é" * 40, SECRET + "/"):
        with pytest.raises(ConfigurationError, match="SENDGRID_INBOUND_SECRET"):
            make_app(SENDGRID_INBOUND_SECRET=weak)


def test_a_store_that_is_away_loses_no_email(make_app: MakeApp, tmp_path: Path) -> None:
    """503: SendGrid repeats it for days."""
    with Embedded(tmp_path / "v") as urls:
        app = make_app(REDIS_URL=urls.redis_url, BROKER_URL=urls.broker_url, SENDGRID_INBOUND_SECRET=SECRET)
    with opened(app) as doors:
        assert doors.ask("POST", INBOUND, *letter()).status == 503


@pytest.mark.parametrize(("size", "status"), [(LONGEST_MAIL - 10_000, 204), (LONGEST_MAIL, 413)])
def test_an_email_may_be_as_long_as_sendgrid_lets_it(mailbox: Doors, size: int, status: int) -> None:
    """30 MB, attachments included."""
    assert mailbox.ask("POST", INBOUND, *letter(attachment1="x" * size)).status == status


@pytest.mark.parametrize("kind", ["text/plain", "multipart/form-data", "multipart/form-data; boundary=x"])
def test_what_is_no_email_is_kept_for_a_person(mailbox: Doors, kind: str) -> None:
    """Somebody may have written it. 204, since it would come again as it is; the log quotes nothing."""
    with capture_logs() as logged:
        for _ in range(2):
            assert mailbox.ask("POST", INBOUND, TEXT.encode() * 30_000, {"Content-Type": kind}).status == 204
    (kept,) = mailbox.app.broker.rejected.all()
    assert TEXT in kept.payload.decode(errors="replace")
    assert len(kept.payload) == LONGEST_ASIDE
    assert {line["event"] for line in logged} == {"webhook.odd", "job.rejected"}
    assert mailbox.queued() == []
    without(logged, MAILBOX, TEXT, SECRET)


def test_one_email_to_two_mailboxes_of_ours_is_two_answers(mailbox: Doors) -> None:
    """It has one Message-ID, and is about two cases."""
    for to in (TO, "r+demo-other.abcdefghijklm@answers.test"):
        envelope = json.dumps({"to": [to], "from": MAILBOX})
        assert mailbox.ask("POST", INBOUND, *letter(envelope=envelope)).status == 204
    first, second = (read_reply(mailbox.app, handed["reply"]) for handed in mailbox.queued())
    assert (first.id, first.to != second.to) == (second.id, True)


def test_what_a_person_answers_comes_through_the_sandbox(make_app: MakeApp) -> None:
    """As Inbound Parse posts it: quoting, in its own charset, with a picture; repeated while the store was away."""
    with opened(make_app(SENDGRID_INBOUND_SECRET=SECRET)) as doors, Sandbox() as sandbox:
        url = f"http://127.0.0.1:{doors.port}{INBOUND}"
        more = {"to": TO, "url": url, "charset": "windows-1252", "id": "<w1@client.test>"}
        with capture_logs() as logged:
            heard = [sandbox.mail_from(MAILBOX, TEXT + " – payé", **more).status for _ in range(2)]
            heard.append(sandbox.mail_from(MAILBOX, TEXT, **{**more, "url": url + "x"}).status)
        assert heard == [204, 204, 403]
        first, second = (read_reply(doors.app, handed["reply"]) for handed in doors.queued())
    assert first == second
    assert (first.id, first.to, first.sender, first.automatic) == ("<w1@client.test>", TO, MAILBOX, False)
    assert first.text == TEXT + " – payé"
    without(logged, MAILBOX, TEXT)


def test_half_a_character_is_no_error(mailbox: Doors) -> None:
    """A mail may name a charset that can write what no text holds; the rest of it is kept."""
    odd = letter(
        text="\\ud800 " + TEXT,
        charsets=json.dumps({"text": "unicode_escape"}),
        envelope=json.dumps({"to": ["\ud800" + TO], "from": MAILBOX}),
    )
    assert mailbox.ask("POST", INBOUND, *odd).status == 204
    kept = read_reply(mailbox.app, mailbox.queued()[0]["reply"])
    assert "lundi" in kept.text


PARTS = st.dictionaries(
    st.sampled_from(["to", "from", "text", "html", "headers", "envelope", "charsets", "email"]), JUNK
)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    parts=PARTS,
    raw=st.none() | st.binary(max_size=60),
    kind=st.sampled_from(["", "multipart/form-data", "multipart/form-data; boundary=é", "text/plain", "x" * 200]),
    known=st.booleans(),
)
def test_no_email_is_an_error(mailbox: Doors, parts: dict[str, str], raw: bytes | None, kind: str, known: bool) -> None:
    """200 requests, with the secret and without: no 5xx; without it nothing in store or queue is another."""
    before = mailbox.kept()
    body, headers = letter(**parts)
    if raw is not None:
        body, headers = raw, {"Content-Type": cast(str, kind.encode("latin-1"))}
    answer = mailbox.ask("POST", INBOUND if known else INBOUND[:-1], body, headers)
    assert answer.status == (204 if known else 403)
    assert known or mailbox.kept() == before
