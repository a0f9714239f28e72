"""Which step is next, for which invoice, and what it lists."""

import pytest

from tests.worker.dunning.builders import (
    B2B,
    COMPANY,
    Story,
    accepted,
    at,
    invoice,
    reason,
    step,
    strategy,
    table,
    without,
)
from worker.dunning.decision import End, HandOver, PlaceHold, Remind, Skip, Wait
from worker.dunning.events import AttemptUnavailable, HoldReleased
from worker.dunning.ladder import decide
from worker.dunning.model import Case, StepRun
from worker.dunning.view import lines

FOUR = strategy(
    step("first", "due+1d", deadline=7, tone=1),
    step("second", "due+5d", tone=2),
    step("third", "due+15d", deadline=8, tone=3),
    step("notice", "due+25d", "previous_deadline+1d", deadline=8, tone=4),
)


def steps(story: Story) -> list[str]:
    """What was sent, as `2026-04-01 first`."""
    return [f"{on} {name}" for on, name, _ in story.sent]


def run(name: str, anchor: str, on: str, *covers: str) -> StepRun:
    """A step that people had taken by hand."""
    return StepRun(step=name, anchor=anchor, at=at(on), covers=covers or (anchor,), by_hand=True)


def anchors(case: Case) -> list[str]:
    """What was sent, as `first F1 (F1 F2)`."""
    return [f"{run.step} {run.anchor} ({' '.join(run.covers)})" for run in case.runs]


# ---- the anchor and what a message lists


def test_the_oldest_unpaid_invoice_is_the_anchor_and_every_overdue_one_is_listed() -> None:
    """One message, anchored on the oldest, lists all that are overdue and nothing that is not."""
    story = Story(FOUR, at("2026-04-10"))
    story.open(invoice("F2", "2026-04-05"), invoice("F1", "2026-04-02"), invoice("F3", "2026-04-10")).look()
    assert anchors(story.case) == ["first F1 (F1 F2)"]


def test_a_credit_note_lowers_the_total_and_is_never_an_anchor() -> None:
    """Even if it is the oldest of all; the message lists it behind the invoices."""
    story = Story(FOUR, at("2026-04-10"))
    story.open(invoice("A1", "2026-01-01", "300", kind="credit_note"), invoice("F1", "2026-04-02")).look()
    assert anchors(story.case) == ["first F1 (F1)"]
    assert story.case.owed() == 700
    listed = lines(story.case, FOUR.steps[0], "F1", story.today)
    assert [item.number for item in listed] == ["F1", "A1"]


def test_nothing_is_claimed_while_credit_notes_outweigh_what_is_overdue() -> None:
    """100 are overdue, 150 credited, 500 due later: no claim before the 500 are late; then for the oldest."""
    story = Story(FOUR, at("2026-04-10"))
    story.open(
        invoice("F1", "2026-04-02", "100"),
        invoice("F2", "2026-04-20", "500"),
        invoice("A1", "2026-04-02", "150", kind="credit_note"),
    )
    story.until("2026-04-20")
    assert story.sent == []
    assert steps(story.until("2026-04-21")) == ["2026-04-21 first"]
    assert anchors(story.case) == ["first F1 (F1 F2)"]


@pytest.mark.parametrize("overpaid", [True, False])
def test_a_case_ends_when_nothing_is_owed(overpaid: bool) -> None:
    """Paid, or credited in full: the end, with its reason."""
    story = Story(FOUR, at("2026-04-10")).open(invoice("F1", "2026-04-02", "100"))
    if overpaid:
        story.pay("F1", "120")
    else:
        story.state(invoice("A1", "2026-04-02", "100", kind="credit_note"))
    assert decide(story.case, FOUR, story.now, story.around) == End("paid" if overpaid else "credited")
    story.look()
    assert reason(story) == "ended"


# ---- before the due date


def test_a_courtesy_belongs_to_each_invoice_and_not_to_the_anchor() -> None:
    """While an old invoice climbs, each younger one gets its own courtesy before it is due."""
    story = Story(B2B, at("2026-04-01")).open(invoice("F1", "2026-03-31"), invoice("F2", "2026-04-20"))
    story.until("2026-04-17")
    assert ("2026-04-13", "courtesy", "email") in story.sent
    assert anchors(story.case)[-3:] == ["call F1 (F1)", "courtesy F2 (F2)", "second_reminder F1 (F1)"]


