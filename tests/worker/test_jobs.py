"""What upstream may send: complete jobs pass in canonical form, faults are named without repeating anybody's data."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.worker.payloads import refused, reminder
from worker.config import Config, load
from worker.dunning.preflight import defects
from worker.jobs import (
    SCHEMAS,
    BadJob,
    ReminderDue,
    json_schema,
    parse,
    strategy_of,
)

NOW = datetime(2026, 4, 1, 8, tzinfo=UTC)


@pytest.fixture(scope="module")
def config() -> Config:
    """The configuration as shipped."""
    return load(Path(__file__).parents[2] / "config")


def test_a_reminder_becomes_what_the_rules_use(config: Config) -> None:
    """What upstream leaves out comes from the creditor; what it says is in canonical form."""
    payload = reminder(
        debtor__phone="06 39 98 12 34", debtor__email="AP@Example.COM", debtor__subdivision="57",
        debtor__address=["4 quai du Port ", "57000 Metz"],
    )  # fmt: skip
    job = parse(payload, config)
    assert isinstance(job, ReminderDue)
    debtor = job.debtor.value(config.creditors["demo"])
    assert (debtor.locale, debtor.timezone, debtor.country, debtor.subdivision) == ("fr_FR", "Europe/Paris", "FR", "57")
    assert (debtor.phone, debtor.email) == ("+33639981234", "AP@example.com")
    assert debtor.address == ("4 quai du Port", "57000 Metz")
    assert job.as_of
    invoice = job.invoices[0].value(job.as_of)
    assert (invoice.amount, invoice.stated, invoice.outstanding) == (Decimal("1200.50"),) * 3
    assert invoice.due_on == date(2026, 3, 31)
    assert strategy_of(job, config) is config.strategies["b2b"]


def test_a_debtor_abroad_has_the_time_and_numbers_of_their_country(config: Config) -> None:
    """A British number and hour without being told; where a country has several zones, upstream must say which."""
    job = parse(reminder(debtor__country="GB", debtor__phone="020 7946 0958", debtor__locale="en-GB"), config)
    assert isinstance(job, ReminderDue)
    debtor = job.debtor.value(config.creditors["demo"])
    assert (debtor.timezone, debtor.phone, debtor.locale) == ("Europe/London", "+442079460958", "en_GB")
    assert refused(reminder(debtor__country="US"), config) == [
        "debtor.timezone: required, since that country has several"
    ]
    parse(reminder(debtor__country="US", debtor__timezone="America/Chicago"), config)


@pytest.mark.parametrize(
    ("subdivision", "zone"),
    [("972", "America/Martinique"), ("974", "Indian/Reunion"), ("PF", "Pacific/Tahiti"), ("67", "Europe/Paris")],
)
def test_a_debtor_overseas_is_not_called_at_night(config: Config, subdivision: str, zone: str) -> None:
    """10:00 in Paris is 4:00 in Martinique: overseas France has its own hours without upstream saying so."""
    job = parse(reminder(debtor__subdivision=subdivision), config)
    assert isinstance(job, ReminderDue)
    assert job.debtor.value(config.creditors["demo"]).timezone == zone


REFUSED = [
    ({"version": 2}, "version: not one of: 1"),
    ({"version": True}, "version: not one of: 1"),
    ({"version": "1"}, "version: not one of: 1"),
    ({"job_id": ...}, "job_id: required"),
    ({"job_id": "a b"}, "job_id: not of the form"),
    ({"creditor": "dem"}, "creditor: not a creditor; did you mean 'demo'?"),
    ({"creditor": 3}, "creditor: not a text"),
    ({"strategy": "b2"}, "strategy: not a strategy; did you mean 'b2"),
    ({"as_of": "2026-03-31T09:00:00"}, "as_of: not a date and time with its UTC offset"),
    ({"as_of": 1774940400}, "as_of: not a date and time with its UTC offset"),
    ({"case": "demo-1.2"}, "case: not of the form"),
    ({"history": {"last_step": "curtesy", "on": "2026-03-01"}}, "history.last_step: not a step of b2b; did you mean"),
    ({"surprise": 1}, "surprise: unknown field"),
    ({"debtor": None}, "debtor: not an object"),
    ({"debtor__phonne": "x"}, "debtor.phonne: unknown field; did you mean 'phone'?"),
    ({"debtor__phone": "12"}, "debtor.phone: not a phone number"),
    ({"debtor__phone": 33639981234}, "debtor.phone: not a text"),
    ({"debtor__email": "ap@"}, "debtor.email: not a mailbox"),
    ({"debtor__email": "ap@example.com\r\nBcc: x@example.com"}, "debtor.email: not a mailbox"),
    ({"debtor__email": ...}, "debtor: has neither an email nor a phone"),
    ({"debtor__name": ...}, "debtor.name: required"),
    ({"debtor__name": "x" * 101}, "debtor.name: longer than 100 characters"),
    ({"debtor__name": "{{ 7*7 }}"}, "debtor.name: looks like a template"),
    ({"debtor__name": "{% raw %}"}, "debtor.name: looks like a template"),
    ({"debtor__name": "a\u202eb"}, "debtor.name: changes the direction of writing"),
    ({"debtor__name": "a\x00b"}, "debtor.name: has control characters"),
    ({"debtor__name": "a\nb"}, "debtor.name: has control characters"),
    ({"debtor__name": "\ud800"}, "debtor.name: not a text in UTF-8"),
    ({"debtor__kind": "busines"}, "debtor.kind: not one of: 'business', 'consumer' or 'public'"),
    ({"debtor__locale": "de_DE"}, "debtor.locale: not a language there is wording for (expected one of: fr, en)"),
    ({"debtor__locale": "xx"}, "debtor.locale: not a locale"),
    ({"debtor__timezone": "Europe/Pariss"}, "debtor.timezone: not a time zone; did you mean 'Europe/Paris'?"),
    ({"debtor__country": "UK"}, "debtor.country: not a country"),
    ({"invoices": []}, "invoices: empty"),
    ({"invoices__0__amount": "--1"}, "invoices.0.amount: not an amount"),
    ({"invoices__0__kind": "credit_note", "invoices__0__amount": "-1"}, "invoices.0.amount: negative"),
    ({"invoices__0__amount": "NaN"}, "invoices.0.amount: not an amount"),
    ({"invoices__0__amount": float("nan")}, "invoices.0.amount: not an amount"),
    ({"invoices__0__amount": 1200.5}, "invoices.0.amount: not an amount"),
    ({"invoices__0__amount": 1200}, "invoices.0.amount: not an amount"),
    ({"invoices__0__amount": "1e3"}, "invoices.0.amount: not an amount"),
    ({"invoices__0__amount": "1234567890123456"}, "invoices.0.amount: not an amount"),
    ({"invoices__0__amount": "12.505"}, "invoices.0.amount: has more than the 2 decimals of EUR"),
    ({"invoices__0__currency": "JPY"}, "invoices.0.amount: has more than the 0 decimals of JPY"),
    ({"invoices__0__currency": "FRF"}, "invoices.0.currency: not a currency"),
    ({"invoices__0__kind": "credit_note", "invoices__0__outstanding": "1200.51"},
     "invoices.0.outstanding: more than the amount"),
    ({"invoices__0__kind": "credit_note", "invoices__0__due_on": "2026-02-28"}, "invoices.0.due_on: before issued_on"),
    ({"invoices__0__number": ""}, "invoices.0.number: not of the form"),
    ({"invoices__0__issued_on": ...}, "invoices.0.issued_on: required"),
    ({"debtor__address": "1 rue X"}, "debtor.address: not a list"),
    ({"debtor__address": ["x"] * 7}, "debtor.address: more than 6"),
    ({"debtor__address": ["x", ""]}, "debtor.address.1: empty"),
    ({"debtor__address": ["a\nb"]}, "debtor.address.0: has control characters"),
    ({"invoices__0__due_on": "9999-12-31"}, "invoices.0.due_on: not a date from 2000 to 2100"),
    ({"invoices__0__due_on": "31/03/2026"}, "invoices.0.due_on: not a date from 2000 to 2100"),
    ({"invoices__0__payment_url": "http://shop.fr/pay"}, "invoices.0.payment_url: not an https address"),
    ({"invoices__0__payment_url": "javascript:alert(1)"}, "invoices.0.payment_url: not a web address"),
    ({"invoices__0__payment_url": "https://me:pw@shop.fr"}, "invoices.0.payment_url: not a web address"),
    ({"invoices__0__subject": "{# x #}"}, "invoices.0.subject: looks like a template"),
]  # fmt: skip


def test_a_kind_of_debtor_without_a_strategy_is_refused(config: Config) -> None:
    """The creditor has not said how public buyers are to be chased, so nobody guesses."""
    creditor = config.creditors["demo"]
    known = {kind: name for kind, name in creditor.strategies.items() if kind != "public"}
    narrow = creditor.model_copy(update={"strategies": known})
    with pytest.raises(BadJob, match=r"debtor\.kind: the creditor has no strategy for that kind"):
        parse(reminder(debtor__kind="public"), replace(config, creditors={"demo": narrow}))


@pytest.mark.parametrize(("changes", "says"), REFUSED)
def test_a_fault_is_named_and_alone(config: Config, changes: dict[str, Any], says: str) -> None:
    """One fault gives one line: where it is and what was expected."""
    (only,) = refused(reminder(**changes), config)
    assert only.startswith(says)


def test_every_fault_is_told_at_once(config: Config) -> None:
    """Upstream mends a job in one go."""
    payload = reminder(creditor="nobody", debtor__email="x", invoices__0__amount="x", job_id=...)
    assert [line.partition(":")[0] for line in refused(payload, config)] == [
        "creditor", "job_id", "debtor.email", "invoices.0.amount",
    ]  # fmt: skip


def test_invoices_of_a_job_are_different_ones_of_one_case(config: Config) -> None:
    """A number twice, or two currencies, is no case; neither are more than 500 invoices."""
    one = reminder()["invoices"][0]
    assert refused(reminder(invoices=[one, one]), config) == ["invoices: the same number twice"]
    (line,) = refused(reminder(invoices=[one, one | {"number": "F-2", "currency": "USD"}]), config)
    assert line.startswith("invoices: of several currencies")
    assert refused(reminder(invoices=[one] * 501), config) == ["invoices: more than 500"]


def test_a_job_too_large_is_not_looked_at(config: Config) -> None:
    """A megabyte is the most; more, or what is no JSON at all, is refused before anything else."""
    assert refused(reminder(surprise="x" * 1_000_001), config) == ["larger than 1000000 bytes"]
    assert refused(reminder(surprise=object()), config) == ["not JSON"]
    circle: dict[str, Any] = {}
    circle["circle"] = circle
    assert refused(circle, config) == ["not JSON"]


@pytest.mark.parametrize("payload", [None, [], "x", 7, {}, {"type": None}, {"type": []}, {"type": "x"}, {1: 2}])
def test_what_is_no_job_is_refused(config: Config, payload: object) -> None:
    """Anything else than an object with a known type gives one line."""
    assert len(refused(payload, config)) == 1


def test_a_near_type_is_suggested(config: Config) -> None:
    """Upstream learns what it may have meant."""
    assert refused(reminder(type="reminder_du"), config) == ["type: not a type of job; did you mean 'reminder_due'?"]


def test_an_invoice_may_be_wholly_paid_or_credited(config: Config) -> None:
    """Nothing outstanding is a fact like another; a credit note's amount is positive."""
    payload = reminder(invoices__0__outstanding="0", invoices__0__kind="credit_note")
    job = parse(payload, config)
    assert isinstance(job, ReminderDue)
    found = job.invoices[0].value(NOW)
    assert (found.stated, found.settled) == (Decimal(0), True)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"debtor__name": ""}, "buyer"),
        ({"debtor__name": "  "}, "buyer"),
        ({"invoices__0__number": "DRAFT-3"}, "number"),
        ({"invoices__0__amount": "-1"}, "amount"),
        ({"invoices__0__amount": "0.00"}, "amount"),
        ({"invoices__0__outstanding": "-5"}, "outstanding_negative"),
        ({"invoices__0__outstanding": "1200.51"}, "outstanding_above_amount"),
        ({"invoices__0__due_on": "2026-02-28"}, "due_before_issue"),
        ({"invoices__0__due_on": "2062-03-31"}, "due_far_off"),
        ({"invoices__0__issued_on": "2026-04-30", "invoices__0__due_on": "2026-05-31"}, "issued_in_future"),
    ],
)
def test_an_invoice_that_is_wrong_is_taken(config: Config, changes: dict[str, Any], named: str) -> None:
    """What can be stored is, so that it is held and upstream hears why; the check names it."""
    job = parse(reminder(**changes), config)
    assert isinstance(job, ReminderDue)
    debtor = job.debtor.value(config.creditors["demo"])
    assert defects(job.invoices[0].value(NOW), debtor, NOW.date()) == (named,)


