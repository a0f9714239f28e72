"""What Twilio's words mean, said by a real server; what broken connections mean, broken for real."""

import logging
import re
import socket
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from channels.base import Accepted, ChannelError, ConfigurationError, Rejected, Unavailable, Uncertain
from channels.settings import TwilioSettings
from channels.twilio import Account
from tests.channels import peers
from tests.channels.peers import SOON, Provider, Reply, closed_port, peer
from tests.channels.samples import PRIVATE, SMS, TWILIO, VOICE, contract, twilio

ERRORS: dict[str, Any] = contract("provider_errors.json")
# What each class of the contract comes down to when the answer to "create" says so.
MEANING = {
    "permanent-recipient": (Rejected, "address"),
    "soft-recipient": (Unavailable, "down"),
    "content": (Rejected, "content"),
    "permanent-request": (Rejected, "content"),
    "permanent-account": (Unavailable, "account"),
    "throttle": (Unavailable, "throttle"),
    "transient": (Unavailable, "down"),
    "expired": (Unavailable, "down"),
    "webhook": (Unavailable, "down"),
    "ambiguous": (Uncertain, None),
}


def refusal(url: str, message: Any = SMS) -> ChannelError:
    """The error that sending to `url` ends in."""
    channel = twilio("twilio_sms" if message.channel == "sms" else "twilio_voice", url)
    with pytest.raises(ChannelError) as caught:
        channel.send(message)
    assert not any(word.lower() in str(caught.value).lower() for word in PRIVATE), "a person's data in an error"
    return caught.value


def echo(code: int | str, status: int) -> Reply:
    """An error as Twilio writes it: with the person's number in it."""
    words = f"The 'To' number {SMS.to} for {SMS.to_name} is not valid"
    return Reply(status, {"code": code, "message": words, "more_info": "https://errors.test", "status": status})


@pytest.mark.parametrize(("code", "row"), ERRORS["twilio"].items())
def test_every_code_means_what_the_contract_says(provider: Provider, code: str, row: dict[str, str]) -> None:
    """Each of Twilio's codes, answered to a create, becomes the error of its class."""
    provider.reply = echo(int(code), 400)
    error = refusal(provider.url)
    kind, why = (Rejected, "opted_out") if code == "21610" else MEANING[row["class"]]
    assert (type(error), getattr(error, "why", None), error.code) == (kind, why, code)


@pytest.mark.parametrize(("status", "row"), ERRORS["http"]["twilio"].items())
def test_every_status_means_what_the_contract_says(provider: Provider, status: str, row: str) -> None:
    """Each HTTP status without a code of Twilio's becomes the error of its class; 'read code' leaves nobody marked."""
    provider.reply = Reply(int(status), b"<html>no JSON here</html>")
    error = refusal(provider.url)
    kind, why = (Unavailable, "down") if row == "read code" else MEANING[row]
    assert (type(error), getattr(error, "why", None), error.code) == (kind, why, status)


@pytest.mark.parametrize("code", [21211, 20429, 99999])
def test_a_5xx_is_uncertain_whatever_code_it_bears(provider: Provider, code: int) -> None:
    """The work may have been done before it failed, so a 5xx never allows a second send."""
    provider.reply = echo(code, 503)
    assert isinstance(refusal(provider.url), Uncertain)


def test_an_unknown_refusal_marks_nobody(provider: Provider) -> None:
    """A 4xx with a code unknown to us was not sent, and blames neither person, nor wording, nor account."""
    provider.reply = echo(29999, 400)
    error = refusal(provider.url)
    assert (type(error), getattr(error, "why", None), error.code) == (Unavailable, "down", "29999")


@pytest.mark.parametrize("code", ["x", None, {"a": 1}, True])
def test_a_senseless_code_falls_back_to_the_status(provider: Provider, code: Any) -> None:
    """A code that is no number is ignored, not believed and not crashed upon."""
    provider.reply = Reply(401, {"code": code, "message": "no"})
    assert getattr(refusal(provider.url), "why", None) == "account"


