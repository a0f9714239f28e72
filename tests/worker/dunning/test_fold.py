"""What each event does to a case, where a story does not show it."""

from dataclasses import replace
from decimal import Decimal

import pytest

from tests.worker.dunning.builders import COMPANY, Story, at, invoice, step, strategy, without
from worker.codec import decode_case, decode_event, encode_case, encode_event
from worker.dunning import events, fold
from worker.dunning.events import (
    ApprovalGiven,
    AttemptAccepted,
    AttemptBegun,
    AttemptRejected,
    AttemptReserved,
    CaseEnded,
    CaseReopened,
    DebtorChanged,
    Event,
    HoldReleased,
    LookFailed,
    Moved,
    PaymentFailed,
    PaymentReceived,
    TaskDone,
    TaskOpened,
)
from worker.dunning.fold import apply
from worker.dunning.model import Case, Movement
from worker.dunning.reappearance import reappearance

NOW = at("2026-04-02")
LADDER = strategy(step("first", "due+1d", channels=("email", "sms")))


def opened(*due: str) -> Story:
    """A case nobody has looked at."""
    return Story(LADDER, NOW).open(*(invoice(f"F{i}", on) for i, on in enumerate(due or ("2026-04-01",), start=1)))


def reserved(
    attempt: int, channel: str = "email", on: str = "2026-04-02", deadline: str = "2026-04-10"
) -> AttemptReserved:
    """One try at the first step."""
    return AttemptReserved(
        at=at(on), attempt=attempt, step="first", anchor="F1", channel=channel, channels=("email", "sms"),
        covers=("F1",), deadline=at(deadline).date(), lease=at(on),
    )  # fmt: skip


def moved(amount: str, number: str = "F1") -> Moved:
    """Money on an invoice."""
    return Moved(invoice=number, movement=Movement(amount=Decimal(amount), as_of=NOW))


def test_every_event_has_a_meaning() -> None:
    """A kind of event that the fold does not know would break every case that has one."""
    kinds = {kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, Event)}
    assert kinds - {Event, events.CaseOpened} == set(fold._CHANGES)


@pytest.mark.parametrize("event", [CaseEnded(at=NOW, reason="paid"), LookFailed(at=NOW, place="here")])
def test_a_case_begins_with_its_opening(event: Event) -> None:
    """Anything else before it is a fault in the history."""
    with pytest.raises(ValueError, match="before CaseOpened"):
        apply(None, event)
    with pytest.raises(ValueError, match="begins with CaseOpened"):
        fold.fold(None, [])


def test_an_outcome_of_no_known_attempt_is_a_fault_in_the_history() -> None:
    """Nobody may overwrite another try's outcome."""
    with pytest.raises(ValueError, match="attempt 7"):
        apply(opened().case, AttemptAccepted(at=NOW, attempt=7))


def test_every_part_of_a_payment_counts() -> None:
    """One transfer booked in two movements on the same invoice, and both come back together."""
    story = opened()
    story.tell(PaymentReceived(at=NOW, parts=(moved("100"), moved("250"))))
    assert story.claim("F1").outstanding == 650
    story.tell(PaymentFailed(at=NOW, parts=(moved("-100"), moved("-250"))))
    assert story.claim("F1").outstanding == 1000


def test_an_invoice_is_never_owed_less_than_nothing() -> None:
    """Paid too much: nothing is owed, and the surplus lowers no other invoice by itself."""
    story = opened("2026-04-01", "2026-04-01")
    story.tell(PaymentReceived(at=NOW, parts=(moved("1500"),)))
    assert story.claim("F1").outstanding == 0
    assert story.case.owed() == 1000


def test_addresses_that_changed_are_usable_again_and_others_are_not() -> None:
    """A new phone number forgets what was refused on the old one, on both of its channels; a mailbox stays so."""
    story = opened()
    for attempt, channel in enumerate(("email", "sms", "voice"), start=1):
        story.tell(reserved(attempt, channel), AttemptRejected(at=NOW, attempt=attempt, why="address", code="x"))
    story.tell(DebtorChanged(at=NOW, debtor=without(COMPANY, phone="+33199005678")))
    assert story.case.unusable == (("email", "x"),)
    story.tell(DebtorChanged(at=NOW, debtor=without(COMPANY, email="neuf@example.com", phone="+33199005678")))
    assert not story.case.unusable


