"""The sandbox's Twilio, through Twilio's own SDK."""

import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
import requests
from twilio.base.exceptions import TwilioRestException
from twilio.request_validator import RequestValidator

from channels.sandbox import Credentials, Sandbox
from channels.sandbox.twilio_resources import segments
from tests.worker.programs import until

from .clients import ACCOUNT, TOKEN, read_log, twilio_client
from .conftest import Events

TO, FROM = "+33612345678", "Creditor"


def text(twilio: Any, body: str = "Bonjour", to: str = TO, attempt: str = "att-1") -> Any:
    return twilio.messages.create(
        to=to, from_=FROM, body=body, status_callback=f"http://me.test/twilio/status/{attempt}"
    )


def test_a_created_message_reads_like_twilios(twilio: Any) -> None:
    """The SDK finds a sid, a status, a relative uri and a date of now in the answer to a create."""
    message = text(twilio)
    assert re.fullmatch(r"SM[0-9a-f]{32}", message.sid)
    assert (message.status, message.num_segments, message.account_sid) == ("queued", "1", ACCOUNT)
    assert message.uri == f"/2010-04-01/Accounts/{ACCOUNT}/Messages/{message.sid}.json"
    assert abs(datetime.now(UTC) - message.date_created) < timedelta(seconds=5)


def test_an_accepted_message_is_remembered(twilio: Any, sandbox: Sandbox) -> None:
    """Who, what and which attempt of ours is known of every message accepted."""
    message = text(twilio, "Été")
    [entry] = sandbox.accepted()
    assert (entry["id"], entry["attempt"], entry["channel"]) == (message.sid, "att-1", "sms")
    assert (entry["to"], entry["from"], entry["text"], entry["fault"]) == (TO, FROM, "Été", None)


def test_a_message_can_be_fetched(twilio: Any) -> None:
    """What was created can be fetched by its sid; another sid is 20404."""
    message = text(twilio)
    assert twilio.messages(message.sid).fetch().body == "Bonjour"
    with pytest.raises(TwilioRestException) as caught:
        twilio.messages("SM" + "0" * 32).fetch()
    assert (caught.value.status, caught.value.code) == (404, 20404)


def test_lists_are_filtered_and_newest_first(twilio: Any) -> None:
    """A list holds the messages to and from given addresses, the newest first."""
    sids = [text(twilio).sid for _ in range(3)]
    text(twilio, to="+33698765432")
    assert [each.sid for each in twilio.messages.list(to=TO, from_=FROM)] == sids[::-1]
    assert twilio.messages.list(to=TO, from_="Another") == []


def test_lists_come_in_pages(twilio: Any) -> None:
    """The SDK walks every page once, also when newer messages arrive in between."""
    sids = [text(twilio).sid for _ in range(5)]
    pages = twilio.messages.stream(to=TO, page_size=2)
    first = next(pages).sid
    text(twilio)
    assert [first, *(each.sid for each in pages)] == sids[::-1]


def test_a_list_nobody_can_read_is_refused(sandbox: Sandbox) -> None:
    """Nonsense in a list's query is a 400, and no list."""
    url = f"{sandbox.twilio_url}/2010-04-01/Accounts/{ACCOUNT}/Messages.json?PageSize=many"
    assert requests.get(url, auth=(ACCOUNT, TOKEN), timeout=5).status_code == 400


def test_a_call_says_its_inline_words(twilio: Any, sandbox: Sandbox) -> None:
    """The words logged for a call are those of every <Say>, nested ones included, and nothing else."""
    twiml = "<Response><Say>Bonjour,\n ceci</Say><Gather><Say>est <break/>un essai.</Say></Gather><Hangup/></Response>"
    call = twilio.calls.create(to=TO, from_="+33123456789", twiml=twiml)
    assert re.fullmatch(r"CA[0-9a-f]{32}", call.sid)
    assert (call.status, call.date_created.tzinfo is not None) == ("queued", True)
    assert [(each["channel"], each["text"]) for each in sandbox.accepted()] == [
        ("voice", "Bonjour, ceci est un essai.")
    ]
    assert [each.sid for each in twilio.calls.list(to=TO)] == [call.sid]
    assert twilio.calls(call.sid).fetch().to == TO


@pytest.mark.parametrize(
    ("to", "code"), [("+15005550001", 21211), ("+15005550004", 21610), ("+15005550009", 21614), ("0612", 21211)]
)
def test_twilios_test_numbers_are_refused(twilio: Any, sandbox: Sandbox, to: str, code: int) -> None:
    """The numbers Twilio reserves for tests, and what is no number, earn their error and are not accepted."""
    with pytest.raises(TwilioRestException) as caught:
        text(twilio, to=to)
    assert (caught.value.status, caught.value.code) == (400, code)
    assert sandbox.accepted() == []


