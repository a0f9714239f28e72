"""Receipts come before the call has returned, twice, and in any order: the end is that of the good order."""

from collections.abc import Sequence
from itertools import permutations
from typing import Any

import pytest

from channels.base import Receipt, ReceiptWhat, Uncertain
from tests.conftest import MakeApp
from worker.dunning.model import Case
from worker.inbound import receive
from worker.operations import uncertain_attempts

from .config_copy import B2B, Copy
from .rig import MORNING, Rig

#: What providers say of one message, in the good order.
STORIES: dict[str, list[list[ReceiptWhat]]] = {
    "sms": [["taken", "sent", "delivered"], ["taken", "sent", "soft"], ["taken", "hard"], ["sent", "opted_out"]],
    "email": [
        ["taken", "deferred", "delivered"],
        ["deferred", "delivered", "complained"],
        ["taken", "delivered", "hard"],
        ["deferred", "soft"],
        ["taken", "content"],
    ],
    "voice": [
        ["taken", "answered", "ended"],
        ["taken", "unanswered"],
        ["taken", "answered", "machine", "ended"],
        ["taken", "account"],
    ],
}
EVERY = [(channel, story) for channel, stories in STORIES.items() for story in stories]


@pytest.fixture
def make_rig(make_app: MakeApp, tmp_path: Any) -> Any:
    """Builds a rig whose first reminder goes by that channel."""

    def make(channel: str) -> Rig:
        copy = Copy(tmp_path / "config")
        copy.edit(B2B, "channel: email\n    tone: 1", f"channel: {channel}\n    notice: nudge\n    tone: 1")
        return Rig(make_app(at=MORNING, speed=1, config=copy.folder))

    return make


def told(rig: Rig, number: int, during: Sequence[ReceiptWhat], after: Sequence[ReceiptWhat]) -> dict[str, Any]:
    """What a new case comes to that hears these while the call lasts, and those when it has returned."""
    case = rig.open(
        job_id=f"j-{number}",
        debtor__id=f"D-{number}",
        debtor__phone=f"+3363998{number:04}",
        debtor__email=f"ap{number}@example.com",
        invoices__0__number=f"F-{number}",
    )
    attempt = rig.reserve(case)

    def say(words: Sequence[ReceiptWhat]) -> None:
        for what in words:
            receive(rig.app, Receipt(attempt, what, "provider", "code", f"outbox-{attempt}"))

    rig.tap.after = lambda: say(during)
    rig.deliver(case)
    say(after)
    return outcome(rig.case(case.id))


def outcome(case: Case) -> dict[str, Any]:
    """What matters of it."""
    send = case.runs[-1].sends[-1]
    return {
        "status": send.status,
        "receipt": send.receipt,
        "code": send.code,
        "again": send.retry_at is not None,
        "missed": send.missed,
        "provider_id": send.provider_id.partition("-")[0],
        "unusable": case.unusable,
        "holds": [hold.reason for hold in case.holds],
    }


@pytest.mark.parametrize(
    ("channel", "story"), EVERY, ids=lambda value: value if isinstance(value, str) else "-".join(value)
)
def test_any_order_ends_as_the_good_one(make_rig: Any, channel: str, story: list[ReceiptWhat]) -> None:
    """However they are shuffled, repeated, and wherever the create call returns among them."""
    rig = make_rig(channel)
    good = told(rig, 0, [], story)
    assert good["receipt"] == story[-1] or story[-2:] == ["machine", "ended"]
    orders = [(order, cut) for order in permutations(story) for cut in range(len(story) + 1)]
    for number, (order, cut) in enumerate(orders, start=1):
        assert told(rig, number, order[:cut], order[cut:]) == good, (order, cut)
        rig.tap.after = lambda: None
    assert told(rig, 900, story, story) == good


def test_a_receipt_settles_what_nobody_could_tell(make_rig: Any) -> None:
    """The answer was lost; the provider's own word that it has the message is as good."""
    rig = make_rig("sms")
    rig.tap.answers = [Uncertain("timeout", "the answer never came")]
    case = rig.open(debtor__phone="+33639980101")
    rig.settle(case)
    ((attempt, _),) = uncertain_attempts(rig.app)
    assert receive(rig.app, Receipt(attempt, "sent", "twilio", "sent", "SM1"))
    assert not uncertain_attempts(rig.app)
    send = rig.case(case.id).runs[-1].sends[-1]
    assert (send.status, send.provider_id) == ("accepted", "SM1")


def test_a_receipt_of_nothing_we_know_changes_nothing(make_rig: Any) -> None:
    """No case, no attempt, an attempt that nobody has begun, an id that is none."""
    rig = make_rig("sms")
    case = rig.open(debtor__phone="+33639980101")
    attempt = rig.reserve(case)
    before = rig.kinds(case)
    for name in (attempt, f"{case.id}.99", "demo-nobody.1", "nonsense", "x.y", ".", "demo-.1"):
        assert not receive(rig.app, Receipt(name, "delivered", "twilio"))
    assert rig.kinds(case) == before


def test_a_wording_that_was_refused_stops_the_template_not_the_person(make_rig: Any) -> None:
    """The case is held `error`; once a person has mended the words and released it, the message goes again."""
    rig = make_rig("sms")
    case = rig.open(debtor__phone="+33639980101")
    rig.settle(case)
    receive(rig.app, Receipt(f"{case.id}.1", "content", "twilio", "30007"))
    rig.settle(case)
    hold = rig.case(case.id).case_hold()
    assert hold
    assert (hold.reason, len(rig.tap.messages)) == ("error", 1)
    rig.take({"type": "case_released", "version": 1, "job_id": "r", "creditor": "demo", "case": case.id})
    rig.settle(case)
    assert [message.channel for message in rig.tap.messages] == ["sms", "sms"]