def test_a_problem_document_is_read_as_well(provider: Provider) -> None:
    """Twilio's newer error format (RFC 9457) means the same as the older one."""
    provider.reply = Reply(400, {"type": "https://errors.test", "title": "t", "status": 400, "code": 21211})
    assert getattr(refusal(provider.url), "why", None) == "address"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed(provider: Provider, status: int) -> None:
    """A redirect is somebody else's answer: the base URL is wrong, and the request is not made again."""
    provider.reply = Reply(status, b"", {"Location": provider.url + "/elsewhere"})
    assert getattr(refusal(provider.url), "why", None) == "account"
    assert len(provider.requests) == 1


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"Retry-After": "7"}, timedelta(seconds=7)),
        ({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, timedelta(0)),
        ({"Retry-After": "99999999"}, timedelta(days=1)),
        ({"Retry-After": "soon"}, None),
        ({}, None),
    ],
)
def test_the_wait_that_twilio_asks_for_is_passed_on(
    provider: Provider, headers: dict[str, str], wait: timedelta | None
) -> None:
    """A throttle says how long to wait, if it says so sensibly."""
    provider.reply = echo(20429, 429)
    provider.reply.headers = headers
    error = refusal(provider.url)
    assert isinstance(error, Unavailable)
    assert (error.why, error.retry_after) == ("throttle", wait)


@pytest.mark.parametrize("behave", [peers.hang, peers.drop, peers.reset, peers.cut, peers.garble, peers.speak_nonsense])
@pytest.mark.parametrize("message", [SMS, VOICE], ids=["sms", "voice"])
def test_what_breaks_after_the_request_left_is_uncertain(behave: Callable[[socket.socket], None], message: Any) -> None:
    """A time-out, a hang-up, a reset, a truncated or a senseless answer: it may have gone, and is not sent again."""
    connections: list[socket.socket] = []

    def once(connection: socket.socket) -> None:
        connections.append(connection)
        behave(connection)

    with peer(once) as port:
        assert isinstance(refusal(f"http://127.0.0.1:{port}", message), Uncertain)
    assert len(connections) == 1


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://127.0.0.1:{port}", "ConnectionRefusedError"),
        ("http://nowhere.invalid:{port}", "gaierror"),
        ("https://127.0.0.1:{plain}", "SSLError"),
    ],
)
def test_what_breaks_before_the_request_leaves_was_not_sent(provider: Provider, url: str, code: str) -> None:
    """Nobody listens, no such host, no TLS: surely not sent."""
    error = refusal(url.format(port=closed_port(), plain=provider.url.rpartition(":")[2]))
    assert (type(error), getattr(error, "why", None), error.code) == (Unavailable, "down", code)
    assert provider.requests == []


def test_a_handshake_that_never_ends_was_not_sent() -> None:
    """A server that accepts and then says nothing of TLS has no request of ours, and holds us for the connect time."""
    with peer(peers.ignore) as port:
        started = time.monotonic()
        error = refusal(f"https://127.0.0.1:{port}")
        assert time.monotonic() - started < SOON
    assert (type(error), getattr(error, "why", None)) == (Unavailable, "down")


@pytest.mark.parametrize("behave", [peers.trickle, peers.trickle_headers])
def test_a_trickling_answer_ends_at_the_bound(behave: Callable[[socket.socket], None]) -> None:
    """A byte now and then restarts no clock: the whole call ends within its bound."""
    with peer(behave) as port:
        started = time.monotonic()
        with pytest.raises(Uncertain):
            twilio("twilio_sms", f"http://127.0.0.1:{port}").send(SMS)
        assert time.monotonic() - started < SOON