def test_a_courtesy_lists_what_has_the_same_day_and_nothing_overdue() -> None:
    """Two invoices due the same week share one courtesy; the overdue one is none of its business."""
    ladder = strategy(step("courtesy", "due-7d"), *FOUR.steps)
    story = Story(ladder, at("2026-04-13"))
    story.open(invoice("F1", "2026-04-17"), invoice("F2", "2026-04-20"), invoice("F3", "2026-05-10")).look()
    assert anchors(story.case) == ["courtesy F1 (F1 F2)"]
    story.until("2026-05-01")
    assert anchors(story.case)[-1] == "courtesy F3 (F3)"


def test_each_courtesy_of_a_ladder_is_sent_once_on_its_day() -> None:
    """Two steps before the due date: both are taken, in order, each on its own day."""
    ladder = strategy(step("early", "due-14d"), step("courtesy", "due-7d"), *FOUR.steps)
    story = Story(ladder, at("2026-04-01")).open(invoice("F1", "2026-04-30")).until("2026-04-30")
    assert steps(story) == ["2026-04-16 early", "2026-04-23 courtesy"]


def test_of_several_courtesies_whose_day_has_come_only_the_last_is_sent() -> None:
    """A late start four days before the due date sends one courtesy, not two."""
    ladder = strategy(step("early", "due-14d"), step("courtesy", "due-7d"), *FOUR.steps)
    story = Story(ladder, at("2026-04-27")).open(invoice("F1", "2026-04-30")).until("2026-04-30")
    assert steps(story) == ["2026-04-27 courtesy"]


def test_a_courtesy_shifts_backward_and_a_claim_forward() -> None:
    """D-7 of 21 May is Ascension Day: the day before; D+1 of 30 April is a holiday before a weekend: Monday."""
    ladder = strategy(step("courtesy", "due-7d"), *FOUR.steps)
    story = Story(ladder, at("2026-05-01")).open(invoice("F1", "2026-05-21")).until("2026-05-20")
    assert steps(story) == ["2026-05-13 courtesy"]
    assert steps(Story(FOUR, at("2026-04-20")).open(invoice("F1", "2026-04-30")).until("2026-05-05")) == [
        "2026-05-04 first"
    ]


def test_a_courtesy_may_count_business_days() -> None:
    """Five business days before Monday 13 April, over Easter, are Friday the 3rd; three after it Thursday the 16th."""
    ladder = strategy(step("courtesy", "due-5bd"), step("first", "due+3bd"))
    story = Story(ladder, at("2026-04-01")).open(invoice("F1", "2026-04-13")).until("2026-04-17")
    assert steps(story) == ["2026-04-03 courtesy", "2026-04-16 first"]


def test_a_courtesy_that_can_no_longer_be_sent_in_time_is_dropped() -> None:
    """The job arrives on the Saturday on which the invoice is due: Monday would be too late for a courtesy."""
    story = Story(B2B, at("2026-05-30")).open(invoice("F1", "2026-05-30"))
    assert decide(story.case, B2B, story.now, story.around) == Wait("not_due", at("2026-06-01 09:00"), "first_reminder")
    story.until("2026-06-01")
    assert table(story.sent) == ["2026-06-01 first_reminder email"]


def test_no_claim_before_the_invoice_is_late() -> None:
    """A first step that follows a courtesy `previous + 0d` waits until the day after the due date all the same."""
    ladder = strategy(step("courtesy", "due-7d"), step("first", "previous+0d"))
    story = Story(ladder, at("2026-04-01")).open(invoice("F1", "2026-04-14")).until("2026-04-20")
    assert steps(story) == ["2026-04-07 courtesy", "2026-04-15 first"]


def test_a_claim_goes_before_a_courtesy_that_is_due_at_the_same_time() -> None:
    """Both could leave now: what is late comes first, and the courtesy keeps the gap."""
    ladder = strategy(step("courtesy", "due-7d"), *FOUR.steps)
    story = Story(ladder, at("2026-04-13")).open(invoice("F1", "2026-04-12"), invoice("F2", "2026-04-20"))
    assert steps(story.until("2026-04-16")) == ["2026-04-13 first", "2026-04-16 courtesy"]


