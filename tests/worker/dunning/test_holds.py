"""When a case is left alone, for how long, and how it goes on."""

import pytest

from tests.worker.dunning.builders import COMPANY, Story, after, at, invoice, reason, step, strategy, without
from worker.dunning.decision import Wait
from worker.dunning.events import DebtorChanged, HoldReleased
from worker.dunning.ladder import decide, may_send
from worker.dunning.model import StepRun
from worker.dunning.strategy import FOUND_BY_RULES, HOLDS, Step

LADDER = strategy(
    step("first", "due+1d", tone=1),
    step("second", "due+5d", tone=2),
    step("third", "due+9d", tone=3, deadline=8),
    step("notice", "due+25d", "previous_deadline+1d", tone=4, approval=True),
)


def steps(story: Story) -> list[str]:
    """What was sent, as `2026-04-01 first`."""
    return [f"{on} {name}" for on, name, _ in story.sent]


def begun(*dues: str) -> Story:
    """A case whose invoices F1, F2... are due on those days, on the morning after the first is."""
    story = Story(LADDER, at("2026-04-02"))
    return story.open(*(invoice(f"F{i}", due) for i, due in enumerate(dues, start=1)))


# ---- holds and their lapse


@pytest.mark.parametrize("why", sorted(set(HOLDS) - FOUND_BY_RULES))
def test_a_held_case_is_left_alone_until_somebody_lifts_it(why: str) -> None:
    """Whatever the reason: nothing is sent for months, `explain` names it, and the release brings the next step."""
    story = begun("2026-04-01")
    story.hold(why)
    story.until("2026-08-01")
    assert story.sent == []
    assert reason(story) == f"held: {why}"
    story.tell(HoldReleased(at=story.now))
    story.look()
    assert steps(story) == ["2026-08-01 first"]


def test_a_hold_with_a_date_lapses_by_itself() -> None:
    """The case is looked at the moment the hold is over, and goes on."""
    story = begun("2026-04-01")
    story.hold("already_paid", "2026-04-14 00:00")
    assert decide(story.case, LADDER, story.now, story.around) == Wait("held: already_paid", at("2026-04-14 00:00"), "")
    assert steps(story.until("2026-04-14")) == ["2026-04-14 first"]
    assert story.case.holds == ()


def test_after_a_long_hold_only_the_next_step_is_taken_and_the_spacing_is_kept() -> None:
    """Two months under dispute are not caught up with in a burst."""
    story = begun("2026-04-01")
    story.look()
    story.hold("dispute", "2026-06-01 00:00")
    assert steps(story.until("2026-06-10")) == ["2026-04-02 first", "2026-06-01 second", "2026-06-05 third"]


def test_the_longest_hold_counts() -> None:
    """A dispute without an end outlasts a promise; the promise is not broken meanwhile."""
    story = begun("2026-04-01")
    story.hold("promise", "2026-04-10")
    story.hold("dispute")
    story.until("2026-04-09")
    assert decide(story.case, LADDER, story.now, story.around) == Wait("held: dispute")
    story.tell(HoldReleased(at=story.now, reason="dispute"))
    assert decide(story.case, LADDER, story.now, story.around) == Wait("held: promise", at("2026-04-10"))


def test_a_reserved_message_does_not_leave_once_the_case_is_held() -> None:
    """The last look sees a hold that came after the reservation."""
    story = begun("2026-04-01")
    story.answer = lambda *_: None
    story.look()
    story.hold("dispute")
    run = story.case.run("first", "F1")
    assert run
    assert may_send(story.case, LADDER, run, "email", story.now, story.around) == "held: dispute"


# ---- one invoice of several


def test_a_held_invoice_is_neither_listed_nor_an_anchor() -> None:
    """The disputed part is left alone, the rest is chased."""
    story = begun("2026-04-01", "2026-04-01")
    story.hold("dispute", number="F1")
    story.look()
    assert [(run.anchor, run.covers) for run in story.case.runs] == [("F2", ("F2",))]


def test_a_case_whose_invoices_are_all_held_waits_for_the_first_to_be_free() -> None:
    """Two promises: looked at when the earlier ends."""
    story = begun("2026-04-01", "2026-04-01")
    story.hold("promise", "2026-04-20", number="F1")
    story.hold("dispute", number="F2")
    assert decide(story.case, LADDER, story.now, story.around) == Wait("held: dispute, promise", at("2026-04-20"))


