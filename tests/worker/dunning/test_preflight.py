"""No invoice is asked for that is wrong in substance, until it is corrected or somebody lets it pass."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.worker.dunning.builders import (
    B2B,
    B2C,
    COMPANY,
    Story,
    accepted,
    at,
    day,
    invoice,
    reason,
    step,
    strategy,
    table,
    without,
)
from tests.worker.dunning.test_properties import ALL_KINDS, JOBS
from worker.codec import decode_case, encode_case
from worker.dunning.events import DebtorChanged, Event, HoldLapsed, HoldPlaced, HoldReleased, JobCredited
from worker.dunning.fold import fold
from worker.dunning.ladder import may_send
from worker.dunning.model import ZERO, Invoice, StepRun
from worker.dunning.preflight import DEFECTS, defects, wrong_invoices
from worker.dunning.strategy import Strategy
from worker.dunning.view import lines

TODAY = day("2026-04-02")
SOUND = invoice("F-2026-1", "2026-04-01")
LADDER = strategy(
    step("courtesy", "due-7d"),
    step("first", "due+1d", tone=1),
    step("second", "due+15d", tone=3, deadline=8),
    step("notice", "due+25d", "previous_deadline+1d", tone=4, deadline=8),
    step("last", "due+40d", tone=4),
)


def bad(**fields: Any) -> Invoice:
    """The sound invoice with other fields."""
    return replace(SOUND, **fields)


def numbered(number: str, due: str = "2026-04-01") -> Invoice:
    """An invoice that is wrong: more is outstanding on it than its amount."""
    return replace(invoice(number, due), stated=Decimal(5000))


def story(*invoices: Invoice, rules: Strategy = LADDER, now: str = "2026-04-02") -> Story:
    """A case with these invoices."""
    return Story(rules, at(now)).open(*invoices)


def listed(told: Story) -> set[str]:
    """Every invoice that a message was about."""
    return {number for run in told.case.runs if run.sends for number in (run.anchor, *run.covers)}


def placed(told: Story) -> list[tuple[str | None, str]]:
    """The holds of the check, as upstream hears of them."""
    holds = [event.hold for event in told.history if isinstance(event, HoldPlaced)]
    return [(hold.invoice, hold.note) for hold in holds if hold.reason == "invoice_defect"]


# ---- the check itself


@pytest.mark.parametrize(
    ("wrong", "names"),
    [
        (bad(number="0"), ["number"]),
        (bad(number="N/A"), ["number"]),
        (bad(number="DRAFT-12"), ["number"]),
        (bad(number="Brouillon 12"), ["number"]),
        (bad(number="PRO-FORMA/7"), ["number"]),
        (bad(number="DEVIS2026-7"), ["number"]),
        (bad(issued_on=TODAY + timedelta(days=2), due_on=TODAY + timedelta(days=30)), ["issued_in_future"]),
        (bad(issued_on=TODAY, due_on=TODAY - timedelta(days=1)), ["due_before_issue"]),
        (bad(due_on=day("2062-04-01")), ["due_far_off"]),
        (bad(issued_on=day("2016-03-01"), due_on=day("2016-04-01")), ["due_far_off"]),
        (bad(amount=ZERO, stated=ZERO), ["amount"]),
        (bad(amount=Decimal(-100), stated=Decimal(-100)), ["amount"]),
        (bad(amount=ZERO, stated=Decimal(100)), ["amount"]),
        (bad(stated=Decimal(-1)), ["outstanding_negative"]),
        (bad(stated=Decimal("1000.01")), ["outstanding_above_amount"]),
        (bad(number="draft", issued_on=TODAY, due_on=day("2026-03-01"), amount=ZERO),
         ["number", "due_before_issue", "amount"]),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_invoice_is_named(wrong: Invoice, names: list[str]) -> None:
    """Each by its own name, all at once."""
    assert list(defects(wrong, COMPANY, TODAY)) == names


@pytest.mark.parametrize(
    "name", ["", "-", "?", "N/A", "n.a.", "XXX", "null", "Inconnu", "Client divers", "à définir", "0"]
)
def test_a_buyer_without_a_name_is_a_defect_of_the_invoice(name: str) -> None:
    """Nobody can be asked to pay who is not named on it."""
    assert defects(SOUND, without(COMPANY, name=name), TODAY) == ("buyer",)


@pytest.mark.parametrize(
    "name", ["Xavier Null", "Testard SARL", "Na Li", "Librairie du Divers", "3M", "Œuvre & Cie", "李娜"]
)
def test_a_real_name_is_none(name: str) -> None:
    """Names that merely contain a word of the list are names."""
    assert defects(SOUND, without(COMPANY, name=name), TODAY) == ()


@pytest.mark.parametrize("number", ["1", "0012", "F-2026/001", "DR-4", "QUOTEPART-7", "TESTARD 12", "A0"])
def test_a_real_number_is_none(number: str) -> None:
    """However short, and whatever it begins with."""
    assert defects(bad(number=number), COMPANY, TODAY) == ()


@pytest.mark.parametrize(
    "fine",
    [
        bad(number="0", stated=ZERO),
        bad(number="0", kind="credit_note"),
        bad(amount=ZERO, stated=ZERO, settled=True),
        bad(due_on=TODAY + timedelta(days=60)),
        bad(issued_on=TODAY + timedelta(days=1), due_on=TODAY + timedelta(days=30)),
        bad(issued_on=day("2021-06-01"), due_on=day("2021-07-01")),
    ],
)
def test_what_asks_for_nothing_and_what_may_well_be_is_no_defect(fine: Invoice) -> None:
    """Settled, a credit note, dated today where the creditor is, four years old."""
    assert defects(fine, COMPANY, TODAY) == ()


# ---- what it does to a case


def test_a_wrong_invoice_is_held_and_the_others_are_chased() -> None:
    """It is never listed, upstream hears why, and the ladder runs to its end for the sound one."""
    told = story(numbered("BAD"), invoice("GOOD", "2026-04-01")).until("2026-07-01")
    assert listed(told) == {"GOOD"}
    assert placed(told) == [("BAD", "outstanding_above_amount")]
    assert table(told.sent)[0] == "2026-04-02 first email"


def test_a_case_of_wrong_invoices_has_a_named_hold_and_sends_nothing() -> None:
    """A courtesy neither; five hundred at once are no loop."""
    many = [numbered(f"F{i}", "2026-04-20") for i in range(500)]
    told = story(*many).until("2026-07-01")
    assert (told.sent, reason(told), len(placed(told))) == ([], "held: invoice_defect", 500)


def test_a_case_brought_by_hand_is_checked_too() -> None:
    """What people sent before is theirs; what we would send is checked."""
    by_hand = StepRun(step="first", anchor="BAD", at=at("2026-04-02"), covers=("BAD",), by_hand=True)
    told = Story(LADDER, at("2026-04-20")).open(numbered("BAD"), ran=(by_hand,)).until("2026-06-01")
    assert (told.sent, placed(told)) == ([], [("BAD", "outstanding_above_amount")])


@pytest.mark.parametrize("amount", ["0", "-100"])
def test_a_claim_of_nothing_is_held_until_somebody_says_what_it_is(amount: str) -> None:
    """Its case is not taken for paid; with the amount known it is chased, from the first step."""
    told = story(invoice("F1", "2026-04-01", amount)).until("2026-05-01")
    assert (told.sent, reason(told), told.case.ended) == ([], "held: invoice_defect", None)
    told.state(invoice("F1", "2026-04-01", "80", as_of="2026-05-01"))
    assert table(told.until("2026-05-05").sent) == ["2026-05-01 first email"]


def test_a_claim_below_nothing_lowers_no_total() -> None:
    """A credit note sent as an invoice takes nothing off before somebody says that it is one."""
    told = story(invoice("F1", "2026-04-01"), invoice("F2", "2026-04-01", "-100"))
    assert (told.case.owed(), told.claim("F2").outstanding) == (Decimal(1000), ZERO)


def test_a_claim_of_nothing_that_is_settled_ends_the_case() -> None:
    """Upstream says that nothing is outstanding: nothing is owed."""
    told = story(invoice("F1", "2026-04-01", "0")).until("2026-05-01")
    told.state(replace(invoice("F1", "2026-04-01", "0", as_of="2026-05-01"), settled=True))
    told.look()
    assert told.case.ended
    assert told.case.ended.reason == "paid"


def test_an_invoice_dated_ahead_is_held_until_its_date() -> None:
    """By itself: the case is looked at that day, and the courtesy goes out."""
    ahead = replace(invoice("F1", "2026-05-20"), issued_on=day("2026-04-20"))
    told = story(ahead)
    told.look()
    assert told.wait
    assert (told.wait.reason, told.wait.until) == ("held: invoice_defect", at("2026-04-19 00:00"))
    assert table(told.until("2026-05-14").sent) == ["2026-05-13 courtesy email"]


def test_a_name_that_is_none_holds_every_invoice_of_the_debtor() -> None:
    """And the debtor's real name frees them all."""
    told = Story(LADDER, at("2026-04-02"), debtor=without(COMPANY, name="N/A"))
    told.open(invoice("F1", "2026-04-01"), invoice("F2", "2026-04-01")).look()
    assert (told.sent, placed(told)) == ([], [("F1", "buyer"), ("F2", "buyer")])
    told.tell(DebtorChanged(at=told.now, debtor=COMPANY))
    told.look()
    assert (told.case.holds, listed(told)) == ((), {"F1", "F2"})