@pytest.mark.parametrize(("due", "name"), [("2026-04-01", "first"), ("2026-04-16", "courtesy")])
def test_a_step_that_never_left_was_not_taken(due: str, name: str) -> None:
    """The provider was away, then F1 was disputed and F2 had the step; once free, F1 gets it too, not the next one."""
    ladder = strategy(step("courtesy", "due-7d"), *FOUR.steps)
    story = Story(ladder, at("2026-04-10")).open(invoice("F1", due))
    story.answer = lambda run, channel, attempt, now: AttemptUnavailable(
        at=now, attempt=attempt, why="down", code="503", retry_at=at("2026-04-10 12:00")
    )
    story.look()
    story.answer = accepted
    story.hold("dispute", number="F1")
    story.state(invoice("F2", due))
    story.until("2026-04-13").tell(HoldReleased(at=story.now, reason="dispute"))
    story.until("2026-04-14")
    assert [line.split(" (")[0] for line in anchors(story.case)] == [f"{name} F2", f"{name} F1"]


# ---- late starts and changes of anchor


def test_a_late_start_never_takes_two_steps_at_once_and_keeps_the_spacing() -> None:
    """Two months late on arrival: the first claim step, then as far apart as the ladder says."""
    story = Story(FOUR, at("2026-06-01")).open(invoice("F1", "2026-04-01")).until("2026-06-30")
    assert steps(story) == ["2026-06-01 first", "2026-06-05 second", "2026-06-15 third", "2026-06-25 notice"]


def test_people_may_have_brought_the_ladder_some_way_by_hand() -> None:
    """`history` of the second step: the third is next, on its day."""
    story = Story(FOUR, at("2026-04-08")).open(invoice("F1", "2026-04-01"), ran=(run("second", "F1", "2026-04-07"),))
    assert steps(story.until("2026-04-20")) == ["2026-04-16 third"]


def test_when_the_anchor_is_paid_the_next_oldest_takes_over_at_its_own_stage() -> None:
    """The old one stood at the third step; the new one is six days late, so it is at its second, and climbs on."""
    story = Story(FOUR, at("2026-04-02")).open(invoice("F1", "2026-04-01"), invoice("F2", "2026-04-14"))
    story.until("2026-04-20").pay("F1")
    story.until("2026-05-12")
    assert anchors(story.case)[2:] == ["third F1 (F1 F2)", "second F2 (F2)", "third F2 (F2)", "notice F2 (F2)"]
    assert steps(story)[3:] == ["2026-04-20 second", "2026-04-29 third", "2026-05-11 notice"]


def test_a_new_anchor_never_stands_above_the_old_one() -> None:
    """The old one had only the first step; the next is older than that, but continues behind it."""
    story = Story(FOUR, at("2026-06-01")).open(invoice("F1", "2026-04-01"), invoice("F2", "2026-04-02"))
    story.look()
    story.pay("F1")
    assert anchors(story.until("2026-06-05").case) == ["first F1 (F1 F2)", "second F2 (F2)"]


def test_a_change_of_anchor_keeps_the_minimum_gap() -> None:
    """The next invoice's own step would be due today, but the debtor heard from us yesterday."""
    story = Story(FOUR, at("2026-04-16")).open(
        invoice("F1", "2026-04-01"), invoice("F2", "2026-04-11"), ran=(run("second", "F1", "2026-04-07"),)
    )
    story.look()
    assert steps(story) == ["2026-04-16 third"]
    story.pay("F1")
    story.until("2026-04-17")
    assert steps(story) == ["2026-04-16 third"]


def test_a_new_anchor_that_was_never_listed_gets_the_step_it_stands_at() -> None:
    """It was held while the others climbed: it is told by its own stage's step, not by the one behind it."""
    story = Story(FOUR, at("2026-04-02")).open(invoice("F1", "2026-04-01"), invoice("F2", "2026-04-06"))
    story.hold("dispute", number="F2")
    story.until("2026-04-17").pay("F1")
    assert reason(story) == "held: dispute"
    story.tell(HoldReleased(at=story.now, reason="dispute"))
    assert steps(story.until("2026-04-20"))[-2:] == ["2026-04-16 third", "2026-04-19 second"]
    assert anchors(story.case)[-1] == "second F2 (F2)"


def test_a_message_counts_for_what_it_lists_only_as_far_as_its_age_went() -> None:
    """F2 was listed at the third step when two weeks late, and continues behind it once F1 is paid."""
    story = Story(FOUR, at("2026-04-20")).open(
        invoice("F1", "2026-04-01"), invoice("F2", "2026-04-03"), ran=(run("second", "F1", "2026-04-08"),)
    )
    story.look()
    assert anchors(story.case)[-1] == "third F1 (F1 F2)"
    story.pay("F1")
    assert anchors(story.until("2026-05-10").case)[-1] == "notice F2 (F2)"


