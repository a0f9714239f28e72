"""What SendGrid is asked and what its answers mean, over real sockets."""

import base64
import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from channels.base import Accepted, ChannelError, Message, Rejected, Unavailable, Uncertain
from tests.channels import peers
from tests.channels.peers import SOON, Provider, Reply, closed_port, peer
from tests.channels.samples import EMAIL, ILLUSTRATED, PDF, PICTURE, PRIVATE, contract, sendgrid

ROWS: dict[str, str] = contract("provider_errors.json")["http"]["sendgrid"]
MEANING = {
    "permanent-request": (Rejected, "content"),
    "permanent-account": (Unavailable, "account"),
    "throttle": (Unavailable, "throttle"),
    "ambiguous": (Uncertain, None),
}
CREDITS = {"errors": [{"message": "Maximum credits exceeded", "field": None, "help": None}]}


def fault(field: str | None) -> dict[str, Any]:
    """An answer that finds fault with a field, and quotes the address as SendGrid does."""
    return {"errors": [{"message": f"Does not contain a valid address: {EMAIL.to}", "field": field}]}


def refusal(url: str, message: Message = EMAIL) -> ChannelError:
    """The error that sending to `url` ends in."""
    with pytest.raises(ChannelError) as caught:
        sendgrid(url).send(message)
    assert not any(word.lower() in str(caught.value).lower() for word in PRIVATE), "a person's data in an error"
    return caught.value


def asked(provider: Provider) -> dict[str, Any]:
    """The JSON of the last request."""
    body: dict[str, Any] = json.loads(provider.last.body)
    return body


def test_the_request_is_whole(provider: Provider) -> None:
    """One recipient, our ids, both parts, the answer's address, tracking off, the list headers: all of it, once."""
    provider.reply = Reply(202, b"", {"X-Message-Id": "wxyz"})
    assert sendgrid(provider.url).send(replace(EMAIL, attachments=(PDF,))) == Accepted("wxyz")
    body = asked(provider)
    (person,) = body["personalizations"]
    assert person["to"] == [{"email": EMAIL.to, "name": EMAIL.to_name}]
    assert person["custom_args"] == {"relance_attempt": EMAIL.attempt, "relance_message": EMAIL.id}
    assert dict(EMAIL.headers).items() <= person["headers"].items()
    assert person["headers"]["X-Relance-Attempt"] == EMAIL.attempt
    assert body["from"] == {"email": EMAIL.sender, "name": EMAIL.sender_name}
    assert body["reply_to"] == {"email": EMAIL.reply_to}
    assert body["subject"] == EMAIL.subject
    expected = [{"type": "text/plain", "value": EMAIL.text}, {"type": "text/html", "value": EMAIL.html}]
    assert body["content"] == expected
    assert body["tracking_settings"]["click_tracking"] == {"enable": False, "enable_text": False}
    assert body["tracking_settings"]["open_tracking"] == {"enable": False}
    (file,) = body["attachments"]
    assert (file["filename"], file["type"], base64.b64decode(file["content"])) == (
        PDF.filename,
        PDF.content_type,
        PDF.content,
    )
    assert provider.last.headers["Authorization"] == "Bearer SG.key"


def test_a_picture_of_the_html_is_inline(provider: Provider) -> None:
    """What the HTML shows goes under its Content-ID; any other file is a plain attachment without one."""
    provider.reply = Reply(202)
    sendgrid(provider.url).send(replace(ILLUSTRATED, attachments=(PDF, PICTURE)))
    files = {file["filename"]: file for file in asked(provider)["attachments"]}  # the SDK turns their order round
    file, picture = files[PDF.filename], files[PICTURE.filename]
    assert (file["disposition"], "content_id" in file) == ("attachment", False)
    assert (picture["disposition"], picture["content_id"]) == ("inline", PICTURE.content_id)
    assert base64.b64decode(picture["content"]) == PICTURE.content


def test_the_message_id_is_the_same_on_every_try(provider: Provider) -> None:
    """Another attempt of a message bears the Message-ID of the first, so that a mailbox may drop the repeat."""
    provider.reply = Reply(202)
    channel = sendgrid(provider.url)
    ids = []
    for message in (EMAIL, replace(EMAIL, attempt="atm_02"), replace(EMAIL, id="another")):
        channel.send(message)
        ids.append(asked(provider)["personalizations"][0]["headers"]["Message-ID"])
    assert ids[0] == ids[1] != ids[2]