# ---- correction


def test_a_correction_frees_the_invoice_and_the_ladder_begins_at_its_first_step() -> None:
    """Thirty days late by its own due date, never told of: the first reminder, never a firmer one."""
    told = story(numbered("F1")).until("2026-05-01")
    told.state(invoice("F1", "2026-04-01", as_of="2026-05-01"))
    assert table(told.until("2026-05-10").sent) == ["2026-05-01 first email"]
    assert any(isinstance(event, HoldLapsed) and event.invoice == "F1" for event in told.history)


def test_a_corrected_due_date_counts() -> None:
    """Due next month after all: no claim, but the courtesy before that day."""
    told = story(bad(number="F1", issued_on=day("2026-04-01"), due_on=day("2026-03-01"))).until("2026-04-10")
    told.state(replace(invoice("F1", "2026-05-11", as_of="2026-04-10"), issued_on=day("2026-04-01")))
    assert table(told.until("2026-05-05").sent) == ["2026-05-04 courtesy email"]


def test_a_corrected_invoice_is_not_first_heard_of_by_a_notice() -> None:
    """The others stand at the end of the ladder; the older one that joins is told of by the step that gives a date."""
    told = story(numbered("OLD", "2026-03-20"), invoice("NEW", "2026-04-01"), now="2026-04-02").until("2026-05-10")
    assert told.case.runs[-1].step == "notice"
    told.state(invoice("OLD", "2026-03-20", as_of="2026-05-10"))
    told.until("2026-05-14")
    assert [(run.step, run.anchor) for run in told.case.runs if "OLD" in run.covers] == [("second", "OLD")]


