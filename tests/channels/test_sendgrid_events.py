"""What SendGrid's events mean: each event, reason and classification, and nothing personal in what is made of them."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from channels.base import Receipt, ReceiptWhat
from channels.sendgrid_events import event_receipt
from tests.channels.samples import contract

ERRORS: dict[str, Any] = contract("provider_errors.json")
PUBLISHED: list[dict[str, Any]] = [
    event
    for row in contract("webhook_signatures.json")["sendgrid"]["vectors"]
    if row["body"].startswith("[")
    for event in json.loads(row["body"])
]
ATTEMPT = "demo-x.1"
MAILBOX = "claire.dupre@client.test"
#: What each line of the contract comes down to; bounces are held further down. Opens and clicks say nothing.
MEANING: dict[str, ReceiptWhat | None] = {
    "processed": "taken",
    "deferred": "deferred",
    "delivered": "delivered",
    "spamreport": "complained",
    "unsubscribe": "unsubscribed",
    "group_unsubscribe": "unsubscribed",
    "group_resubscribe": None,
    "open": None,
    "click": None,
}
REASONS: dict[str, ReceiptWhat] = {
    "Bounced Address": "hard",
    "Spam Reporting Address": "opted_out",
    "Unsubscribed Address": "opted_out",
    "Invalid": "hard",
    "Recipient List over Package Quota": "account",
    "Spam Content": "content",
    "Invalid SMTPAPI header": "content",
}


def told(**fields: Any) -> Receipt | None:
    """The receipt of an event with these fields, beside those that all have."""
    common = {"email": MAILBOX, "timestamp": 1600112492, "relance_attempt": ATTEMPT, "sg_event_id": "e"}
    return event_receipt({**common, "sg_message_id": "LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1", **fields})


def what(**fields: Any) -> tuple[str, str]:
    """What it says, and its code."""
    found = told(**fields)
    assert found is not None
    assert MAILBOX not in repr(found)
    return found.what, found.code


def _names(prefix: str) -> list[str]:
    rows = [row.removeprefix(prefix) for row in ERRORS["sendgrid_events"] if row.startswith(prefix)]
    return [name for row in rows for name in row.split("|")]


def test_every_event_of_the_contract_has_a_meaning() -> None:
    """None is left to a default."""
    events = {name for row in ERRORS["sendgrid_events"] if "/" not in row and ":" not in row for name in row.split("|")}
    assert events == MEANING.keys()
    assert set(_names("dropped: ")) == REASONS.keys()
    assert set(_names("bounce/type=")) == {"bounce", "blocked", "expired"}


@pytest.mark.parametrize(("event", "meaning"), MEANING.items())
def test_what_an_event_means(event: str, meaning: ReceiptWhat | None) -> None:
    """With the id that SendGrid gave when it took the message, and when it happened."""
    wanted = Receipt(
        ATTEMPT,
        meaning or "taken",
        "sendgrid",
        event,
        "LRzXl_NHStOGhQ4kofSm_A",
        datetime(2020, 9, 14, 19, 41, 32, tzinfo=UTC),
    )
    assert told(event=event) == (wanted if meaning else None)


@pytest.mark.parametrize(("reason", "meaning"), REASONS.items())
def test_why_it_was_dropped(reason: str, meaning: str) -> None:
    """It never left; SendGrid's own suppressions are among the reasons."""
    assert what(event="dropped", reason=reason) == (meaning, reason.lower().replace(" ", "_"))
    assert what(event="dropped", reason=f"{reason} ({MAILBOX})")[0] == meaning


@pytest.mark.parametrize("reason", [None, "", f"odd {MAILBOX}", 7])
def test_a_drop_for_an_unknown_reason_blames_nobody(reason: Any) -> None:
    """It may go another time."""
    assert what(event="dropped", reason=reason) == ("soft", "dropped")


