"""What a postback receiver is asked and what its answers mean, over real sockets."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from channels import registry
from channels.base import Accepted, Channel, ChannelError, ConfigurationError, Rejected, Unavailable, Uncertain
from tests.channels import peers
from tests.channels.peers import Provider, Reply, closed_port, peer
from tests.channels.samples import EMAIL, PDF, PICTURE, PRIVATE, SMS


def postback(url: str, environ: dict[str, str] | None = None, **settings: Any) -> Channel:
    """A postback channel to `url`, impatiently unless told otherwise."""
    times = {"connect_timeout": 1.5, "read_timeout": 1.5}
    chosen = registry.settings_for("postback", {"url": url, **times, **settings})
    return registry.build("postback", chosen, environ or {})


def refusal(url: str, **settings: Any) -> ChannelError:
    """The error that sending to `url` ends in."""
    with pytest.raises(ChannelError) as caught:
        postback(url, **settings).send(SMS)
    assert not any(word.lower() in str(caught.value).lower() for word in PRIVATE), "a person's data in an error"
    return caught.value


def test_the_receiver_gets_the_whole_message(provider: Provider) -> None:
    """Every field of the message travels, attachments in base64, with a key that is the same on every try."""
    provider.reply = Reply(201, {"id": "their-7"})
    channel = postback(provider.url + "/hook/?a=1")
    assert channel.send(replace(EMAIL, attachments=(PDF, PICTURE))) == Accepted("their-7")
    body = json.loads(provider.last.body)
    assert (body["version"], body["id"], body["attempt"], body["to"]) == (1, EMAIL.id, EMAIL.attempt, EMAIL.to)
    assert (body["text"], body["headers"]) == (EMAIL.text, dict(EMAIL.headers))
    assert base64.b64decode(body["attachments"][0]["content"]) == PDF.content
    assert [file["content_id"] for file in body["attachments"]] == ["", PICTURE.content_id]
    assert provider.last.path == "/hook/?a=1"
    channel.send(replace(EMAIL, attempt="atm_02"))
    keys = [request.headers["Idempotency-Key"] for request in provider.requests]
    assert keys[0] == keys[1]


@pytest.mark.parametrize("body", [b"", b"OK", b"[]", b'{"id": null}', b'{"id": {}}'])
def test_an_answer_without_an_id_goes_by_the_attempt(provider: Provider, body: bytes) -> None:
    """A 2xx is an acceptance, whatever it says."""
    provider.reply = Reply(204 if not body else 200, body)
    assert postback(provider.url).send(SMS) == Accepted(SMS.attempt)


@pytest.mark.parametrize(
    ("status", "kind", "why"),
    [
        (302, Unavailable, "account"),
        (400, Rejected, "content"),
        (401, Unavailable, "account"),
        (404, Unavailable, "account"),
        (408, Uncertain, None),
        (409, Uncertain, None),
        (410, Unavailable, "account"),
        (418, Rejected, "content"),
        (422, Rejected, "content"),
        (429, Unavailable, "throttle"),
        (500, Uncertain, None),
        (503, Uncertain, None),
        (304, Uncertain, None),
    ],
)
def test_each_status_has_a_meaning(provider: Provider, status: int, kind: type[ChannelError], why: str | None) -> None:
    """Content, account, throttle, or nobody knows."""
    provider.reply = Reply(status, b"")
    error = refusal(provider.url)
    assert (type(error), getattr(error, "why", None), error.code) == (kind, why, str(status))


@pytest.mark.parametrize(
    ("word", "kind"), [("address", Rejected), ("opted_out", Rejected), ("down", Unavailable), ("uncertain", Uncertain)]
)
def test_the_settings_may_say_otherwise(provider: Provider, word: str, kind: type[ChannelError]) -> None:
    """A receiver with habits of its own is configuration, not code."""
    provider.reply = Reply(410)
    error = refusal(provider.url, statuses={410: word})
    assert (type(error), getattr(error, "why", None)) == (kind, None if word == "uncertain" else word)


def test_a_conflict_may_mean_accepted(provider: Provider) -> None:
    """A receiver that knows the key and says so has the message."""
    provider.reply = Reply(409)
    assert postback(provider.url, statuses={409: "accepted"}).send(SMS) == Accepted(SMS.attempt)


def test_the_wait_that_is_asked_for_is_passed_on(provider: Provider) -> None:
    """A 429 says how long to wait."""
    provider.reply = Reply(429, b"", {"Retry-After": "30"})
    error = refusal(provider.url)
    assert isinstance(error, Unavailable)
    assert error.retry_after == timedelta(seconds=30)


@pytest.mark.parametrize("behave", [peers.hang, peers.drop, peers.cut, peers.trickle])
def test_what_breaks_after_the_request_left_is_uncertain(behave: Callable[..., None]) -> None:
    """A time-out, a hang-up, a truncated or endless answer: it may have gone."""
    with peer(behave) as port:
        assert isinstance(refusal(f"http://127.0.0.1:{port}"), Uncertain)


def test_nobody_listening_is_unavailable() -> None:
    """Surely not sent."""
    assert getattr(refusal(f"http://127.0.0.1:{closed_port()}"), "why", None) == "down"


def test_secrets_travel_in_headers_and_the_body_is_signed(provider: Provider) -> None:
    """The receiver can tell that it is us, that the body is ours and when it was written."""
    provider.reply = Reply(200)
    environ = {"HOOK_TOKEN": "Bearer t0ken", "HOOK_KEY": "k3y"}
    settings = {"header_envs": {"Authorization": "HOOK_TOKEN"}, "signing_secret_env": "HOOK_KEY"}
    postback(provider.url, environ, **settings).send(SMS)
    headers, body = provider.last.headers, provider.last.body
    stamp, _, seal = headers["X-Relance-Signature"].partition(",v1=")
    signed = stamp.removeprefix("t=").encode() + b"." + body
    assert headers["Authorization"] == "Bearer t0ken"
    assert seal == hmac.new(b"k3y", signed, hashlib.sha256).hexdigest()


def test_a_header_that_cannot_be_sent_is_a_configuration_error(provider: Provider) -> None:
    """A secret with a line break in it is found at the start, and not shown."""
    with pytest.raises(ConfigurationError, match="HOOK_TOKEN") as caught:
        postback(provider.url, {"HOOK_TOKEN": "a\nb"}, header_envs={"Authorization": "HOOK_TOKEN"})
    assert "a\nb" not in str(caught.value)


@pytest.mark.parametrize(("host", "real"), [("hooks.atelier.test", True), ("localhost", False), ("[::1]", False)])
def test_a_receiver_on_this_machine_is_a_sandbox(host: str, real: bool) -> None:
    """Only a receiver elsewhere is taken to reach real people."""
    assert postback(f"http://{host}:8080/").real is real
