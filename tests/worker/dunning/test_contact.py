"""Through which channel, in which hours, how often; and what is tried when a channel refuses."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from tests.worker.dunning.builders import (
    ALWAYS,
    B2B,
    B2C,
    COMPANY,
    FRANCE,
    PARIS,
    Answer,
    Story,
    accepted,
    at,
    invoice,
    reason,
    step,
    strategy,
    table,
    utc,
    without,
)
from worker.dunning.contact import Contact, gap_ends, next_open
from worker.dunning.decision import Remind, Wait
from worker.dunning.events import AttemptRejected, AttemptUnavailable, AttemptUncertain, DebtorChanged, Event
from worker.dunning.ladder import decide, may_send
from worker.dunning.model import Case, StepRun
from worker.dunning.strategy import ContactRules, Window

LADDER = strategy(
    step("first", "due+1d", channels=("email",), tone=1),
    step("second", "due+5d", channels=("sms",), tone=2),
    step("third", "due+15d", channels=("email", "sms"), tone=3),
)

#: What happens to messages on a channel, other than being accepted.
Outcome = Callable[[int, datetime], Event | None]


def on(**channels: Outcome) -> Answer:
    """Those channels answer so, all others accept."""

    def answer(run: StepRun, channel: str, attempt: int, now: datetime) -> Event | None:
        return channels[channel](attempt, now) if channel in channels else accepted(run, channel, attempt, now)

    return answer


def refused(attempt: int, now: datetime) -> Event | None:
    """The address does not exist."""
    return AttemptRejected(at=now, attempt=attempt, why="address", code="550")


def down(attempt: int, now: datetime) -> Event | None:
    """The provider is away; again in five minutes."""
    return AttemptUnavailable(at=now, attempt=attempt, why="down", code="503", retry_at=now + timedelta(minutes=5))


def uncertain(attempt: int, now: datetime) -> Event | None:
    """The line broke."""
    return AttemptUncertain(at=now, attempt=attempt, code="timeout")


def late() -> Story:
    """A case on the morning after its due date."""
    return Story(LADDER, at("2026-04-02")).open(invoice("F1", "2026-04-01"))


# ---- hours


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-04-24 09:30", "2026-04-24 10:00"),
        ("2026-04-24 13:00", "2026-04-24 14:00"),
        ("2026-04-24 20:00", "2026-04-27 10:00"),
        ("2026-04-30 20:00", "2026-05-04 10:00"),  # over Labour Day and a weekend
    ],
)
def test_a_consumer_is_called_in_the_hours_for_calls_only(now: str, opens: str) -> None:
    """10 to 13 and 14 to 20, Monday to Friday, no holidays; emails have their own, wider hours."""
    story = Story(B2C, at(now)).open(
        invoice("F1", "2026-03-31"),
        ran=(StepRun(step="second_reminder", anchor="F1", at=at("2026-04-17"), by_hand=True),),
    )
    assert decide(story.case, B2C, story.now, story.around) == Wait("window", at(opens), "call")
    story.now = at(opens)
    assert isinstance(decide(story.case, B2C, story.now, story.around), Remind)


@pytest.mark.parametrize(("day", "zulu"), [("2026-03-27", "08:00"), ("2026-03-30", "07:00"), ("2026-10-26", "08:00")])
def test_nine_oclock_stays_nine_oclock_through_the_changes_of_clock(day: str, zulu: str) -> None:
    """The window opens by the debtor's wall, in winter and in summer."""
    story = Story(B2B, at(f"{day} 00:30")).open(invoice("F1", "2026-02-02" if day < "2026-06" else "2026-08-03"))
    assert decide(story.case, B2B, story.now, story.around) == Wait("window", utc(f"{day} {zulu}"), "first_reminder")


def test_a_day_is_the_debtors_day_and_not_ours() -> None:
    """Due on 31 March: late in Nouméa while it is still 31 March in Paris."""
    debtor = without(COMPANY, timezone="Pacific/Noumea")
    story = Story(LADDER, at("2026-03-31 16:00"), debtor=debtor).open(invoice("F1", "2026-03-31"))
    assert isinstance(decide(story.case, LADDER, story.now, story.around), Remind)
    assert reason(Story(LADDER, at("2026-03-31 16:00")).open(invoice("F1", "2026-03-31"))) == "not_due"