def test_an_address_corrected_during_the_call_is_not_the_one_that_was_refused() -> None:
    """The old mailbox was refused; the new one has not been tried."""
    story = opened()
    story.tell(reserved(1), begun(1))
    story.tell(DebtorChanged(at=NOW, debtor=without(COMPANY, email="neuf@example.com")))
    story.tell(AttemptRejected(at=NOW, attempt=1, why="address", code="550"))
    assert not story.case.unusable


def test_refused_content_says_nothing_about_the_address() -> None:
    """The mailbox stays usable: the template is at fault."""
    story = opened()
    story.tell(reserved(1), AttemptRejected(at=NOW, attempt=1, why="content", code="30007"))
    assert not story.case.unusable


def test_a_release_lifts_what_it_names_and_nothing_else() -> None:
    """By reason, by invoice, by both, or all."""
    story = opened("2026-04-01", "2026-04-01")
    for number in (None, "F1", "F2"):
        story.hold("dispute", number=number)
    story.hold("manual")
    story.tell(HoldReleased(at=NOW, reason="dispute", invoice="F1"))
    assert [(hold.reason, hold.invoice) for hold in story.case.holds] == [
        ("dispute", None), ("dispute", "F2"), ("manual", None)
    ]  # fmt: skip
    story.tell(HoldReleased(at=NOW, invoice="F2"))
    story.tell(HoldReleased(at=NOW, reason="dispute"))
    assert [hold.reason for hold in story.case.holds] == ["manual"]
    story.tell(HoldReleased(at=NOW))
    assert story.case.holds == ()


def test_a_hold_of_the_same_reason_and_scope_is_replaced() -> None:
    """A second promise moves the date of the first; one for an invoice stands beside it."""
    story = opened()
    story.hold("promise", "2026-04-10")
    story.hold("promise", "2026-04-20")
    story.hold("promise", "2026-04-30", number="F1")
    assert [hold.until for hold in story.case.holds] == [at("2026-04-20"), at("2026-04-30")]


def test_the_deadline_said_first_is_the_one_all_channels_say() -> None:
    """The email named a date; the SMS that follows two days later names the same."""
    story = opened()
    story.tell(reserved(1), begun(1), AttemptAccepted(at=NOW, attempt=1))
    story.tell(reserved(2, "sms", on="2026-04-04", deadline="2026-04-14"))
    assert [(str(run.deadline), run.at) for run in story.case.runs] == [("2026-04-10", NOW)]


def test_a_step_that_never_left_begins_anew() -> None:
    """Released and reserved two days later: its day, its date and its place are those of the second time."""
    story = opened()
    story.tell(reserved(1), events.AttemptReleased(at=NOW, attempt=1, why="paused"))
    assert not story.case.runs[0].taken
    story.tell(reserved(2, on="2026-04-04", deadline="2026-04-14"))
    assert [(str(run.deadline), run.at) for run in story.case.runs] == [("2026-04-14", at("2026-04-04"))]
    assert story.case.runs[0].sends[0].tries == 0


def begun(attempt: int) -> AttemptBegun:
    """A call may have gone out."""
    return AttemptBegun(at=NOW, attempt=attempt, provider="outbox", lease=NOW, wording="", words="")


def test_a_reservation_spends_the_credit_the_approval_and_the_firmness_once() -> None:
    """A second channel of the same step spends nothing more."""
    case = opened().case
    case = apply(case, events.JobCredited(at=NOW))
    case = apply(case, ApprovalGiven(at=NOW, step="first", by="x"))
    case = apply(case, reserved(1))
    assert (case.credit, case.approved) == (False, ())
    case = apply(apply(case, events.JobCredited(at=NOW)), reserved(2, "sms"))
    assert case.credit


def test_failures_are_counted_until_something_leaves_or_somebody_releases_the_case() -> None:
    """A reservation between two failures is no progress; a call that begins, or an operator's release, is."""
    case = opened().case
    for _ in range(2):
        case = apply(case, LookFailed(at=NOW, place="here"))
    case = apply(case, reserved(1))
    assert case.failures == 2
    assert apply(case, begun(1)).failures == 0
    assert apply(case, HoldReleased(at=NOW, reason="error")).failures == 0


