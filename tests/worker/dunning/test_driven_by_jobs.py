"""`driven_by: jobs`: upstream keeps the time, each of its jobs is worth one step; all other rules stand."""

from datetime import datetime, timedelta

from tests.worker.dunning.builders import COMPANY, Story, accepted, at, invoice, reason, step, strategy, table, without
from worker.dunning.decision import PlaceHold
from worker.dunning.events import AttemptRejected, AttemptUnavailable, DebtorChanged, Event, JobCredited
from worker.dunning.ladder import decide
from worker.dunning.model import StepRun

LADDER = strategy(
    step("courtesy", "due-7d"),
    step("first", "due+1d"),
    step("second", "due+5d", channels=("sms",)),
    step("notice", "due+25d", "previous_deadline+1d", approval=True),
    driven_by="jobs",
)


def job(story: Story, on: str) -> None:
    """A job arrives."""
    story.until(on).tell(JobCredited(at=story.now))
    story.until(on)


def late(on: str = "2026-04-02") -> Story:
    """A case opened by a job on the morning after its invoice was due."""
    return Story(LADDER, at(on)).open(invoice("F1", "2026-04-01"))


def test_each_job_is_worth_one_step_whatever_its_day() -> None:
    """Four steps long before their days, one for each job; without a job nothing happens, and `explain` says so."""
    story = Story(LADDER, at("2026-04-02")).open(invoice("F1", "2026-04-20")).until("2026-04-04")
    assert table(story.sent) == ["2026-04-02 courtesy email"]
    assert reason(story) == "held: no_job"
    job(story, "2026-04-21")
    job(story, "2026-04-24")
    assert table(story.until("2026-08-01").sent) == [
        "2026-04-02 courtesy email", "2026-04-21 first email", "2026-04-24 second sms"
    ]  # fmt: skip


def test_an_early_job_is_one_stored_credit_and_not_two() -> None:
    """Three jobs within the minimum gap: one more step, on the business day after the gap (6 April is a holiday)."""
    story = late()
    for on in ("2026-04-02 11:00", "2026-04-02 12:00", "2026-04-03 12:00"):
        job(story, on)
    assert reason(story) == "gap"
    assert table(story.until("2026-06-01").sent) == ["2026-04-02 first email", "2026-04-07 second sms"]
    assert reason(story) == "held: no_job"


def test_no_job_makes_a_claim_before_the_invoice_is_late() -> None:
    """A second job before the due date is kept until the day after it."""
    story = Story(LADDER, at("2026-04-02")).open(invoice("F1", "2026-04-14"))
    job(story, "2026-04-08")
    assert table(story.until("2026-04-20").sent) == ["2026-04-02 courtesy email", "2026-04-15 first email"]


def test_holds_and_pauses_stand() -> None:
    """A job under a dispute is stored, and spent when the dispute is over."""
    story = late()
    story.hold("dispute", "2026-04-20 00:00")
    job(story, "2026-04-10")
    assert story.sent == []
    assert table(story.until("2026-05-20").sent) == ["2026-04-20 first email"]


def test_approvals_stand() -> None:
    """The job for the notice waits for a person, and is not lost."""
    story = late()
    job(story, "2026-04-10")
    job(story, "2026-04-20")
    assert reason(story) == "held: approval_pending"
    story.approve("notice")
    assert table(story.until("2026-04-21").sent)[-1] == "2026-04-20 notice email"


def test_a_retry_needs_no_new_job() -> None:
    """The provider was away for an hour: the same step, on the same job."""
    story = late()
    story.answer = unavailable
    story.until("2026-04-02 10:30").answer = accepted
    assert table(story.until("2026-04-02 12:00").sent) == ["2026-04-02 first email"]
    assert reason(story) == "held: no_job"


def test_a_fallback_needs_no_new_job() -> None:
    """The email is refused, the SMS takes over; a new address after `unreachable` gets the step on its first job."""
    story = late()
    story.answer = no_email
    assert table(story.until("2026-04-03").sent) == ["2026-04-02 first sms"]
    lost = Story(LADDER, at("2026-04-02"), debtor=without(COMPANY, phone=None)).open(invoice("F1", "2026-04-01"))
    lost.answer = no_email
    lost.until("2026-04-10").answer = accepted
    assert reason(lost) == "held: unreachable"
    lost.tell(DebtorChanged(at=lost.now, debtor=without(COMPANY, email="neuf@example.com")))
    assert table(lost.until("2026-04-11").sent) == ["2026-04-10 first email"]


def test_courtesies_are_taken_in_their_order() -> None:
    """Two steps before the due date, two jobs: the first comes first."""
    ladder = strategy(step("early", "due-14d"), step("courtesy", "due-7d"), step("first", "due+1d"), driven_by="jobs")
    story = Story(ladder, at("2026-04-02")).open(invoice("F1", "2026-04-30"))
    job(story, "2026-04-08")
    assert table(story.sent) == ["2026-04-02 early email", "2026-04-08 courtesy email"]


def test_a_ladder_that_is_done_says_so_and_not_that_a_job_is_missing() -> None:
    """Another job finds no step: a person decides."""
    ladder = strategy(step("first", "due+1d"), driven_by="jobs")
    story = Story(ladder, at("2026-04-02")).open(invoice("F1", "2026-04-01"))
    job(story, "2026-04-10")
    found = decide(story.case, ladder, story.now, story.around)
    assert reason(story) == "held: ladder_done"
    assert not isinstance(found, PlaceHold)


def unavailable(run: StepRun, channel: str, attempt: int, now: datetime) -> Event | None:
    """The provider is away."""
    return AttemptUnavailable(at=now, attempt=attempt, why="down", code="503", retry_at=now + timedelta(hours=1))


def no_email(run: StepRun, channel: str, attempt: int, now: datetime) -> Event | None:
    """Mailboxes do not exist, phones do."""
    if channel == "email":
        return AttemptRejected(at=now, attempt=attempt, why="address", code="550")
    return accepted(run, channel, attempt, now)
