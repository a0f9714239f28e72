"""Receipts come before the call has returned, twice, and in any order: the end is that of the good order."""

from collections.abc import Sequence
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest

from channels.base import Receipt, ReceiptWhat, Rejected, Uncertain
from tests.conftest import MakeApp
from worker.dunning.answers import Answer
from worker.dunning.model import Case, why_unusable
from worker.inbound import answer, receive
from worker.operations import uncertain_attempts
from worker.trying import Try, release

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
    assert rig.kinds(case).count("AttemptAccepted") == 1
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
    """No case, no attempt, an attempt that was refused, an id that is none."""
    rig = make_rig("sms")
    rig.tap.answers = [Rejected("content", "30007")]
    case = rig.open(debtor__phone="+33639980101")
    attempt = rig.reserve(case)
    rig.deliver(case)
    before = rig.kinds(case)
    for name in (attempt, f"{case.id}.99", "demo-nobody.1", "nonsense", "x.y", ".", "demo-.1"):
        assert not receive(rig.app, Receipt(name, "delivered", "twilio"))
    assert rig.kinds(case) == before


@pytest.mark.parametrize("then", ["reserved", "given back", "reserved anew"])
def test_what_was_forgotten_went_if_a_receipt_says_so(make_rig: Any, then: str) -> None:
    """The store has lost that the call began, and nobody else can tell: a receipt that bears the id of the reservation
    proves it. It is not sent again, not even once reserved under another number; what is said of it later is heard.
    """
    rig = make_rig("sms")
    case = rig.open(debtor__phone="+33639980101")
    attempt = rig.reserve(case)
    if then == "given back":
        seen = rig.app.cases.see(case.id)
        assert seen is not None
        ((run, send),) = seen.case.open_sends()
        release(rig.app, Try(seen, run, send, rig.app.clock.now(), ""), "the store was replaced")
    if then == "reserved anew":
        rig.lose_leases()
        rig.tick()
        assert rig.reserved(case) != [attempt]
    assert receive(rig.app, Receipt(attempt, "sent", "twilio", "sent", "SM1"))
    rig.settle(case)
    assert rig.tap.messages == []
    send = rig.case(case.id).runs[-1].sends[-1]
    assert (send.status, send.provider, send.provider_id) == ("accepted", "twilio_sms", "SM1")
    assert rig.kinds(case).count("AttemptFound") == 1
    assert not receive(rig.app, Receipt(attempt, "taken", "twilio", "queued", "SM1"))
    assert receive(rig.app, Receipt(attempt, "hard", "twilio", "30005", "SM1"))
    assert why_unusable(rig.case(case.id), "sms") == "bounced"
    rig.settle(case)
    assert [message.channel for message in rig.tap.messages] == ["email"]


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


def test_what_is_said_of_an_earlier_try_still_tells_what_the_address_is_worth(make_rig: Any) -> None:
    """A message that was tried again is reported as spam by its first try: nothing more is sent there. Once."""
    rig = make_rig("email")
    case = rig.open(debtor__phone="+33639980101")
    rig.settle(case)
    receive(rig.app, Receipt(f"{case.id}.1", "soft", "sendgrid", "blocked"))
    rig.jump(MORNING + timedelta(hours=7))
    rig.settle(case)
    assert rig.case(case.id).attempts == 2
    assert receive(rig.app, Receipt(f"{case.id}.1", "complained", "sendgrid", "spamreport"))
    assert dict(rig.case(case.id).unusable) == {"email": "complained, sendgrid"}
    assert not receive(rig.app, Receipt(f"{case.id}.1", "complained", "sendgrid", "spamreport"))


@pytest.mark.parametrize("attempt", [1, 2])
def test_a_repeat_switches_nothing_off_again(make_rig: Any, attempt: int) -> None:
    """The provider repeats its batch after the debtor has asked for emails again: that is known, of any try."""
    rig = make_rig("email")
    case = rig.open(debtor__phone="+33639980101")
    rig.settle(case)
    receive(rig.app, Receipt(f"{case.id}.1", "soft", "sendgrid", "blocked"))
    rig.jump(MORNING + timedelta(hours=7))
    rig.settle(case)
    said = Receipt(f"{case.id}.{attempt}", "unsubscribed", "sendgrid", "unsubscribe")
    assert receive(rig.app, said)
    answer(rig.app, case.id, Answer(kind="opt_in", source="page", ref="1", channels=("email",)))
    assert rig.case(case.id).unusable == ()
    assert not receive(rig.app, said)
    assert rig.case(case.id).unusable == ()


def test_an_errand_whose_words_are_refused_is_not_repeated(make_rig: Any) -> None:
    """No hold keeps an errand, so that nothing but this would end it."""
    rig = make_rig("sms")
    case = rig.open(debtor__phone="+33639980101")
    rig.settle(case)
    answer(rig.app, case.id, Answer(kind="help", source="sms", ref="1"))
    rig.settle(case)
    for number in (2, 3):
        receive(rig.app, Receipt(f"{case.id}.{number}", "content", "twilio", "30007"))
        rig.settle(case)
    assert len(rig.tap.messages) == 2


@pytest.mark.parametrize(("what", "counts"), [("account", False), ("unanswered", True)])
def test_a_phone_that_rang_in_vain_was_a_contact_and_a_call_never_placed_was_none(
    make_rig: Any, what: ReceiptWhat, counts: bool
) -> None:
    """Gaps and caps count what reached somebody's phone."""
    rig = make_rig("voice")
    case = rig.open(debtor__phone="+33639980101")
    rig.settle(case)
    receive(rig.app, Receipt(f"{case.id}.1", what, "twilio"))
    assert bool(rig.contacts(case)) == counts


def test_calls_that_nobody_answers_keep_the_cap(make_app: MakeApp) -> None:
    """Four in thirty days, whichever steps place them; what may not be said by a call then is said in writing."""
    rig = Rig(make_app(at=MORNING, speed=1))
    case = rig.open(debtor__phone="+33639980101")
    for hours in range(0, 24 * 24, 3):
        rig.jump(MORNING + timedelta(hours=hours))
        rig.settle(case, 2)
        for send in (send for run in rig.case(case.id).runs for send in run.sends):
            if send.channel == "voice" and send.status == "accepted":
                receive(rig.app, Receipt(f"{case.id}.{send.attempt}", "unanswered", "twilio", "busy"))
    calls = [message for message in rig.tap.messages if message.channel == "voice"]
    assert len(calls) == 4
    second = next(run for run in rig.case(case.id).runs if run.step == "second_call")
    assert [(send.channel, send.status) for send in second.sends] == [("voice", "undelivered"), ("email", "accepted")]