def test_what_is_still_wrong_after_a_correction_is_told_anew() -> None:
    """One fault of two mended: the hold stays, and its note says what is left."""
    told = story(bad(number="DRAFT-1", stated=Decimal(5000)))
    told.look()
    told.state(replace(invoice("DRAFT-1", "2026-04-01", as_of="2026-04-02")))
    told.look()
    assert placed(told) == [("DRAFT-1", "number, outstanding_above_amount"), ("DRAFT-1", "number")]
    assert len(told.case.holds) == 1


def test_a_correction_does_not_lift_what_somebody_else_placed() -> None:
    """Upstream holds the invoice for a defect we cannot see: it alone says when that is over."""
    told = story(numbered("F1"))
    told.hold("invoice_defect", number="F1")
    told.look()
    assert [hold.defects for hold in told.case.holds] == [()]
    told.state(invoice("F1", "2026-04-01", as_of="2026-04-02"))
    told.until("2026-06-01")
    assert (told.sent, reason(told)) == ([], "held: invoice_defect")


# ---- a person lets it pass


def test_what_a_person_releases_stays_released_and_a_new_defect_holds_again() -> None:
    """The same is not put back at once; another is."""
    told = story(numbered("F1")).until("2026-04-03")
    told.tell(HoldReleased(at=told.now, reason="invoice_defect", by="an operator"))
    told.look()
    assert table(told.sent) == ["2026-04-03 first email"]
    told.state(replace(numbered("F1", "2026-02-01"), issued_on=day("2026-03-01"), as_of=told.now))
    told.until("2026-06-01")
    assert placed(told) == [("F1", "outstanding_above_amount"), ("F1", "due_before_issue")]
    assert table(told.sent) == ["2026-04-03 first email"]


def test_the_last_look_sees_an_invoice_that_became_wrong() -> None:
    """Stated wrong between the reservation and the call: the message does not leave."""
    told = story(invoice("F1", "2026-04-01"))
    told.answer = lambda *_: None
    told.look()
    told.state(numbered("F1"))
    run = told.case.run("first", "F1")
    assert run
    assert may_send(told.case, LADDER, run, "email", told.now, told.around) == "an invoice is wrong"