def test_a_message_that_was_late_for_its_window_does_not_leave() -> None:
    """Reserved at 17:59 and rendered at 18:00: the last look refuses."""
    story = Story(B2B, at("2026-04-01 17:59"), answer=on(email=lambda *_: None)).open(invoice("F1", "2026-03-31"))
    story.look()
    run = story.case.run("first_reminder", "F1")
    assert run
    assert may_send(story.case, B2B, run, "email", story.now, story.around) is None
    late = may_send(story.case, B2B, run, "email", at("2026-04-01 18:00"), story.around)
    assert late == "outside of the contact window"


def test_each_channel_of_a_step_keeps_its_own_hours() -> None:
    """The email leaves at six in the evening, the SMS of the same step in the morning."""
    day_hours = Window(ALWAYS.weekdays, ((at("2026-04-02 09:00").time(), at("2026-04-02 17:00").time()),))
    ladder = strategy(step("first", "due+1d", channels=("email", "sms")), windows={"sms": day_hours})
    story = Story(ladder, at("2026-04-02 18:00")).open(invoice("F1", "2026-04-01")).until("2026-04-03 10:00")
    assert story.sent == [("2026-04-02", "first", "email"), ("2026-04-03", "first", "sms")]
    assert len(story.case.runs) == 1


def test_the_second_two_oclock_of_autumn_is_not_before_the_first() -> None:
    """Hours that open inside the hour that is lived twice never open in the past."""
    night = Window(ALWAYS.weekdays, ((at("2026-01-01 02:30").time(), at("2026-01-01 04:00").time()),), holidays=True)
    now = utc("2026-10-25 01:15")  # 02:15 for the second time
    assert next_open(now, night, PARIS, FRANCE) >= now


# ---- gaps and caps


def test_the_minimum_gap_counts_contacts_of_all_the_debtors_cases() -> None:
    """Another case reached them yesterday: three days pass, and `explain` says why."""
    story = late()
    story.contacts.append(Contact(at("2026-04-01 15:00"), "sms", "demo-2|first|F9"))
    assert decide(story.case, LADDER, story.now, story.around) == Wait("gap", at("2026-04-04 00:00"), "first")
    assert table(story.until("2026-04-04").sent) == ["2026-04-04 first email"]


def test_a_gap_is_counted_in_the_debtors_days() -> None:
    """A call at noon on the 1st, three days: from midnight of the 4th."""
    rules = ContactRules(window=ALWAYS, min_gap_days=3)
    assert gap_ends([Contact(at("2026-04-01 12:00"), "voice", "r")], "", rules, PARIS) == at("2026-04-04 00:00")
    assert gap_ends([], "", rules, PARIS) is None
    assert gap_ends([Contact(at("2026-04-01 12:00"), "voice", "r")], "r", rules, PARIS) is None


def test_the_channels_of_one_step_need_no_gap_between_them() -> None:
    """Email and SMS of the third step leave together."""
    story = late().until("2026-04-20")
    assert [line for line in table(story.sent) if "third" in line] == ["2026-04-16 third email sms"]


def test_a_fifth_call_in_thirty_days_waits() -> None:
    """Calls of other cases count: four in June, the fifth from 1 July."""
    ladder = strategy(step("call", "due+1d", channels=("voice",)), caps={"voice": (4, 30)})
    story = Story(ladder, at("2026-06-25")).open(invoice("F1", "2026-06-20"))
    story.contacts += [Contact(at(f"2026-06-{on}"), "voice", f"demo-2|call|{on}") for on in ("01", "05", "10", "20")]
    assert decide(story.case, ladder, story.now, story.around) == Wait("window", at("2026-07-01 00:00"), "call")
    assert table(story.until("2026-07-01").sent) == ["2026-07-01 call voice"]


def test_cases_by_invoice_keep_the_gap_between_them() -> None:
    """`group_by: invoice`: two ladders for one debtor, and never two messages within three days."""
    ladder = strategy(*LADDER.steps, group_by="invoice")
    one = Story(ladder, at("2026-04-02")).open(invoice("F1", "2026-04-01"))
    two = Story(ladder, at("2026-04-02"), contacts=one.contacts).open(invoice("F2", "2026-04-01"))
    two.case = without_id(two)
    for story in (one, two):
        story.until("2026-04-02 10:00")
    assert (len(one.sent), len(two.sent)) == (1, 0)
    assert table(two.until("2026-04-05").sent) == ["2026-04-05 first email"]