CLASSES: dict[str, dict[str, ReceiptWhat]] = {
    "Invalid Address": {"bounce": "hard", "blocked": "hard", "expired": "hard"},
    "Mailbox Unavailable": {"bounce": "hard", "blocked": "soft", "expired": "soft"},
    "Unclassified": {"bounce": "hard", "blocked": "soft", "expired": "soft"},
    "Reputation": {"bounce": "account", "blocked": "account", "expired": "account"},
    "Content": {"bounce": "content", "blocked": "content", "expired": "content"},
    "Technical Failure": {"bounce": "soft", "blocked": "soft", "expired": "soft"},
    "Frequency or Volume Too High": {"bounce": "soft", "blocked": "soft", "expired": "soft"},
}


def test_every_classification_is_known() -> None:
    """Those of SendGrid's own list."""
    assert CLASSES.keys() == ERRORS["sendgrid_bounce_classifications"].keys()


@pytest.mark.parametrize("kind", ["bounce", "blocked", "expired"])
@pytest.mark.parametrize("named", CLASSES)
def test_what_a_bounce_means(named: str, kind: str) -> None:
    """Only what blames the mailbox marks it; SendGrid never writes again to what it calls `bounce`."""
    reason = f"550 no such user <{MAILBOX}>"
    found = what(event="bounce", type=kind, bounce_classification=named, reason=reason)
    assert found[0] == CLASSES[named][kind]
    assert what(event="bounce", type=kind, bounce_classification=named, status="5.2.2")[1] == "5.2.2"


@pytest.mark.parametrize(
    ("fields", "meaning", "code"),
    [
        ({}, "soft", "bounce"),
        ({"type": "blocked"}, "soft", "blocked"),
        ({"type": "bounce"}, "hard", "bounce"),
        ({"type": "blocked", "status": "5.1.1"}, "hard", "5.1.1"),
        ({"status": "5.7.1"}, "soft", "5.7.1"),
        ({"status": MAILBOX, "type": MAILBOX, "bounce_classification": MAILBOX}, "soft", "bounce"),
    ],
)
def test_a_bounce_that_says_little(fields: dict[str, str], meaning: str, code: str) -> None:
    """An invalid domain has no status; older events have no type; nothing unknown is passed on."""
    assert what(event="bounce", **fields) == (meaning, code)


@pytest.mark.parametrize("attempt", [None, "", 7, "x" * 201, "a b", MAILBOX])
def test_somebody_elses_message_is_none_of_ours(attempt: Any) -> None:
    """The account may send other things too; an event without our attempt says nothing."""
    assert told(event="delivered", relance_attempt=attempt) is None


def test_published_events_are_read() -> None:
    """Real ones, as signed by SendGrid; with our attempt added."""
    found = [event_receipt({**event, "relance_attempt": ATTEMPT}) for event in PUBLISHED]
    assert {each.what for each in found if each} == {"hard", "taken"} | {"hard", "soft"}
    assert not any(event_receipt(event) for event in PUBLISHED)


@pytest.mark.parametrize("stamp", [None, "1600112492", True, -1, 2**60, 1.5, [], 10**400])
def test_a_time_that_is_none_is_left_out(stamp: Any) -> None:
    """Not an error, not a guess."""
    found = told(event="delivered", timestamp=stamp)
    assert found is not None
    assert found.at is None


TEXT = st.text("bounced 5.1é@\n", max_size=20)
JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | TEXT, st.lists, max_leaves=3)
KEYS = ["event", "type", "reason", "status", "bounce_classification", "sg_message_id", "timestamp", "relance_attempt"]


@given(st.dictionaries(st.sampled_from(KEYS), JSON | st.sampled_from(["bounce", "dropped", "delivered", ATTEMPT])))
def test_no_event_is_an_error(event: dict[str, Any]) -> None:
    """Whatever JSON holds, it is a receipt of our words or nothing."""
    found = event_receipt(event)
    assert found is None or (len(found.code) < 60 and found.code.isascii())