@pytest.mark.parametrize("status", [code for code, row in ROWS.items() if not row.startswith(("accepted", "sandbox"))])
def test_every_status_means_what_the_contract_says(provider: Provider, status: str) -> None:
    """Each refusing status becomes the error of its class, whatever its body is."""
    provider.reply = Reply(int(status), b"<html>413</html>")
    error = refusal(provider.url)
    row = ROWS[status].replace(";", " ").replace(":", " ").split()[0]
    assert (type(error), getattr(error, "why", None), error.code) == (*MEANING[row], status)


@pytest.mark.parametrize("status", [200, 202])
def test_success_without_an_id_goes_by_the_message_id(provider: Provider, status: int) -> None:
    """A 202, and the sandbox mode's 200, are acceptances even if the provider names no id."""
    provider.reply = Reply(status)
    assert sendgrid(provider.url).send(EMAIL).provider_id.endswith("@atelier.test>")


@pytest.mark.parametrize(
    ("field", "why"),
    [
        ("personalizations.0.to.0.email", "address"),
        ("personalizations.0.to", "address"),
        ("personalizations.0.custom_args", "content"),
        ("from.email", "content"),
        (None, "content"),
    ],
)
def test_only_a_fault_with_the_recipient_blames_the_address(provider: Provider, field: str | None, why: str) -> None:
    """A 400 stops the template, unless it is the recipient's address that it finds fault with."""
    provider.reply = Reply(400, fault(field))
    assert getattr(refusal(provider.url), "why", None) == why


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"errors": [1]}', b'{"errors": null}', b"\xff\xfe"])
def test_a_senseless_400_is_a_content_refusal(provider: Provider, body: bytes) -> None:
    """An answer that is not what SendGrid documents is read as far as its status goes."""
    provider.reply = Reply(400, body)
    assert getattr(refusal(provider.url), "why", None) == "content"


def test_a_used_up_plan_is_a_throttle(provider: Provider) -> None:
    """A 401 about credits is a quota to wait for, and not a refused key."""
    provider.reply = Reply(401, CREDITS, {"X-RateLimit-Reset": str(int(time.time()) + 3600)})
    error = refusal(provider.url)
    assert isinstance(error, Unavailable)
    assert error.why == "throttle"
    assert error.retry_after is not None
    assert timedelta(minutes=59) < error.retry_after <= timedelta(hours=1)


@pytest.mark.parametrize(
    "behave",
    [peers.hang, peers.drop, peers.reset, peers.speak_nonsense, peers.trickle_headers],
)
def test_what_breaks_after_the_request_left_is_uncertain(behave: Callable[..., None]) -> None:
    """A time-out, a hang-up, a reset, an endless answer: it may have gone, and is not sent again."""
    with peer(behave) as port:
        started = time.monotonic()
        assert isinstance(refusal(f"http://127.0.0.1:{port}"), Uncertain)
        assert time.monotonic() - started < SOON


def test_a_server_that_reads_nothing_ends_at_the_bound() -> None:
    """A large email that the other side does not take in ends within the bound as well."""
    big = replace(EMAIL, attachments=(replace(PDF, content=bytes(12_000_000)),))
    with peer(peers.ignore) as port:
        started = time.monotonic()
        with pytest.raises(Uncertain):
            sendgrid(f"http://127.0.0.1:{port}").send(big)
        assert time.monotonic() - started < SOON


def test_what_breaks_before_the_request_leaves_was_not_sent() -> None:
    """Nobody listens: surely not sent."""
    error = refusal(f"http://127.0.0.1:{closed_port()}")
    assert (type(error), getattr(error, "why", None)) == (Unavailable, "down")


@pytest.mark.parametrize(
    "to", ["claire", "claire@", "@client.test", "a b@client.test", "é@client.test", "a@b..test", ""]
)
def test_an_address_that_cannot_be_written_is_refused_unsent(provider: Provider, to: str) -> None:
    """What is no mailbox never reaches the provider, where it would fail the whole request."""
    assert getattr(refusal(provider.url, replace(EMAIL, to=to)), "why", None) == "address"
    assert provider.requests == []


def test_one_connection_serves_many_messages_and_no_header_leaks(provider: Provider) -> None:
    """The connection is kept alive, and what one email carried is not in the next."""
    provider.reply = Reply(202)
    channel = sendgrid(provider.url)
    channel.send(EMAIL)
    channel.send(replace(EMAIL, headers={}))
    assert len({request.client for request in provider.requests}) == 1
    assert "List-Unsubscribe" not in asked(provider)["personalizations"][0]["headers"]


@pytest.mark.parametrize(
    ("url", "real"), [("", True), ("https://api.eu.sendgrid.com", True), ("http://127.0.0.1:4011", False)]
)
def test_a_base_url_of_anybody_else_is_a_sandbox(url: str, real: bool) -> None:
    """Only SendGrid's own hosts, of any region, reach real people."""
    assert sendgrid(url).real is real