def test_an_older_invoice_that_comes_to_light_does_not_send_the_younger_back_down() -> None:
    """F1 was listed up to the third step while an older one was the anchor; it goes on behind that."""
    story = Story(FOUR, at("2026-04-02")).open(invoice("F1", "2026-04-01")).until("2026-04-03")
    story.state(invoice("F0", "2026-03-01"))
    story.until("2026-04-24")
    assert anchors(story.case)[-1] == "third F0 (F0 F1)"
    story.pay("F0")
    story.until("2026-05-30")
    assert [line for line in anchors(story.case) if " F1 " in line] == ["first F1 (F1)", "notice F1 (F1)"]


def test_no_debtor_hears_of_an_invoice_by_a_formal_notice_first() -> None:
    """The old one was under notice when a forgotten one takes over: that gets the reminder with a deadline first."""
    story = Story(FOUR, at("2026-04-02")).open(invoice("F1", "2026-04-01"))
    story.until("2026-04-28")
    assert steps(story)[-1].endswith("notice")
    story.state(invoice("F2", "2026-04-02"))
    story.pay("F1")
    story.until("2026-05-20")
    assert anchors(story.case)[-2:] == ["third F2 (F2)", "notice F2 (F2)"]
    third = story.case.run("third", "F2")
    assert third
    assert str(third.deadline) == "2026-05-11"
    assert steps(story)[-1] == "2026-05-12 notice"


# ---- deadlines, amounts, the end


@pytest.mark.parametrize(
    ("due", "opens", "deadline"),
    [("2026-04-29", "2026-04-30", "2026-05-11"), ("2026-05-14", "2026-05-15", "2026-05-26")],
)
def test_a_deadline_never_falls_on_a_closed_day(due: str, opens: str, deadline: str) -> None:
    """Eight days from 30 April is 8 May, a holiday: Monday the 11th; from 15 May, Whit Sunday's eve: Tuesday."""
    ladder = strategy(step("first", "due+1d", deadline=8))
    story = Story(ladder, at(opens)).open(invoice("F1", due))
    story.look()
    assert [str(taken.deadline) for taken in story.case.runs] == [deadline]


def test_the_formal_notice_never_comes_before_the_day_after_the_last_deadline() -> None:
    """The third step's deadline would be Victory Day and moves to Monday: the notice waits for the day after it."""
    story = Story(FOUR, at("2026-04-26")).open(invoice("F1", "2026-04-15"), ran=(run("second", "F1", "2026-04-20"),))
    story.until("2026-05-01")
    taken = story.case.run("third", "F1")
    assert taken
    assert str(taken.deadline) == "2026-05-11"
    assert steps(story.until("2026-05-30"))[-1] == "2026-05-12 notice"


def test_a_step_that_needs_more_money_than_is_owed_is_skipped() -> None:
    """Nobody is called about 40 euros; the ladder goes on behind it."""
    ladder = strategy(step("first", "due+1d"), step("human_call", "due+5d", min_amount=100), step("last", "due+9d"))
    story = Story(ladder, at("2026-04-02")).open(invoice("F1", "2026-04-01", "40")).until("2026-04-30")
    assert table(story.sent) == [
        "2026-04-02 first email", "2026-04-07 human_call skipped", "2026-04-10 last email"
    ]  # fmt: skip


def test_a_skip_and_its_reason_are_said() -> None:
    """`explain` can print why a step was passed over."""
    ladder = strategy(step("human_call", "due+1d", min_amount=100))
    story = Story(ladder, at("2026-04-02")).open(invoice("F1", "2026-04-01", "40"))
    assert decide(story.case, ladder, story.now, story.around) == Skip(
        ladder.steps[0], "F1", "less than 100 EUR is owed"
    )


def test_below_the_minimum_nobody_is_chased_until_more_is_owed() -> None:
    """5 euros are a hold of its own name; with 20 more the ladder starts."""
    ladder = strategy(*FOUR.steps, min_amount=10)
    story = Story(ladder, at("2026-04-02")).open(invoice("F1", "2026-04-01", "5"))
    story.look()
    assert reason(story) == "held: below_minimum"
    story.state(invoice("F2", "2026-04-01", "20"))
    story.look()
    assert steps(story) == ["2026-04-02 first"]


