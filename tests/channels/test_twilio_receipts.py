"""What Twilio's callbacks mean: every status and code there is, and nothing personal in what is made of them."""

from datetime import UTC, datetime
from typing import Any

import pytest

from channels.base import Receipt, ReceiptWhat
from channels.twilio_receipts import (
    ANSWERED_BY,
    CALLS,
    MESSAGES,
    call_receipt,
    machine_receipt,
    sms_receipt,
    sms_reply,
)
from tests.channels.samples import contract

ERRORS: dict[str, Any] = contract("provider_errors.json")
API: dict[str, Any] = contract("twilio_api_v2010.messages_calls.prism.json")
ATTEMPT = "demo-x.1"
SM, CA = "SM" + "0a" * 16, "CA" + "1b" * 16
NUMBER = "+33639980101"
MEANING: dict[str, ReceiptWhat] = {
    "permanent-recipient": "hard",
    "content": "content",
    "permanent-request": "content",
    "permanent-account": "account",
    "soft-recipient": "soft",
    "throttle": "soft",
    "transient": "soft",
    "expired": "soft",
    "ambiguous": "soft",
    "webhook": "soft",
}


def sms(status: str, **more: str) -> Receipt | None:
    """The receipt of a message's status."""
    return sms_receipt(ATTEMPT, {"MessageSid": SM, "MessageStatus": status, "To": NUMBER, "From": "X", **more})


def call(status: str, **more: str) -> Receipt | None:
    """The receipt of a call's status."""
    return call_receipt(ATTEMPT, {"CallSid": CA, "CallStatus": status, "To": NUMBER, **more})


def _statuses(kind: str) -> list[str]:
    return [str(each) for each in API["components"]["schemas"][kind]["enum"]]


@pytest.mark.parametrize(("code", "row"), ERRORS["twilio"].items())
@pytest.mark.parametrize("status", ["undelivered", "failed"])
def test_every_code_of_a_receipt_means_what_the_contract_says(status: str, code: str, row: dict[str, str]) -> None:
    """Which addresses are marked, what is tried again, what stops a template, what pages a person."""
    what = "opted_out" if code == "21610" else MEANING[row["class"]]
    assert sms(status, ErrorCode=code) == Receipt(ATTEMPT, what, "twilio", code, SM)


@pytest.mark.parametrize("code", ["", "99999", "0", "x", "²", "-1", "9" * 50, NUMBER])
def test_an_unknown_code_blames_nobody(code: str) -> None:
    """Undelivered for a reason unknown to us may pass; what is no code of Twilio's is not passed on."""
    found = sms("undelivered", ErrorCode=code)
    assert found is not None
    assert (found.what, found.code) == ("soft", code if code == "99999" else "undelivered")


def test_every_status_of_a_message_is_known() -> None:
    """Those of Twilio's own specification; the two of inbound messages say nothing of one of ours."""
    assert set(_statuses("message_enum_status")) - MESSAGES.keys() == {"receiving", "received"}
    for status, what in MESSAGES.items():
        assert sms(status) == Receipt(ATTEMPT, what or "soft", "twilio", status, SM)
    for status in ("received", "", "Delivered", "x" * 1000):
        assert sms(status) is None
    assert sms_receipt(ATTEMPT, {"SmsSid": SM, "SmsStatus": "sent"}) == Receipt(ATTEMPT, "sent", "twilio", "sent", SM)


def test_every_status_of_a_call_is_known() -> None:
    """Those of Twilio's own specification, and `initiated`, which only callbacks say."""
    assert set(_statuses("call_enum_status")) == CALLS.keys() - {"initiated"}
    assert ERRORS["twilio_call_status"].keys() <= CALLS.keys()
    for status, what in CALLS.items():
        assert call(status) == Receipt(ATTEMPT, what, "twilio", status, CA)
    assert call("") is call("answered") is call_receipt(ATTEMPT, {}) is None


@pytest.mark.parametrize(("who", "what"), ANSWERED_BY.items())
def test_who_answered_decides(who: str, what: str) -> None:
    """A voicemail is no conversation, whether it is said with the end of the call or by a callback of its own."""
    found, ended = machine_receipt(ATTEMPT, {"CallSid": CA, "AnsweredBy": who}), call("completed", AnsweredBy=who)
    assert found is not None
    assert ended is not None
    assert (found.what, found.code, found.provider_id) == (what, who, CA)
    assert ended.what == ("machine" if what == "machine" else "ended")