def test_a_success_without_an_id_is_uncertain(provider: Provider) -> None:
    """Success that names nothing cannot be followed up; it is not called accepted."""
    provider.reply = Reply(201, {"status": "queued"})
    assert isinstance(refusal(provider.url), Uncertain)


def test_connections_are_kept_alive_and_shared_by_threads(provider: Provider) -> None:
    """Many messages of many threads use no more connections than threads, and none is lost or doubled."""
    provider.reply = Reply(201, {"sid": "SM1", "status": "queued"})
    channel = twilio("twilio_sms", provider.url, read_timeout=5)
    results: list[Accepted] = []

    def work() -> None:
        results.extend(channel.send(SMS) for _ in range(10))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [Accepted("SM1")] * 40
    assert len(provider.requests) == 40
    assert len({request.client for request in provider.requests}) <= 4


def test_a_connection_that_the_server_has_closed_is_not_used_again() -> None:
    """A server may hang up between two messages; that makes neither of them uncertain."""

    def once(connection: socket.socket) -> None:
        peers.read_request(connection)
        connection.sendall(b'HTTP/1.1 201 Created\r\nContent-Length: 14\r\n\r\n{"sid": "SM1"}')

    with peer(once) as port:
        channel = twilio("twilio_sms", f"http://127.0.0.1:{port}")
        for _ in range(3):
            assert channel.send(SMS) == Accepted("SM1")
            time.sleep(0.05)


def test_a_wait_belongs_to_the_call_that_got_it(provider: Provider) -> None:
    """The next error, if it says nothing of waiting, asks for nothing."""
    channel = twilio("twilio_sms", provider.url)
    waits = []
    for headers in ({"Retry-After": "9"}, {}):
        provider.reply = Reply(429, b"", headers)
        with pytest.raises(Unavailable) as caught:
            channel.send(SMS)
        waits.append(caught.value.retry_after)
    assert waits == [timedelta(seconds=9), None]


def test_nothing_personal_is_logged(provider: Provider, caplog: pytest.LogCaptureFixture) -> None:
    """Even with the root logger at DEBUG, the SDK and its transport print no number and no text."""
    caplog.set_level("DEBUG")
    provider.reply = Reply(201, {"sid": "SM1"})
    twilio("twilio_sms", provider.url).send(SMS)
    assert not re.search("|".join(PRIVATE), caplog.text)
    noisy = ("urllib3", "twilio.http_client", "python_http_client")
    assert not any(logging.getLogger(name).isEnabledFor(logging.INFO) for name in noisy)


@pytest.mark.parametrize(
    ("url", "real"),
    [("", True), ("https://api.dublin.ie1.twilio.com", True), ("http://127.0.0.1:4010", False)],
)
def test_a_base_url_of_anybody_else_is_a_sandbox(url: str, real: bool) -> None:
    """Only the provider's own hosts reach real people."""
    assert twilio("twilio_sms", url).real is real


@pytest.mark.parametrize("url", ["api.twilio.com", "ftp://host", "http://", "http://api.twilio.com", "https://h:x"])
def test_a_base_url_that_cannot_work_is_refused(url: str) -> None:
    """No scheme, no host, or the provider's own host without TLS: said at the start, by the variable's name."""
    with pytest.raises(ConfigurationError, match="TWILIO_BASE_URL"):
        twilio("twilio_voice", url)


def test_the_process_environment_is_not_read(monkeypatch: pytest.MonkeyPatch, provider: Provider) -> None:
    """Credentials and region come from what is handed over; variables meant for the SDK change nothing."""
    for name in ("TWILIO_EDGE", "TWILIO_REGION", "HTTP_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    client = Account(TwilioSettings(), TWILIO).client
    assert (client.edge, client.region) == (None, None)
    provider.reply = Reply(201, {"sid": "SM1"})
    assert twilio("twilio_sms", provider.url).send(SMS) == Accepted("SM1")
    assert f"/Accounts/{TWILIO['TWILIO_ACCOUNT_SID']}/" in provider.last.path