def test_the_handover_is_last_sends_nothing_and_ends_the_case() -> None:
    """With its approval the case leaves the ladder for good."""
    ladder = strategy(
        step("first", "due+1d"), step("handover", "due+5d", channels=(), handover="lawyer", approval=True)
    )
    story = Story(ladder, at("2026-04-02")).open(invoice("F1", "2026-04-01")).until("2026-04-09")
    assert reason(story) == "held: approval_pending"
    story.approve("handover")
    assert isinstance(decide(story.case, ladder, story.now, story.around), HandOver)
    assert table(story.until("2026-04-10").sent)[-1] == "2026-04-09 handover handed over"
    assert reason(story) == "ended"


def test_a_ladder_without_a_handover_ends_in_a_hold_with_a_name() -> None:
    """No step is left: a person decides; a new invoice brings the case back to the ladder."""
    ladder = strategy(step("courtesy", "due-7d"), step("first", "due+1d"))
    story = Story(ladder, at("2026-04-02")).open(invoice("F1", "2026-04-01")).until("2026-04-10")
    assert reason(story) == "held: ladder_done"
    story.state(invoice("F2", "2026-05-20"))
    assert steps(story.until("2026-05-14")) == ["2026-04-02 first", "2026-05-13 courtesy"]


# ---- reasons


def test_while_a_message_is_on_its_way_nothing_is_decided() -> None:
    """Not even that the case is paid: first the outcome is known."""
    story = Story(FOUR, at("2026-04-02"), answer=lambda *_: None).open(invoice("F1", "2026-04-01"))
    story.look()
    story.pay("F1")
    assert decide(story.case, FOUR, story.now, story.around) == Wait("in_flight")


def test_every_wait_says_why_and_what_comes_next() -> None:
    """Not due, gap, window, back-off: the reasons are `explain`'s words."""
    story = Story(B2B, at("2026-03-31")).open(invoice("F1", "2026-03-31"))
    story.case = story.case.with_run(run("courtesy", "F1", "2026-03-24"))
    found = decide(story.case, B2B, story.now, story.around)
    assert found == Wait("not_due", at("2026-04-01 09:00"), "first_reminder")
    noon = decide(story.case, B2B, at("2026-04-01 12:30"), story.around)
    assert noon == Wait("window", at("2026-04-01 14:00"), "first_reminder")
    story.until("2026-04-04")
    assert reason(story) == "not_due"
    story.until("2026-04-07 11:00")
    assert decide(story.case, B2B, story.now, story.around) == Wait("gap", at("2026-04-10 09:00"), "call")


def test_a_reminder_says_what_it_needs_to_be_written() -> None:
    """The step, the anchor, what it lists, the date it asks payment by, and the channels of the whole run."""
    story = Story(B2B, at("2026-04-15"), debtor=without(COMPANY, phone=None)).open(
        invoice("F1", "2026-03-31"), ran=(run("call", "F1", "2026-04-09"),)
    )
    found = decide(story.case, B2B, story.now, story.around)
    assert isinstance(found, Remind)
    assert (found.step.name, found.anchor, found.covers, str(found.deadline)) == (
        "second_reminder", "F1", ("F1",), "2026-04-23"
    )  # fmt: skip
    assert found.channels == found.plan == ("email", "task")


def test_an_approval_hold_names_its_step() -> None:
    """Who is asked must know what for."""
    ladder = strategy(step("first", "due+1d", approval=True))
    story = Story(ladder, at("2026-04-02")).open(invoice("F1", "2026-04-01"))
    found = decide(story.case, ladder, story.now, story.around)
    assert isinstance(found, PlaceHold)
    assert (found.hold.reason, found.hold.note) == ("approval_pending", "first")


def test_an_invoice_already_claimed_gets_no_courtesy_when_its_date_is_moved() -> None:
    """Upstream moves the due date after the first reminder: what was asked for is not recalled politely afterwards."""
    ladder = strategy(step("courtesy", "due-7d"), step("first", "due+1d"), step("second", "due+5d"))
    story = Story(ladder, at("2026-04-01")).open(invoice("F1", "2026-03-31")).until("2026-04-02")
    story.state(invoice("F1", "2026-04-13"))
    assert table(story.until("2026-04-30").sent) == ["2026-04-01 first email", "2026-04-20 second email"]