def test_a_snapshot_from_before_the_check_still_reads() -> None:
    """What it lacks is at its default."""
    case = story(invoice("F1", "2026-04-01")).case
    text = encode_case(case)
    assert "let_pass" not in text
    assert "settled" not in text
    assert "address" not in text
    assert decode_case(text) == case


# ---- whatever happens


NUMBERS = st.sampled_from(["F1", "F2", "F3", "0", "DRAFT-1"])
DATES = st.integers(min_value=-60, max_value=60).map(lambda ahead: TODAY + timedelta(days=ahead)) | st.sampled_from(
    [day("2016-04-01"), day("2062-04-01")]
)
SUMS = st.sampled_from([Decimal(n) for n in (-50, 0, 40, 100, 100, 1500)])
CLAIMS = st.builds(
    lambda number, issued, due, amount, left, settled: Invoice(
        number=number, issued_on=issued, due_on=due, amount=amount, stated=ZERO if settled else left,
        as_of=at("2026-01-01"), settled=settled,
    ),
    NUMBERS, DATES, DATES, SUMS, SUMS, st.booleans(),
)  # fmt: skip
SOUND_ONES = st.builds(invoice, NUMBERS, st.dates(day("2026-02-01"), day("2026-06-01")).map(str))
STATED = CLAIMS | SOUND_ONES
NAMES = st.sampled_from(["Exemple SARL", "Exemple SARL", "N/A", ""])
ACTS = st.sampled_from(["state", "state", "release", "rename", "hold", "job", "pay", "nothing"])
HAPPENINGS = st.lists(st.tuples(ACTS, st.integers(min_value=0, max_value=30), STATED, NAMES), max_size=8)


class Checked(Story):
    """A story in which no message leaves that lists a wrong invoice, and no look leaves the case in the dark."""

    def answered(self, run: StepRun, channel: str, attempt: int, now: datetime) -> Event | None:
        """While the provider is called: what the message lists is fit, or a person let exactly that pass."""
        rung = self.strategy.step(run.step)
        assert rung
        wrong = {found.number for found, _ in wrong_invoices(self.case, self.today)}
        shown = {line.number for line in lines(self.case, rung, run.anchor, self.today)}
        assert shown
        assert not wrong & {run.anchor, *run.covers, *shown}
        return accepted(run, channel, attempt, now)

    def check(self) -> None:
        """A time, a hold with a name, or an end."""
        assert self.wait
        assert self.wait.until or self.wait.reason.startswith("held: ") or self.case.ended, self.wait
        for hold in self.case.holds:
            assert set(hold.defects) <= set(DEFECTS)


@settings(max_examples=300)
@given(st.sampled_from([B2B, B2C, ALL_KINDS, JOBS]), st.lists(STATED, min_size=1, max_size=4), NAMES, HAPPENINGS)
def test_a_wrong_invoice_is_never_listed_before_it_is_corrected_or_let_pass(
    rules: Strategy,
    first: list[Invoice],
    name: str,
    happenings: list[tuple[str, int, Invoice, str]],
) -> None:
    """Whatever upstream says and people do, in whatever order; and the history tells it all."""
    told = Checked(rules, at("2026-04-02"), debtor=without(COMPANY, name=name))
    told.answer = told.answered
    told.open(*{item.number: item for item in first}.values())
    for act, days, news, other in happenings:
        told.until((told.now + timedelta(days=days)).strftime("%Y-%m-%d %H:%M"))
        told._settle()
        told.check()
        if told.case.ended:
            break
        happen(told, act, replace(news, as_of=told.now), other)
    told.until("2026-12-31")
    told.check()
    assert fold(None, told.history) == told.case == decode_case(encode_case(told.case))


def happen(told: Story, act: str, news: Invoice, name: str) -> None:
    """Upstream or an operator does something."""
    match act:
        case "state":
            told.state(news)
        case "release":
            told.tell(HoldReleased(at=told.now, by="an operator"))
        case "rename":
            told.tell(DebtorChanged(at=told.now, debtor=without(COMPANY, name=name)))
        case "hold":
            told.hold("invoice_defect", number=news.number)
        case "job":
            told.tell(JobCredited(at=told.now))
        case "pay" if told.case.invoice(news.number):
            told.pay(news.number, "30")