def test_an_invoice_that_comes_free_is_looked_at_even_if_another_waits_for_later() -> None:
    """F2 waits for May; the promise for F1 ends in April, and F1 is chased from that day."""
    story = begun("2026-04-01", "2026-05-20")
    story.hold("promise", "2026-04-20 00:00", number="F1")
    assert steps(story.until("2026-04-20")) == ["2026-04-20 first"]


def test_a_hold_of_the_rules_does_not_outlast_what_caused_it() -> None:
    """Only 5 of 1005 may be chased: below the minimum. When the promise for the rest ends, the case goes on."""
    ladder = strategy(*LADDER.steps, min_amount=10)
    story = Story(ladder, at("2026-04-02")).open(invoice("F1", "2026-04-01"), invoice("F2", "2026-04-01", "5"))
    story.hold("promise", "2026-04-20 00:00", number="F1")
    story.until("2026-04-10")
    assert reason(story) == "held: below_minimum"
    assert steps(story.until("2026-04-20")) == ["2026-04-20 first"]


# ---- promises and payments


def test_a_broken_promise_makes_the_next_step_firmer_once() -> None:
    """Promised until the 10th, unpaid: the step after the one held, one tone up; the one after it is as written."""
    story = begun("2026-04-01")
    story.look()
    story.hold("promise", "2026-04-10 00:00")
    story.until("2026-04-16")
    assert [(run.step, run.firmer) for run in story.case.runs] == [("first", False), ("second", True), ("third", False)]


def test_a_kept_promise_makes_nothing_firmer() -> None:
    """F1 was promised and paid in time; what is left is chased as if nothing had been promised."""
    story = begun("2026-04-01", "2026-04-01")
    story.look()
    story.hold("promise", "2026-04-10 00:00", number="F1")
    story.now = at("2026-04-03")
    story.pay("F1")
    story.until("2026-04-12")
    assert story.case.holds == ()
    assert [run.anchor for run in story.case.runs[1:]] == ["F2", "F2"]
    assert not [run.step for run in story.case.runs if run.firmer]


def test_a_lifted_promise_is_not_broken() -> None:
    """Released before its date: nothing was broken."""
    story = begun("2026-04-01")
    story.hold("promise", "2026-04-10")
    story.tell(HoldReleased(at=story.now, reason="promise"))
    story.look()
    assert not story.case.runs[0].firmer


def test_a_partial_payment_leaves_the_stage_where_it_is() -> None:
    """Three business days of silence, then the next step for the rest."""
    story = begun("2026-04-01")
    story.look()
    story.now = at("2026-04-03")
    story.pay("F1", "400")
    story.hold("partial_payment", "2026-04-09 00:00")
    assert steps(story.until("2026-04-09")) == ["2026-04-02 first", "2026-04-09 second"]
    assert story.claim("F1").outstanding == 600


def test_a_payment_that_comes_back_revives_the_debt() -> None:
    """A bounced cheque: the invoice is owed again, and the ladder goes on behind the step that was taken."""
    story = begun("2026-04-01", "2026-05-01")
    story.look()
    story.pay("F1")
    story.until("2026-04-20").bounce("F1", "1000")
    story.look()
    assert steps(story)[-1] == "2026-04-20 second"


def test_a_payment_ends_the_case_whatever_holds_it() -> None:
    """Paid while disputed, or while below the minimum: the end."""
    story = begun("2026-04-01")
    story.hold("dispute")
    story.pay("F1")
    story.look()
    assert reason(story) == "ended"


# ---- approvals


def waiting_for_approval(*more: str) -> Story:
    """A case at the formal notice of F1, for which somebody is asked."""
    story = begun("2026-04-01", *more).until("2026-05-04")
    assert reason(story) == "held: approval_pending"
    return story


def test_a_step_that_needs_approval_waits_for_it_and_says_who_gave_it() -> None:
    """Nothing goes out for weeks; with the approval it goes at once, and the history names the person."""
    story = waiting_for_approval()
    assert len(steps(story.until("2026-06-01"))) == 3
    story.approve("notice", "Service comptabilité")
    assert ("notice", "Service comptabilité") in story.case.approved
    story.look()
    assert steps(story)[-1] == "2026-06-01 notice"
    assert story.case.approved == ()