def without_id(story: Story) -> Case:
    """The same case under another id."""
    return replace(story.case, id="demo-2")


# ---- a channel refuses


def test_a_refused_address_gives_the_step_to_the_next_channel_at_once() -> None:
    """The email bounces at the door: the SMS takes over in the same minute, without a gap."""
    story = late()
    story.answer = on(email=refused)
    story.until("2026-04-02 10:00")
    assert story.sent == [("2026-04-02", "first", "sms")]
    assert [(send.channel, send.status) for send in story.case.runs[0].sends] == [
        ("email", "rejected"), ("sms", "accepted")
    ]  # fmt: skip


def test_a_refused_address_is_not_tried_again_by_later_steps() -> None:
    """The third step goes by SMS alone, and each step is taken once."""
    story = late()
    story.answer = on(email=refused)
    assert table(story.until("2026-05-01").sent) == [
        "2026-04-02 first sms", "2026-04-07 second sms", "2026-04-16 third sms"
    ]  # fmt: skip


def test_a_new_address_does_not_repeat_what_another_channel_said_in_its_place() -> None:
    """The SMS took the email's place; the day after, upstream knows a better mailbox: that is for the next step."""
    story = late()
    story.answer = on(email=refused)
    story.until("2026-04-03").answer = accepted
    story.tell(DebtorChanged(at=story.now, debtor=without(COMPANY, email="neuf@example.com")))
    assert table(story.until("2026-04-05").sent) == ["2026-04-02 first sms"]


def test_when_no_channel_can_reach_the_case_is_held_until_an_address_changes() -> None:
    """Email, SMS and call refused: `unreachable`; a new mailbox lifts it and gets the very step that failed."""
    story = late()
    story.answer = on(email=refused, sms=refused, voice=refused)
    story.until("2026-06-01").answer = accepted
    assert reason(story) == "held: unreachable"
    assert story.sent == []
    story.tell(DebtorChanged(at=story.now, debtor=without(COMPANY, email="neuf@example.com")))
    assert table(story.until("2026-06-02").sent) == ["2026-06-01 first email"]


def test_what_takes_days_to_leave_moves_the_ladder_with_it() -> None:
    """The first step reached nobody for two months: the others follow as far apart as ever, not at the shortest gap."""
    story = late()
    story.answer = on(email=refused, sms=refused, voice=refused)
    story.until("2026-06-01").answer = accepted
    story.tell(DebtorChanged(at=story.now, debtor=without(COMPANY, email="neuf@example.com", phone="+33199005678")))
    assert table(story.until("2026-07-01").sent) == [
        "2026-06-01 first email", "2026-06-05 second sms", "2026-06-15 third email sms"
    ]  # fmt: skip


def test_a_step_whose_channel_has_no_address_goes_by_the_next_that_can() -> None:
    """No phone: the SMS step goes by email."""
    story = Story(LADDER, at("2026-04-02"), debtor=without(COMPANY, phone=None)).open(invoice("F1", "2026-04-01"))
    assert table(story.until("2026-04-10").sent) == ["2026-04-02 first email", "2026-04-07 second email"]


def test_a_letter_alone_does_not_replace_the_message_it_goes_with() -> None:
    """No mailbox: the second reminder's letter goes with an SMS, and the formal notice's as well."""
    story = Story(B2B, at("2026-04-15"), debtor=without(COMPANY, email=None)).open(
        invoice("F1", "2026-03-31"), ran=(StepRun(step="call", anchor="F1", at=at("2026-04-10"), by_hand=True),)
    )
    story.until("2026-04-27").approve("formal_notice")
    found = table(story.until("2026-04-28").sent)
    assert found[0] == "2026-04-15 second_reminder sms task"
    assert found[-1] == "2026-04-27 formal_notice sms task"