@pytest.mark.parametrize(
    ("fields", "code"), [({"body": "x"}, 21603), ({"from_": FROM}, 21602), ({"from_": FROM, "body": "x" * 1601}, 21617)]
)
def test_an_incomplete_message_is_refused(twilio: Any, fields: dict[str, str], code: int) -> None:
    """A create without sender or words, or with too many, is refused as Twilio does."""
    with pytest.raises(TwilioRestException) as caught:
        twilio.messages.create(to=TO, **fields)
    assert caught.value.code == code


def test_credentials_are_required(sandbox: Sandbox) -> None:
    """Without credentials the answer is Twilio's 401 and nothing is accepted."""
    url = f"{sandbox.twilio_url}/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
    answer = requests.post(url, data={"To": TO, "From": FROM, "Body": "x"}, timeout=5)
    assert (answer.status_code, answer.json()["code"]) == (401, 20003)
    assert sandbox.accepted() == []


def test_only_given_credentials_are_let_in() -> None:
    """Where credentials are given, others are refused."""
    with Sandbox(credentials=Credentials(twilio=(ACCOUNT, TOKEN))) as sandbox:
        assert text(twilio_client(sandbox.twilio_url)).sid
        with pytest.raises(TwilioRestException) as caught:
            text(twilio_client(sandbox.twilio_url, token="wrong"))
    assert (caught.value.status, caught.value.code) == (401, 20003)


@pytest.mark.parametrize(
    ("body", "count"), [("a" * 160, 1), ("a" * 161, 2), ("€" * 81, 2), ("ê" * 70, 1), ("ê" * 71, 2), ("", 1)]
)
def test_segments_are_counted_by_alphabet(body: str, count: int) -> None:
    """160 or 153 GSM-7 characters make a segment, some weigh two, and one foreign letter makes it 70 or 67."""
    assert segments(body) == count


class _Teller(BaseHTTPRequestHandler):
    """Answers TwiML and keeps what it was asked."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        asked: list[Any] = getattr(self.server, "asked")  # noqa: B009 - an attribute HTTPServer does not declare
        asked.append((self.path, dict(parse_qsl(body.decode())), self.headers["X-Twilio-Signature"]))
        self.send_response(200 if "good" in self.path else 500)
        self.end_headers()
        self.wfile.write(b"<Response><Say>Rappelez-nous.</Say></Response>")

    def log_message(self, *_: Any) -> None:
        """Be quiet."""


@pytest.fixture
def teller() -> Iterator[HTTPServer]:
    server = HTTPServer(("127.0.0.1", 0), _Teller)
    setattr(server, "asked", [])  # noqa: B010 - as above
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def fetched(url: str, log: Path) -> None:
    """Have one call fetch its words, and wait for that."""
    with Sandbox(log) as sandbox:
        twilio_client(sandbox.twilio_url).calls.create(to=TO, from_="+33123456789", url=url)
        until(lambda: read_log(log)[-1]["event"] == "twiml")


def test_a_call_by_url_asks_what_to_say(teller: HTTPServer, log: Path, events: Events) -> None:
    """The URL is asked as Twilio asks, signed with the account's token, and its words are logged."""
    url = f"http://127.0.0.1:{teller.server_port}/good/att-9"
    fetched(f"{url}#rc=3", log)
    [(path, fields, signature)] = getattr(teller, "asked")  # noqa: B009
    assert RequestValidator(TOKEN).validate(url, fields, signature)
    assert (path, fields["CallStatus"], fields["To"], fields["AccountSid"]) == (
        "/good/att-9",
        "in-progress",
        TO,
        ACCOUNT,
    )
    [accepted], [twiml] = events("accepted"), events("twiml")
    assert (accepted["attempt"], accepted["text"]) == ("att-9", "")
    assert (twiml["id"], twiml["text"], twiml["request"]) == (fields["CallSid"], "Rappelez-nous.", accepted["request"])


def test_a_call_whose_url_fails_is_told(teller: HTTPServer, log: Path, events: Events) -> None:
    """A URL that answers an error, or is not there, leaves its failure in the log."""
    fetched(f"http://127.0.0.1:{teller.server_port}/bad", log)
    fetched("http://127.0.0.1:1/nobody", log)
    assert [each["error"].split(":")[0] for each in events("twiml")] == ["HTTP 500", "NewConnectionError"]