def test_an_approval_may_be_given_before_it_is_asked_for() -> None:
    """Then nobody is asked."""
    story = begun("2026-04-01").until("2026-04-20")
    story.approve("notice")
    assert steps(story.until("2026-05-20"))[-1] == "2026-04-27 notice"


@pytest.mark.parametrize("how", ["paid", "stated", "held"])
def test_an_approval_does_not_carry_over_to_another_claim(how: str) -> None:
    """Approved for F1; F1 is paid, settled by upstream's word or disputed; for F2 a person is asked again."""
    story = begun("2026-04-01", "2026-04-03").until("2026-04-20")
    story.approve("notice")
    if how == "paid":
        story.pay("F1")
    elif how == "stated":
        story.state(invoice("F1", "2026-04-01", "0", as_of="2026-04-20"))
    else:
        story.hold("dispute", number="F1")
    story.until("2026-07-01")
    assert reason(story) == "held: approval_pending"
    assert not [run for run in story.case.runs if run.step == "notice"]


def test_nobody_is_asked_any_longer_for_a_step_that_is_no_longer_next() -> None:
    """F1 is paid while its notice waits for approval: F2, two days late, starts its own ladder, and is not silent."""
    story = waiting_for_approval("2026-05-02")
    story.pay("F1")
    story.until("2026-05-05")
    assert steps(story)[-1] == "2026-05-04 first"
    assert story.case.holds == ()


def test_a_renamed_step_asks_nobody() -> None:
    """The configuration changed under a pending approval: the case goes on under the new one."""
    story = waiting_for_approval()
    story.strategy = strategy(*LADDER.steps[:3], step("last", "due+30d"))
    assert steps(story.until("2026-05-10"))[-1] == "2026-05-04 last"


# ---- addresses


def test_a_case_without_any_address_is_held_until_one_arrives() -> None:
    """No email, no phone: unreachable; a new address lifts it, and the step is taken."""
    story = Story(LADDER, at("2026-04-02"), debtor=without(COMPANY, email=None, phone=None))
    story.open(invoice("F1", "2026-04-01")).until("2026-04-10")
    assert reason(story) == "held: unreachable"
    story.tell(DebtorChanged(at=story.now, debtor=COMPANY))
    story.look()
    assert steps(story) == ["2026-04-10 first"]


def test_an_address_that_no_step_falls_back_to_lifts_the_hold_as_well() -> None:
    """A ladder of SMS alone that names no fallback: a phone number is enough to go on, an email address is not."""
    ladder = strategy(step("first", "due+1d", channels=("sms",)), fallback=())
    story = Story(ladder, at("2026-04-02"), debtor=without(COMPANY, email=None, phone=None))
    story.open(invoice("F1", "2026-04-01")).until("2026-04-10")
    assert reason(story) == "held: unreachable"
    story.tell(DebtorChanged(at=story.now, debtor=without(COMPANY, phone=None)))
    story.look()
    assert reason(story) == "held: unreachable"
    story.tell(DebtorChanged(at=story.now, debtor=COMPANY))
    story.look()
    assert story.sent == [("2026-04-10", "first", "sms")]


def test_an_unreachable_step_that_is_no_longer_next_holds_nobody() -> None:
    """F1 waits for a phone number; it is paid, and F2's next step is a letter, which needs none."""
    ladder = strategy(
        step("first", "due+1d", channels=("sms",)), step("letter", "due+5d", channels=("task",)), fallback=()
    )
    by_hand = StepRun(step="first", anchor="F2", at=at("2026-04-02"), covers=("F2",), by_hand=True)
    story = Story(ladder, at("2026-04-08"), debtor=without(COMPANY, phone=None))
    story.open(invoice("F1", "2026-03-30"), invoice("F2", "2026-04-01"), ran=(by_hand,)).until("2026-04-09")
    assert reason(story) == "held: unreachable"
    story.pay("F1")
    assert story.until("2026-04-10").sent == [("2026-04-09", "letter", "task")]


# ---- pauses


