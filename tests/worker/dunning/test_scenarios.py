"""Whole ladders, told with their dates. The dates were worked out by hand from the calendar of 2026."""

import pytest

from tests.worker.dunning.builders import B2B, B2C, COMPANY, PARIS, Story, at, invoice, table, without
from worker.calendar import calendar_for

SILENT_COMPANY = """
2026-03-24 courtesy email
2026-04-01 first_reminder email
2026-04-07 sms_reminder sms
2026-04-10 call voice
2026-04-15 second_reminder email sms task
2026-04-20 second_call voice
2026-04-23 human_call task
2026-04-27 formal_notice email task
2026-05-11 last_word email task
2026-05-19 handover handed over
"""  # 5 April is Easter Sunday: the SMS waits for Tuesday, the call for the gap; 25 April is a Saturday; 8 May is off

SQUEEZED_COMPANY = """
2026-04-23 courtesy email
2026-05-04 first_reminder email
2026-05-07 sms_reminder sms
2026-05-11 call voice
2026-05-15 second_reminder email sms task
2026-05-20 second_call voice
2026-05-26 human_call task
2026-05-28 formal_notice email task
2026-06-10 last_word email task
2026-06-16 handover handed over
"""  # 1 May, 14 May and 25 May are holidays; the second reminder's deadline moves from the 23rd to the 26th

SILENT_CONSUMER = """
2026-03-26 courtesy email
2026-04-03 first_reminder email
2026-04-10 sms_reminder sms
2026-04-17 second_reminder email
2026-04-24 call voice
2026-05-04 formal_notice email task
2026-06-01 handover handed over
"""

CONSUMER = without(COMPANY, kind="consumer", name="Personne Exemple")


def lines(text: str) -> list[str]:
    """The lines of a table."""
    return text.strip().splitlines()


def climbed(story: Story, *approvals: tuple[str, str]) -> list[str]:
    """What a debtor who never answers received, with (day, step) approvals; printed for the reader of a failure."""
    for on, name in approvals:
        story.until(on).approve(name)
    found = table(story.until("2026-09-01").sent)
    print("\n".join(found))  # noqa: T201
    return found


def test_a_silent_company_climbs_from_courtesy_to_the_lawyer() -> None:
    """Due on 31 March 2026, over Easter: every step on its day, the SMS and the call moved by holidays and the gap."""
    story = Story(B2B, at("2026-03-02")).open(invoice("F1", "2026-03-31", "1234.56"))
    assert climbed(story, ("2026-04-27", "formal_notice"), ("2026-05-19", "handover")) == lines(SILENT_COMPANY)
    assert story.case.ended
    assert story.case.ended.reason == "handed_over"


def test_the_holidays_of_may_squeeze_the_steps_but_never_below_the_gap() -> None:
    """Due on 30 April 2026: D+1 falls on 4 May, D+5 on 5 May; three days are kept, and deadlines avoid holidays."""
    story = Story(B2B, at("2026-04-01")).open(invoice("F1", "2026-04-30", "1234.56"))
    assert climbed(story, ("2026-05-28", "formal_notice"), ("2026-06-16", "handover")) == lines(SQUEEZED_COMPANY)
    deadlines = {run.step: run.deadline.isoformat() for run in story.case.runs if run.deadline}
    assert deadlines == {
        "first_reminder": "2026-05-11",
        "sms_reminder": "2026-05-11",  # recalled
        "call": "2026-05-15",  # that day has come, so three more for the bank, Ascension not counted
        "second_reminder": "2026-05-26",
        "second_call": "2026-05-26",
        "formal_notice": "2026-06-05",
        "last_word": "2026-06-15",
    }


def test_a_silent_consumer_is_chased_more_slowly_and_less() -> None:
    """Five messages and a call in two months; the handover never before day 60."""
    story = Story(B2C, at("2026-03-02"), debtor=CONSUMER).open(invoice("F1", "2026-03-31", "300"))
    assert climbed(story, ("2026-05-04", "formal_notice"), ("2026-06-01", "handover")) == lines(SILENT_CONSUMER)


def test_alsace_moselle_has_its_own_easter() -> None:
    """Good Friday is a holiday in the Bas-Rhin: a consumer there hears on Tuesday after Easter."""
    debtor = without(CONSUMER, subdivision="67")
    story = Story(B2C, at("2026-03-30"), debtor=debtor, calendar=calendar_for("FR", "67"))
    story.open(invoice("F1", "2026-03-31", "300")).until("2026-04-08")
    assert ("2026-04-07", "first_reminder", "email") in story.sent
    assert ("2026-04-03", "first_reminder", "email") not in story.sent


def test_who_pays_after_the_first_email_hears_nothing_more() -> None:
    """A payment ends the case, and months later nothing has been sent since."""
    story = Story(B2B, at("2026-03-02")).open(invoice("F1", "2026-03-31")).until("2026-04-02")
    story.pay("F1")
    assert table(story.until("2026-12-31").sent) == lines(SILENT_COMPANY)[:2]
    assert story.case.ended
    assert story.case.ended.reason == "paid"


def test_an_import_of_old_debts_starts_with_the_first_reminder_and_keeps_the_spacing() -> None:
    """Sixty days late on arrival: one step at a time, as far apart as on time, the notice after its deadline."""
    story = Story(B2B, at("2026-06-01")).open(invoice("F1", "2026-03-31", "1234.56"))
    assert climbed(story, ("2026-06-25", "formal_notice"), ("2026-07-31", "handover")) == [
        "2026-06-01 first_reminder email",
        "2026-06-05 sms_reminder sms",
        "2026-06-09 call voice",
        "2026-06-15 second_reminder email sms task",
        "2026-06-22 second_call voice",  # 20 June is a Saturday
        "2026-06-25 human_call task",
        "2026-06-29 formal_notice email task",
        "2026-07-10 last_word email task",
        "2026-07-31 handover handed over",
    ]


@pytest.mark.parametrize(
    ("zone", "country", "hour"),
    [(PARIS, "FR", "2026-07-15 07:00"), ("Indian/Reunion", "FR", "2026-07-15 05:00"),
     ("America/Martinique", "FR", "2026-07-15 13:00"), ("Pacific/Noumea", "FR", "2026-07-14 22:00")],
)  # fmt: skip
def test_nine_oclock_is_nine_oclock_where_the_debtor_lives(zone: str, country: str, hour: str) -> None:
    """On Bastille Day nothing leaves; the day after, the reminder does when offices open on the debtor's wall."""
    debtor = without(COMPANY, timezone=zone, country=country)
    story = Story(B2B, at("2026-07-14 12:00", zone), debtor=debtor).open(invoice("F1", "2026-07-13"))
    story.until("2026-07-17")
    run = story.case.run("first_reminder", "F1")
    assert run
    assert run.at == at(hour, "UTC")