@pytest.mark.parametrize(("email", "expected"), [("compta@example.com", "email"), (None, "sms")])
def test_first_of_takes_the_first_channel_that_can_reach(email: str | None, expected: str) -> None:
    """One channel and no more, in the order of the file."""
    ladder = strategy(step("first", "due+1d", channels=("email", "sms", "voice"), first=True))
    story = Story(ladder, at("2026-04-02"), debtor=without(COMPANY, email=email)).open(invoice("F1", "2026-04-01"))
    assert story.until("2026-04-03").sent == [("2026-04-02", "first", expected)]


# ---- a provider is away, or nobody knows


def test_an_unavailable_provider_is_tried_again_after_the_backoff_and_not_before() -> None:
    """The same message of the same step, five minutes later; no other step meanwhile."""
    story = late()
    story.answer = on(email=down)
    story.until("2026-04-02 10:03")
    assert decide(story.case, LADDER, story.now, story.around) == Wait("backoff", at("2026-04-02 10:05"), "first")
    story.answer = accepted
    assert table(story.until("2026-04-02 10:05").sent) == ["2026-04-02 first email"]
    assert story.case.runs[0].sends[0].tries == 2


def test_an_address_that_is_taken_away_meanwhile_is_not_tried_again() -> None:
    """The SMS provider is away; then there is no phone any more: the email takes over, and nothing goes in circles."""
    story = Story(LADDER, at("2026-04-06"), answer=on(sms=down)).open(
        invoice("F1", "2026-04-01"), ran=(StepRun(step="first", anchor="F1", at=at("2026-04-02"), by_hand=True),)
    )
    story.until("2026-04-07 10:00")
    story.tell(DebtorChanged(at=story.now, debtor=without(COMPANY, phone=None)))
    assert table(story.until("2026-04-07 10:10").sent) == ["2026-04-07 second email"]


def test_a_long_outage_ends_in_one_step_and_not_in_a_burst() -> None:
    """Away for three weeks: the first step leaves when the provider is back, the next one keeps its distance."""
    story = Story(strategy(*LADDER.steps), at("2026-04-02")).open(invoice("F1", "2026-04-01"))
    story.answer = on(email=lambda attempt, now: AttemptUnavailable(
        at=now, attempt=attempt, why="down", code="503", retry_at=now + timedelta(hours=12)
    ))  # fmt: skip
    story.until("2026-04-23").answer = accepted
    assert table(story.until("2026-05-20").sent) == [
        "2026-04-23 first email", "2026-04-27 second sms", "2026-05-07 third email sms"
    ]  # fmt: skip


def test_what_may_have_gone_is_never_sent_again() -> None:
    """Uncertain: the case stands still for months, with that name, until somebody settles it."""
    story = late()
    story.answer = on(email=uncertain)
    story.until("2026-08-01")
    assert reason(story) == "held: uncertain"
    assert story.case.attempts == 1
    story.tell(AttemptUnavailable(at=story.now, attempt=1, why="down", code="", retry_at=story.now, by="an operator"))
    story.answer = accepted
    assert table(story.until("2026-08-02").sent) == ["2026-08-01 first email"]


def test_a_payment_ends_even_a_case_whose_message_is_uncertain() -> None:
    """Nothing is owed: there is nothing to settle for the debtor's sake."""
    story = late()
    story.answer = on(email=uncertain)
    story.look()
    story.pay("F1")
    story.look()
    assert reason(story) == "ended"


# ---- the last look


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda story: story.pay("F1"), "nothing is owed"),
        (lambda story: story.hold("dispute"), "held: dispute"),
        (lambda story: story.hold("dispute", number="F1"), "nothing is owed"),
        (lambda story: story.paused.add("channel:email"), "paused"),
        (lambda story: story.paused.add("creditor"), "paused"),
        (
            lambda story: story.tell(DebtorChanged(at=story.now, debtor=without(COMPANY, email=None))),
            "the address cannot be used",
        ),
        (lambda story: story.state(invoice("F0", "2026-03-01")), "the invoice is no longer the one to chase"),
    ],
)
def test_the_last_look_refuses_what_is_no_longer_right(change: Callable[[Story], None], why: str) -> None:
    """Paid, held, paused, another address, another anchor: each between the reservation and the call."""
    story = late()
    story.answer = lambda *_: None
    story.look()
    run = story.case.run("first", "F1")
    assert run
    assert may_send(story.case, LADDER, run, "email", story.now, story.around) is None
    change(story)
    assert may_send(story.case, LADDER, run, "email", story.now, story.around) == why