@pytest.mark.parametrize("scope", ["all", "creditor", "strategy:test", "channel:email"])
def test_under_the_stop_button_nothing_goes_out(scope: str) -> None:
    """Everything, a creditor, a strategy or a channel: looked at again soon, and on `resume` only one step is taken."""
    story = begun("2026-04-01")
    story.paused.add(scope)
    story.look()
    assert story.sent == []
    assert story.wait
    assert story.wait.until
    assert reason(story).startswith("paused: ")
    story.paused.clear()
    story.now = at("2026-04-20")
    story.look()
    assert steps(story.until("2026-04-21")) == ["2026-04-20 first"]


def test_a_paused_channel_does_not_stop_the_others_of_a_step() -> None:
    """The email of the second reminder leaves; its SMS follows when the channel is free again."""
    ladder = strategy(step("first", "due+1d", channels=("email", "sms")))
    story = Story(ladder, at("2026-04-02")).open(invoice("F1", "2026-04-01"))
    story.paused.add("channel:sms")
    story.until("2026-04-02 11:00")
    assert story.sent == [("2026-04-02", "first", "email")]
    story.paused.clear()
    story.until("2026-04-02 12:00")
    assert story.sent[1:] == [("2026-04-02", "first", "sms")]


def test_a_pause_of_another_channel_is_none() -> None:
    """Calls are paused; the email goes."""
    story = begun("2026-04-01")
    story.paused.add("channel:voice")
    story.look()
    assert steps(story) == ["2026-04-02 first"]


def test_while_nobody_tells_of_payments_nothing_is_claimed() -> None:
    """No step after the due date: no message, no task, no request for approval, no handover; then each in its turn."""
    ladder = strategy(
        step("first", "due+1d", channels=("email", "task")),
        Step(name="handover", when=after("due+3d"), handover="lawyer"),
    )
    story = Story(ladder, at("2026-04-02")).open(invoice("F1", "2026-04-01"))
    story.paused.add("feed")
    story.until("2026-04-03")
    assert (story.sent, reason(story)) == ([], "paused: feed")
    story.paused.clear()
    story.until("2026-04-03 11:00")
    story.paused.add("feed")
    story.until("2026-04-20")
    assert ({name for _, name, _ in story.sent}, story.case.ended) == ({"first"}, None)
    story.paused.clear()
    story.until("2026-04-20 11:00")
    assert story.sent[-1] == ("2026-04-20", "handover", "handed over")


def test_while_nobody_tells_of_payments_a_claim_half_said_waits() -> None:
    """Its email had gone; the SMS, which was to follow, does not until the feed is back."""
    ladder = strategy(step("first", "due+1d", channels=("email", "sms")))
    story = Story(ladder, at("2026-04-02")).open(invoice("F1", "2026-04-01"))
    story.paused.add("channel:sms")
    story.until("2026-04-02 11:00")
    story.paused = {"feed"}
    story.until("2026-04-05")
    assert (reason(story), len(story.sent)) == ("paused: feed", 1)
    story.paused.clear()
    story.until("2026-04-05 11:00")
    assert story.sent[1:] == [("2026-04-05", "first", "sms")]


def test_while_nobody_tells_of_payments_courtesies_and_errands_go() -> None:
    """They claim nothing: the word before the due date, though a claim of the case waits, and what was asked for."""
    ladder = strategy(step("courtesy", "due-7d"), step("first", "due+1d"))
    story = Story(ladder, at("2026-04-02"))
    story.open(invoice("F1", "2026-04-01"), invoice("F2", "2026-04-08"))
    story.paused.add("feed")
    story.until("2026-04-02 11:00")
    assert steps(story) == ["2026-04-02 courtesy"]
    story.say("link")
    story.until("2026-04-02 12:00")
    assert steps(story)[1:] == ["2026-04-02 @link"]


def test_a_reserved_claim_may_not_leave_while_nobody_tells_of_payments() -> None:
    """The last look knows the difference too."""
    ladder = strategy(step("courtesy", "due-7d"), step("first", "due+1d"))
    for due, may_not in (("2026-04-01", "paused"), ("2026-04-08", None)):
        story = Story(ladder, at("2026-04-02"), answer=lambda *_: None).open(invoice("F1", due))
        story.look()
        (run,) = story.case.runs
        story.paused.add("feed")
        assert may_send(story.case, ladder, run, "email", story.now, story.around) == may_not