def test_a_case_knows_what_people_have_not_done_yet() -> None:
    """A task is open until it is done or withdrawn; what was done is not withdrawn again."""
    case = opened().case
    for task in ("t-1", "t-2", "t-3"):
        case = apply(case, TaskOpened(at=NOW, task=task, kind="k", title="", text=""))
    case = apply(case, TaskDone(at=NOW, task="t-1", by="x"))
    assert case.tasks == ("t-2", "t-3")
    assert apply(case, events.TasksWithdrawn(at=NOW, tasks=("t-2", "t-3"))).tasks == ()


def test_a_reopened_case_is_open() -> None:
    """A payment that came back takes the case up again."""
    case = opened().case
    ended = apply(case, CaseEnded(at=NOW, reason="paid"))
    assert ended.ended
    assert apply(ended, CaseReopened(at=NOW, reason="bounced")) == case


def test_a_case_and_its_events_survive_the_store() -> None:
    """Snapshot and history through JSON and back are the same, and the history gives the snapshot."""
    story = opened("2026-04-01", "2026-05-01").until("2026-04-20")
    story.hold("promise", "2026-05-01", number="F2")
    story.pay("F1", "12.34")
    history = [decode_event(encode_event(event)) for event in story.history]
    snapshot: Case = decode_case(encode_case(story.case))
    assert history == story.history
    assert fold.fold(None, history) == snapshot == story.case


def uncertain_and_given_up(attempt: int) -> list[Event]:
    """A call whose answer was lost, and which the list did not have."""
    lost = events.AttemptUncertain(at=NOW, attempt=attempt, code="timeout")
    absent = events.AttemptUnavailable(at=NOW, attempt=attempt, why="down", code="absent", retry_at=NOW, by="list")
    return [reserved(attempt), begun(attempt), lost, absent]


def test_a_history_that_counted_a_copy_before_it_was_one_still_folds() -> None:
    """Written when a try that reappeared beside a call under way was a copy at once: the second try is the latest."""
    story = opened()
    story.tell(*uncertain_and_given_up(1), reserved(2), begun(2))
    story.tell(decode_event('{"type":"AttemptReappeared","at":"2026-04-02T08:00:00Z","attempt":1,"by":"twilio"}'))
    story.tell(*uncertain_and_given_up(2)[2:])
    (send,) = story.case.runs[0].sends
    assert (send.attempt, send.status, send.copies, send.given_up) == (2, "unavailable", 1, (2,))


def test_what_was_said_of_another_try_is_not_said_of_the_one_that_reappeared() -> None:
    """The second was taken and bounced softly; then the first turns up, at the provider that was called for it."""
    story = opened()
    story.tell(*uncertain_and_given_up(1), reserved(2), begun(2), AttemptAccepted(at=NOW, attempt=2))
    story.tell(events.ReceiptArrived(at=NOW, attempt=2, what="soft", provider="x", retry_at=NOW))
    story.tell(*reappearance(story.case, 1, story.history, at=NOW, provider_id="P-1", by="x"))
    (send,) = story.case.runs[0].sends
    assert (send.attempt, send.status, send.receipt, send.provider, send.copies) == (1, "accepted", "", "outbox", 0)


def test_a_try_that_was_found_in_place_of_another_is_no_copy_of_itself() -> None:
    """The store had lost it, and the second try found it in the list; its receipt names it by its own number."""
    story = opened()
    story.tell(*uncertain_and_given_up(1), reserved(2))
    story.tell(events.AttemptFound(at=NOW, attempt=2, provider="outbox", provider_id="P-1"))
    assert reappearance(story.case, 1, story.history, at=NOW, provider_id="P-1", by="x") == []
    assert reappearance(story.case, 1, story.history, at=NOW, provider_id="P-2", by="x") != []


def test_a_mark_that_came_with_the_beginning_lasts_until_one_is_taken() -> None:
    """What left unasked after a failover may be a copy, and so may the try after it made in its place."""
    story = opened()
    first = replace(begun(1), possible_copy=True)
    down = events.AttemptUnavailable(at=NOW, attempt=1, why="down", code="429", retry_at=NOW)
    story.tell(reserved(1), first, down, reserved(2))
    (send,) = story.case.runs[0].sends
    assert send.possible_copy
    story.tell(begun(2), AttemptAccepted(at=NOW, attempt=2))
    (send,) = story.case.runs[0].sends
    assert not send.possible_copy