def test_books_cannot_be_ahead_of_the_clock(config: Config) -> None:
    """An `as_of` in the future would make every later word look older, payments included: it is refused."""
    payload = reminder(as_of=(NOW + timedelta(minutes=11)).isoformat())
    with pytest.raises(BadJob, match="as_of: in the future"):
        parse(payload, config, now=NOW)
    parse(reminder(as_of=(NOW + timedelta(minutes=9)).isoformat()), config, now=NOW)


def test_a_job_shows_nobody_when_printed(config: Config) -> None:
    """A job that ends up in a traceback or a log does not carry the debtor's name or addresses."""
    shown = repr(parse(reminder(debtor__phone="+33639981234", debtor__address=["1 rue du Port"]), config))
    assert "D-1" in shown
    assert all(secret not in shown for secret in ("Exemple SARL", "ap@example.com", "+33639981234", "rue du Port"))


@pytest.mark.parametrize("kind", SCHEMAS)
def test_every_field_of_every_type_is_explained(kind: str) -> None:
    """`relance schema TYPE` explains every field, and says that nothing else is allowed."""
    schema = json_schema(kind)
    for part in (schema, *schema.get("$defs", {}).values()):
        assert part["additionalProperties"] is False
        assert [name for name, field in part["properties"].items() if not {"description", "const"} & set(field)] == []