@pytest.mark.parametrize("who", ["", "Human", NUMBER])
def test_a_detection_that_says_nothing_is_none(who: str) -> None:
    """Neither of a person nor of a machine."""
    assert machine_receipt(ATTEMPT, {"CallSid": CA, "AnsweredBy": who}) is None


@pytest.mark.parametrize(
    ("more", "what", "code"),
    [
        ({}, "unanswered", "failed"),
        ({"SipResponseCode": "404"}, "unanswered", "failed"),
        ({"SipResponseCode": "486"}, "unanswered", "failed"),
        ({"SipResponseCode": "484"}, "hard", "sip 484"),
        ({"SipResponseCode": "604"}, "hard", "sip 604"),
        ({"ErrorCode": "21217"}, "hard", "21217"),
        ({"ErrorCode": "32017"}, "account", "32017"),
        ({"ErrorCode": "32016"}, "unanswered", "32016"),
        ({"ErrorCode": NUMBER}, "unanswered", "failed"),
    ],
)
def test_a_call_that_could_not_be_placed(more: dict[str, str], what: str, code: str) -> None:
    """A number that is none is not called again at another hour; one that could not be reached just then is."""
    found = call("failed", **more)
    assert found is not None
    assert (found.what, found.code) == (what, code)


@pytest.mark.parametrize(
    ("stamp", "at"),
    [
        ("Sun, 22 Nov 2026 09:00:01 +0000", datetime(2026, 11, 22, 9, 0, 1, tzinfo=UTC)),
        ("Sun, 22 Nov 2026 09:00:01 +0100", datetime(2026, 11, 22, 8, 0, 1, tzinfo=UTC)),
        ("Sun, 22 Nov 2026 09:00:01", None),
        ("yesterday", None),
        ("", None),
        ("Sun, 22 Nov 99999999 09:00:01 +0000", None),
        ("Fri, 31 Dec 9999 23:59:59 -2359", None),
    ],
)
def test_when_it_happened(stamp: str, at: datetime | None) -> None:
    """A call's status bears its time; one that cannot be read is none."""
    found = call("busy", Timestamp=stamp)
    assert found is not None
    assert found.at == at


def test_an_id_is_one_of_twilios() -> None:
    """Anything else is left out: it might be a number."""
    for sid in (NUMBER, "", "SM1", "sm" + "0" * 32, SM + "0"):
        found = sms_receipt(ATTEMPT, {"MessageSid": sid, "MessageStatus": "sent"})
        assert found is not None
        assert found.provider_id == ""


def test_what_somebody_texted() -> None:
    """Whole, with the keyword that Twilio has answered already."""
    form = {"MessageSid": SM, "From": NUMBER, "To": "+33948000000", "Body": "stop svp\n", "OptOutType": "Stop"}
    found = sms_reply(form)
    assert found is not None
    assert (found.id, found.channel, found.sender, found.to) == (SM, "sms", NUMBER, "+33948000000")
    assert (found.text, found.keyword) == ("stop svp\n", "STOP")
    assert NUMBER not in repr(found)
    assert "svp" not in repr(found)


@pytest.mark.parametrize(
    ("changes", "keyword", "length"),
    [
        ({"OptOutType": "START"}, "START", 0),
        ({"OptOutType": "PAUSE"}, "", 0),
        ({"Body": "é" * 50_000}, "", 10_000),
        ({"SmsSid": SM, "MessageSid": ""}, "", 0),
    ],
)
def test_a_text_may_be_odd(changes: dict[str, str], keyword: str, length: int) -> None:
    """Empty, endless, or a picture: it is a reply all the same."""
    found = sms_reply({"MessageSid": SM, "From": NUMBER, **changes})
    assert found is not None
    assert (found.keyword, len(found.text), found.id) == (keyword, length, SM)


def test_a_text_from_nobody_is_none() -> None:
    """Without an id the same one would count twice; without a number there is nobody to answer."""
    assert sms_reply({"From": NUMBER, "Body": "x"}) is sms_reply({"MessageSid": SM, "Body": "x"}) is None
